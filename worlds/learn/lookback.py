"""The report of a look back: by model, horizon and group, as JSON and for people."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np

from worlds.learn.measures import Row, difference, summary
from worlds.learn.rolling import POOL, Looked, Plan, spacing
from worlds.learn.seeds import stream

BARS = "▁▂▃▄▅▆▇█"
HORIZONS = (1, 2, 3, 6, 12, 24, 48)


def report(
    looked: Looked, plan: Plan, step: timedelta, compared: Sequence[tuple[str, str]] = ()
) -> dict[str, Any]:
    """Return what a look back says of one quantity."""
    whole = [row for row in looked.rows if row.group is None and row.total is None]
    totals = [row for row in looked.rows if row.total is not None]
    names = sorted({name for row in whole for name in row.scores} - {POOL})
    names = [*names, POOL] if names else []
    block = _block(plan, step)
    models = {name: summary([row.of(name) for row in whole]) for name in names}
    found: dict[str, Any] = {
        "quantity": looked.quantity.name,
        "unit": looked.quantity.unit,
        "origins": len(plan.origins),
        "from": plan.origins[0].isoformat(),
        "to": plan.origins[-1].isoformat(),
        "horizon": plan.horizon,
        "models": models,
        "declined": _declined(looked),
        "weights": dict(looked.origins[-1].weights) if looked.origins else {},
        "by_horizon": {
            str(ahead): {name: summary([row.of(name) for row in part]) for name in names}
            for ahead, part in _horizons(whole, plan.horizon)
        },
    }
    if totals:
        said = {name: summary([row.of(name) for row in totals]) for name in names}
        found["totals"] = {"periods": plan.horizon, "models": said}
    if plan.by is not None:
        found["by"] = {plan.by: _groups(looked.rows, names)}
    pairs = list(compared) or _usual(models)
    rng = stream(plan.seed, "bootstrap", looked.quantity.name)
    found["comparisons"] = [
        one for pair in pairs if (one := difference(whole, *pair, block=block, rng=rng))
    ]
    return found


def _block(plan: Plan, step: timedelta) -> int:
    """Return the origins in a block: a week of them does not fit; those that overlap do."""
    overlap: float = plan.horizon / spacing(plan.origins, step)
    cube_root = round(float(np.cbrt(len(plan.origins))))
    return max(cube_root, int(np.ceil(overlap)), 1)


def _horizons(rows: Sequence[Row], horizon: int) -> list[tuple[int, list[Row]]]:
    """Return the rows of some horizons: up to each, from after the one before."""
    edges = [one for one in HORIZONS if one < horizon] + [horizon]
    found, before = [], 0
    for edge in edges:
        part = [row for row in rows if before < row.step <= edge]
        if part:
            found.append((edge, part))
        before = edge
    return found


def _groups(rows: Sequence[Row], names: Sequence[str]) -> dict[str, Any]:
    labels = sorted({row.group for row in rows if row.group is not None})
    return {
        label: {name: summary([r.of(name) for r in rows if r.group == label]) for name in names}
        for label in labels
    }


def _usual(models: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return the pool against the best single model."""
    made = {n: one["crps"] for n, one in models.items() if n != POOL and one.get("forecasts")}
    return [(POOL, min(made, key=lambda name: made[name]))] if made else []


def _declined(looked: Looked) -> dict[str, str]:
    """Return the last reason of every model that declined, with how often."""
    found: dict[str, list[str]] = {}
    for origin in looked.origins:
        for name, reason in origin.declined.items():
            found.setdefault(name, []).append(reason)
    return {name: f"{reasons[-1]} ({len(reasons)} times)" for name, reasons in found.items()}


def text(found: Mapping[str, Any]) -> str:
    """Return a report for people."""
    rows = [
        f"{found['quantity']}: {found['origins']} origins from {_minute(found['from'])} to "
        f"{_minute(found['to'])}, {found['horizon']} periods ahead",
        f"  {'model':<14}{'forecasts':>9}{'CRPS':>9}{'log':>8}{'pinball':>9}"
        f"{'50%':>6}{'80%':>6}{'90%':>6}{'95%':>6}  PIT 0..1",
    ]
    rows += [line(name, one) for name, one in found["models"].items()]
    rows += [f"  {name} declined: {reason}" for name, reason in found["declined"].items()]
    if "totals" in found:
        rows.append(f"  totals over {found['totals']['periods']} periods")
        rows += [line(name, one) for name, one in found["totals"]["models"].items()]
    rows += _curves(found)
    for by, groups in found.get("by", {}).items():
        rows.append(f"  by {by}: CRPS and 90% coverage of the pool")
        rows += [
            f"    {label:<22}{one[POOL]['forecasts']:>6}{one[POOL]['crps']:>9.3f}"
            f"{_cover(one[POOL], '90'):>6}"
            for label, one in groups.items()
            if one.get(POOL, {}).get("forecasts")
        ]
    rows += [sentence(one) for one in found["comparisons"]]
    return "\n".join(rows)


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")


def line(name: str, one: Mapping[str, Any]) -> str:
    """Return the line of one model."""
    if not one.get("forecasts"):
        return f"  {name:<14}        0"
    cover = "".join(f"{_cover(one, level):>6}" for level in ("50", "80", "90", "95"))
    return (
        f"  {name:<14}{one['forecasts']:>9}{one['crps']:>9.3f}{one['log_score']:>8.3f}"
        f"{one['pinball']:>9.3f}{cover}  {bars(one['pit'])}"
    )


def _cover(one: Mapping[str, Any], level: str) -> str:
    return f"{100 * one['coverage'][level]:.0f}%"


def bars(values: Sequence[float]) -> str:
    """Return a row of bars, the tallest for the largest value."""
    top = max([*values, 1e-12])
    return "".join(BARS[min(int(value / top * 7.999), 7)] for value in values)


def _curves(found: Mapping[str, Any]) -> list[str]:
    ahead = list(found["by_horizon"])
    if len(ahead) < 2:
        return []
    rows = [f"  CRPS by horizon (up to {', '.join(ahead)} periods)"]
    for name in found["models"]:
        values = [found["by_horizon"][step].get(name, {}).get("crps") for step in ahead]
        if all(value is not None for value in values):
            shown = " ".join(f"{value:.3g}" for value in values)
            rows.append(f"  {name:<14}{bars(values)}  {shown}")
    return rows


def sentence(one: Mapping[str, Any]) -> str:
    """Return a comparison in words."""
    gap = one["crps"]
    better, worse, sign = one["one"], one["other"], 1.0
    low, high = gap["low"], gap["high"]
    if gap["gain"] < 0:
        better, worse, sign, low, high = worse, better, -1.0, -high, -low
    said = f"{better} is better than {worse}"
    if low <= 0:
        said = f"{better} and {worse} cannot be told apart"
    return (
        f"  {said}: CRPS lower by {sign * gap['gain']:.3g} (95% interval {low:.3g} to "
        f"{high:.3g}; {gap['origins']} origins in blocks of {one['block']})"
    )
