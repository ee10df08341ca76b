"""Shared use of the one connection, which an erasure replaces while nobody reads."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from facts.errors import StoreClosed


class Access:
    """Hands out cursors, and lets one caller have the file to itself.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
        The connection that owns the file.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con: duckdb.DuckDBPyConnection | None = con
        self._users = 0
        self._alone = False
        self._state = threading.Condition()
        self.generation = 0

    @contextmanager
    def shared(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Use the connection beside others.

        Raises
        ------
        StoreClosed
            The store is closed.
        """
        with self._state:
            while self._alone:
                self._state.wait()
            if self._con is None:
                msg = "the store is closed; open it again to read"
                raise StoreClosed(msg)
            self._users += 1
            con = self._con
        try:
            yield con
        finally:
            with self._state:
                self._users -= 1
                self._state.notify_all()

    @contextmanager
    def alone(self) -> Iterator[duckdb.DuckDBPyConnection | None]:
        """Have the connection to oneself; waits for readers to finish, new ones wait meanwhile."""
        with self._state:
            while self._alone:
                self._state.wait()
            self._alone = True
            while self._users:
                self._state.wait()
        try:
            yield self._con
        finally:
            with self._state:
                self._alone = False
                self._state.notify_all()

    def replace(self, con: duckdb.DuckDBPyConnection | None) -> None:
        """Put another connection (or none) in its place; only while alone."""
        self._con = con
        self.generation += 1
