import subprocess
import sys

import pytest

HEAVY = ("pymc", "arviz", "nutpie", "pytensor", "matplotlib", "pandas", "numba", "scipy.stats")
CHECK = """
import sys
{code}
heavy = [name for name in {names!r} if name in sys.modules]
sys.exit(", ".join(heavy))
"""


def loaded(code: str, names: tuple[str, ...]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", CHECK.format(code=code, names=names)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr.strip()


@pytest.mark.slowish
def test_serving_leaves_learning_and_its_libraries_out() -> None:
    assert loaded("import api.app, api.server", (*HEAVY, "worlds.learn")) == ""


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["nonsense"]])
def test_the_command_line_starts_light(arguments: list[str]) -> None:
    code = f"""
from api.cli import main
try:
    main({arguments!r})
except SystemExit:
    pass
"""
    heavy = (*HEAVY, "worlds.learn", "litestar", "duckdb", "scipy", "numpy", "pyarrow", "rich")
    found = loaded(code, heavy)
    assert not any(name in found.replace("No such command 'nonsense'", "") for name in heavy)
