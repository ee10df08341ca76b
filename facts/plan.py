"""A group of items made ready to be committed."""

from dataclasses import dataclass, field

import pyarrow as pa

from facts.events import Event, RawBad, Receipt
from facts.memory import digest_of
from facts.rows import (
    LogRow,
    event_rows,
    event_table,
    quarantine_row,
    release_row,
    table_of,
)


@dataclass(slots=True)
class Plan:
    """A group made ready.

    ``events`` and ``attributes`` give the event and attribute of each new fact, in order;
    ``others`` the quarantined items, which follow them; ``steps`` the changes of visibility.
    """

    first: int
    tx: int
    recorded_us: int
    events: list[Event] = field(default_factory=list)
    attributes: list[str] = field(default_factory=list)
    others: list[RawBad] = field(default_factory=list)
    released: tuple[int, str | None] | None = None
    steps: list[tuple[int, int]] = field(default_factory=list)
    hashes: list[int] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)

    @property
    def count(self) -> int:
        """The number of rows."""
        return len(self.events) + len(self.others) + (self.released is not None)

    def other_rows(self) -> list[LogRow]:
        """Return the rows of what is no fact."""
        seq = self.first + len(self.events)
        rows = [
            quarantine_row(item, digest_of(item.raw), seq + i, self.tx, self.recorded_us)
            for i, item in enumerate(self.others)
        ]
        if self.released is not None:
            seq += len(rows)
            rows.append(release_row(*self.released, seq, self.tx, self.recorded_us))
        return rows

    def rows(self) -> list[LogRow]:
        """Return all rows as tuples, which is quickest for a few."""
        rows: list[LogRow] = []
        for i, (event, attribute) in enumerate(zip(self.events, self.attributes, strict=True)):
            rows += event_rows(event, [attribute], self.first + i, self.tx, self.recorded_us)
        return rows + self.other_rows()

    def table(self) -> pa.Table:
        """Return all rows as an Arrow table with no chain hash yet."""
        at = (self.first, self.tx, self.recorded_us)
        facts = event_table(self.events, self.attributes, *at) if self.events else None
        others = table_of(self.other_rows()) if self.count > len(self.events) else None
        found = [table for table in (facts, others) if table is not None]
        return found[0] if len(found) == 1 else pa.concat_tables(found).combine_chunks()
