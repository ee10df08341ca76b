"""Evaluators against sampling: plain NumPy Monte Carlo and DuckDB's random(), in one run.

The canonical question: a number of posts, two models; likes a post, two models; how many likes,
with the 95% quantile and P(> 200,000). Truth comes from adaptive quadrature. Times are CPU times
of one thread, the least of several rounds: what else runs on the machine adds to them.
"""

import json
import math
import subprocess
import sys
import time
import tracemalloc
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import integrate, optimize, special

from worlds.core.compound import Severity, compound
from worlds.core.distributions import CountMixture, Floats, Point
from worlds.core.evaluators.effort import Effort
from worlds.core.evaluators.product import product
from worlds.core.laws import Lognormals, Normals
from worlds.core.model import Choice, Model, Unknown
from worlds.core.outcome import Outcome, World
from worlds.core.shapes import Uniform
from worlds.core.solve import solve

POSTS = {"historical": (6500.0, 325.0), "learned": (7250.0, 290.0)}
LIKES = {"historical": (23.0, 0.08), "learned": (28.0, 0.06)}
LIMIT = 200_000.0
LEVEL = 0.95
SQUIGGLEPY = "squigglepy==0.30"


def best(run: Callable[[], Any], rounds: int) -> float:
    """Return the least CPU time of a call in milliseconds."""
    run()
    times = []
    for _ in range(rounds):
        begin = time.process_time()
        run()
        times.append(time.process_time() - begin)
    return 1e3 * min(times)


def ours() -> tuple[float, float]:
    """Answer the canonical question, from the parameters on."""
    worlds = tuple(
        World(
            {"posts": a, "likes": b},
            0.25,
            product(Normals.of(*posts), Lognormals.of(*likes)) or Normals.of(*posts),
            {},
        )
        for a, posts in POSTS.items()
        for b, likes in LIKES.items()
    )
    outcome = Outcome(worlds, "likes")
    return float(outcome.quantile(LEVEL)), float(outcome.prob(f"> {LIMIT}"))


def truth() -> tuple[float, float]:
    """Return the answer by adaptive quadrature."""

    def above(x: float) -> float:
        total = 0.0
        for mean, sd in POSTS.values():
            for median, sigma in LIKES.values():

                def part(
                    z: float, m: float = mean, s: float = sd, c: float = median, g: float = sigma
                ) -> float:
                    tail = special.ndtr(-(math.log(x / (m + s * z)) - math.log(c)) / g)
                    return float(tail) * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

                for low in range(-9, 9, 3):
                    total += integrate.quad(part, low, low + 3, epsabs=1e-15, epsrel=1e-12)[0] / 4
        return total

    quantile = optimize.brentq(lambda x: above(x) - (1 - LEVEL), 1.5e5, 4e5, xtol=1e-7)
    return float(quantile), above(LIMIT)


def by_numpy(size: int, rng: np.random.Generator) -> tuple[float, float]:
    """Answer by plain Monte Carlo."""
    posts, likes = np.array(list(POSTS.values())), np.array(list(LIKES.values()))
    p, q = posts[rng.integers(0, 2, size)], likes[rng.integers(0, 2, size)]
    n = p[:, 0] + p[:, 1] * rng.standard_normal(size)
    total = n * q[:, 0] * np.exp(q[:, 1] * rng.standard_normal(size))
    return float(np.quantile(total, LEVEL)), float((total > LIMIT).mean())


def by_duckdb(size: int) -> Callable[[], tuple[float, float]]:
    """Return how DuckDB answers with its random()."""
    import duckdb

    con = duckdb.connect(config={"threads": 1})
    normal = "sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random())"
    sql = f"""
        with d as (select random() < 0.5 as a, random() < 0.5 as b, {normal} as z, {normal} as w
                   from range({int(size)})),
             t as (select (if(a, 6500.0, 7250.0) + if(a, 325.0, 290.0) * z)
                        * if(b, 23.0, 28.0) * exp(if(b, 0.08, 0.06) * w) as likes from d)
        select quantile_cont(likes, {LEVEL}), avg((likes > {LIMIT})::double) from t
    """  # noqa: S608 - constants of this file

    def run() -> tuple[float, float]:
        found = con.execute(sql).fetchall()[0]
        return float(found[0]), float(found[1])

    return run


