"""A domain in a file of a user's own, with its own extractor and models, learns and answers."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import facts
from worlds import open_worlds

FILE = Path(__file__).parents[1] / "fixtures" / "user_domain.py"
START = datetime(2026, 8, 1, tzinfo=UTC)
DAYS = 70


def calls(rng: np.random.Generator) -> list[facts.Event]:
    """Return thirty calls a day of eight minutes on average, and the minutes of each."""
    events = []
    for day in range(DAYS):
        for call in range(rng.poisson(30)):
            name = f"call:{day}-{call}"
            begin = START + timedelta(days=day, hours=float(rng.uniform(8, 18)))
            said = {
                "topic": facts.Exact(str(rng.choice(["billing", "delivery"]))),
                "waited": facts.Exact(round(float(rng.gamma(2, 20)), 1)),
            }
            minutes = {"minutes": facts.Exact(int(rng.negative_binomial(2, 0.2)))}
            events.append(facts.Event("switchboard", name, name, said, begin))
            later = begin + timedelta(hours=3)
            events.append(facts.Event("switchboard", f"{name}/minutes", name, minutes, later))
    return events


@pytest.mark.slowish
def test_it_learns_with_its_own_models_and_answers(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    with facts.Store.open(tmp_path / "helpline" / "facts.duckdb") as store:
        store.record(calls(rng))
    done = subprocess.run(
        [sys.executable, "-m", "worlds.learn", "--var", str(tmp_path), "--domain", str(FILE)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    opened = open_worlds(tmp_path / "helpline", str(FILE))
    release = opened.store.current()
    assert release is not None
    assert release.domain == "helpline"
    assert "steady" in release.models["calls"]
    assert "overall" in release.models["minutes_per_call"]
    query = opened.ask("minutes_next_day")
    low, high = query.interval(0.9)
    assert 120 < low < 30 * 8 < high < 480
    assert query.answer.degraded is None
    assert opened.predict({"topic": "billing"}).median == pytest.approx(7, abs=3)


PYMC_FILE = FILE.with_name("pymc_domain.py")
SERVE = """
import json, sys
from worlds import open_worlds
opened = open_worlds(sys.argv[1], sys.argv[2])
release = opened.store.current()
record = {
    name: dict(opened.store.get(snapshot).provenance["inference"])
    for models in release.models.values() for name, snapshot in models.items()
}
low, high = opened.ask("minutes_next_day").interval(0.9)
print(json.dumps({
    "models": {quantity: sorted(models) for quantity, models in release.models.items()},
    "record": record, "low": low, "high": high,
    "median": opened.predict({"topic": "billing"}).median,
    "imported": sorted({"pymc", "arviz", "pytensor", "nutpie"} & set(sys.modules)),
}))
"""


@pytest.mark.slow
def test_a_file_with_pymc_models_is_learned_and_served_without_pymc(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    with facts.Store.open(tmp_path / "helpline" / "facts.duckdb") as store:
        store.record(calls(rng))
    done = subprocess.run(
        [sys.executable, "-m", "worlds.learn", "--var", str(tmp_path), "--domain", str(PYMC_FILE),
         "--deadline", "900"],
        capture_output=True, text=True, timeout=1800, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    served = subprocess.run(
        [sys.executable, "-c", SERVE, str(tmp_path / "helpline"), str(PYMC_FILE)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert served.returncode == 0, served.stderr[-3000:] + done.stdout[-3000:]
    told = json.loads(served.stdout)
    assert "rate_pymc" in told["models"]["calls"], done.stdout
    assert "minutes_pymc" in told["models"]["minutes_per_call"], done.stdout
    assert told["imported"] == []
    for name in ("rate_pymc", "minutes_pymc"):
        record = told["record"][name]
        assert record["rhat"] < 1.02
        assert record["divergences"] == 0
        assert record["loo"] < 0
        assert record["pareto_k"] < 0.7
        assert max(abs(share - 0.1) for share in record["pit"]) < 0.12
    assert 120 < told["low"] < 240 < told["high"] < 480
    assert told["median"] == pytest.approx(7, abs=3)
