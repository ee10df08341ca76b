"""A domain in a file of a user's own, with its own extractor and models, learns and answers."""

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
