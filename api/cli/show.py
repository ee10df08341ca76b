"""Answers, predictions and models in a terminal."""

from collections.abc import Mapping
from typing import Any, Protocol

from rich.console import Console
from rich.table import Table
from rich.text import Text

from worlds.answer import Answer
from worlds.picture import bars

out = Console(highlight=False)


def amount(value: float) -> str:
    """Return a number as people read it."""
    if 0 < abs(value) < 1:
        return f"{value:.2g}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}".removesuffix(".0")


def chance(value: float | None) -> str:
    """Return a probability in per cent; never 0 or 100 unless it is."""
    if value is None:
        return ""
    if 0 < value < 0.001:
        return "<0.1%"
    return ">99.9%" if 0.999 < value < 1 else f"{100 * value:.1f}%"


def span(interval: Mapping[str, float]) -> str:
    """Return an interval."""
    return f"{amount(interval['low'])} to {amount(interval['high'])}"


def show_answer(answer: Answer, content: Mapping[str, Any]) -> None:
    """Print an answer: every world, the mixture, a picture, how and from what."""
    comparison = (content["exceedance"] or {}).get("comparison")
    out.print()
    out.print(Text(content["text"] or content["question"], style="bold"))
    out.print(header(content))
    out.print(worlds_table(content, comparison))
    out.print(mixture_table(content, comparison))
    line, low, high = bars(answer)
    out.print(f"  {amount(low)} {line} {amount(high)} {content['unit']}")
    out.print(Text(content["sentence"], style="bold"))
    out.print(origin(content))


class Told(Protocol):
    """Whatever has tables for a terminal."""

    def text(self) -> str:
        """Return them."""
        ...


def show_part(title: str, part: Told | None) -> None:
    """Print a part of an answer, if it was asked for."""
    if part is not None:
        out.print()
        out.print(Text(title, style="bold"))
        out.print(Text(part.text()), soft_wrap=True)


def header(content: Mapping[str, Any]) -> str:
    """Return the lines above the worlds: when, as of when, simulated, degraded, assumed."""
    period = content["period"]
    known = content["as_of"] or "nothing learned yet"
    lines = [f"Period {period['start']} to {period['end']}; as of {known}."]
    if content["simulated"]:
        lines.append("The facts are simulated.")
    if content["degraded"]:
        lines.append(f"Degraded: {content['degraded']}.")
    assumed = [
        f"{kind} {name} = {value}"
        for kind, entries in content["assumptions"].items()
        for name, value in entries.items()
    ]
    if assumed:
        lines.append(f"Assumed: {'; '.join(assumed)}.")
    return "\n".join([*lines, *(f"Note: {note}." for note in content["notes"])])


LISTED = 20
"""Worlds shown in a terminal; --json has them all."""


def worlds_table(content: Mapping[str, Any], comparison: str | None) -> Table:
    """Return a table of the worlds."""
    more = len(content["worlds"]) - LISTED
    title = "Possible worlds" + (f" ({more:,} more with --json)" if more > 0 else "")
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    names = list(content["worlds"][0]["choices"])
    for name in names:
        table.add_column(name)
    for name in ("weight", "mean", "90% interval", *([f"P({comparison})"] if comparison else [])):
        table.add_column(name, justify="right")
    for world in content["worlds"][:LISTED]:
        cells = [world["choices"].get(name, "") for name in names]
        cells += [chance(world["weight"]), amount(world["mean"]), span(world["interval"])]
        table.add_row(*cells, *([chance(world["prob"])] if comparison else []))
    return table


