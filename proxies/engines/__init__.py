"""Engines: vLLM in this machine's memory, or an OpenAI-compatible server."""
