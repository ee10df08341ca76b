"""Facts through the HTTP route: events a second in batches of 500, acknowledged after the commit.

Several clients post CloudEvents batches at once, so that a group commit has something to group.
Everything acknowledged is counted again in the store afterwards.
"""

import http.client
import json
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.serving_bench import cores, server
from facts import Store

BOUND = 5000.0
BATCH = 500
CLIENTS = 4
HEADERS = {"content-type": "application/cloudevents-batch+json"}


def batch(number: int) -> bytes:
    """Return a batch of events that look like posts."""
    events = [
        {
            "specversion": "1.0",
            "id": f"{number}-{i}",
            "source": "bench",
            "type": "fact",
            "data": {
                "entity": f"post:{number}-{i}",
                "valid_from": "2026-09-30T17:30:00Z",
                "attributes": {"text_length": 80 + i % 50},
            },
        }
        for i in range(BATCH)
    ]
    return json.dumps(events).encode()


def post(port: int, bodies: list[bytes]) -> int:
    """Post batches over one connection; return the events that were accepted."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    accepted = 0
    for body in bodies:
        connection.request("POST", "/v1/facts", body, HEADERS)
        reply = json.loads(connection.getresponse().read())
        accepted += int(reply["accepted"])
    connection.close()
    return accepted


def main(quick: bool) -> dict[str, Any]:
    """Measure; return the figures with their bounds."""
    rounds, each = (3, 4) if quick else (5, 10)
    bodies = iter([batch(n) for n in range(rounds * CLIENTS * each)])
    ours, _ = cores()
    rates, sent = [], 0
    with tempfile.TemporaryDirectory() as folder:
        with server("service", Path(folder), ours) as service, ThreadPoolExecutor(CLIENTS) as pool:
            for _ in range(rounds):
                shares = [[next(bodies) for _ in range(each)] for _ in range(CLIENTS)]
                begin = time.perf_counter()
                accepted = sum(pool.map(lambda share: post(service.port, share), shares))
                rates.append(accepted / (time.perf_counter() - begin))
                sent += accepted
        with Store.open(Path(folder) / "sniffable" / "facts.duckdb") as store:
            _, _, kept = store.reader().version()
    rate = statistics.median(rates)
    return {
        "name": "intake",
        "batch": BATCH,
        "clients": CLIENTS,
        "rates": rates,
        "bounds": [
            {
                "what": "events a second over HTTP",
                "value": rate,
                "bound": BOUND,
                "passed": rate >= BOUND,
            },
            {
                "what": "acknowledged and not kept",
                "value": sent - kept,
                "bound": 0,
                "passed": kept == sent,
            },
        ],
    }
