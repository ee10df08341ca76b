"""Times as the store keeps them: microseconds since 1970 in UTC."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NAIVE_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 DuckDB's TIMESTAMP has no zone; it is UTC here


def micros(moment: datetime) -> int:
    """Return the microseconds since the epoch of an aware time."""
    gap = moment - EPOCH
    return (gap.days * 86_400 + gap.seconds) * 1_000_000 + gap.microseconds


def moment_of(us: int) -> datetime:
    """Return the aware UTC time of microseconds since the epoch."""
    return EPOCH + timedelta(microseconds=us)


def naive_of(us: int) -> datetime:
    """Return the UTC time without zone, as DuckDB takes a TIMESTAMP."""
    return NAIVE_EPOCH + timedelta(microseconds=us)


def utc_now() -> datetime:
    """Return the time of the machine; the default clock of a store."""
    return datetime.now(UTC)
