"""Processor time to import the application, against importing what it stands on.

Fresh processes, alternating, medians: `import api.app` should cost at most twice
`import litestar, duckdb, numpy`.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

BOUND = 2.0
HERE = Path(__file__).parents[1]
OURS = "import api.app"
BASE = "import litestar, duckdb, numpy"
HELP = "from api.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass"
EMPTY = "pass"
TIMED = "{code}\nimport resource, sys\nu = resource.getrusage(resource.RUSAGE_SELF)\n"
REPORT = "print(u.ru_utime + u.ru_stime, file=sys.stderr)"


def seconds(code: str) -> float:
    """Return the processor seconds of a fresh process that runs the code."""
    done = subprocess.run(
        [sys.executable, "-c", TIMED.format(code=code) + REPORT],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stderr.split()[-1])


def main(quick: bool) -> dict[str, Any]:
    """Measure; return the figures with their bounds."""
    codes = {"api.app": OURS, "base": BASE, "worlds --help": HELP, "python": EMPTY}
    for code in codes.values():
        seconds(code)
    times: dict[str, list[float]] = {name: [] for name in codes}
    for _ in range(5 if quick else 15):
        for name, code in codes.items():
            times[name].append(seconds(code))
    medians = {name: statistics.median(found) for name, found in times.items()}
    ratio = medians["api.app"] / medians["base"]
    return {
        "name": "import",
        "cpu_seconds": medians,
        "bounds": [
            {
                "what": "CPU of import api.app / import litestar, duckdb, numpy",
                "value": ratio,
                "bound": BOUND,
                "passed": ratio <= BOUND,
            }
        ],
    }


if __name__ == "__main__":
    print(json.dumps(main("--quick" in sys.argv), indent=1))
