"""What readers need to know of the log without asking it; the writer replaces it at a commit."""

from dataclasses import dataclass, replace

import duckdb
import pyarrow as pa

from facts.layout import LOG_COLUMNS

NEVER = -(2**62)
OPTIONAL = ("num2", "num3", "text", "labels", "probs", "nums", "valid_to", "choice", "extra")


@dataclass(frozen=True, slots=True)
class Mark:
    """Where the log stands.

    Attributes
    ----------
    recorded_us : int
        The recorded time of the last commit.
    shadowed_us : int
        The recorded time of the last commit that hid or showed a fact.
    shadows : int
        How many times a fact was hidden or shown.
    shown_again : bool
        Whether any fact was ever hidden and shown again.
    used : frozenset of str
        Those of the columns ``OPTIONAL`` that hold anything: reads leave out the others.
    """

    recorded_us: int = NEVER
    shadowed_us: int = NEVER
    shadows: int = 0
    shown_again: bool = False
    used: frozenset[str] = frozenset()

    def after(self, recorded_us: int, steps: list[tuple[int, int]], used: set[str]) -> "Mark":
        """Return the mark after a commit."""
        return replace(
            self,
            recorded_us=recorded_us,
            shadowed_us=recorded_us if steps else self.shadowed_us,
            shadows=self.shadows + len(steps),
            shown_again=self.shown_again or any(step < 0 for _, step in steps),
            used=self.used | used,
        )


def read_mark(con: duckdb.DuckDBPyConnection, recorded_us: int) -> Mark:
    """Read from the file where the log stands."""
    counts = ", ".join(f"count({name}) > 0" for name in OPTIONAL)
    held = con.execute(f"SELECT {counts} FROM log").fetchall()[0]  # noqa: S608 constants
    last, count, again = con.execute(
        "SELECT epoch_us(max(recorded_at)), count(*), coalesce(min(step) < 0, false) FROM shadow"
    ).fetchall()[0]
    used = frozenset(name for name, there in zip(OPTIONAL, held, strict=True) if there)
    return Mark(recorded_us, NEVER if last is None else last, count, again, used)


def used_in_table(table: pa.Table) -> set[str]:
    """Return the optional columns that rows of the log use."""
    return {name for name in OPTIONAL if table.column(name).null_count < table.num_rows}


def used_in_rows(rows: list[tuple[object, ...]]) -> set[str]:
    """Return the optional columns that rows of the log, as tuples, use."""
    places = [(LOG_COLUMNS.index(name), name) for name in OPTIONAL]
    return {name for at, name in places if any(row[at] is not None for row in rows)}
