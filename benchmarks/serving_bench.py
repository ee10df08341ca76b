"""Predictions a second against the least a Litestar application can do on the same server.

Four servers run, one at a time under load: the service with two log-linear models of sizes, the
same asking for a key with limits, the service with all models that it ships, learned from
simulated facts; and a bare handler that returns as many constant bytes. Each gets one draft a
request. Server and load generator are pinned to different cores where there are two. Rounds
alternate, the median of their ratios counts: a ratio survives a noisy machine, requests a second
do not.
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
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BOUND = 0.5
KEYED_BOUND = 0.45
SHIPPED_BOUND = 0.35
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


def raw_request(method: str, path: str, body: bytes = b"", token: str = "") -> bytes:
    """Return the bytes of a request."""
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\n"
    if token:
        head += f"authorization: Bearer {token}\r\n"
    if body:
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


@dataclass(frozen=True)
class Variant:
    """One server of the service, and what is sent to it."""

    name: str
    what: str
    bound: float
    running: Running
    request: bytes


def main(quick: bool) -> dict[str, Any]:
    """Measure; return the figures with their bounds."""
    seconds, rounds = (1.5, 3) if quick else (4.0, 7)
    ours, theirs = cores()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        two, shipped = Path(folder) / "two", Path(folder) / "shipped"
        models = {"two": _publish(two), "shipped": _learn(shipped)}
        keys, token = _key(Path(folder))
        plain, keyed = prediction(), prediction(token)

        def start(name: str, what: str, bound: float, var: Path, request: bytes) -> Variant:
            environ = {"WORLDS_KEYS": str(keys)} if request is keyed else {}
            server_ = running.enter_context(server("service", var, ours, **environ))
            warm(server_, request, theirs)
            return Variant(
                name, f"predictions a second{what} / bare handler", bound, server_, request
            )

        variants = [
            start("two", ", two models", BOUND, two, plain),
            start("keyed", ", two models, a key with limits", KEYED_BOUND, two, keyed),
            start("shipped", ", the models of sniffable", SHIPPED_BOUND, shipped, plain),
        ]
        size = load(variants[0].running, plain, 0.2, theirs)["bytes"]
        bare = running.enter_context(server("bare", two, ours, BARE_BYTES=str(size)))
        measured = [_round(variants, bare, seconds, theirs) for _ in range(rounds)]
    return {
        "name": "serving",
        "models": models,
        "response_bytes": size,
        "connections": CONNECTIONS,
        "rounds": rounds,
        "medians": {
            name: {
                figure: statistics.median(one[name][figure] for one in measured)
                for figure in ("per_second", "p50_ms", "p99_ms", "cpu_us")
            }
            for name in measured[0]
        },
        "bounds": [_bound(one, measured) for one in variants],
    }


def _bound(variant: Variant, measured: list[dict[str, Any]]) -> dict[str, Any]:
    ratios = [one[variant.name]["per_second"] / one["bare"]["per_second"] for one in measured]
    ratio = statistics.median(ratios)
    return {
        "what": variant.what,
        "value": ratio,
        "ratios": ratios,
        "bound": variant.bound,
        "passed": ratio >= variant.bound,
    }


def _round(
    variants: list[Variant], bare: Running, seconds: float, core: set[int]
) -> dict[str, dict[str, Any]]:
    found = {one.name: load(one.running, one.request, seconds, core) for one in variants}
    return {**found, "bare": load(bare, raw_request("GET", "/"), seconds, core)}


def warm(target: Running, request: bytes, core: set[int]) -> None:
    """Let a server do what it does once: the first write to its facts, a second after the start."""
    for _ in range(3):
        load(target, request, 0.3, core)
        time.sleep(0.7)


def prediction(token: str = "") -> bytes:
    """Return the request for a draft in which everything is said."""
    from worlds.domain import load_domain

    domain = load_domain("sniffable")
    draft = {field.name: field.example for field in domain.draft}
    body = json.dumps({"draft": draft, "thresholds": [100]}).encode()
    return raw_request("POST", f"/v1/predictions/{domain.label}", body, token)


def _key(folder: Path) -> tuple[Path, str]:
    """Return a file of keys, and one that may predict, at most a million times a second."""
    from datetime import UTC, datetime

    from api.security import keys

    path = folder / "keys.json"
    who = keys.By("bench", "to be measured", datetime.now(UTC))
    limits = keys.Limits(rate=1e6, burst=1e6)
    _, token = keys.create(path, "bench", ("predict",), who, limits=limits)
    return path, token


def _learn(var: Path) -> list[str]:
    """Simulate facts and learn from them as `worlds run` does; return the models of sizes."""
    from worlds.domain import load_domain
    from worlds.publish import SnapshotStore

    command = [sys.executable, "-m", "api.cli", "run", "--once", "--var", str(var)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WORLDS_")}
    subprocess.run(command, cwd=HERE, env=clean, check=True, stdout=subprocess.DEVNULL)
    domain = load_domain("sniffable")
    release = SnapshotStore(var / domain.name / "snapshots").current()
    assert release is not None
    return sorted(release.models[domain.quantity("size").name])


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
