"""Does serving stay responsive: half load, overload by questions, new releases, memory, start.

All ratios are to a bare Litestar handler on the same server, or to the same service at rest, in
the same run. Latencies come from an open-loop generator (`benchmarks.openloop`).
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.load import family
from benchmarks.serving_bench import (
    HERE,
    Running,
    _publish,
    cores,
    free_port,
    load,
    raw_request,
    server,
    wait_for,
)

P99_BOUND = 3.0
OVERLOAD_BOUND = 3.0
SWAP_BOUND = 1.3
MEMORY_BOUND = 1.5
START_BOUND = 3.0
TIMES_OVER = 4


@contextmanager
def several(var: Path, workers: int, *, wait: bool = True, **environ: str) -> Iterator[Running]:
    """Run the service as several processes."""
    port = free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WORLDS_")}
    arguments = ["serve", "--workers", str(workers), "--port", str(port), "--var", str(var)]
    process = subprocess.Popen(
        [sys.executable, "-m", "api.cli", *arguments],
        cwd=HERE,
        env={**clean, **environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port)
        running = Running(port, process.pid)
        while wait and any(part["state"] != "running" for part in _parts(running)):
            time.sleep(0.05)
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def at_rate(
    target: Running, rate: float, seconds: float, requests: list[bytes], connections: int = 32
) -> dict[str, Any]:
    """Run the open-loop generator; return what it measured."""
    arguments = [str(target.port), str(rate), str(seconds), str(connections)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.openloop", *arguments],
        cwd=HERE,
        input=json.dumps([request.decode("latin-1") for request in requests]),
        capture_output=True,
        text=True,
        timeout=seconds + 120,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def memory(pid: int) -> dict[str, float]:
    """Return the memory of a process in MB: its proportional share, and what is its own alone."""
    found: dict[str, float] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        found[name] = float(rest.split()[0]) / 1024
    own = found["Private_Clean"] + found["Private_Dirty"]
    return {"proportional": found["Pss"], "own": own, "resident": found["Rss"]}


def bound(what: str, value: float, limit: float) -> dict[str, Any]:
    """Return a figure that must not be above a limit."""
    return {"what": what, "value": value, "bound": limit, "passed": value <= limit}


def questions(domain: Any, number: int) -> list[bytes]:
    """Return expensive questions, all different, so that no cache helps."""
    count, size = domain.quantity("count").name, domain.quantity("size").name
    found = []
    for i in range(number):
        formula = f"max(sum({size}, {count}) - {100 + i}, 0) * (1 + {i} / 1000)"
        body = json.dumps({"formula": formula, "error": 1e-6, "deadline": 2}).encode()
        found.append(raw_request("POST", "/v1/query", body))
    return found


def main(quick: bool) -> dict[str, Any]:
    """Measure; return the figures with their bounds."""
    from worlds.domain import load_domain

    seconds, rounds = (3.0, 3) if quick else (8.0, 5)
    domain = load_domain("sniffable")
    draft = {field.name: field.example for field in domain.draft}
    path = f"/v1/predictions/{domain.label}"
    predict = raw_request("POST", path, json.dumps({"draft": draft}).encode())
    ours, theirs = cores()
    figures: dict[str, Any] = {"name": "reactive", "bounds": []}
    with tempfile.TemporaryDirectory() as folder:
        var = Path(folder)
        _publish(var)
        with server("service", var, ours) as service:
            size = load(service, predict, 0.5, theirs)["bytes"]
            with server("bare", var, ours, BARE_BYTES=str(size)) as bare:
                _half_load(figures, service, bare, predict, theirs, seconds, rounds)
                _memory(figures, var, bare)
        with several(var, 1) as service:
            _swaps(figures, service, var, predict, seconds, rounds)
            _overload(figures, service, domain, predict, seconds, rounds)
        _start(figures, var, predict)
        _two(figures, var, predict, seconds)
    return figures


def _half_load(
    figures: dict[str, Any],
    service: Running,
    bare: Running,
    predict: bytes,
    core: set[int],
    seconds: float,
    rounds: int,
) -> None:
    plain = raw_request("GET", "/")
    able = load(service, predict, seconds, core)["per_second"]
    bare_able = load(bare, plain, seconds, core)["per_second"]
    ratios, rows = [], []
    for _ in range(rounds):
        mine = at_rate(service, able / 2, seconds, [predict])
        least = at_rate(bare, bare_able / 2, seconds, [plain])
        ratios.append(mine["p99_ms"] / least["p99_ms"])
        rows.append((mine["p99_ms"], least["p99_ms"]))
    figures["half_load"] = {"rates": [able / 2, bare_able / 2], "p99_ms": rows}
    what = "p99 at half load / the bare handler's"
    figures["bounds"].append(bound(what, statistics.median(ratios), P99_BOUND))


def _memory(figures: dict[str, Any], var: Path, bare: Running) -> None:
    with several(var, 2) as service:
        shares = [memory(part["pid"]) for part in _parts(service) if part["role"] == "worker"]
    least = memory(bare.pid)
    figures["memory_mb"] = {"workers": shares, "bare": least}
    what = "memory of a worker / bare (proportional set size)"
    value = statistics.mean(share["proportional"] for share in shares) / least["proportional"]
    figures["bounds"].append(bound(what, value, MEMORY_BOUND))


def _parts(service: Running) -> list[dict[str, Any]]:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    connection.request("GET", "/v1/status")
    said = json.loads(connection.getresponse().read())
    connection.close()
    parts: list[dict[str, Any]] = said["parts"]
    return parts


def _swaps(
    figures: dict[str, Any],
    service: Running,
    var: Path,
    predict: bytes,
    seconds: float,
    rounds: int,
) -> None:
    rate = load(service, predict, 1.0, cores()[1])["per_second"] / 3
    ratios = []
    for _ in range(rounds):
        still = at_rate(service, rate, seconds, [predict])
        done = threading.Event()

        def swap(done: threading.Event = done) -> None:
            number = 0
            while not done.wait(1.0):
                _again(var, number := number + 1)

        thread = threading.Thread(target=swap)
        thread.start()
        moving = at_rate(service, rate, seconds, [predict])
        done.set()
        thread.join()
        assert set(moving["statuses"]) == {"200"}, moving
        ratios.append(moving["p99_ms"] / still["p99_ms"])
    figures["swaps"] = {"ratios": ratios, "rate": rate}
    what = "p99 with a new release every second / without"
    figures["bounds"].append(bound(what, statistics.median(ratios), SWAP_BOUND))


def _again(var: Path, number: int) -> None:
    """Publish other models as a new release: none of them has been seen before."""
    from dataclasses import replace
    from datetime import timedelta

    from worlds.core.forms import LogLinear
    from worlds.publish import SnapshotStore

    store = SnapshotStore(var / "sniffable" / "snapshots")
    release = store.current()
    assert release is not None
    size = "likes_per_pupdate"
    named = {}
    for model, snapshot_id in release.models[size].items():
        snapshot = store.get(snapshot_id)
        form = snapshot.form
        assert isinstance(form, LogLinear)
        moved = replace(form, draws=form.draws + (0.001 if number % 2 else -0.001))
        named[model] = store.put(replace(snapshot, form=moved, parent=snapshot_id))
    later = release.as_of + timedelta(seconds=1)
    store.release(replace(release, as_of=later, models={**release.models, size: named}))


def _overload(
    figures: dict[str, Any],
    service: Running,
    domain: Any,
    predict: bytes,
    seconds: float,
    rounds: int,
) -> None:
    core = cores()[1]
    rate = load(service, predict, 1.0, core)["per_second"] / 4
    hard = questions(domain, 2000)
    able = load(service, hard[0], 0.5, core)  # warms up; from the cache
    began = time.perf_counter()
    sequential = at_rate(service, 1000, 0.03, hard[1:31], 1)
    able_rate = sum(sequential["statuses"].values()) / (time.perf_counter() - began)
    rows = []
    for number in range(rounds):
        quiet = at_rate(service, rate, seconds, [predict])
        asked: dict[str, Any] = {}

        def flood(asked: dict[str, Any] = asked, number: int = number) -> None:
            mine = hard[100 + 300 * number :]
            asked.update(at_rate(service, TIMES_OVER * able_rate, seconds, mine, 64))

        thread = threading.Thread(target=flood)
        thread.start()
        loaded = at_rate(service, rate, seconds, [predict])
        thread.join()
        rows.append({"quiet": quiet, "loaded": loaded, "questions": asked})
    figures["overload"] = {
        "questions_a_second": able_rate,
        "warm": able["per_second"],
        "rate": rate,
        "rounds": rows,
    }
    good = min(
        row["loaded"]["statuses"].get("200", 0) / sum(row["loaded"]["statuses"].values())
        for row in rows
    )
    figures["bounds"].append(
        {
            "what": f"predictions answered with 200 at {TIMES_OVER}x overload by questions",
            "value": good,
            "bound": 1.0,
            "passed": good >= 1.0,
        }
    )
    ratio = statistics.median(row["loaded"]["p99_ms"] / row["quiet"]["p99_ms"] for row in rows)
    figures["bounds"].append(bound("p99 of predictions then / unloaded", ratio, OVERLOAD_BOUND))


def _start(figures: dict[str, Any], var: Path, predict: bytes) -> None:
    import socket

    times, used = [], []
    for _ in range(4):
        began = time.perf_counter()
        with (
            several(var, 1, wait=False) as service,
            socket.create_connection(("127.0.0.1", service.port)) as s,
        ):
            s.sendall(predict)
            assert b" 200 " in s.recv(100)
            times.append(time.perf_counter() - began)
            used.append(sum(Running(0, pid).cpu_seconds() for pid in family(service.pid)))
    times, used = times[1:], used[1:]  # the first reads the programs from the disk
    figures["start_seconds"], figures["start_cpu_seconds"] = times, used
    what = "seconds from start to the first prediction"
    figures["bounds"].append(bound(what, statistics.median(times), START_BOUND))


def _two(figures: dict[str, Any], var: Path, predict: bytes, seconds: float) -> None:
    """Throughput of two workers against one; with two cores the generator shares them."""
    found = {}
    for workers in (1, 2):
        with several(var, workers) as service:
            arguments = [str(service.port), str(seconds), "8"]
            command = [sys.executable, "-m", "benchmarks.load", *arguments]
            done = subprocess.run(command, cwd=HERE, input=predict, capture_output=True, check=True)
            found[workers] = json.loads(done.stdout)["per_second"]
    figures["workers"] = {
        "per_second": found,
        "ratio": found[2] / found[1],
        "cores": os.cpu_count(),
        "note": "the load generator runs on the same cores",
    }


if __name__ == "__main__":
    print(json.dumps(main("--quick" in sys.argv), indent=1))
