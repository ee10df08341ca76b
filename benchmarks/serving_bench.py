"""Predictions a second against the least a Litestar application can do on the same server.

Two servers run, one at a time under load: the service with one draft a request, and a bare
handler that returns as many constant bytes. Server and load generator are pinned to different
cores where there are two. Rounds alternate, the median of their ratios counts: a ratio survives a
noisy machine, requests a second do not.
"""

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BOUND = 0.35
CONNECTIONS = 8
HERE = Path(__file__).parents[1]


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cores() -> tuple[set[int], set[int]]:
    """Return the cores of the server and those of the load generator."""
    available = sorted(os.sched_getaffinity(0))
    return {available[0]}, {available[-1]}


@dataclass(frozen=True)
class Running:
    """A server in a process of its own."""

    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """Return the processor time it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def server(factory: str, var: Path, core: set[int], **environ: str) -> Iterator[Running]:
    """Run a server in its own process."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.serving_bench", "serve", factory, str(port)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WORLDS_")}
    process = subprocess.Popen(command, cwd=HERE, env={**clean, "WORLDS_VAR": str(var), **environ})
    try:
        os.sched_setaffinity(process.pid, core)
        wait_for(port)
        yield Running(port, process.pid)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def wait_for(port: int) -> None:
    """Wait until somebody listens."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    msg = f"no server on port {port}"
    raise TimeoutError(msg)


def load(target: Running, request: bytes, seconds: float, core: set[int]) -> dict[str, Any]:
    """Run the load generator in its own process; return what it measured."""
    arguments = [str(target.port), str(seconds), str(CONNECTIONS)]
    command = [sys.executable, "-m", "benchmarks.load", *arguments]
    before = target.cpu_seconds()
    process = subprocess.Popen(command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    os.sched_setaffinity(process.pid, core)
    found, _ = process.communicate(request, timeout=seconds + 60)
    measured: dict[str, Any] = json.loads(found)
    measured["cpu_us"] = 1e6 * (target.cpu_seconds() - before) / measured["requests"]
    return measured


def raw_request(method: str, path: str, body: bytes = b"") -> bytes:
    """Return the bytes of a request."""
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\n"
    if body:
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def main(quick: bool) -> dict[str, Any]:
    """Measure; return the figures with their bounds."""
    from worlds.domain import load_domain

    seconds, rounds = (1.5, 3) if quick else (4.0, 7)
    domain = load_domain("sniffable")
    draft = {field.name: field.example for field in domain.draft}
    predict = raw_request(
        "POST",
        f"/v1/predictions/{domain.label}",
        json.dumps({"draft": draft, "thresholds": [100]}).encode(),
    )
    ours, theirs = cores()
    with tempfile.TemporaryDirectory() as folder:
        var = Path(folder)
        learned = _publish(var)
        with server("service", var, ours) as service:
            size = load(service, predict, 0.5, theirs)["bytes"]
            with server("bare", var, ours, BARE_BYTES=str(size)) as bare:
                pairs = [_round(service, predict, bare, seconds, theirs) for _ in range(rounds)]
    ratios = [mine["per_second"] / least["per_second"] for mine, least in pairs]
    ratio = statistics.median(ratios)
    return {
        "name": "serving",
        "models": learned,
        "response_bytes": size,
        "connections": CONNECTIONS,
        "predictions_per_second": statistics.median(mine["per_second"] for mine, _ in pairs),
        "bare_per_second": statistics.median(least["per_second"] for _, least in pairs),
        "p50_ms": statistics.median(mine["p50_ms"] for mine, _ in pairs),
        "p99_ms": statistics.median(mine["p99_ms"] for mine, _ in pairs),
        "prediction_cpu_us": statistics.median(mine["cpu_us"] for mine, _ in pairs),
        "bare_cpu_us": statistics.median(least["cpu_us"] for _, least in pairs),
        "ratios": ratios,
        "bounds": [
            {
                "what": "predictions a second / bare handler",
                "value": ratio,
                "bound": BOUND,
                "passed": ratio >= BOUND,
            }
        ],
    }


def _round(
    service: Running, predict: bytes, bare: Running, seconds: float, core: set[int]
) -> tuple[dict[str, Any], dict[str, Any]]:
    mine = load(service, predict, seconds, core)
    return mine, load(bare, raw_request("GET", "/"), seconds, core)


def _publish(var: Path) -> list[str]:
    """Publish two size models of the shape that learning gives; return their names."""
    from datetime import UTC, datetime, timedelta

    import numpy as np

    from worlds.core.forms import CountPath, LogLinear
    from worlds.core.forms.log_linear import NumberRange
    from worlds.domain import load_domain
    from worlds.publish import Release, Snapshot, SnapshotStore

    domain = load_domain("sniffable")
    rng = np.random.default_rng(7)
    until = datetime(2026, 11, 1, tzinfo=UTC)
    store = SnapshotStore(var / domain.name / "snapshots")
    origin = {"extractor": domain.spec.version, "domain": domain.name}
    breeds = [f"breed={name}" for name in ("pug", "beagle", "other", "french_bulldog")]
    hours = [f"hour={hour:02d}" for hour in range(24)]
    tags = [f"hashtag={name}" for name in ("adorabull", "zoomies", "walkies")]
    columns = ("intercept", *breeds, *hours, *tags, "number:text_length")
    groups = {"breed": 0.3, "hour": 0.2, "photo": 0.3, "region": 0.2, "weekday": 0.1}
    sizes = {}
    for name, spread in (("historical", 0.05), ("learned", 0.02)):
        draws = rng.normal(0, spread, (len(columns), 500)).astype(np.float32)
        draws[0] += 3.2
        form = LogLinear(
            columns,
            draws,
            1.6,
            {**groups, "hashtag": 0.2},
            ("hashtag",),
            {"text_length": NumberRange(80.0, 40.0, 0.0, 280.0)},
            0.05,
            until,
        )
        sizes[name] = store.put(Snapshot("likes_per_pupdate", name, form, origin))
    one = np.ones((1, 1))
    path = CountPath(until, timedelta(hours=1), one, 15 * one, 8 * one)
    counts = {"historical": store.put(Snapshot("pupdates", "historical", path, origin))}
    store.release(
        Release(
            domain.name,
            until,
            until,
            {"pupdates": counts, "likes_per_pupdate": sizes},
            {"pupdates": {"historical": 1.0}, "likes_per_pupdate": dict.fromkeys(sizes, 0.5)},
            simulated=True,
        )
    )
    return sorted(sizes)


def serve(factory: str, port: int) -> None:
    """Serve one of the two applications until interrupted."""
    import uvicorn

    if factory == "service":
        from api.server import serve as run
        from api.settings import load_settings

        run(load_settings(os.environ, port=port))
        return
    from litestar import Litestar, MediaType, get

    constant = b'{"x":"%s"}' % (b"x" * (int(os.environ["BARE_BYTES"]) - 8))

    @get("/", media_type=MediaType.JSON)
    async def bare() -> bytes:
        return constant

    app = Litestar([bare], openapi_config=None, logging_config=None)
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        access_log=False,
        log_level="warning",
        server_header=False,
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        print(json.dumps(main("--quick" in sys.argv), indent=1))
