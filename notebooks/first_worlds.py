"""First worlds: from facts to possible worlds, seen one by one.

    python notebooks/first_worlds.py                                # simulated facts
    python notebooks/first_worlds.py -- --data dog_posts.csv        # the real posts
    marimo edit notebooks/first_worlds.py

``--var DIR`` (or WORLDS_VAR) uses what was already learned below DIR instead of a temporary
directory; ``--data FILE`` (or NOTEBOOK_DATA) names the table of real posts; ``--days N`` (or
NOTEBOOK_DAYS) says how long the simulated past is. Learning takes about a minute.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="First worlds")


@app.cell
def _():
    import json
    import os
    import subprocess
    import sys
    import tempfile
    from datetime import UTC, datetime
    from pathlib import Path

    import marimo as mo
    import matplotlib as mpl
    import numpy as np

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    import facts
    from worlds import open_worlds, possible_worlds
    from worlds.domain import load_domain
    from worlds.picture import dots
    from worlds.simulators import sniffable, write

    return (
        Path,
        UTC,
        datetime,
        dots,
        facts,
        json,
        load_domain,
        mo,
        np,
        open_worlds,
        os,
        plt,
        possible_worlds,
        sniffable,
        subprocess,
        sys,
        tempfile,
        write,
    )


@app.cell
def _(mo):
    mo.md("""
    # First worlds

    In the next hour a historical model expects 6,500 pupdates and 23 likes for each; learned
    models expect 7,250 and 28. Which is right? Nobody knows: there are **four possible
    worlds**. State them, and ask.
    """)
    return


@app.cell
def _(possible_worlds):
    published = possible_worlds(
        counts={"pupdates": {"historical": 6500, "learned": 7250}},
        sizes={"likes_per_pupdate": {"historical": 23, "learned": 28}},
    ).sum("likes_per_pupdate", over="pupdates", unit="likes")
    for _world in published.worlds:
        print(f"{_world.weight:.0%}  {_world.outcome.mean():>9,.0f} likes  {dict(_world.choices)}")
    above = published.prob("> 200000")
    print(f"P(> 200,000 likes) = {float(above):.0%}, {above.method}")
    return


@app.cell
def _(mo):
    mo.md("""
    ## Facts

    Now worlds that are learned instead of stated. Facts first: real posts if there is a
    table of them, otherwise a simulated Sniffable, and every fact says which.
    """)
    return


@app.cell
def _(Path, load_domain, mo, os, tempfile):
    arguments = mo.cli_args()
    table = arguments.get("data") or os.environ.get("NOTEBOOK_DATA")
    table = Path(str(table)) if table and Path(str(table)).is_file() else None
    domain = load_domain("dogposts" if table else "sniffable")
    var = arguments.get("var") or os.environ.get("WORLDS_VAR")
    var = Path(str(var)) if var else Path(tempfile.mkdtemp(prefix="first-worlds-"))
    home = var / domain.name
    home.mkdir(parents=True, exist_ok=True)
    days = int(arguments.get("days") or os.environ.get("NOTEBOOK_DAYS") or 15)
    print(f"{domain.title}: {table.name if table else 'simulated facts'}")
    return days, domain, home, table, var


@app.cell
def _(UTC, datetime, days, domain, facts, home, sniffable, table, write):
    # One process owns the fact file: it is closed again before learning opens it.
    # Seed and end of the simulated past are fixed: everybody sees the same worlds.
    with facts.Store.open(home / "facts.duckdb") as _store:
        if _store.reader().version()[2] == 0:
            if table:
                facts.import_table(_store, table, facts.load_mapping(domain.mapping))
            else:
                write(
                    _store, sniffable.simulate(2026, days, datetime(2026, 11, 20, 12, tzinfo=UTC))
                )
        known = _store.reader().facts()
    print(f"{known.num_rows:,} facts of {len(set(known['entity'].to_pylist())):,} posts")
    known.slice(0, 8).select(["entity", "attribute", "kind", "num", "text", "labels", "probs"])
    return (known,)


@app.cell
def _(mo):
    mo.md("""
    ## Learning

    Competing models are fitted in a process of their own, weighed by how well they forecast
    what came after, checked, and published as snapshots.
    """)
    return


@app.cell
def _(domain, home, known, open_worlds, subprocess, sys, var):
    if known.num_rows and open_worlds(home, domain.name).store.current() is None:
        _done = subprocess.run(
            [sys.executable, "-m", "worlds.learn", "--var", str(var), "--domain", domain.name],
            check=False,
            capture_output=True,
            text=True,
        )
        if _done.returncode:
            raise RuntimeError(_done.stderr[-2000:])
    opened = open_worlds(home, domain.name)
    release = opened.store.current()
    for _quantity, _models in release.weights.items():
        _said = ", ".join(f"{name} {weight:.0%}" for name, weight in _models.items())
        print(f"{_quantity}: {_said}")
    for _quantity, _models in release.declined.items():
        for _name, _reason in _models.items():
            print(f"{_quantity}: {_name} declined: {_reason}")
    return (opened,)


@app.cell
def _(mo):
    mo.md("""
    ## The worlds, one by one

    The main question of the domain: a sum of likes over posts. Every pair of models is a
    world; each has its own distribution and its own probability.
    """)
    return


@app.cell
def _(domain, opened):
    question = domain.questions[0]
    query = opened.ask(question.name)
    rows = list(query.rows())
    for _row in [row for row in rows if row["weight"] >= 0.005]:
        _names = " x ".join(str(_row[quantity.name]) for quantity in domain.quantities)
        print(
            f"{_row['weight']:6.1%}  {_names:<28} median {_row['median']:>10,.0f}"
            f"  90%: {_row['low']:,.0f} to {_row['high']:,.0f}"
        )
    _rest = [row["weight"] for row in rows if row["weight"] < 0.005]
    print(f"{sum(_rest):6.1%}  {len(_rest)} more worlds")
    print(query.answer.sentence())
    return query, question


@app.cell
def _(np, plt, query, question):
    _outcome = query.answer.outcome
    _low, _high = (float(_outcome.quantile(p)) for p in (0.002, 0.995))
    _edges = np.linspace(max(_low - 1, -1), _high + 1, 121)
    worlds_figure, (_left, _right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for _world in query.worlds()[:8]:
        _density = np.diff(_world.outcome.cdf(_edges)) / np.diff(_edges)
        _name = " x ".join(_world.choices.values())
        _left.stairs(_density, _edges, label=f"{_world.weight:.0%} {_name}", alpha=0.8)
    _left.stairs(
        np.diff(_outcome.cdf(_edges)) / np.diff(_edges), _edges, color="black", lw=2, label="all"
    )
    _left.set(xlabel=question.unit, ylabel="density", title="Each world, and their mixture")
    _left.legend(fontsize=8)
    _right.plot(_edges, 1 - _outcome.cdf(_edges), color="black")
    if question.threshold is not None:
        _right.axvline(question.threshold, color="#c2410c", lw=1)
    _right.set(
        xlabel=question.unit,
        ylabel="probability of more",
        ylim=(0, 1),
        title="Exceedance: how likely is more than ...",
    )
    worlds_figure
    return


@app.cell
def _(dots, np, plt, query, question):
    _values = np.array(dots(query.answer))
    _edges = np.linspace(_values.min(), np.nextafter(_values.max(), np.inf) + 1e-9, 24)
    _column = np.clip(np.digitize(_values, _edges) - 1, 0, len(_edges) - 2)
    _stack = [int((_column[:i] == _column[i]).sum()) for i in range(len(_values))]
    _hit = _values > (question.threshold if question.threshold is not None else np.inf)
    dots_figure, _axes = plt.subplots(figsize=(8, 3.4), layout="constrained")
    _axes.scatter(
        (_edges[_column] + _edges[_column + 1]) / 2,
        np.array(_stack) + 0.5,
        s=90,
        c=np.where(_hit, "#c2410c", "#94a3b8"),
    )
    _axes.set(xlabel=question.unit, yticks=[], title=query.answer.sentence())
    _axes.title.set_fontsize(9)
    dots_figure
    return


@app.cell
def _(mo):
    mo.md("""
    ## Given and do

    `do` intervenes and leaves the weights alone; `given` is evidence and moves them. Doubling
    the traffic is not the same as hearing that it is high.
    """)
    return


@app.cell
def _(domain, query, question):
    count = domain.quantity("count")
    doubled = query.do(**{count.name: {"times": 2}})
    # the upper quartile of the count, in whole things
    _high = round(float(query.answer.outcome.quantity(count.name).quantile(0.75)))
    busy = query.given(**{count.name: f">= {_high}"})
    for _label, _plan in {
        "as it is": query,
        f"do {count.name} x 2": doubled,
        f"given {count.name} >= {_high}": busy,
    }.items():
        _from, _to = _plan.interval(0.9)
        print(
            f"{_label:<28} mean {_plan.mean():,.0f} {question.unit}, 90%: {_from:,.0f} to {_to:,.0f}"
        )
    return


@app.cell
def _(mo):
    mo.md("""
    ## One post

    What will a draft bring? What a model has not met makes the answer wider, never an error.
    """)
    return


@app.cell
def _(domain, json, opened):
    draft = {field.name: field.example for field in domain.draft}
    prediction = opened.predict(draft, worlds=True)
    strange = opened.predict({**draft, "breed": "quokka", "planet": "Mars"})
    print(json.dumps(draft))
    for _what, _said in {"the draft": prediction, "a quokka on Mars": strange}.items():
        _ninety = next(entry for entry in _said.intervals if entry.level == 0.9)
        print(
            f"{_what}: median {_said.median:,.0f}, 90%: {_ninety.low:,.0f} to {_ninety.high:,.0f}"
        )
    print(f"never met: {', '.join(strange.unseen)}; not used: {', '.join(strange.ignored)}")
    return


if __name__ == "__main__":
    app.run()
