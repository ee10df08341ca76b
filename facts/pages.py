"""Reading a page at a time: whatever the log holds, only about a page of it is in memory.

Pages go by the number of a row, which never changes: ``after`` is the last number of the page
before. The log is read in windows of numbers that grow until the page is full, so that a page in
the middle of a billion facts costs what its own window costs.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from facts.conditions import FACTS, in_order, where, with_zones
from facts.layout import QUARANTINE, RELEASE
from facts.logread import LogReader, bound_time
from facts.shade import hidden_seqs
from facts.times import moment_of

WINDOW = 4
GROWTH = 4
KEPT_ASIDE = ("seq", "recorded_at", "source", "id", "reason", "raw")


class PageReader(LogReader):
    """Reads facts, and what is in quarantine, a page at a time."""

    def page(
        self,
        after: int,
        limit: int,
        *,
        as_of: datetime | None = None,
        entity: str | None = None,
        attribute: str | Sequence[str] | None = None,
    ) -> pa.Table:
        """Return the next visible facts as known at a time, in the order recorded.

        Parameters
        ----------
        after : int
            Only facts with a larger number; 0 begins.
        limit : int
            At most so many.
        as_of, entity, attribute
            As for ``Reader.facts``.

        Returns
        -------
        pyarrow.Table
            The columns of ``Reader.facts``. The last ``seq`` leads to the next page.
        """
        known = self._known_at(as_of)
        condition, bound = where(known, attribute, None, None)
        if entity is not None:
            condition = f"ekey = ?::UBIGINT AND {condition}"
            bound = [self._entity_key(entity), *bound]
        last = self._rows("SELECT coalesce(max(seq), 0) FROM log")[0][0]
        found: list[pa.Table] = []
        count, low = 0, after
        step = last if entity is not None else max(WINDOW * limit, 1)
        while count < limit and low < last:
            high = min(low + step, last)
            part = self._window(condition, bound, known, (low, high), limit - count)
            count += part.num_rows
            found.append(part)
            low, step = high, step * GROWTH
        columns = pa.concat_tables(found) if found else self._window("false", [], known, (0, 0), 0)
        return with_zones(in_order(columns))

    def _window(
        self, condition: str, bound: list[Any], known: int, window: tuple[int, int], limit: int
    ) -> pa.Table:
        hidden = hidden_seqs("?", self._mark().shown_again, "seq > ? AND seq <= ?")
        return self._table(
            f"SELECT {', '.join(FACTS)} FROM log WHERE seq > ? AND seq <= ? AND {condition}"  # noqa: S608
            f" AND seq NOT IN ({hidden}) ORDER BY seq LIMIT ?",
            [*window, *bound, bound_time(known), *window, limit],
        )

    def quarantined(
        self,
        *,
        as_of: datetime | None = None,
        released: bool = False,
        after: int = 0,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return what is in quarantine: seq, recorded_at, source, id, reason and the raw bytes.

        Parameters
        ----------
        as_of : datetime, optional
            Known when; default: now.
        released : bool
            Also list what was released.
        after : int
            Only rows with a larger number.
        limit : int, optional
            At most so many; default: all.
        """
        known = bound_time(self._known_at(as_of))
        gone = (
            ""
            if released
            else (
                " AND seq NOT IN (SELECT CAST(num AS BIGINT) FROM log"
                " WHERE op = ? AND recorded_at <= ? AND num IS NOT NULL)"
            )
        )
        more = [] if released else [RELEASE, known]
        rows = self._rows(
            "SELECT seq, epoch_us(recorded_at), source, id, text, raw FROM log"  # noqa: S608
            f" WHERE op = ? AND recorded_at <= ? AND seq > ?{gone} ORDER BY seq LIMIT ?",
            [QUARANTINE, known, after, *more, 2**62 if limit is None else limit],
        )
        return [
            dict(zip(KEPT_ASIDE, (seq, moment_of(us), *rest), strict=True))
            for seq, us, *rest in rows
        ]
