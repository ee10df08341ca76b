import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from api.serving import RETRY_SECONDS, Serving
from tests.api.building import UNTIL, damage, publish
from worlds.domain import load_domain
from worlds.publish import SnapshotStore

LIKES = "likes_per_pupdate"
LATER = UNTIL + timedelta(hours=1)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def serving_of(var: Path, clock: Callable[[], float] | None = None) -> Serving:
    domain = load_domain("sniffable")
    return Serving(domain, SnapshotStore(var / "sniffable" / "snapshots"), clock or Clock())


def test_without_a_release_the_default_belief_answers(var: Path) -> None:
    serving = serving_of(var)
    assert not serving.refresh()
    assert serving.current.path == "default"
    assert serving.current.answerer.degraded == "no release has been published yet"


def test_a_release_is_swapped_in_once(var: Path) -> None:
    serving = serving_of(var)
    release = publish(var)
    assert serving.refresh()
    assert not serving.refresh()
    assert serving.current.path == "models"
    assert serving.current.answerer.release == release
    tail = json.loads(b"{" + serving.current.tail)
    assert tail["release"] == release.id
    assert tail["degraded"] is None
    assert tail["simulated"] is True


def test_readers_of_the_old_models_are_not_disturbed(var: Path) -> None:
    publish(var)
    serving = serving_of(var)
    serving.refresh()
    held = serving.current
    before = held.answerer.predict({})
    publish(var, level=5.0, as_of=LATER)
    assert serving.refresh()
    assert serving.current.serial > held.serial
    assert held.answerer.predict({}) == before
    assert serving.current.answerer.predict({}).median > before.median


def test_a_damaged_release_is_refused_and_the_old_one_stays(var: Path) -> None:
    good = publish(var)
    clock = Clock()
    serving = serving_of(var, clock)
    serving.refresh()
    bad = publish(var, level=5.0, as_of=LATER)
    snapshot = bad.models["likes_per_pupdate"]["learned"]
    damage(var, snapshot)
    assert serving.refresh()
    assert serving.current.path == "last good models"
    assert serving.current.answerer.release == good
    assert serving.refused is not None
    assert snapshot in serving.refused
    assert good.id in str(serving.current.answerer.degraded)
    clock.now += RETRY_SECONDS + 1
    assert not serving.refresh()


def test_a_repaired_release_is_taken(var: Path) -> None:
    publish(var)
    clock = Clock()
    serving = serving_of(var, clock)
    serving.refresh()
    bad = publish(var, level=5.0, as_of=LATER)
    snapshot = bad.models["likes_per_pupdate"]["learned"]
    damage(var, snapshot)
    serving.refresh()
    damage(var, snapshot)
    assert not serving.refresh()
    clock.now += RETRY_SECONDS + 1
    assert serving.refresh()
    assert serving.current.path == "models"
    assert serving.refused is None


def test_a_start_on_a_damaged_release_finds_the_last_good_one(var: Path) -> None:
    good = publish(var)
    bad = publish(var, level=5.0, as_of=LATER)
    damage(var, bad.models["likes_per_pupdate"]["learned"])
    serving = serving_of(var)
    serving.refresh()
    assert serving.current.answerer.release == good
    assert serving.current.path == "last good models"


def test_a_start_on_the_only_release_with_damage_uses_what_is_left(var: Path) -> None:
    release = publish(var)
    for snapshot in release.models["likes_per_pupdate"].values():
        damage(var, snapshot)
    serving = serving_of(var)
    serving.refresh()
    assert serving.current.path == "some models"
    assert serving.current.answerer.predict({}).median > 0


@pytest.mark.parametrize("content", [b"", b"zz", b"\xff\xfe", b"0123456789abcdef"])
def test_a_broken_pointer_changes_nothing(var: Path, content: bytes) -> None:
    good = publish(var)
    serving = serving_of(var)
    serving.refresh()
    (var / "sniffable" / "snapshots" / "current").write_bytes(content)
    serving.refresh()
    assert serving.current.answerer.release == good
    assert serving.current.answerer.degraded
    (var / "sniffable" / "snapshots" / "current").unlink()
    serving.refresh()
    assert serving.current.answerer.release == good


def test_a_release_of_another_domain_is_refused(var: Path) -> None:
    publish(var, domain="dogposts")
    serving = serving_of(var)
    serving.refresh()
    assert serving.current.path == "default"
    assert "of domain 'dogposts'" in str(serving.refused)


def test_models_that_stay_keep_what_they_computed_and_others_do_not(var: Path) -> None:
    publish(var)
    serving = Serving(load_domain("sniffable"), SnapshotStore(var / "sniffable" / "snapshots"))
    serving.refresh()
    before = serving.current.answerer.models
    publish(var, as_of=UNTIL + timedelta(hours=1))
    assert serving.refresh()
    after = serving.current.answerer.models
    for name, one in after[LIKES].items():
        assert one.form is before[LIKES][name].form
    publish(var, level=4.0, as_of=UNTIL + timedelta(hours=2))
    assert serving.refresh()
    for name, one in serving.current.answerer.models[LIKES].items():
        assert one.form is not after[LIKES][name].form
        assert one.snapshot != after[LIKES][name].snapshot


def test_a_process_that_does_not_predict_computes_nothing_for_it(var: Path) -> None:
    publish(var)
    store = SnapshotStore(var / "sniffable" / "snapshots")
    serving = Serving(load_domain("sniffable"), store, predicts=False)
    serving.refresh()
    for one in serving.current.answerer.models[LIKES].values():
        assert "lattice" not in vars(one.form)
    assert serving.current.answerer.predict({}).median > 0  # when asked it can
