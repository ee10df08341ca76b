"""The roll-up that says in which period each thing began, kept while facts are recorded.

A thing begins with its earliest fact that is not a label. The roll-up counts such facts by entity
and period, so the first period in which any counts is that of its begin, under corrections and
retractions too. Learning counts things from it instead of reading every fact ever recorded.
"""

from facts import RollUp
from worlds.domain import Domain


def begins(domain: Domain) -> RollUp:
    """Return the roll-up that learning a domain reads."""
    name = f"begins of {domain.entity} by {domain.grain} without {domain.label}"
    return RollUp(name, f"*-{domain.label}", domain.grain, "entity")
