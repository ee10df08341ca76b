"""The first notebook runs from end to end and shows what it promises."""

import importlib.util
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from worlds.core.forms.default import default_count, default_size
from worlds.domain import load_domain
from worlds.publish import Release, Snapshot, SnapshotStore

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "first_worlds.py"
START = datetime(2026, 11, 20, 12, tzinfo=UTC)


def run(**environment: str) -> dict[str, Any]:
    """Run every cell in this process and return what they define."""
    pytest.importorskip("marimo")
    spec = importlib.util.spec_from_file_location("first_worlds", NOTEBOOK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NOTEBOOK_DATA", "WORLDS_VAR", "NOTEBOOK_DAYS"):
            patch.delenv(name, raising=False)
        for name, value in environment.items():
            patch.setenv(name, value)
        _, definitions = module.app.run()
    return dict(definitions)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Two models of pupdates and one of likes, published below a directory."""
    domain = load_domain("sniffable")
    store = SnapshotStore(tmp_path / domain.name / "snapshots")
    count, size = domain.quantity("count"), domain.quantity("size")
    low, high = (default_count(count, START, domain.step) for _ in range(2))
    snapshots = {
        ("pupdates", "historical"): low,
        ("pupdates", "learned"): type(high)(
            high.start, high.step, high.weights, high.means * 1.2, high.sizes
        ),
        ("likes_per_pupdate", "learned"): default_size(size, START),
    }
    models: dict[str, dict[str, str]] = {}
    for (quantity, model), form in snapshots.items():
        provenance = {"extractor": domain.spec.version}
        snapshot_id = store.put(Snapshot(quantity, model, form, provenance))
        models.setdefault(quantity, {})[model] = snapshot_id
    weights = {name: dict.fromkeys(known, 1 / len(known)) for name, known in models.items()}
    store.release(Release("sniffable", START, START, models, weights, simulated=True))
    return tmp_path


@pytest.mark.slowish
def test_it_shows_the_published_example_and_the_worlds_one_by_one(published: Path) -> None:
    found = run(WORLDS_VAR=str(published), NOTEBOOK_DAYS="2")
    assert float(found["above"]) == 0.25
    means = sorted(world.outcome.mean() for world in found["published"].worlds)
    assert means == [149_500, 166_750, 182_000, 203_000]
    assert len(found["query"].worlds()) == 2
    assert sum(row["weight"] for row in found["rows"]) == pytest.approx(1)
    assert found["known"].num_rows > 1000
    assert found["doubled"].mean() == pytest.approx(2 * found["query"].mean())
    assert found["busy"].mean() > found["query"].mean()
    assert found["worlds_figure"].axes[0].get_title().startswith("Each world")
    (collection,) = found["dots_figure"].axes[0].collections
    assert len(collection.get_offsets()) == 50


@pytest.mark.slowish
def test_it_learns_from_simulated_facts(tmp_path: Path) -> None:
    found = run(WORLDS_VAR=str(tmp_path), NOTEBOOK_DAYS="4")
    assert found["release"].simulated
    assert len({world.choices["pupdates"] for world in found["query"].worlds()}) >= 2
    assert len({world.choices["likes_per_pupdate"] for world in found["query"].worlds()}) >= 2
    assert found["query"].mean() > 0
    assert "breed=quokka" in found["strange"].unseen
    assert "planet" in found["strange"].ignored


@pytest.mark.slowish
def test_it_learns_from_the_real_posts_as_a_plain_program(tmp_path: Path, dog_posts: Path) -> None:
    environment = {**os.environ, "WORLDS_VAR": str(tmp_path), "NOTEBOOK_DATA": str(dog_posts)}
    done = subprocess.run(
        [sys.executable, str(NOTEBOOK)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "P(> 200,000 likes) = 25%" in done.stdout
    assert "of 2,175 posts" in done.stdout
    assert "worlds like this one" in done.stdout
    release = SnapshotStore(tmp_path / "dogposts" / "snapshots").current()
    assert release is not None
    assert not release.simulated
