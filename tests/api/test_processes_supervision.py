"""Supervision of a service of several processes: decisions reach all of them, and survive."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.api.building import publish
from tests.api.test_processes import Served, serve

LIKES = "likes_per_pupdate"
FUTURE = "2036-01-01T00:00:00Z"


def weights(served: Served) -> dict[str, float]:
    status, found = served.ask("POST", "/v1/predictions/likes", {"draft": {"entity": "1"}})
    assert status == 200
    return {use["model"]: use["weight"] for use in found["models"]}


def everywhere(served: Served, wanted: set[str], tries: int = 24) -> bool:
    """Return whether so many requests, each on a connection of its own, all say the same."""
    return all(set(weights(served)) == wanted for _ in range(tries))


@pytest.mark.slowish
def test_a_decision_reaches_every_process_and_survives_the_recorder(tmp_path: Path) -> None:
    publish(tmp_path)
    with serve(tmp_path) as served:
        served.until(lambda: served.ask("GET", "/v1/overrides")[0] == 200)
        assert len(weights(served)) == 2
        ban = {"action": "ban", "by": "mae", "reason": "wrong", "until": FUTURE}
        status, made = served.ask("POST", f"/v1/models/{LIKES}.historical/override", ban)
        assert status == 200
        begin = time.monotonic()
        served.until(lambda: everywhere(served, {"learned"}), 10)
        assert time.monotonic() - begin < 2.5  # a second, and 24 requests on a busy machine
        served.until(lambda: _logged(served) > 0, 10)

        os.kill(served.parts()["recorder"]["pid"], signal.SIGKILL)
        for _ in range(20):
            assert set(weights(served)) == {"learned"}
        assert [o["id"] for o in served.ask("GET", "/v1/overrides")[1]["overrides"]] == [made["id"]]
        served.until(lambda: served.parts()["recorder"]["state"] == "running")
        served.until(lambda: _history(served) == ["override"])
        before = _logged(served)
        weights(served)
        served.until(lambda: _logged(served) > before, 20)
        assert everywhere(served, {"learned"})
        assert served.ask("DELETE", f"/v1/overrides/{made['id']}")[0] == 200
        served.until(lambda: everywhere(served, {"historical", "learned"}), 10)


def _logged(served: Served) -> int:
    status, said = served.ask("GET", "/v1/facts?attribute=watch.forecast&limit=1000")
    return len(said["facts"]) if status == 200 else 0


def _history(served: Served) -> list[str]:
    status, said = served.ask("GET", f"/v1/models/{LIKES}.historical/history")
    return [line["what"] for line in said["history"]] if status == 200 else []
