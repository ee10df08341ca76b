"""Promote, roll back, pin, compare: every switch is a release of its own, and nothing is lost."""

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from worlds.core.forms import CountPath
from worlds.errors import SnapshotError
from worlds.publish import Release, Snapshot, SnapshotStore, pins, switching
from worlds.publish.carry import carried
from worlds.publish.diff import diff
from worlds.publish.switching import By

T0 = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
ANN = By("ann", "the counts are twice too high", T0 + timedelta(days=9))


def snapshot(mean: float, model: str = "historical", hours: int = 6) -> Snapshot:
    ones = np.ones((hours, 1))
    means = mean + np.arange(hours)[:, None]
    form = CountPath(T0, HOUR, ones, means, ones)
    return Snapshot("posts", model, form, {"facts": {"count": int(mean)}}, ())


def release(store: SnapshotStore, mean: float, day: int, **changes: object) -> Release:
    found = store.put(snapshot(mean))
    at = T0 + timedelta(days=day)
    made = Release("d", at, T0, {"posts": {"historical": found}}, {"posts": {"historical": 1.0}},
                   created_at=at)  # fmt: skip
    made = replace(made, **changes)  # type: ignore[arg-type]
    store.release(made)
    return made


@pytest.fixture
def store(tmp_path: Path) -> SnapshotStore:
    return SnapshotStore(tmp_path)


@pytest.fixture
def three(store: SnapshotStore) -> list[Release]:
    return [release(store, 4.0 + day, day) for day in range(3)]


def mean(store: SnapshotStore) -> float:
    now = switching.in_force(store)
    form = store.get(now.models["posts"]["historical"]).form
    assert isinstance(form, CountPath)
    return form.count().mean()


def test_a_release_from_before_these_fields_keeps_its_id() -> None:
    plain = Release("d", T0, T0, {"q": {"m": "0" * 16}}, {"q": {"m": 1.0}})
    assert not {"segments", "refused", "pinned", "change"} & plain.to_json().keys()
    # computed by the code before the fields were there
    assert plain.id == Release.from_json(plain.to_json()).id == "47359d5bbf287a6a"


def test_rollback_puts_back_what_was_before_and_goes_further_the_second_time(
    store: SnapshotStore, three: list[Release]
) -> None:
    first = switching.rollback(store, ANN)
    assert store.current_id() == first.id
    assert first.id not in {one.id for one in three}
    assert mean(store) == 5.0
    assert first.change["action"] == "rollback"
    assert first.change["by"] == "ann"
    assert first.change["release"] == three[1].id
    assert first.change["replaced"] == three[2].id
    switching.rollback(store, ANN)
    assert mean(store) == 4.0
    with pytest.raises(SnapshotError, match="nothing was in force before"):
        switching.rollback(store, ANN)
    assert {one.id for one in three} <= {one.id for one in store.releases()}
    assert [switch.action for switch in store.log()] == ["learn"] * 3 + ["rollback"] * 2
    assert store.log()[-1].reason == "the counts are twice too high"


def test_rollback_to_a_named_release_and_on_from_there(
    store: SnapshotStore, three: list[Release]
) -> None:
    switching.rollback(store, ANN, three[0].id[:8])
    assert mean(store) == 4.0
    release(store, 9.0, 5)
    switching.rollback(store, ANN)
    assert mean(store) == 4.0


def test_a_snapshot_is_promoted_within_the_release(
    store: SnapshotStore, three: list[Release]
) -> None:
    other = store.put(snapshot(50.0, "learned"))
    made = switching.promote(store, other, ANN)
    assert made.models["posts"] == {**three[2].models["posts"], "learned": other}
    assert made.weights["posts"] == {"historical": 0.5, "learned": 0.5}
    back = store.put(snapshot(4.0))
    assert switching.promote(store, back, ANN).weights["posts"] == made.weights["posts"]
    assert mean(store) == 4.0
    with pytest.raises(SnapshotError, match="in force already"):
        switching.promote(store, back, ANN)


def test_what_cannot_serve_is_not_promoted(store: SnapshotStore, three: list[Release]) -> None:
    with pytest.raises(SnapshotError, match="in force already"):
        switching.promote(store, three[2].id, ANN)
    for name in ("12", "zzzz", "ffffffffffffffff"):
        with pytest.raises(SnapshotError, match="names nothing"):
            switching.promote(store, name, ANN)
    (store.root / "models" / three[0].models["posts"]["historical"] / "arrays.npz").unlink()
    with pytest.raises(SnapshotError, match="cannot be read"):
        switching.promote(store, three[0].id, ANN)
    late = replace(snapshot(1.0).form, start=T0 + 9 * HOUR)  # type: ignore[type-var]
    stray = store.put(Snapshot("posts", "x", late, {}))
    with pytest.raises(SnapshotError, match="does not reach"):
        switching.promote(store, stray, ANN)
    assert mean(store) == 6.0


