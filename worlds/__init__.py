"""Possible worlds: competing models combined into distributions of outcomes."""

from worlds.possible import possible_worlds

__all__ = ["possible_worlds"]
