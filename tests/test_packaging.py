"""The wheel holds everything that is needed, and nothing else."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the unpacked wheel."""
    place = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(place), "."],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=300,
    )
    (built,) = place.glob("*.whl")
    zipfile.ZipFile(built).extractall(place / "unpacked")
    return place / "unpacked"


@pytest.mark.slowish
def test_the_wheel_answers_away_from_the_project(wheel: Path, tmp_path: Path) -> None:
    program = (
        "import json, sys; sys.argv = ['worlds', 'ask', '--json'];"
        "import facts, worlds, api.cli;"
        "print(json.dumps([facts.__file__, worlds.__file__, api.__file__]));"
        "api.cli.main()"
    )
    found = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env={**os.environ, "PYTHONPATH": str(wheel)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert found.returncode == 0, found.stderr
    places, answer = found.stdout.split("\n", 1)
    assert all(place.startswith(str(wheel)) for place in json.loads(places))
    assert json.loads(answer)["degraded"] == "no release has been published yet"


@pytest.mark.slowish
def test_the_wheel_carries_types_licence_mappings_and_assets(wheel: Path) -> None:
    names = {str(path.relative_to(wheel)) for path in wheel.rglob("*") if path.is_file()}
    for needed in (
        "facts/py.typed",
        "worlds/py.typed",
        "api/py.typed",
        "facts/mappings/dogposts.toml",
    ):
        assert needed in names
    assert any(name.startswith("api/static/") and name.endswith(".js") for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [
        name for name in names if name.split("/")[0] in {"tests", "benchmarks", "notebooks"}
    ]
