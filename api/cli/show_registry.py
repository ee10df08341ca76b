"""Releases, snapshots and their differences in a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from api.cli.show import chance, out


def show_releases(content: Mapping[str, Any]) -> None:
    """Print the list of releases."""
    if not content["releases"]:
        out.print("Nothing has been published yet: worlds learn")
    table = Table(box=None)
    for name in ("", "release", "as of", "published", "how", "left out"):
        table.add_column(name, no_wrap=name in {"release", "as of", "published"}, overflow="fold")
    for one in content["releases"]:
        left = [f"{q}/{model}" for q, found in one["declined"].items() for model in found]
        table.add_row(
            "->" if one["in_force"] else "",
            one["release"],
            _minute(one["as_of"]),
            _minute(one["published"]),
            _how(one),
            ", ".join(left),
        )
    out.print(table)
    for one in content["releases"]:
        for quantity, models in one["refused"].items():
            for model, snapshot in models.items():
                why = one["declined"].get(quantity, {}).get(model, "")
                out.print(f"Refused in {one['release']}: {quantity}/{model} {snapshot}: {why}")
    for name, pin in content["pins"].items():
        out.print(f"Pinned: {name} to {pin['id']} by {pin['by']}: {pin['reason']}")
    for name in content["damaged"]:
        out.print(f"Damaged: releases/{name}.json cannot be read; it is left alone")
    if content["in_all"] > len(content["releases"]):
        out.print(f"{content['in_all']} in all; --limit shows more.")


def _minute(moment: str | None) -> str:
    return moment[:16].replace("T", " ") if moment else ""


def _how(one: Mapping[str, Any]) -> str:
    change = one["change"]
    if change is None:
        if not one["in_force_since"] and not one["in_force"]:
            return "learned, never in force"
        return "learned"
    what = change.get("release") or change.get("snapshot")
    return f"{change['action']} of {what} by {change['by']}: {change['reason']}"


def show_release(content: Mapping[str, Any]) -> None:
    """Print one release."""
    out.print(f"Release {content['id']} of {content['domain']}, as of {content['as_of']}")
    if content.get("change"):
        change = content["change"]
        out.print(f"  {change['action']} by {change['by']} at {change['at']}: {change['reason']}")
    for quantity, models in content["snapshots"].items():
        table = Table(title=quantity, title_justify="left", box=None)
        for name in ("model", "weight", "snapshot", "parent", "facts", "checks"):
            table.add_column(name)
        for model, found in models.items():
            checks = found.get("checks", [])
            passed = sum(bool(check.get("passed")) for check in checks)
            table.add_row(
                model,
                chance(content["weights"][quantity][model]),
                found["snapshot"],
                found.get("parent") or "",
                f"{(found.get('facts') or {}).get('count', '')}",
                found.get("damaged") or f"{passed} of {len(checks)} passed",
            )
        out.print(table)
        for model, reason in content["declined"].get(quantity, {}).items():
            out.print(f"  {model} declined: {reason}")
    for name, quantities in content.get("segments", {}).items():
        used = [quantity for quantity, found in quantities.items() if found.get("in_use")]
        out.print(f"  segment {name}: {', '.join(used) or 'the whole answers'}")


def show_snapshot(content: Mapping[str, Any]) -> None:
    """Print one snapshot."""
    out.print(f"Snapshot {content['snapshot']}: {content['quantity']}/{content['model']}")
    out.print(f"  form {content['form']}, {content['bytes']:,} bytes, parent {content['parent']}")
    for name, value in content["provenance"].items():
        out.print(f"  {name}: {value}")
    table = Table(title="Checks", title_justify="left", box=None)
    for name in ("check", "passed", "value", "bound"):
        table.add_column(name)
    for check in content["checks"]:
        passed = "yes" if check.get("passed") else "NO"
        table.add_row(str(check["name"]), passed, str(check.get("value")), str(check.get("bound")))
    out.print(table)
    for title, name in (("In releases", "releases"), ("Refused in", "refused_in")):
        if content[name]:
            out.print(f"{title} {', '.join(content[name])}")


def show_diff(content: Mapping[str, Any]) -> None:
    """Print what changed."""
    out.print(f"From {content['old']} to {content['new']}")
    if "quantities" not in content:
        _snapshot_diff(content, "  ")
        return
    for name in ("as_of", "until"):
        old, new = content[name]
        out.print(
            f"  {name.replace('_', ' ')}: {old} -> {new}" if old != new else f"  {name}: same"
        )
    for quantity, models in content["quantities"].items():
        out.print(quantity)
        for model, found in models.items():
            weights = " -> ".join(chance(value) or "absent" for value in found["weight"])
            same = found["snapshot"][0] == found["snapshot"][1]
            said = "the same snapshot" if same else _arrow(found["snapshot"])
            out.print(f"  {model}: weight {weights}; {said}")
            if "forecast" in found:
                _snapshot_diff(found, "    ")
            _scores(found["scores"])
            if found.get("declined"):
                out.print(f"    declined: {found['declined']}")
            if found.get("damaged"):
                out.print(f"    {found['damaged']}")
    for what, names in content["segments"].items():
        if names:
            more = f" and {len(names) - 10} more" if len(names) > 10 else ""
            out.print(f"Segments {what}: {', '.join(names[:10])}{more}")


def _arrow(pair: Any) -> str:
    return " -> ".join("none" if one is None else str(one) for one in pair)


def _scores(pair: Any) -> None:
    for name in ("log_score", "crps", "coverage_90"):
        values = [(found or {}).get(name) for found in pair]
        if values[0] != values[1]:
            shown = " -> ".join("none" if one is None else f"{one:.3f}" for one in values)
            out.print(f"    {name.replace('_', ' ')}: {shown}")


def _snapshot_diff(found: Mapping[str, Any], indent: str) -> None:
    for part in ("facts", "provenance", "inference"):
        for name, pair in found[part].items():
            out.print(f"{indent}{name}: {_arrow(pair)}", soft_wrap=True)
    old, new = found["forecast"]
    if old and new:
        shown = ", ".join(f"{name} {old[name]:,.4g} -> {new[name]:,.4g}" for name in old)
        out.print(f"{indent}forecast: {shown}", soft_wrap=True)
    for one in found["parameters"][:3]:
        out.print(
            f"{indent}{one['name']}: {one['old']:g} -> {one['new']:g} ({one['moved_sd']:g} sd)",
            soft_wrap=True,
        )
