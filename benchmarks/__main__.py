"""Run every measurement: ``python -m benchmarks [--quick] [NAME ...]``.

Every module ``benchmarks/<name>_bench.py`` with ``main(quick: bool) -> dict`` is found. Results go
to ``benchmarks/results/<name>.json`` and a table to standard output; a missed bound ends with 1.
A result states its bounds as ``{"what", "value", "bound", "passed"}``.
"""

import argparse
import importlib
import json
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
RESULTS = HERE / "results"


def names() -> list[str]:
    """Return the names of all measurements."""
    return sorted(path.stem.removesuffix("_bench") for path in HERE.glob("*_bench.py"))


def measure(name: str, quick: bool) -> dict[str, Any]:
    """Run one measurement and write its result."""
    module = importlib.import_module(f"benchmarks.{name}_bench")
    found: dict[str, Any] = {
        **module.main(quick),
        "quick": quick,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=1, default=str) + "\n")
    return found


def rows(name: str, found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the lines of the table for one result."""
    bounds = found.get("bounds") or []
    return [
        (
            name,
            str(bound["what"]),
            f"{bound['value']:.4g}",
            f"{bound['bound']:.4g}",
            "yes" if bound["passed"] else "NO",
        )
        for bound in bounds
    ] or [(name, "(no bound)", "", "", "")]


def main(arguments: list[str] | None = None) -> int:
    """Run the measurements; return 0 if every bound is kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names())}")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - set(names())
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(names())}")
    table = Table(box=None)
    for column in ("measurement", "what", "value", "bound", "kept"):
        table.add_column(column)
    kept = True
    log = Console(stderr=True)
    for name in options.names or names():
        log.print(f"measuring {name} ...")
        found = measure(name, options.quick)
        kept &= all(bound["passed"] for bound in found.get("bounds") or [])
        for row in rows(name, found):
            table.add_row(*row)
    Console().print(table)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
