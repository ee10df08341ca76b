"""Which facts stand: the graph of references agrees with the plain-Python model, event by event."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from facts import Event, Exact
from facts.force import Standing
from facts.layout import OPS
from tests.facts.model import Model

START = datetime(2026, 3, 1, tzinfo=UTC)


def random_event(chance: random.Random) -> Event:
    name = str(chance.randint(1, 6))
    op = chance.choice(["assert", "correct", "correct", "correct", "retract"])
    refers = None
    if op != "assert":
        refers = ("a", chance.choice([n for n in "123456" if n != name]))
    names = chance.sample("xyz", chance.randint(op != "retract", 3))
    values = {n: Exact(chance.randint(0, 9)) for n in names}
    return Event("a", name, "post:1", values, START, op=op, refers=refers)  # type: ignore[arg-type]


def check(seed: int) -> None:
    chance = random.Random(seed)
    model, standing = Model(), Standing()
    shown: set[int] = set()
    place: dict[int, tuple[str, str]] = {}
    for step in range(chance.randint(3, 14)):
        event = random_event(chance)
        key = (event.source, event.id)
        before = len(model.rows)
        if model.record(START + timedelta(hours=step), event) != "accepted":
            continue
        new = {a: n for _, n, _, a in model.rows[before:]}
        place |= {n: (event.id, a) for a, n in new.items()}
        shown |= {n for a, n in new.items() if event.op != "retract"}
        old = {a: n for _, n, e, a in model.rows[:before] if event.refers == (e.source, e.id)}
        for seq, change in standing.add(key, OPS[event.op], new, event.refers, old):
            (shown.discard if change > 0 else shown.add)(seq)
        expected = {(name, a) for _, name, _, a, *_ in model.visible(START + timedelta(days=9))}
        assert {place[n] for n in shown} == expected, (seed, step)


def test_the_graph_of_references_agrees_with_the_model() -> None:
    for seed in range(400):
        check(seed)


@pytest.mark.slow
def test_the_graph_of_references_agrees_with_the_model_at_length() -> None:
    for seed in range(20_000):
        check(seed)
