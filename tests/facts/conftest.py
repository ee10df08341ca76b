"""Fixtures of the facts room: a clock to turn by hand, and a store on it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from facts import Event, Store, parse_value

START = datetime(2026, 3, 1, tzinfo=UTC)


class Clock:
    """A clock that only moves when told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def ahead(self, **step: float) -> None:
        self.now += timedelta(**step)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    with Store.open(tmp_path / "facts.duckdb", clock=clock) as store:
        yield store


def event(name: str, entity: str = "post:1", *, hours: float = 0, **more: object) -> Event:
    """Return an event of source "app"; keywords that are no field are attributes."""
    fields = {k: more.pop(k) for k in ("op", "refers", "choice", "extra", "valid_to") if k in more}
    values = {k: parse_value(v) for k, v in more.items()}
    start = START + timedelta(hours=hours)
    return Event("app", name, entity, values, start, **fields)  # type: ignore[arg-type]
