"""Everything that can go wrong in the facts room, as one tree.

``FactsError`` is the root. Messages say what was wrong, with which value, and what would be right.
"""


class FactsError(Exception):
    """Root of every error of the facts room."""


class ValueKindError(FactsError, ValueError):
    """An uncertain value is not valid, or its kind is unknown."""


class EventError(FactsError, ValueError):
    """An event cannot be understood as facts."""


class MappingError(FactsError, ValueError):
    """A table mapping is not valid."""


class StoreError(FactsError):
    """The fact file cannot be used as asked."""


class StoreBusy(StoreError):
    """Another process owns the fact file."""


class StoreTooNew(StoreError):
    """The fact file was written by a newer version of this code."""


class StoreMissing(StoreError, FileNotFoundError):
    """There is no fact file at the given path."""


class StoreDamaged(StoreError):
    """The fact file or an archive does not hold what its hashes promise."""


def of_database(error: Exception) -> StoreError:
    """Return what an error of the database means for the file."""
    text = str(error)
    if "orrupt" in text or "checksum" in text:
        msg = (
            f"the fact file is damaged: {text}; verify an archive and restore it (worlds facts"
            " verify --only-archive, worlds facts restore)"
        )
        return StoreDamaged(msg)
    return StoreError(f"the fact file could not be used: {text}")


class StoreClosed(StoreError):
    """The store was closed, or its writer stopped."""


class WriteFailed(StoreError):
    """A group could not be committed; nothing of it was recorded."""


class IntakeFull(FactsError):
    """The intake queue is full; nothing of the submission was taken. Try again after a pause.

    Parameters
    ----------
    waiting : int
        Items waiting to be committed.
    limit : int
        Most items the queue takes.
    retry_after : float
        Seconds after which trying again makes sense.
    """

    def __init__(self, waiting: int, limit: int, retry_after: float = 1.0) -> None:
        self.waiting = waiting
        self.limit = limit
        self.retry_after = retry_after
        super().__init__(
            f"the intake holds {waiting} of {limit} items; send again in {retry_after:g} s"
        )


class QueryError(FactsError, ValueError):
    """A question to the facts is not valid or not allowed."""


class ArchiveError(FactsError):
    """An archive cannot be written or read as asked."""
