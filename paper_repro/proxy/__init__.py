"""The study of the proxy on the recorded profile: ``python -m paper_repro.proxy.study`` records it in results/proxy.

Plans, splits and checks of one task, and the tables made of all of them. Code here imports `common` and writes no page.
"""
