"""Queries, prompts, readers and graders: from a query to a prompt, and from an output to a score."""
