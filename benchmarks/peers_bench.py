"""Predictions a second against MLServer and BentoML, which answer the same from the same models.

Each peer gets an environment of its own (made once, by the ordinary pip, in ``.bootstrap/``), one
process, its settings for production, and the same published parameters in plain NumPy
(`benchmarks/peers`): before anything is measured, the answers must agree. All servers run pinned
to one core, the load generator to another; rounds alternate; the median of their ratios counts.
A peer that cannot be installed is not measured, and the result says why.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.load import family
from benchmarks.serving_bench import (
    CONNECTIONS,
    Running,
    _publish,
    cores,
    free_port,
    load,
    raw_request,
    server,
    wait_for,
)

PEERS = Path(__file__).with_name("peers")
THRESHOLDS = [20, 100]
AGREE = 0.05
"""How far a mean or the end of an interval may lie from ours: the grids of counts differ."""
STEP, LOW, HIGH = 0.05, -4.0, 12.0


@dataclass(frozen=True)
class Peer:
    """Another model server.

    Parameters
    ----------
    name, package
        What it is called, and what is installed.
    bound
        How many times as many predictions a second we must answer.
    """

    name: str
    package: str
    bound: float


ALL = (Peer("MLServer", "mlserver==1.7.1", 3.0), Peer("BentoML", "bentoml==1.4.39", 6.0))


class Tree(Running):
    """A server of several processes."""

    def cpu_seconds(self) -> float:
        """Return the processor time that all of them have used."""
        return sum(Running(self.port, pid).cpu_seconds() for pid in family(self.pid))


def environment(peer: Peer) -> Path | str:
    """Return the folder of a peer's programs, or why there is none."""
    home = Path(__file__).parents[1] / ".bootstrap" / peer.name.lower()
    python, module = home / "bin" / "python", peer.package.partition("==")[0]
    try:
        if not python.is_file():
            venv.create(home, with_pip=True)
        have = subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False)
        if have.returncode:
            install = [python, "-m", "pip", "install", "--quiet", peer.package, "numpy"]
            subprocess.run(install, capture_output=True, check=True, timeout=900)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or b""
        return f"{peer.package} cannot be had: {said.decode(errors='replace')[-200:] or error}"
    return home / "bin"


@contextmanager
def mlserver(programs: Path, folder: Path, core: set[int]) -> Iterator[Running]:
    """Run MLServer in one process."""
    port = free_port()
    settings = {
        "debug": False,
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "parallel_workers": 0,
        "gzip_enabled": False,
    }
    model = {
        "name": "likes",
        "implementation": "mlserver_likes.LikesRuntime",
        "parameters": {"uri": str(folder)},
    }
    home = folder / "mlserver"
    home.mkdir()
    (home / "settings.json").write_text(json.dumps(settings))
    (home / "model-settings.json").write_text(json.dumps(model))
    with running([programs / "mlserver", "start", home], port, core, home) as found:
        yield found


