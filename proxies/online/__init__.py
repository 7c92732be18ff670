"""Queries that arrive one by one: a state for each at once."""
