"""Possible worlds: competing models combined into distributions of outcomes."""