def test_pins_are_kept_until_unpinned(store: SnapshotStore, three: list[Release]) -> None:
    key, target = switching.pin(store, "posts/historical", ANN)
    assert (key, target) == ("posts/historical", three[2].models["posts"]["historical"])
    assert switching.pin(store, "release", ANN) == ("release", three[2].id)
    assert pins.read(store)["release"]["reason"] == ANN.reason
    assert switching.unpin(store, three[2].id) == ["release"]
    with pytest.raises(SnapshotError, match="pinned: posts/historical"):
        switching.unpin(store, "release")
    assert switching.unpin(store, "all") == ["posts/historical"]
    with pytest.raises(SnapshotError, match="promote it first"):
        switching.pin(store, three[0].id, ANN)
    with pytest.raises(SnapshotError, match="pin 'release' or one of posts/historical"):
        switching.pin(store, "likes/learned", ANN)


@pytest.mark.parametrize("content", ["[1]", "{", '{"release": "x"}'])
def test_damaged_pins_are_said_not_lost(store: SnapshotStore, content: str) -> None:
    (store.root / "pins.json").write_text(content)
    with pytest.raises(SnapshotError, match=r"pins\.json"):
        pins.read(store)


def test_a_path_is_carried_to_where_it_still_reaches() -> None:
    whole = snapshot(4.0)
    assert carried(whole, T0) is whole
    rest = carried(whole, T0 + 2 * HOUR)
    assert rest is not None
    assert isinstance(rest.form, CountPath)
    assert (rest.form.start, rest.form.horizon) == (T0 + 2 * HOUR, 4)
    assert rest.form.count().mean() == 6.0
    assert rest.parent == whole.id
    assert rest.provenance["carried"] == {"snapshot": whole.id, "periods": 2}
    assert carried(whole, T0 + 6 * HOUR) is None
    assert carried(whole, T0 - HOUR) is None
    assert carried(whole, T0 + HOUR / 2) is None


def test_a_difference_names_weights_facts_and_forecasts(
    store: SnapshotStore, three: list[Release]
) -> None:
    found = diff(store, three[0], three[2])
    line = found["quantities"]["posts"]["historical"]
    assert line["weight"] == [1.0, 1.0]
    assert line["facts"] == {"count": [4, 6]}
    assert [one["mean"] for one in line["forecast"]] == [4.0, 6.0]
    same = diff(store, three[0], three[0])["quantities"]["posts"]["historical"]
    assert "facts" not in same
    with pytest.raises(SnapshotError, match="two releases or two snapshots"):
        diff(store, three[0], snapshot(1.0))


def test_the_log_survives_a_line_in_pieces(store: SnapshotStore, three: list[Release]) -> None:
    path = store.root / "log.jsonl"
    path.write_text(path.read_text() + '{"release": "half\n[1]\n{"x": 1}\n')
    assert [switch.release for switch in store.log()] == [one.id for one in three]
    assert json.loads(path.read_text().splitlines()[0])["action"] == "learn"


def test_switches_at_once_follow_one_another(store: SnapshotStore, three: list[Release]) -> None:
    names = [three[0].id, three[1].id] * 8
    failed: list[str] = []

    def switch(name: str, number: int) -> None:
        by = By("bob", f"try {number}", T0 + timedelta(seconds=number))
        try:
            switching.promote(store, name, by)
        except SnapshotError as error:
            failed.append(str(error))

    threads = [threading.Thread(target=switch, args=(n, i)) for i, n in enumerate(names)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    switches = store.log()[3:]
    assert len(switches) == 16
    for before, after in zip(store.log()[2:], switches, strict=False):
        assert after.previous == before.release
    assert store.current_id() == switches[-1].release


def test_what_killed_writers_left_is_swept(store: SnapshotStore, three: list[Release]) -> None:
    (store.root / "models" / ".new-x").mkdir()
    (store.root / "releases" / ".new-y").write_text("half")
    assert store.sweep(older=3600) == 0
    assert store.sweep(older=-1) == 2
    assert mean(store) == 6.0


def test_a_damaged_snapshot_is_written_anew(store: SnapshotStore, three: list[Release]) -> None:
    name = three[0].models["posts"]["historical"]
    (store.root / "models" / name / "arrays.npz").write_bytes(b"rubbish")
    assert store.put(snapshot(4.0)) == name
    assert store.get(name).id == name
