"""A thousand segments learned by two worker processes: how long, and in how much memory.

Every segment has about 60 things in four weeks of hours. Its models are fitted, back-tested against
those of everything, examined and stored. Memory is the largest sum of the resident sizes of all
processes of the run, looked at five times a second; pages that they share count several times.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import batched
from pathlib import Path
from typing import Any

from benchmarks.clubs import events
from facts import Store

SECONDS_BOUND, MEGABYTES_BOUND = 1200.0, 1500.0
EACH, SEED, WORKERS = 60, 20261121, 2


def resident(pid: int) -> float:
    """Return the resident megabytes of a process and of everything it started."""
    total, waiting = 0.0, [pid]
    while waiting:
        one = Path(f"/proc/{waiting.pop()}")
        try:
            pages = int((one / "statm").read_text().split()[1])
            for task in (one / "task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
        except (OSError, IndexError):
            continue
        total += pages * 4096 / 1e6
    return total


def run(var: Path, *more: str) -> tuple[dict[str, Any], float, float]:
    """Return the report of a run, its seconds, and the most memory it held."""
    command = [sys.executable, "-m", "worlds.learn", "--var", str(var), "--json", *more]
    command += ["--domain", str(Path(__file__).parent / "clubs.py"), "--parent", str(os.getpid())]
    begin, most = time.perf_counter(), 0.0
    with (var / "report.json").open("w+") as report:
        process = subprocess.Popen(command, stdout=report)
        while process.poll() is None:
            most = max(most, resident(process.pid))
            time.sleep(0.2)
        report.seek(0)
        assert process.returncode == 0
        return json.loads(report.read()), time.perf_counter() - begin, most


def main(quick: bool = False) -> dict[str, Any]:
    """Return the measurements; quick takes fifty segments."""
    clubs = 50 if quick else 1000
    with tempfile.TemporaryDirectory() as folder:
        var = Path(folder)
        with Store.open(var / "clubs" / "facts.duckdb") as store:
            for part in batched(events(clubs, EACH, SEED), 20_000):
                store.record(part)
        _, alone, base = run(var)
        report, seconds, memory = run(var, "--by", "club", "--workers", str(WORKERS))
        _, again, _ = run(var, "--by", "club", "--workers", str(WORKERS))
    segments = report["segments"]
    n = len(segments)
    assert not [line for line in segments if line["failed"]]
    bounds = [
        {
            "what": f"seconds for {n} segments on {WORKERS} workers",
            "value": seconds,
            "bound": SECONDS_BOUND,
            "passed": seconds <= SECONDS_BOUND,
        },
        {
            "what": f"megabytes of all processes, {n} segments",
            "value": memory,
            "bound": MEGABYTES_BOUND,
            "passed": memory <= MEGABYTES_BOUND,
        },
    ]
    return {
        "bounds": bounds,
        "segments": n,
        "seconds_a_segment_and_worker": seconds * WORKERS / max(n, 1),
        "answered_by_their_own": sum(bool(line["in_use"]) for line in segments),
        "everything_alone_s": alone,
        "everything_alone_mb": base,
        "nothing_to_do_s": again,
    }
