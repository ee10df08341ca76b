"""Possible worlds: competing models combined into distributions of outcomes."""

from worlds.possible import possible_worlds
from worlds.query import open_worlds

__all__ = ["open_worlds", "possible_worlds"]
