"""Counting a million uncertain facts, against reading the same facts as of now.

Every fact is in the store: a breed with alternatives, some of them tied together by shared
ambiguous choices, or a place with an error. The read is `Reader.facts` as it comes; the count reads
the columns it needs and does everything after, up to the 90% interval. The ratio to a read of just
these columns is reported beside it. Rounds alternate and the median of their ratios counts.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import batched
from pathlib import Path
from typing import Any

import numpy as np

from facts import Categorical, Event, Point, Reader, Store
from facts.values import Box, Disc, OneOf
from worlds.membership import Polygon, Tallied, count, members
from worlds.membership.counting import tables, tally
from worlds.membership.reading import columns_for
from worlds.membership.regions import AnyRegion

PLAIN_BOUND, SHARED_BOUND = 2.0, 3.0
BEGIN = datetime(2026, 11, 20, tzinfo=UTC)
CITY = (52.37, 4.9)
RING = ((52.36, 4.87), (52.355, 4.93), (52.37, 4.91), (52.38, 4.94), (52.385, 4.86))


def events(n: int, rng: np.random.Generator) -> Iterator[Event]:
    """Yield n facts each: breeds, breeds of which a quarter shares 8 choices, places."""
    probs = rng.beta(2, 1, n).round(4)
    tied = rng.integers(0, 32, n)
    place = rng.normal(0, 1, (n, 2)) * (0.03, 0.05) + CITY
    radius = rng.uniform(10, 100, n)
    for i in range(n):
        p = float(probs[i])
        breed = Categorical(("pug", "beagle", "other"), (p, 0.7 * (1 - p), 0.3 * (1 - p)))
        where = Point(float(place[i, 0]), float(place[i, 1]), float(radius[i]))
        yield Event("bench", f"a{i}", f"post:{i}", {"breed": breed, "place": where}, BEGIN)
        tag = tied[i]
        value = (
            Categorical(("pug", "beagle"), (0.3 + tag / 20, 0.7 - tag / 20)) if tag < 8 else breed
        )
        choice = f"tag{tag}" if tag < 8 else None
        yield Event("bench", f"b{i}", f"post:{i}", {"meaning": value}, BEGIN, choice=choice)


def fill(path: Path, n: int, rng: np.random.Generator) -> Store:
    """Return a store with the facts."""
    store = Store.open(path)
    for part in batched(events(n, rng), 20_000):
        store.record(part)
    return store


def asked(reader: Reader, attribute: str, region: AnyRegion) -> tuple[Tallied, Any]:
    """Return the count and its interval, from the store on."""
    found = count(members(reader.facts(attribute=attribute, columns=needed(region)), region))
    return found, found.interval(0.9)


def needed(region: AnyRegion) -> tuple[str, ...]:
    return ("choice", *columns_for(region)) if isinstance(region, OneOf) else columns_for(region)


def seconds(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def compare(reader: Reader, attribute: str, region: AnyRegion, rounds: int) -> dict[str, Any]:
    """Return the times of one question and the medians of their ratios to the two reads."""
    columns = needed(region)
    runs: tuple[Callable[[], object], ...] = (
        lambda: reader.facts(attribute=attribute),
        lambda: reader.facts(attribute=attribute, columns=columns),
        lambda: asked(reader, attribute, region),
    )
    rows = [[seconds(run) for run in runs] for _ in range(rounds + 1)][1:]
    full, narrow, whole = (statistics.median(row[i] for row in rows) for i in range(3))
    answer, (low, high) = asked(reader, attribute, region)
    return {
        "read_s": full,
        "read_of_needed_columns_s": narrow,
        "read_and_count_s": whole,
        "ratio": statistics.median(row[2] / row[0] for row in rows),
        "ratio_to_needed_columns": statistics.median(row[2] / row[1] for row in rows),
        "worlds": len(answer.worlds),
        "error": answer.error,
        "interval90": [float(low), float(high)],
    }


def arithmetic(n: int, rng: np.random.Generator, rounds: int) -> dict[str, Any]:
    """Return the time of the count alone, once the probabilities are there."""
    probs, one = rng.uniform(size=n), np.ones((1, 1), bool)
    sums = tally(probs)
    return {
        "power_sums_s": min(seconds(lambda: tally(probs)) for _ in range(rounds)),
        "distribution_s": min(seconds(lambda: tables([sums], one)) for _ in range(rounds)),
    }


def main(quick: bool = False) -> dict[str, Any]:
    """Return the measurements; quick takes a tenth of the facts."""
    n, rounds = (100_000, 3) if quick else (1_000_000, 7)
    rng = np.random.default_rng(20261121)
    questions: dict[str, tuple[str, AnyRegion, float]] = {
        "breed": ("breed", OneOf("pug"), PLAIN_BOUND),
        "eight_shared_choices": ("meaning", OneOf("pug"), SHARED_BOUND),
        "disc": ("place", Disc(*CITY, 2000.0), PLAIN_BOUND),
        "box": ("place", Box(52.36, 52.38, 4.87, 4.93), PLAIN_BOUND),
        "polygon": ("place", Polygon.of(RING), PLAIN_BOUND),
    }
    with tempfile.TemporaryDirectory() as folder, fill(Path(folder) / "f.duckdb", n, rng) as store:
        reader = store.reader()
        found = {
            name: compare(reader, attribute, region, rounds) | {"bound": bound}
            for name, (attribute, region, bound) in questions.items()
        }
    bounds = [
        {
            "what": f"count of {n:,} uncertain facts by {name} / as-of read of them",
            "value": one["ratio"],
            "bound": one["bound"],
            "passed": one["ratio"] <= one["bound"],
        }
        for name, one in found.items()
    ]
    alone = arithmetic(n, rng, rounds)
    return {"facts": n, "bounds": bounds, "questions": found, "arithmetic": alone}


if __name__ == "__main__":
    import json
    import sys

    print(json.dumps(main("--quick" in sys.argv), indent=2))