@contextmanager
def bentoml(programs: Path, folder: Path, core: set[int]) -> Iterator[Running]:
    """Run BentoML with one worker."""
    port, home = free_port(), folder / "bentoml"
    home.mkdir()
    command = [programs / "bentoml", "serve", "bentoml_likes:LikesService", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--working-dir", PEERS]
    said = {"LIKES": str(folder), "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}
    with running(command, port, core, home, **said) as found:
        yield found


@contextmanager
def running(
    command: list[Any], port: int, core: set[int], folder: Path, **environ: str
) -> Iterator[Running]:
    """Run a server and all that it starts on one core."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WORLDS_")}
    programs = f"{Path(command[0]).parent}{os.pathsep}{clean.get('PATH', '')}"
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    paths = {"PYTHONPATH": str(PEERS), "PATH": programs}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**clean, **single, **paths, **environ},
            stdout=log,
            stderr=log,
            preexec_fn=lambda: os.sched_setaffinity(0, core),
        )
    try:
        wait_for(port)
        yield Tree(port, process.pid)
    except TimeoutError as error:
        tail = (folder / "log").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{command[0]} did not start: {tail}") from error
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            for pid in family(process.pid):
                os.kill(pid, signal.SIGKILL)
            process.wait(20)


def parameters(var: Path, folder: Path) -> None:
    """Write what was published in the form that the peers read."""
    import numpy as np

    from worlds.core.distributions import negative_binomial_cdf
    from worlds.domain import load_domain
    from worlds.publish import SnapshotStore

    domain = load_domain("sniffable")
    store = SnapshotStore(var / domain.name / "snapshots")
    release = store.current()
    assert release is not None
    size = domain.quantity("size").name
    weights = release.weights[size]
    forms: list[Any] = [store.get(name).form for name in release.models[size].values()]
    draws = np.array([form.draws for form in forms], float)
    first = forms[0]
    counts = np.unique(np.round([*range(64), *np.geomspace(64, 5e5, 250)]))
    logs = np.arange(LOW, HIGH, STEP)
    table = [negative_binomial_cdf(counts, np.exp(log), first.size) for log in logs]
    number = first.numbers["text_length"]
    np.savez(
        folder / "likes.npz",
        means=draws.mean(2),
        covariances=np.array([np.cov(one, ddof=0) for one in draws]),
        counts=counts,
        table=np.array(table),
    )
    said = {
        "low": LOW,
        "step": STEP,
        "columns": first.columns,
        "unseen": {name: sd**2 for name, sd in first.group_sd.items()},
        "number": [number.low, number.high, number.centre, number.scale],
        "weights": [weights[name] for name in release.models[size]],
        "names": list(release.models[size]),
        "drift": first.drift_sd**2,
        "reference": first.reference.timestamp(),
    }
    (folder / "likes.json").write_text(json.dumps(said))


def requests(domain: Any) -> dict[str, bytes]:
    """Return the request of the same prediction to every server."""
    draft = {field.name: field.example for field in domain.draft}
    wanted = json.dumps({"draft": draft, "thresholds": THRESHOLDS})
    tensor = {"name": "draft", "shape": [1], "datatype": "BYTES", "data": [wanted]}
    infer = json.dumps({"inputs": [tensor]}).encode()
    return {
        "ours": raw_request("POST", f"/v1/predictions/{domain.label}", wanted.encode()),
        "MLServer": raw_request("POST", "/v2/models/likes/infer", infer),
        "BentoML": raw_request("POST", "/predict", wanted.encode()),
    }


def answer(target: Running, request: bytes) -> dict[str, Any]:
    """Return what a server answers, as soon as it does."""
    import http.client

    head, _, body = request.partition(b"\r\n\r\n")
    path = head.split(b" ", 2)[1].decode()
    deadline = time.monotonic() + 60
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=30)
        connection.request("POST", path, body, {"content-type": "application/json"})
        reply = connection.getresponse()
        said = reply.read()
        connection.close()
        if reply.status == 200:
            break
        if time.monotonic() > deadline:
            raise RuntimeError(f"{path} answers {reply.status}: {said[:500]!r}")
        time.sleep(0.2)
    found: dict[str, Any] = json.loads(said)
    return json.loads(found["outputs"][0]["data"][0]) if "outputs" in found else found


def numbers(found: Mapping[str, Any]) -> list[float]:
    """Return the numbers of an answer that must agree."""
    ends = [end for one in found["intervals"] for end in (one["low"], one["high"])]
    return [found["mean"], found["median"], *ends]


def far(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> float:
    """Return how far two answers lie apart: relative, or one of what is counted."""
    apart = [
        max(abs(a - b) - 1, 0) / max(a, 1)
        for a, b in zip(numbers(mine), numbers(theirs), strict=True)
    ]
    chances = zip(mine["exceedance"], theirs["exceedance"], strict=True)
    return max(*apart, *(abs(a["prob"] - b["prob"]) for a, b in chances))


def main(quick: bool) -> dict[str, Any]:
    """Measure; return the figures with their bounds."""
    from worlds.domain import load_domain

    seconds, rounds = (1.5, 3) if quick else (4.0, 7)
    wanted = requests(load_domain("sniffable"))
    ours, theirs = cores()
    homes = {peer.name: environment(peer) for peer in ALL}
    missed = {name: home for name, home in homes.items() if isinstance(home, str)}
    for why in missed.values():
        print(f"not measured: {why}", file=sys.stderr)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as made, ExitStack() as stack:
        folder = Path(made)
        _publish(folder)
        parameters(folder, folder)
        starts = {"MLServer": mlserver, "BentoML": bentoml}
        targets: dict[str, Running] = {}
        targets["ours"] = stack.enter_context(server("service", folder, ours))
        for name, home in homes.items():
            if isinstance(home, Path):
                targets[name] = stack.enter_context(starts[name](home, folder, ours))
        found = {name: answer(target, wanted[name]) for name, target in targets.items()}
        apart = {name: far(found["ours"], one) for name, one in found.items()}
        assert max(apart.values()) < AGREE, (apart, found)
        for name, target in targets.items():
            load(target, wanted[name], seconds / 2, theirs)
        rows = [
            {name: load(target, wanted[name], seconds, theirs) for name, target in targets.items()}
            for _ in range(rounds)
        ]
    return {
        "name": "peers",
        "versions": {peer.name: peer.package for peer in ALL},
        "not_measured": missed,
        "connections": CONNECTIONS,
        "apart": apart,
        "servers": {name: middle(name, rows) for name in rows[0]},
        "cpu_to_ours": {name: cpu(name, rows) for name in rows[0]},
        "bounds": [over(peer, rows) for peer in ALL if peer.name not in missed],
    }


def middle(name: str, rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the medians of what was measured of one server."""
    return {
        key: statistics.median(row[name][key] for row in rows)
        for key in ("per_second", "p50_ms", "p99_ms", "cpu_us", "bytes")
    }


def cpu(name: str, rows: list[dict[str, Any]]) -> float:
    """Return how many times our processor time a request costs there: hardly moved by others."""
    return statistics.median(row[name]["cpu_us"] / row["ours"]["cpu_us"] for row in rows)


def over(peer: Peer, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how many times as much we answer, with its bound."""
    ratio = statistics.median(
        row["ours"]["per_second"] / row[peer.name]["per_second"] for row in rows
    )
    return {
        "what": f"predictions a second / {peer.name}'s",
        "value": ratio,
        "bound": peer.bound,
        "passed": ratio >= peer.bound,
    }


if __name__ == "__main__":
    print(json.dumps(main("--quick" in sys.argv), indent=1))
