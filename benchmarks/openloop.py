"""An open-loop load generator: requests are due at fixed times, whatever became of those before.

``python -m benchmarks.openloop PORT RATE SECONDS CONNECTIONS < requests``: the requests come as one
JSON list of texts (each the bytes of a request in latin-1), sent in turn. A latency counts from the
time a request was due, so that a server that stalls cannot hide it. Prints JSON.
"""

import asyncio
import json
import sys
import time
from collections import Counter


class Client:
    """One keep-alive connection, used by one request at a time."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def send(self, request: bytes) -> int:
        """Send a request; return the status."""
        if self.writer is None or self.writer.is_closing():
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        assert self.reader is not None
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        low = head.lower()
        start = low.index(b"content-length:") + 15
        await self.reader.readexactly(int(low[start:].split(b"\r\n", 1)[0]))
        if b"connection: close" in low:
            self.writer.close()
        return int(head.split(b" ", 2)[1])


async def run(
    port: int, rate: float, seconds: float, connections: int, requests: list[bytes]
) -> dict[str, object]:
    """Send at a rate; return what was measured."""
    free: asyncio.Queue[Client] = asyncio.Queue()
    for _ in range(connections):
        free.put_nowait(Client(port))
    statuses: Counter[str] = Counter()
    times: list[float] = []
    begin = time.perf_counter() + 0.05

    async def one(number: int) -> None:
        due = begin + number / rate
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        client = await free.get()
        try:
            status = str(await client.send(requests[number % len(requests)]))
        except (OSError, asyncio.IncompleteReadError, ValueError):
            client.writer = None
            status = "cut"
        statuses[status] += 1
        if status == "200":
            times.append(time.perf_counter() - due)
        free.put_nowait(client)

    await asyncio.gather(*(one(number) for number in range(int(rate * seconds))))
    times.sort()
    at = {
        q: times[min(int(len(times) * q), len(times) - 1)] if times else None for q in (0.5, 0.99)
    }
    return {
        "statuses": dict(statuses),
        "p50_ms": None if at[0.5] is None else 1e3 * at[0.5],
        "p99_ms": None if at[0.99] is None else 1e3 * at[0.99],
        "seconds": time.perf_counter() - begin,
    }


if __name__ == "__main__":
    port, rate, seconds, connections = sys.argv[1:5]
    bodies = [text.encode("latin-1") for text in json.load(sys.stdin)]
    found = asyncio.run(run(int(port), float(rate), float(seconds), int(connections), bodies))
    print(json.dumps(found))
