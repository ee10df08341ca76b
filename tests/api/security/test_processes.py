"""Keys, limits and the audit in a service of several processes."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.security import keys
from api.security.keys import By, Limits
from tests.api.building import publish
from tests.api.test_connections import served, stop

BY = By("root", "a test", datetime.now(UTC))
PREDICT = "/v1/predictions/likes"


def status(address: str, token: str, path: str = PREDICT, body: Any = None) -> int:
    """Send one request on a connection of its own: any worker may answer it."""
    reply = httpx.post(
        f"{address}{path}",
        json=body if body is not None else {"draft": {}},
        headers={"authorization": f"Bearer {token}"},
        timeout=30,
    )
    return reply.status_code


@pytest.mark.slowish
def test_keys_hold_in_every_process(tmp_path: Path) -> None:
    file, var = tmp_path / "keys.json", tmp_path / "var"
    publish(var)
    _, admin = keys.create(file, "ada", ("admin",), BY)
    _, limited = keys.create(file, "app", ("predict",), BY, limits=Limits(rate=0.001, burst=9))
    process, address = served(var, keys=file, workers=2)
    try:
        deadline = time.monotonic() + 60
        while status(address, admin) != 200 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert [status(address, "wrong") for _ in range(6)] == [401] * 6
        assert sorted(status(address, limited) for _ in range(24)) == [200] * 9 + [429] * 15
        # A new key works in every worker within a second, and so does its end.
        late, token = keys.create(file, "late", ("predict",), BY)
        time.sleep(1)
        assert [status(address, token) for _ in range(6)] == [200] * 6
        keys.revoke(file, late.id, BY)
        time.sleep(1)
        assert [status(address, token) for _ in range(6)] == [401] * 6
        # What was done, by whom, went through a worker to the recorder.
        assert status(address, admin, "/v1/learn", {}) == 202
        headers = {"authorization": f"Bearer {admin}"}
        told: set[Any] = set()
        while "key revoke" not in told and time.monotonic() < deadline + 20:
            reply = httpx.get(f"{address}/v1/facts?attribute=audit.action", headers=headers)
            told = {fact["value"]["value"] for fact in reply.json()["facts"]}
            time.sleep(0.2)
        assert told == {"learn", "key create", "key revoke"}
        by = httpx.get(f"{address}/v1/facts?entity=audit:learn", headers=headers).json()["facts"]
        name = keys.read(file).find("ada").id
        assert f"ada ({name})" in [fact["value"]["value"] for fact in by]
    finally:
        stop(process)
