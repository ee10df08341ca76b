"""Leaving out what is hidden as known at a time, in SQL.

What corrections and retractions hide is a set of row numbers, and a read is an anti-join with it.
Where the set is large, looking up every row of the log in a hash table of it becomes slow: the
table outgrows the processor's cache. Then the set is a bit a row, in blocks of 65,536 rows: reading
in order, the join meets the same block again and again, and the bit says the rest.
"""

from facts.mark import NEVER, Mark

BITS = 16
INSIDE = (1 << BITS) - 1
FEW = 100_000


def hidden_seqs(upto: str, shown_again: bool, within: str = "true") -> str:
    """Return the SELECT of what is hidden as known at a time, of the rows ``within``.

    Where nothing was ever shown again, being in the table is enough, which is cheaper.
    """
    found = f"SELECT seq FROM shadow WHERE recorded_at <= {upto} AND {within}"  # noqa: S608 constants
    return f"{found} GROUP BY seq HAVING sum(step) > 0" if shown_again else found


def standing(upto: str, mark: Mark) -> str:
    """Return what to read instead of ``log`` to meet only the rows that are not hidden.

    Parameters
    ----------
    upto : str
        The SQL of the last recorded time to read. It occurs once, unless nothing was ever hidden.
    mark : Mark
        Where the log stands.
    """
    hidden = hidden_seqs(upto, mark.shown_again)
    if mark.shadowed_us == NEVER:
        return "log"
    if mark.shadows <= FEW:
        return f"log ANTI JOIN ({hidden}) AS shade ON shade.seq = log.seq"
    return (
        f"log ANTI JOIN (SELECT seq >> {BITS} AS block,"  # noqa: S608 constants
        f" bitstring_agg((seq & {INSIDE})::INTEGER, 0, {INSIDE}) AS bits FROM ({hidden})"
        f" GROUP BY 1) AS shade ON shade.block = log.seq >> {BITS}"
        f" AND get_bit(shade.bits, (log.seq & {INSIDE})::INTEGER) = 1"
    )