def squigglepy(size: int, rounds: int) -> dict[str, Any] | str:
    """Return time and spread of squigglepy, or why it was not measured.

    It wants other versions of what we use, so that it gets an environment of its own, made once
    in ``.bootstrap/`` with the ordinary pip.
    """
    home = Path(__file__).parents[1] / ".bootstrap" / "squigglepy"
    python = home / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    try:
        if not python.is_file():
            venv.create(home, with_pip=True)
        have = subprocess.run([python, "-c", "import squigglepy"], capture_output=True, check=False)
        if have.returncode:
            install = [python, "-m", "pip", "install", "--quiet", SQUIGGLEPY]
            subprocess.run(install, capture_output=True, check=True, timeout=600)
        script = Path(__file__).with_name("squiggle_run.py")
        done = subprocess.run(
            [python, script, str(size), str(rounds)], capture_output=True, check=True, timeout=600
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"{type(error).__name__}: {error}"
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"[")]
    answers = iter([(quantile, tail) for _, quantile, tail in lines])
    error = spread(lambda: next(answers), truth(), len(lines))
    return {"ms": 1e3 * min(seconds for seconds, _, _ in lines), "error": error}


def spread(run: Callable[[], tuple[float, float]], right: tuple[float, float], n: int) -> float:
    """Return the root mean square relative error of both numbers over repetitions."""
    errors = [
        abs(found / true - 1) for _ in range(n) for found, true in zip(run(), right, strict=True)
    ]
    return float(np.sqrt(np.mean(np.square(errors))))