def mixture_table(content: Mapping[str, Any], comparison: str | None) -> Table:
    """Return a table of the mixture over the worlds."""
    table = Table(
        title="All worlds together",
        title_justify="left",
        box=None,
        show_header=False,
        pad_edge=False,
    )
    unit = content["unit"]
    table.add_row("mean", f"{amount(content['mean'])} {unit}")
    table.add_row("median", f"{amount(content['median'])} {unit}")
    for interval in content["intervals"]:
        table.add_row(f"{100 * interval['level']:g}% interval", f"{span(interval)} {unit}")
    for shortest in content.get("hdi", []):
        level = f"shortest {100 * shortest['level']:g}% interval"
        table.add_row(level, f"{span(shortest)} {unit}")
    for above in content.get("exceedances", []):
        table.add_row(f"P(> {above['threshold']:g})", chance(above["prob"]))
    for enough in content.get("safe", [])[-1:]:
        table.add_row(f"{100 * enough['level']:g}% safe with", f"{amount(enough['value'])} {unit}")
    if comparison:
        table.add_row(f"P({comparison})", chance(content["exceedance"]["prob"]))
    return table


def origin(content: Mapping[str, Any]) -> str:
    """Return how the numbers were computed, and from which models or facts."""
    if "details" in content:
        facts = content["details"]["facts"]
        return (
            f"Method: {content['method']}; error of a probability at most "
            f"{content['error_bound']:.1g}.\nFrom {facts['count']:,} facts as of "
            f"{content['as_of']}, hash {facts['hash'][:16]}."
        )
    models = ", ".join(
        f"{use['quantity']}/{use['model']} {use['snapshot'] or 'default'}"
        for use in content["models"]
    )
    return (
        f"Method: {content['method']}; error of a probability at most "
        f"{content['error_bound']:.1g}.\nModels (release {content['release']}): {models}."
    )


def show_prediction(content: Mapping[str, Any], label: str) -> None:
    """Print a prediction."""
    unit = content["unit"]
    table = Table(title=f"Predicted {label}", title_justify="left", box=None, show_header=False)
    table.add_row("median", f"{amount(content['median'])} {unit}")
    table.add_row("mean", f"{amount(content['mean'])} {unit}")
    for interval in content["intervals"]:
        table.add_row(f"{100 * interval['level']:g}% interval", f"{span(interval)} {unit}")
    for entry in content["exceedance"]:
        table.add_row(f"P(> {entry['threshold']:g})", chance(entry["prob"]))
    for world in content["worlds"]:
        said = f"median {amount(world['median'])}, 90% {span(world)}"
        table.add_row(f"{world['model']} ({chance(world['weight'])})", said)
    out.print(table)
    for key, text in (
        ("unseen", "Never seen, so the intervals are wider"),
        ("ignored", "Not used in this domain"),
    ):
        if content[key]:
            out.print(f"{text}: {', '.join(content[key])}.")
    if content["degraded"]:
        out.print(f"Degraded: {content['degraded']}.")
    if content["simulated"]:
        out.print("The facts behind the models are simulated.")
    out.print(f"As of {content['as_of']}, release {content['release']}, {content['method']}.")


def show_models(content: Mapping[str, Any]) -> None:
    """Print the models in force."""
    simulated = " (simulated facts)" if content["simulated"] else ""
    out.print(f"Release {content['release']} as of {content['as_of']}{simulated}")
    if change := content["change"]:
        out.print(f"{change['action']} by {change['by']} at {change['at']}: {change['reason']}")
    for quantity, found in content["quantities"].items():
        table = Table(title=f"{quantity} per {found['per']}", title_justify="left", box=None)
        for name in ("model", "weight", "snapshot", "checks"):
            table.add_column(name)
        for model in found["models"]:
            checks = model["checks"]
            passed = sum(bool(check.get("passed")) for check in checks)
            table.add_row(
                model["model"],
                chance(model["weight"]),
                model["snapshot"] or "default belief",
                f"{passed} of {len(checks)} passed" if checks else "",
            )
        out.print(table)
        for model, reason in found["declined"].items():
            out.print(f"  {model} declined: {reason}")
    if content["segments"]:
        out.print(f"Segments with models of their own: {', '.join(content['segments'])}")
    if content["degraded"]:
        out.print(f"Degraded: {content['degraded']}.")
