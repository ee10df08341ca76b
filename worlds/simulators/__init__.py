"""Simulators: seeded sources of facts for domains that have no real ones yet.

What a simulator makes is visible as such for ever: every fact carries a source which starts
with ``simulator:``, and `is_simulated` reads it back.
"""

from worlds.simulators.writing import Written, is_simulated, source_name, write

__all__ = ["Written", "is_simulated", "source_name", "write"]
