"""A load generator: so many connections, each sends the same request again and again.

``python -m benchmarks.load PORT SECONDS CONNECTIONS < request``: prints requests a second,
latencies and the size of a body as JSON. Anything but a 200 ends it.
"""

import asyncio
import json
import sys
import time
from functools import partial
from pathlib import Path


class Client(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, request: bytes, until: float, done: asyncio.Future[None]) -> None:
        self.request = request
        self.until = until
        self.done = done
        self.buffer = b""
        self.needed = 0
        self.size = 0
        self.times: list[float] = []
        self.sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._send()

    def _send(self) -> None:
        self.buffer, self.needed = b"", 0
        self.sent = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """Count an answer when it is complete, then send again."""
        self.buffer += data
        if not self.needed:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.buffer[:end].lower()
            if not head.startswith(b"http/1.1 200"):
                self.done.set_exception(RuntimeError(self.buffer[:500].decode("latin-1")))
                return
            start = head.index(b"content-length:") + 15
            self.size = int(head[start:].split(b"\r\n", 1)[0])
            self.needed = end + 4 + self.size
        if len(self.buffer) < self.needed:
            return
        now = time.perf_counter()
        self.times.append(now - self.sent)
        if now < self.until:
            self._send()
        elif not self.done.done():
            self.transport.close()
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail if the server closed too early."""
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("closed by the server"))


def _same(client: Client) -> Client:
    return client


async def run(port: int, seconds: float, connections: int, request: bytes) -> dict[str, float]:
    """Send requests for a while; return what was measured."""
    loop = asyncio.get_running_loop()
    start = time.perf_counter()
    clients = []
    for _ in range(connections):
        client = Client(request, start + seconds, loop.create_future())
        await loop.create_connection(partial(_same, client), "127.0.0.1", port)
        clients.append(client)
    await asyncio.gather(*(client.done for client in clients))
    elapsed = time.perf_counter() - start
    times = sorted(t for client in clients for t in client.times)
    return {
        "requests": len(times),
        "per_second": len(times) / elapsed,
        "p50_ms": 1e3 * times[len(times) // 2],
        "p99_ms": 1e3 * times[int(len(times) * 0.99)],
        "bytes": clients[0].size,
    }


def family(pid: int) -> list[int]:
    """Return a process and all that come from it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found


if __name__ == "__main__":
    port, seconds, connections = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    print(json.dumps(asyncio.run(run(port, seconds, connections, sys.stdin.buffer.read()))))
