"""What Prometheus may ask: counts and times of requests, what was degraded, how fresh models are.

Counting is one addition to a row of doubles. The rows of all workers lie in one file in shared
memory, one row for each, written by that worker alone, so that nobody waits for anybody and any
worker can tell the sum. A worker that starts again goes on in the row of its predecessor.
"""

import mmap
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

GROUPS = ("predict", "ask", "query", "facts", "models", "watch", "other")
BEGINS: Mapping[str, str] = {
    "/v1/predictions": "predict",
    "/v2": "predict",
    "/v1/questions": "ask",
    "/v1/query": "query",
    "/v1/facts": "facts",
    "/v1/quarantine": "facts",
    "/v1/models": "models",
    "/v1/learn": "models",
    "/health": "watch",
    "/metrics": "watch",
    "/v1/status": "watch",
    "/v1/events": "watch",
}
"""How a path begins, and the group that its requests are counted in."""
CLASSES = ("2xx", "3xx", "4xx", "5xx")
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
EVENTS = ("predictions", "degraded", "shed", "unlogged")
"""Other things that are counted: drafts predicted, some degraded, 503s, predictions not logged."""
_PER_GROUP = len(CLASSES) + len(BUCKETS) + 2
WIDTH = len(GROUPS) * _PER_GROUP + len(EVENTS)
"""Doubles in a row."""
_EVENT = {name: len(GROUPS) * _PER_GROUP + i for i, name in enumerate(EVENTS)}
_GROUP = {name: i * _PER_GROUP for i, name in enumerate(GROUPS)}
KNOWN = 1000
"""Paths whose group is remembered."""


class Metrics:
    """The counts of one process, beside those of the others.

    Parameters
    ----------
    path
        File of all rows; None for a process that is alone.
    row, rows
        Which row is ours, and how many there are.
    """

    def __init__(self, path: Path | None = None, row: int = 0, rows: int = 1) -> None:
        size = 8 * WIDTH * rows
        if path is None:
            memory: bytearray | mmap.mmap = bytearray(size)
        else:
            with path.open("a+b") as file:
                file.truncate(size)
                memory = mmap.mmap(file.fileno(), size)
        self._all = memoryview(memory).cast("d")
        self._base = row * WIDTH
        self._groups: dict[str, int] = {}

    def count(self, event: str, times: float = 1) -> None:
        """Count something that is no request."""
        self._all[self._base + _EVENT[event]] += times

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        base = self._groups.get(path)
        if base is None:
            base = self._group(path)
        cells, base = self._all, self._base + base
        cells[base + (status // 100 - 2 if 200 <= status < 600 else 3)] += 1
        cells[base + 4 + bisect_left(BUCKETS, seconds)] += 1
        cells[base + _PER_GROUP - 1] += seconds
        if status == 503:
            self.count("shed")

    def _group(self, path: str) -> int:
        parts = path.split("/")
        begin = "/".join(parts[:3]) if parts[1:2] == ["v1"] else "/".join(parts[:2])
        base = _GROUP[BEGINS.get(begin, "other")]
        if len(self._groups) < KNOWN:
            self._groups[path] = base
        return base

    def total(self, index: int) -> float:
        """Return the sum of one count over all processes."""
        return sum(self._all[index::WIDTH])

    def event(self, name: str) -> float:
        """Return how often something happened, over all processes."""
        return self.total(_EVENT[name])

    def collect(self) -> Iterator["Metric"]:
        """Yield the counts as Prometheus knows them."""
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        requests = CounterMetricFamily(
            "worlds_requests", "Requests answered", labels=("route", "status")
        )
        times = HistogramMetricFamily(
            "worlds_request_seconds", "Seconds from request to answer", labels=("route",)
        )
        for name, base in _GROUP.items():
            for i, kind in enumerate(CLASSES):
                requests.add_metric((name, kind), self.total(base + i))
            below, so_far = [], 0.0
            for i, end in enumerate((*BUCKETS, float("inf"))):
                so_far += self.total(base + 4 + i)
                below.append(("+Inf" if end == float("inf") else str(end), so_far))
            times.add_metric((name,), below, self.total(base + _PER_GROUP - 1))
        yield requests
        yield times
        for event, text in {
            "predictions": "Drafts predicted",
            "degraded": "Drafts predicted by a fallback",
            "shed": "Requests refused because of load (503)",
            "unlogged": "Predictions that could not be logged as facts",
        }.items():
            yield CounterMetricFamily(f"worlds_{event}", text, self.event(event))

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return an application that counts the requests of another."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP:
                await app(scope, receive, send)
                return
            began, status = time.perf_counter(), 500

            async def note(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            try:
                await app(scope, receive, note)
            finally:
                self.request(scope["path"], status, time.perf_counter() - began)

        return counted


class Gauges:
    """What is read off the service when it is asked for.

    Parameters
    ----------
    values
        Name to (text, [(labels, value)]).
    """

    def __init__(
        self, values: Mapping[str, tuple[str, list[tuple[dict[str, str], float]]]]
    ) -> None:
        self._values = values

    def collect(self) -> Iterator["Metric"]:
        """Yield the values as Prometheus knows them."""
        from prometheus_client.core import GaugeMetricFamily

        for name, (text, entries) in self._values.items():
            labels = tuple(entries[0][0]) if entries else ()
            family = GaugeMetricFamily(name, text, labels=labels)
            for given, value in entries:
                family.add_metric([given[label] for label in labels], value)
            yield family


def render(*collectors: Any) -> bytes:
    """Return everything in the text format of Prometheus."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        registry.register(collector)
    return bytes(generate_latest(registry))
