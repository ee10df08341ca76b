"""The archive: the log as sealed Parquet segments, each hashed onto the one before.

A folder holds ``segments/day=YYYY-MM-DD/NNNNNN.parquet`` and ``manifest.jsonl``. The same folder
is the backup, the replica and the exchange format: ``seal`` (or ``Replicator``) adds what is new,
any process may read the segments with DuckDB, polars or pyarrow, and ``restore`` makes a store of
them.

Everything a command line needs is a function here: ``seal``, ``backup``, ``replicate``, ``verify``,
``restore``, ``export`` and ``erase``.
"""

from facts.archive.audit import Problem
from facts.archive.erase import Erasure, erase
from facts.archive.export import export
from facts.archive.manifest import Manifest, Segment, read_manifest
from facts.archive.replicate import Replicator, replicate
from facts.archive.restore import erased_since, restore
from facts.archive.seal import SealReport, backup, seal
from facts.archive.verify import Report, verify

__all__ = [
    "Erasure",
    "Manifest",
    "Problem",
    "Replicator",
    "Report",
    "SealReport",
    "Segment",
    "backup",
    "erase",
    "erased_since",
    "export",
    "read_manifest",
    "replicate",
    "restore",
    "seal",
    "verify",
]
