"""The study of the proxy on the recorded profile: ``python -m paper_repro.proxy.study``, page ``PROXY.md``."""
