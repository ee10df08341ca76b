"""Erasing an entity while serving: one erasure at a time, asked for until it is done."""

import asyncio
from typing import TYPE_CHECKING

from api.errors import BusyError
from api.facts_desk import FactsDesk

if TYPE_CHECKING:
    from facts.archive import Erasure

WAIT = 5.0
"""Seconds that a request waits; after that it says that the erasure runs, and may be sent again."""


class Erasing:
    """Starts erasures and hands out what they did.

    The file is written anew without the content. Facts that come meanwhile wait for their
    acknowledgement, reads of facts wait too, predictions go on.

    Parameters
    ----------
    desk
        Has the store.
    """

    def __init__(self, desk: FactsDesk) -> None:
        self._desk = desk
        self._running: tuple[str, asyncio.Task[Erasure]] | None = None

    async def erase(self, entity: str, reason: str) -> "Erasure | None":
        """Erase an entity, or wait for the erasure that runs; None where it goes on.

        Raises
        ------
        BusyError
            If another entity is being erased.
        FactsDownError
            If the store is not open.
        facts.QueryError
            If the store holds nothing of it, or the reason is empty or names it.
        """
        if self._running is not None and self._running[0] != entity:
            if not self._running[1].done():
                raise BusyError("another erasure is under way", retry_after=5)
            self._running = None
        if self._running is None:
            task = asyncio.create_task(self._desk.erase(entity, reason.strip()))
            self._running = (entity, task)
        task = self._running[1]
        done, _ = await asyncio.wait([task], timeout=WAIT)
        if not done:
            return None
        self._running = None
        return task.result()
