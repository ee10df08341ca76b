"""Learning runs from facts to a release, with models of all kinds of bad manners."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from facts import Event, Exact, Store
from worlds.ask import Answerer
from worlds.core.features import Features, FeatureSpec
from worlds.core.forms import CountPath
from worlds.core.questions import Quantity, Question, SumOver
from worlds.domain import Domain
from worlds.learn.candidates import Settings
from worlds.learn.job import learn
from worlds.learn.protocol import Declined, Fit
from worlds.learn.report import Report
from worlds.publish import SnapshotStore

FIRST = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
AS_OF = datetime(2027, 1, 1, tzinfo=UTC)


def features(row: Mapping[str, object]) -> Features:
    colour = row.get("colour")
    return Features({"colour": ((str(colour), 1.0),)} if colour else {})


def domain(counts: tuple[object, ...], sizes: tuple[object, ...]) -> Domain:
    return Domain(
        name="balls",
        title="Balls",
        text="Balls and how far they roll.",
        entity="ball",
        grain="day",
        quantities=(
            Quantity("balls", "balls", "count", "day", (1, 20)),
            Quantity("metres", "metres", "size", "ball", (1, 200)),
        ),
        questions=(Question("all_metres", SumOver("metres", "balls"), "metres"),),
        label="metres",
        label_ripens=timedelta(hours=1),
        features=features,
        spec=FeatureSpec(categories=("colour",), version="balls-1"),
        models={"balls": counts, "metres": sizes},
        shares=("colour",),
    )


PLAIN = domain(("historical",), ("historical", "learned"))


def balls(days: int, seed: int = 5) -> Iterator[Event]:
    rng = np.random.default_rng(seed)
    for day in range(days):
        for number in range(rng.poisson(6)):
            at = FIRST + day * DAY + timedelta(hours=int(rng.integers(24)), seconds=number)
            name, red = f"{day}-{number}", bool(rng.random() < 0.5)
            rolled = int(rng.negative_binomial(2, 2 / (2 + (40 if red else 20))))
            colour = Exact("red" if red else "blue")
            yield Event("lab", name, f"ball:{name}", {"colour": colour}, at)
            yield Event(
                "lab",
                f"{name}/m",
                f"ball:{name}",
                {"metres": Exact(rolled)},
                at + timedelta(hours=2),
            )


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    moment = iter(range(10**9))

    def clock() -> datetime:
        return datetime(2026, 12, 1, tzinfo=UTC) + timedelta(seconds=next(moment))

    path = tmp_path_factory.mktemp("balls") / "facts.duckdb"
    with Store.open(path, clock=clock) as store:
        store.record(list(balls(60)))
        yield store


@pytest.fixture(scope="module")
def published(
    facts: Store, tmp_path_factory: pytest.TempPathFactory
) -> tuple[SnapshotStore, Report]:
    """One release of the plain domain, for tests that only look at it."""
    shelf = SnapshotStore(tmp_path_factory.mktemp("published") / "snapshots")
    told: list[tuple[str, int, int]] = []
    report = learn(
        PLAIN,
        facts.reader(),
        shelf,
        as_of=AS_OF,
        progress=lambda text, done, total: told.append((text, done, total)),
    )
    assert told[-1][1] == told[-1][2]
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert "metres: learned" in {text for text, _, _ in told}
    return shelf, report


@pytest.fixture
def shelf(tmp_path: Path) -> SnapshotStore:
    return SnapshotStore(tmp_path / "snapshots")


def run(
    facts: Store,
    shelf: SnapshotStore,
    what: Domain = PLAIN,
    *,
    as_of: datetime = AS_OF,
    until: datetime | None = None,
    **settings: Any,
) -> Report:
    made = Settings(**settings)
    return learn(what, facts.reader(), shelf, as_of=as_of, until=until, settings=made)


def reasons(report: Report) -> dict[str, str]:
    return {line.model: line.declined for line in report.lines if line.declined}


@dataclass(frozen=True)
class Odd:
    """A count model with bad manners."""

    what: str
    role: Literal["count"] = "count"

    @property
    def name(self) -> str:
        return self.what

    def fit(self, history: Any, *, horizon: int, rng: np.random.Generator) -> Any:  # noqa: ARG002
        ones = np.ones((horizon, 1))
        mean = float(history.y.mean()) if len(history.y) else 1.0
        good = CountPath(history.end, history.step, ones, ones * mean, ones * 50)
        match self.what:
            case "raises":
                raise RuntimeError("out of kibble")
            case "slow":
                time.sleep(30)
            case "declines":
                return Declined("declines", "it is Monday")
            case "wrong form":
                return {"mean": 3}
            case "narrow":
                return replace(good, means=ones * 60, sizes=ones * np.inf)
            case "not finite":
                return replace(good, means=ones * np.nan)
            case "cannot be stored":
                return Fit(good, {"secret": object()})
            case "raises later" if len(history.y) < 40:
                raise ValueError("too young")
        return good


def test_a_run_publishes_a_release_that_answers(published: tuple[SnapshotStore, Report]) -> None:
    shelf, report = published
    release = shelf.current()
    assert release is not None
    assert release.id == report.release_id
    assert sorted(release.models["metres"]) == ["historical", "learned"]
    answers = Answerer.load(PLAIN, shelf, release)
    assert answers.degraded is None
    # 6 balls of 30 metres on average
    assert 90 < float(answers.ask("all_metres").outcome.mean()) < 300
    assert release.evidence["metres"]["forecasts"] > 100
    assert report.to_dict()["release"] == release.id
    assert "learned" in report.to_text()


@pytest.mark.slowish
def test_the_same_facts_code_and_seed_give_the_same_bytes(
    facts: Store, published: tuple[SnapshotStore, Report], tmp_path: Path
) -> None:
    other = SnapshotStore(tmp_path / "elsewhere")
    shelf, first = published
    again, elsewhere = run(facts, shelf), run(facts, other)
    assert first.release_id == again.release_id == elsewhere.release_id
    assert len(shelf.releases()) == 1
    for models in first.release.models.values():
        for snapshot in models.values():
            names = ("manifest.json", "arrays.npz")
            mine, theirs = (
                [(s.root / "models" / snapshot / name).read_bytes() for name in names]
                for s in (shelf, other)
            )
            assert mine == theirs
    assert run(facts, other, seed=1).release_id != first.release_id


@pytest.mark.slowish
def test_a_new_model_moves_no_others_draws(facts: Store, shelf: SnapshotStore) -> None:
    alone = run(facts, shelf, domain(("historical",), ("learned",)))
    joined = run(facts, shelf, domain((Odd("good"), "historical"), ("historical", "learned")))
    name = alone.release.models["metres"]["learned"]
    first, second = shelf.get(name), shelf.get(joined.release.models["metres"]["learned"])
    assert np.array_equal(first.form.draws, second.form.draws)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("manners", "reason"),
    [
        ("raises", "RuntimeError: out of kibble"),
        ("slow", "it passed its deadline of 2 s"),
        ("declines", "it is Monday"),
        ("wrong form", "dict is no form of a count"),
        ("narrow", "the gate: coverage of 50%: 0.0"),
        ("not finite", "means must lie"),
        ("cannot be stored", "it cannot be published: TypeError"),
        ("raises later", "ValueError: too young"),
    ],
)
def test_a_model_can_fail_only_by_itself(
    facts: Store, shelf: SnapshotStore, manners: str, reason: str
) -> None:
    what = domain((Odd(manners), "historical"), ("historical",))
    report = run(facts, shelf, what, deadline=2 if manners == "slow" else 120)
    assert reason in reasons(report)[manners]
    assert reason in report.release.declined["balls"][manners]
    assert manners not in report.release.models["balls"]
    assert list(report.release.models["balls"]) == ["historical"]
    assert sum(report.release.weights["balls"].values()) == pytest.approx(1)
    assert "declined" in report.to_text()


def test_names_nobody_knows_are_declined_with_the_known_ones(
    facts: Store, shelf: SnapshotStore
) -> None:
    report = run(facts, shelf, domain(("psychic", 3), ("historical",)))
    assert "historical, learned, learned_pymc, seasonal, streaming" in reasons(report)["psychic"]
    assert "is no count model" in reasons(report)["int"]


def test_the_default_stays_where_everything_else_fails(facts: Store, shelf: SnapshotStore) -> None:
    report = run(facts, shelf, domain((Odd("raises"),), ()))
    assert report.release.weights["balls"] == {"default": 1.0}
    assert report.release.weights["metres"] == {"default": 1.0}


def test_the_last_good_snapshot_stays_when_its_model_fails(
    facts: Store, shelf: SnapshotStore
) -> None:
    @dataclass(frozen=True)
    class Moody:
        angry: bool
        name: str = "moody"
        role: Literal["size"] = "size"

        def fit(self, items: Any, spec: Any, *, at: datetime, rng: np.random.Generator) -> Any:
            if self.angry:
                raise RuntimeError("not today")
            from worlds.learn.models.size_historical import Historical

            return Historical().fit(items, spec, at=at, rng=rng)

    early = FIRST + 50 * DAY
    good = run(
        facts, shelf, domain((), (Moody(False),)), as_of=AS_OF - 9 * DAY, until=early
    ).release.models["metres"]["moody"]
    report = run(facts, shelf, domain((), (Moody(True),)))
    assert report.release.models["metres"]["moody"] == good
    assert "not today" in report.release.declined["metres"]["moody"]
    assert report.release.weights["metres"]["moody"] > 0
    assert "the last good one stays" in report.to_text()


@pytest.mark.slowish
def test_a_snapshot_is_compared_with_what_it_replaces_on_facts_new_to_both(
    facts: Store, shelf: SnapshotStore
) -> None:
    run(facts, shelf, as_of=AS_OF - 9 * DAY, until=FIRST + 40 * DAY)
    report = run(facts, shelf)
    snapshot = shelf.get(report.release.models["metres"]["learned"])
    (check,) = [c for c in snapshot.checks if c["name"] == "score against the replaced snapshot"]
    assert check["passed"]
    assert isinstance(check["value"], float)
    assert snapshot.parent is not None


@pytest.mark.slowish
def test_as_of_and_until_decide_what_is_known(facts: Store, shelf: SnapshotStore) -> None:
    nothing = run(facts, shelf, as_of=datetime(2026, 11, 1, tzinfo=UTC))
    assert (nothing.periods, nothing.items) == (0, 0)
    assert nothing.release.weights["balls"] == {"default": 1.0}
    half = run(facts, shelf, until=FIRST + 30 * DAY)
    assert half.periods <= 30
    assert half.release.until == FIRST + 30 * DAY


def test_provenance_names_facts_code_extractor_and_seed(
    facts: Store, published: tuple[SnapshotStore, Report]
) -> None:
    shelf, report = published
    record = shelf.get(report.release.models["metres"]["learned"]).provenance
    tx, chain, count = facts.reader().version(AS_OF)
    assert record["facts"] == {"tx": tx, "hash": chain, "count": count}
    assert record["extractor"] == "balls-1"
    assert record["seed"] == 0
    assert record["code"].keys() == {"package", "sources", "libraries", "model"}
    assert record["inference"]["gradient"] < 0.05
    assert record["simulated"] is False
