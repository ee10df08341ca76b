"""A writer for the fault tests: records numbered events and says what was acknowledged.

Run as ``python -m tests.facts.writer_process FILE ACKNOWLEDGED START COUNT``. Each acknowledged
number is written to the second file after its receipt, and flushed to the disk.
"""

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from facts import Event, Exact, Store

START = datetime(2026, 1, 1, tzinfo=UTC)


def numbered(number: int) -> Event:
    """Return the event of a number; some are corrections of an earlier one, some have two facts."""
    values = {"likes": Exact(number)}
    if number % 3 == 0:
        values["shares"] = Exact(-number)
    when = START + timedelta(seconds=number)
    more = {}
    if number % 10 == 9:
        more = {"op": "correct", "refers": ("app", f"e{number - 5}")}
    return Event("app", f"e{number}", f"post:{number % 50}", values, when, **more)  # type: ignore[arg-type]


def main(path: Path, acknowledged: Path, start: int, count: int) -> None:
    """Record events in groups of changing size."""
    with Store.open(path) as store, acknowledged.open("a") as said:
        at = start
        size = 1
        while at < start + count:
            events = [numbered(i) for i in range(at, at + size)]
            receipts = store.record(events)
            for i, receipt in zip(range(at, at + size), receipts, strict=True):
                said.write(f"{i} {receipt.status}\n")
            said.flush()
            os.fsync(said.fileno())
            at += size
            size = size * 3 % 97 + 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
