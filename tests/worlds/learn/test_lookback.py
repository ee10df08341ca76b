"""Looking back: measures against references, differences with honest errors, reports."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scoringrules

from facts import Store
from tests.worlds.learn.test_job import AS_OF, DAY, FIRST, balls, domain, run
from worlds.core.distributions import CountMixture, Mixture
from worlds.errors import FitError, UnknownNameError
from worlds.learn import lookback, looking, measures, pictures, scored
from worlds.learn.history import History, read
from worlds.learn.measures import Row, Score, coverage, difference, measured, pit, pooled
from worlds.learn.rolling import POOL, Plan, look_back, origins
from worlds.publish import SnapshotStore

NEGBIN = CountMixture.of(np.array([7.0]), np.array([3.0]), np.array([1.0]))
POISSON = CountMixture.of(np.array([11.0]), np.array([np.inf]), np.array([1.0]))


@pytest.mark.parametrize("outcome", [0, 4, 9, 31])
def test_measures_agree_with_references(rng: np.random.Generator, outcome: int) -> None:
    found = measured({"a": NEGBIN, "b": POISSON}, outcome, rng)
    # independent: CRPS by its definition over a long range, pinball by its definition
    values = np.arange(2000)
    crps = float(((NEGBIN.cdf(values) - (values >= outcome)) ** 2).sum())
    assert found["a"][0].crps == pytest.approx(crps, rel=1e-9)
    assert found["b"][0].crps == pytest.approx(
        float(scoringrules.crps_poisson(outcome, 11.0)), rel=1e-6
    )
    quantiles = NEGBIN.quantile(measures.QUANTILES)
    loss = np.mean(
        [float(scoringrules.quantile_score(outcome, q, p))
         for q, p in zip(quantiles, measures.QUANTILES, strict=True)]
    )  # fmt: skip
    assert found["a"][0].pinball == pytest.approx(float(loss), rel=1e-12)
    mixed = pooled(found, {"a": 0.3, "b": 0.7}, outcome)
    pool = Mixture(np.array([0.3, 0.7]), (NEGBIN, POISSON))
    alone = measured({"pool": pool}, outcome, rng)["pool"][0]
    assert mixed.crps == pytest.approx(alone.crps, rel=1e-9)
    assert mixed.pinball == pytest.approx(alone.pinball, rel=1e-9)
    assert mixed.log_score == pytest.approx(alone.log_score, rel=1e-9)


def test_forecasts_that_are_right_are_flat_and_cover(rng: np.random.Generator) -> None:
    y = NEGBIN.sample(rng, 4000)
    below, upto = NEGBIN.cdf(y - 1), NEGBIN.cdf(y)
    # n = 4,000: standard errors 0.0047 (a tenth) and 0.0047 (90%)
    assert np.abs(pit(below, upto) - 0.1).max() < 4.5 * 0.0047
    assert pit(below, upto).sum() == pytest.approx(1)
    assert abs(coverage(below, upto, 0.9) - 0.9) < 4 * 0.0047


def rows(gaps: np.ndarray) -> list[Row]:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        Row(i, 1, at, at, 0.0, scores={"a": Score(-gap, gap, 0, 0, 1), "b": Score(0, 0, 0, 0, 1)})
        for i, gap in enumerate(gaps)
    ]


def test_the_interval_of_a_difference_covers_where_neighbours_are_alike(
    rng: np.random.Generator,
) -> None:
    """200 series of 60 origins with autocorrelation 0.5: nominal 95%, blocks of 6."""
    hits = [0, 0]
    for _ in range(200):
        noise = rng.normal(size=70)
        gaps = 0.3 + np.convolve(noise, 0.5 ** np.arange(8), "valid")[:60]
        for i, block in enumerate((6, 1)):
            found = difference(rows(gaps), "a", "b", block=block, rng=rng)
            assert found is not None
            gain = found["crps"]
            hits[i] += gain["low"] <= -0.3 <= gain["high"]
    # blocks of 6 on 60 fall a little short of 95% (n = 200: standard error 2%); single draws far
    assert hits[0] >= 200 * (0.90 - 3 * 0.021)
    assert hits[1] < hits[0] - 10


def test_a_difference_needs_two_origins(rng: np.random.Generator) -> None:
    assert difference(rows(np.ones(1)), "a", "b", block=1, rng=rng) is None
    assert difference(rows(np.ones(5)), "a", "missing", block=1, rng=rng) is None


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.open(tmp_path_factory.mktemp("balls") / "facts.duckdb") as store:
        store.record(list(balls(60)))
        yield store


PLAIN = domain(("historical",), ("historical",))


@pytest.fixture(scope="module")
def history(facts: Store) -> History:
    return read(PLAIN, facts.reader(), as_of=AS_OF)


def test_origins_leave_a_past_before_and_an_outcome_after(history: History) -> None:
    found = origins(history, 7, 10, None, None)
    assert len(found) == 10
    assert list(found) == sorted(set(found))
    assert found[-1] + 7 * DAY <= history.until
    assert origins(history, 7, 5, FIRST + 20 * DAY, FIRST + 22 * DAY)[0] == FIRST + 20 * DAY
    with pytest.raises(FitError, match="no origin fits"):
        origins(history, 7, 5, FIRST + 500 * DAY, None)


def test_an_origin_knows_nothing_of_what_comes_after(history: History) -> None:
    plan = Plan((FIRST + 30 * DAY,), 7)
    changed = replace(
        history,
        counts=replace(history.counts, y=np.where(np.arange(len(history.counts)) < 30,
                                                  history.counts.y, 999)),
    )  # fmt: skip
    count = PLAIN.quantity("count")
    mine, theirs = (look_back(PLAIN, h, count, plan).origins[0] for h in (history, changed))
    forms = [one.forms["historical"] for one in (mine, theirs)]
    means = [[form.count(step=s).mean() for s in range(7)] for form in forms]  # type: ignore[union-attr]
    start = history.counts.start
    assert (FIRST + 30 * DAY - start) // DAY <= 30
    assert means[0] == means[1]


def test_a_report_has_everything_by_model_horizon_and_group(history: History) -> None:
    plan = Plan(origins(history, 7, 6, None, None), 7, by="weekday")
    looked = look_back(PLAIN, history, PLAIN.quantity("count"), plan)
    found = lookback.report(looked, plan, PLAIN.step)
    assert set(found["models"]) == {"historical", POOL}
    one = found["models"]["historical"]
    assert one["forecasts"] == 42
    assert set(one["coverage"]) == {"50", "80", "90", "95"}
    assert sum(one["pit"]) == pytest.approx(1)
    assert sum(g["pool"]["forecasts"] for g in found["by"]["weekday"].values()) == 42
    assert list(found["by_horizon"]) == ["1", "2", "3", "6", "7"]
    said = lookback.text(found)
    assert "PIT 0..1" in said
    picture = ET.fromstring(pictures.svg([found]))  # noqa: S314 - our own
    assert picture.tag.endswith("svg")
    json.dumps(found, allow_nan=False)
    for by in ("moon", "colours"):
        with pytest.raises(UnknownNameError, match="hour, weekday"):
            look_back(PLAIN, history, PLAIN.quantity("count"), replace(plan, by=by))


@pytest.mark.slowish
def test_published_releases_are_scored_in_the_time_they_answered(
    facts: Store, history: History, tmp_path: Path
) -> None:
    shelf = SnapshotStore(tmp_path / "snapshots")
    for day, known in ((30, 9), (33, 6), (40, 3)):
        run(facts, shelf, PLAIN, as_of=AS_OF - known * DAY, until=FIRST + day * DAY)
    back = run(facts, shelf, PLAIN, as_of=AS_OF - 20 * DAY, until=FIRST + 20 * DAY)
    assert back.stays is not None  # a look back never answered, so it is not scored
    terms = scored.published(shelf, PLAIN, FIRST, history.until)
    assert [(t.begin - FIRST).days for t in terms] == [30, 33, 40]
    assert terms[0].end == terms[1].begin
    rows, trouble = scored.score_published(PLAIN, shelf, history, terms, seed=1)
    assert not trouble
    # three days, then seven (the horizon), then seven
    assert len(rows["balls"]) == 3 + 7 + 7
    answers = scored.ask_then(PLAIN, history, scored.published_answerers(PLAIN, shelf, terms))
    (question,) = answers
    assert question["answers"] == 3
    first = question["rows"][0]
    day = (history.items.at >= np.datetime64("2026-02-04")) & (
        history.items.at < np.datetime64("2026-02-05")
    )
    assert first["happened"] == history.items.label[day].sum()
    assert "of 3 outcomes" in scored.verdict(answers, None, 3)


@pytest.mark.slowish
def test_one_command_tells_whether_we_would_have_been_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.worlds.learn.test_segments import DOMAIN, filled

    (tmp_path / "balls.py").write_text(DOMAIN)
    base = filled(tmp_path, "red", "blue")
    more = ["--origins", "4", "--picture", str(tmp_path / "p.svg")]

    def look(*words: str) -> dict[str, Any]:
        assert looking.main([words[0], *base, *more, *words[1:]]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    found = look("score")
    assert found["source"] == "refits as of then"
    assert found["refits"]["questions"][0]["answers"] >= 3
    assert "refits as of then" in found["verdict"]
    assert (tmp_path / "p.svg").read_text().startswith("<svg")
    again = look("backtest", "--by", "colour", "--compare", "pool,historical")
    assert {one["quantity"] for one in again["reports"]} == {"balls", "metres"}
    assert set(again["reports"][1]["by"]["colour"]) <= {"red", "blue"}
    for words, said in (
        (["--quantity", "cats"], "unknown quantity 'cats'"),
        (["--model", "psychic"], "unknown model"),
        (["--compare", "pool"], "two models with a comma"),
        (["--picture", "x.gif"], "ends in .svg"),
        (["--as-of", "2040-01-01"], "in the future"),
        (["--from", "2020-01-01", "--to", "2020-02-01"], "no origin fits"),
    ):
        assert looking.main(["backtest", *base, *words]) == 1
        assert said in " ".join(capsys.readouterr().err.split())
