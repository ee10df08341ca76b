"""Snapshots are immutable, checked and published whole or not at all."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from worlds.core.forms import CountPath
from worlds.errors import SnapshotError
from worlds.publish import Release, Snapshot, SnapshotStore

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def snapshot(mean: float = 4.0) -> Snapshot:
    form = CountPath(
        T0, timedelta(hours=1), np.ones((1, 1)), np.full((1, 1), mean), np.ones((1, 1))
    )
    return Snapshot("posts", "historical", form, {"seed": 7}, ({"name": "finite", "passed": True},))


def release(snapshot_id: str, as_of: datetime = T0) -> Release:
    return Release(
        "d", as_of, as_of, {"posts": {"historical": snapshot_id}}, {"posts": {"historical": 1.0}}
    )


def test_a_snapshot_comes_back_as_it_went(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    stored = store.put(snapshot())
    again = store.get(stored)
    assert again.id == stored == snapshot().id
    assert again.provenance == {"seed": 7}
    assert isinstance(again.form, CountPath)
    assert again.form.count().mean() == 4.0


def test_the_address_depends_on_the_content_only() -> None:
    assert snapshot().id == replace(snapshot(), parent="0" * 16).id
    assert snapshot().id != snapshot(4.1).id
    assert snapshot().id != replace(snapshot(), provenance={"seed": 8}).id


def test_putting_twice_writes_once(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.put(snapshot())
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    store.put(snapshot())
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("file", ["manifest.json", "arrays.npz"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_damage_is_noticed(tmp_path: Path, file: str, damage: str) -> None:
    store = SnapshotStore(tmp_path)
    stored = store.put(snapshot())
    path = tmp_path / "models" / stored / file
    content = bytearray(path.read_bytes())
    if damage == "flip":
        place = content.index(b"seed") if file.endswith("json") else len(content) // 3
        content[place] ^= 1
        path.write_bytes(content)
    elif damage == "truncate":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.unlink()
    with pytest.raises(SnapshotError, match=stored):
        store.get(stored)


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "x", "ABCDEF0123456789"])
def test_ids_are_ids_only(tmp_path: Path, name: str) -> None:
    with pytest.raises(SnapshotError, match="not a snapshot id"):
        SnapshotStore(tmp_path).get(name)
    with pytest.raises(SnapshotError, match="not a release id"):
        SnapshotStore(tmp_path).get_release(name)


def test_before_the_first_release_there_is_none(tmp_path: Path) -> None:
    assert SnapshotStore(tmp_path / "nothing").current() is None
    assert SnapshotStore(tmp_path / "nothing").releases() == []


def test_the_current_release_is_the_last_published(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    first = release(store.put(snapshot()))
    second = release(store.put(snapshot(5.0)), T0 + timedelta(days=1))
    store.release(first)
    store.release(second)
    assert store.current() == second
    assert store.as_of(T0 + timedelta(hours=1)) == first
    assert store.as_of(T0 - timedelta(hours=1)) is None


def test_a_release_is_the_same_whenever_it_was_made() -> None:
    assert release("0" * 16).id == replace(release("0" * 16), created_at=T0).id


def test_a_damaged_release_is_refused(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    name = store.release(release(store.put(snapshot())))
    path = tmp_path / "releases" / f"{name}.json"
    raw = json.loads(path.read_text())
    raw["simulated"] = True
    path.write_text(json.dumps(raw))
    with pytest.raises(SnapshotError, match="damaged"):
        store.current()
    path.write_text("{")
    with pytest.raises(SnapshotError, match="cannot be read"):
        store.current()


@pytest.mark.parametrize(
    "weights", [{"historical": 0.9}, {"other": 1.0}, {"historical": -1.0, "x": 2.0}]
)
def test_weights_must_fit_the_models(weights: dict[str, float]) -> None:
    with pytest.raises(SnapshotError, match="do not fit"):
        Release("d", T0, T0, {"posts": {"historical": "0" * 16}}, {"posts": weights})


def test_unknown_forms_are_refused() -> None:
    manifest, arrays = snapshot().parts
    with pytest.raises(SnapshotError, match="unknown form 'crystal_ball'"):
        Snapshot.from_parts({**manifest, "form": "crystal_ball"}, arrays)


def test_no_half_written_folder_is_left(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.put(snapshot())
    assert [p.name for p in (tmp_path / "models").iterdir()] == [snapshot().id]


@pytest.mark.parametrize("content", ["null", "[]", '"x"', "[" * 100_000])
def test_json_of_another_shape_is_damage(tmp_path: Path, content: str) -> None:
    store = SnapshotStore(tmp_path)
    stored = store.put(snapshot())
    name = store.release(release(stored))
    (tmp_path / "models" / stored / "manifest.json").write_text(content)
    with pytest.raises(SnapshotError, match=stored):
        store.get(stored)
    (tmp_path / "releases" / f"{name}.json").write_text(content)
    with pytest.raises(SnapshotError, match=name):
        store.current()
    assert store.releases() == []


def test_a_look_back_does_not_replace_what_is_in_force(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    stored = store.put(snapshot())
    now, then = release(stored, T0 + timedelta(days=9)), release(stored)
    store.release(now)
    store.release(then, current=False)
    assert store.current() == now
    assert store.as_of(T0 + timedelta(days=1)) == then