def canonical(rounds: int) -> dict[str, Any]:
    """Measure the canonical question."""
    rng, right = np.random.default_rng(11), truth()
    mine = best(ours, 100 * rounds)
    error = max(abs(found / true - 1) for found, true in zip(ours(), right, strict=True))
    methods: dict[str, Callable[[], tuple[float, float]]] = {
        "numpy 1e5": lambda: by_numpy(100_000, rng),
        "numpy 1e6": lambda: by_numpy(1_000_000, rng),
        "duckdb random() 1e6": by_duckdb(1_000_000),
    }
    others = {
        name: {"ms": best(run, max(rounds // 3, 2)), "error": spread(run, right, rounds)}
        for name, run in methods.items()
    }
    calculator = squigglepy(1_000_000, max(rounds // 3, 2))
    if isinstance(calculator, dict):
        others["squigglepy 1e6"] = calculator
    missed = calculator if isinstance(calculator, str) else None
    return {"ms": mine, "error": error, "others": others, "squigglepy_not_measured": missed}


def compound_sums(rounds: int) -> dict[str, Any]:
    """Measure sums of a random number of random likes."""
    one = Severity(np.ones(1), (CountMixture.of(23.0, 1.6),))
    count = CountMixture.of(6500.0, 30.0)
    point = best(lambda: compound(count, one).quantile([0.05, 0.5, 0.95]), 20 * rounds)
    rng = np.random.default_rng(0)
    z, w = np.polynomial.hermite_e.hermegauss(7)
    sizes = [
        Severity(
            np.full(8, 1 / 8),
            tuple(
                CountMixture.of(m * f * np.exp(0.5 * rng.standard_normal(8)), r)
                for f in np.exp(0.1 * special.ndtri((np.arange(8) + 0.5) / 8))
            ),
        )
        for m, r in ((23.0, 1.6), (28.0, 2.0))
    ]
    counts = [
        CountMixture.of(m * np.exp(0.2 * z), r, w / w.sum())
        for m, r in ((6500.0, 30.0), (7250.0, 40.0))
    ]
    four = best(lambda: [compound(c, s, 1e-4) for c in counts for s in sizes], 5 * rounds)
    error = max(float(getattr(compound(c, s, 1e-4), "error", 0.0)) for c in counts for s in sizes)
    return {
        "point_ms": point,
        "point_error": float(getattr(compound(count, one), "error", 0.0)),
        "four_worlds_ms": four,
        "four_worlds_error": error,
    }


def many_worlds() -> dict[str, Any]:
    """Measure 2^20 worlds: time, memory, probability listed."""
    n = 20
    choices = [Choice(f"c{i}", {"yes": 0.3 + 0.01 * i, "no": 0.7 - 0.01 * i}) for i in range(n)]
    points = [Unknown(f"f{i}", {"yes": Point(i + 1), "no": Point(0)}, by=f"c{i}") for i in range(n)]
    model = Model.of(*choices, *points)
    formula = (
        "max("
        + ", ".join(f"f{i}" for i in range(n))
        + ") + "
        + " + ".join(f"f{i}" for i in range(n))
    )
    tracemalloc.start()
    outcome = solve(model, formula)
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    seconds = best(lambda: solve(model, formula).quantile(LEVEL), 4) / 1e3
    return {"seconds": seconds, "peak_mb": peak, "covered": 1 - outcome.error}


def general(rounds: int) -> dict[str, Any]:
    """Measure a formula without an exact route: errors of mean and quantile at equal time."""
    model = Model.of(
        Unknown("x", Lognormals.of(10, 0.5)),
        Unknown("y", Lognormals.of(3, 0.4)),
        Unknown("z", Uniform(1, 3)),
    )
    formula = "x * y + max(x, z) * z + y / z"

    def numbers(rng: np.random.Generator, size: int) -> Floats:
        x = 10 * np.exp(0.5 * rng.standard_normal(size))
        y = 3 * np.exp(0.4 * rng.standard_normal(size))
        z = rng.uniform(1, 3, size)
        return np.asarray(x * y + np.maximum(x, z) * z + y / z)

    rng = np.random.default_rng(5)
    right = float(np.mean([numbers(rng, 2_000_000).mean() for _ in range(20)]))
    exact = solve(model, formula, effort=Effort(1e-9, seed=999))
    right = float(exact.mean()) if exact.mean().error < 1e-4 * right else right
    begin = time.process_time()
    found = [solve(model, formula, effort=Effort(1e-3, seed=seed)) for seed in range(rounds)]
    each = (time.process_time() - begin) / rounds
    size = 20_000
    while True:
        begin = time.process_time()
        numbers(rng, size)
        if time.process_time() - begin > each:
            break
        size *= 2
    qmc = float(np.sqrt(np.mean([(float(one.mean()) - right) ** 2 for one in found])))
    plain = float(
        np.sqrt(np.mean([(numbers(rng, size).mean() - right) ** 2 for _ in range(rounds)]))
    )
    return {
        "ms": 1e3 * each,
        "qmc_error": qmc,
        "numpy_error": plain,
        "numpy_size": size,
        "ratio": plain / max(qmc, 1e-300),
    }


def bound(what: str, value: float, limit: float, *, least: bool = False) -> dict[str, Any]:
    """Return one bound with its verdict."""
    passed = value >= limit if least else value <= limit
    return {"what": what, "value": value, "bound": limit, "passed": bool(passed)}


def main(quick: bool) -> dict[str, Any]:
    """Measure; return the figures with their bounds."""
    rounds = 6 if quick else 20
    asked, sums, many, any_formula = (
        canonical(rounds),
        compound_sums(rounds),
        many_worlds(),
        general(rounds),
    )
    plain = asked["others"]["numpy 1e5"]
    return {
        "name": "evaluators",
        "canonical": asked,
        "compound": sums,
        "worlds": many,
        "general": any_formula,
        "bounds": [
            bound("canonical question, ms", asked["ms"], 0.3),
            bound("canonical question, relative error", asked["error"], 1e-6),
            bound(
                "canonical question, times faster than NumPy 1e5",
                plain["ms"] / asked["ms"],
                30,
                least=True,
            ),
            bound(
                "canonical question, times more accurate than NumPy 1e5",
                plain["error"] / max(asked["error"], 1e-300),
                1000,
                least=True,
            ),
            bound("compound sum, point parameters, ms", sums["point_ms"], 1.0),
            bound("compound sum, point parameters, error", sums["point_error"], 1e-6),
            bound(
                "compound sums, four worlds, uncertain parameters, ms", sums["four_worlds_ms"], 10.0
            ),
            bound("compound sums, four worlds, error", sums["four_worlds_error"], 1e-4),
            bound("2^20 worlds, seconds", many["seconds"], 1.0),
            bound("2^20 worlds, peak MB", many["peak_mb"], 500.0),
            bound(
                "2^20 worlds, probability covered",
                many["covered"],
                0.99,
                least=True,
            ),
            bound(
                "general formula, NumPy error / ours at equal time",
                any_formula["ratio"],
                10,
                least=True,
            ),
        ],
    }


if __name__ == "__main__":
    print(json.dumps(main("--quick" in sys.argv), indent=1))
