"""Profiling runs: queries to every model at every batch size, graded and recorded."""
