"""Groups and periods of an answer in a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from api.cli.show import amount, chance, out, span


def show_parts(content: Mapping[str, Any]) -> None:
    """Print the groups and the periods, where they were asked for."""
    comparison = (content["exceedance"] or {}).get("comparison")
    for name, rows in content.get("details", {}).items():
        if isinstance(rows, list) and rows:
            out.print(listed_table(name, rows))
    if "groups" in content:
        out.print(groups_table(content["groups"], comparison))
    if "periods" in content:
        out.print(periods_table(content["periods"], comparison))


def listed_table(name: str, rows: list[Mapping[str, Any]]) -> Table:
    """Return a table of what a view lists, such as walks."""
    table = Table(title=name.capitalize(), title_justify="left", box=None, pad_edge=False)
    for column in rows[0]:
        table.add_column(column.replace("_", " "))
    for row in rows:
        said = (
            f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()
        )
        table.add_row(*said)
    return table


def groups_table(groups: Mapping[str, Any], comparison: str | None) -> Table:
    """Return a table of the groups."""
    covered = f"{100 * groups['covered']:.0f}% of all"
    table = _table(f"By {groups['by']} ({covered})", groups["by"], comparison)
    together = groups["joint_error_bound"] is not None
    if together:
        table.add_column("P(largest)", justify="right")
    for row in groups["rows"]:
        cells = _cells(row, comparison) + ([chance(row["prob_largest"])] if together else [])
        table.add_row(row["label"], *cells)
    return table


def periods_table(periods: Mapping[str, Any], comparison: str | None) -> Table:
    """Return a table of the periods and of the largest of them."""
    table = _table("Period by period", "from", comparison)
    for row in periods["rows"]:
        table.add_row(row["start"], *_cells(row, comparison))
    if periods["peak"] is not None:
        table.add_row("the largest of them", *_cells(periods["peak"], comparison))
    return table


def _table(title: str, first: str, comparison: str | None) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column(first)
    for name in ("mean", "median", "interval", "99% safe with"):
        table.add_column(name, justify="right")
    if comparison:
        table.add_column(f"P({comparison})", justify="right")
    return table


def _cells(row: Mapping[str, Any], comparison: str | None) -> list[str]:
    widest = max(row["intervals"], key=lambda one: float(one["level"]))
    safe = row["safe"][-1]["value"]
    said = f"{span(widest)} ({100 * widest['level']:g}%)"
    cells = [amount(row["mean"]), amount(row["median"]), said, amount(safe)]
    return [*cells, chance(row["exceedance"]["prob"])] if comparison else cells
