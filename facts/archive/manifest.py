"""The manifest of an archive: one JSON line per segment, each hashed onto the line before."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from facts.archive.durable import write_file
from facts.errors import ArchiveError

NAME = "manifest.jsonl"
START = "0" * 64


@dataclass(frozen=True, slots=True)
class Segment:
    """One sealed file and what is in it.

    ``sha256`` is the file's hash when it was sealed, and ``hash`` covers this line and the one
    before. ``chain`` is the log's chain hash at the segment's last row. ``rewritten`` is the
    file's present hash after an erasure took content out of it; the rows then answer to the log's
    hash chain and its tombstones instead.
    """

    number: int
    file: str
    day: str
    first_seq: int
    last_seq: int
    first_tx: int
    last_tx: int
    rows: int
    sha256: str
    chain: str
    previous: str
    hash: str = ""
    rewritten: str | None = None

    def computed(self) -> str:
        """Return what ``hash`` must be."""
        said = {k: v for k, v in asdict(self).items() if k not in ("hash", "rewritten")}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def sealed(self) -> "Segment":
        """Return the same line with its hash."""
        return replace(self, hash=self.computed())


@dataclass(frozen=True, slots=True)
class Manifest:
    """The segments of an archive in order."""

    segments: tuple[Segment, ...] = field(default=())

    @property
    def head(self) -> str:
        """The hash of the last line, which pins all of them."""
        return self.segments[-1].hash if self.segments else START

    @property
    def last_seq(self) -> int:
        """The last row of the log that is sealed."""
        return self.segments[-1].last_seq if self.segments else 0

    @property
    def last_tx(self) -> int:
        """The last transaction that is sealed."""
        return self.segments[-1].last_tx if self.segments else 0


def read_manifest(folder: Path | str) -> Manifest:
    """Read the manifest of an archive; a folder without one is an empty archive.

    Raises
    ------
    ArchiveError
        A line is no valid JSON of a segment.
    """
    path = Path(folder) / NAME
    if not path.exists():
        return Manifest()
    found = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            said = json.loads(line)
            found.append(Segment(**said))
        except (ValueError, TypeError) as error:
            msg = f"{NAME} line {number} is damaged: {error}"
            raise ArchiveError(msg) from error
    return Manifest(tuple(found))


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Put a manifest in place durably."""
    lines = "".join(json.dumps(asdict(s), sort_keys=True) + "\n" for s in manifest.segments)
    write_file(folder / NAME, lambda path: _write(path, lines))


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
