"""A look back as one SVG picture: calibration, PIT and CRPS by horizon. Text and paths only."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT, EDGE = 300, 220, 42
COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2", "#9d755d", "#72b7b2", "#222222")
LEVELS = ("50", "80", "90", "95")

type Point = tuple[float, float]


def svg(reports: Sequence[Mapping[str, Any]]) -> str:
    """Return the picture of one or several reports of `worlds.learn.lookback`, one a row."""
    row = HEIGHT + 70
    parts = []
    for number, report in enumerate(reports):
        top = 20 + number * row
        names = [n for n, one in report["models"].items() if one.get("forecasts")]
        colour = {n: "#222222" if n == "pool" else COLOURS[i % 6] for i, n in enumerate(names)}
        title = (
            f"{report['quantity']}: {report['origins']} origins, {report['horizon']} periods ahead"
        )
        parts.append(text(EDGE, top, title, "bold"))
        parts.append(_legend(colour, top + 18))
        for place, draw in enumerate((_calibration, _pit, _horizon)):
            left = EDGE + place * (WIDTH + 60)
            parts.append(draw(report, names, colour, left, top + 34))
    width, height = 3 * (WIDTH + 60) + EDGE, 20 + len(reports) * row
    label = "How often intervals held, where outcomes fell, and scores by horizon"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11" role="img" '
        f'aria-label="{label}"><rect width="100%" height="100%" fill="#fff"/>'
        f"{''.join(parts)}</svg>\n"
    )


def text(x: float, y: float, said: str, weight: str = "normal", anchor: str = "start") -> str:
    """Return a line of text."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-weight="{weight}" text-anchor="{anchor}">'
        f"{escape(said)}</text>"
    )


def _legend(colour: Mapping[str, str], y: float) -> str:
    parts, x = [], float(EDGE)
    for name, shade in colour.items():
        parts.append(f'<rect x="{x:.0f}" y="{y - 8:.0f}" width="10" height="8" fill="{shade}"/>')
        parts.append(text(x + 14, y, name))
        x += 24 + 7 * len(name)
    return "".join(parts)


def _frame(left: float, top: float, title: str, ends: tuple[str, str, str, str]) -> str:
    x0, x1, y0, y1 = ends
    bottom = top + HEIGHT - 40
    return (
        f'<rect x="{left}" y="{top}" width="{WIDTH}" height="{HEIGHT - 40}" fill="none" '
        f'stroke="#999"/>{text(left + WIDTH / 2, bottom + 28, title, anchor="middle")}'
        f"{text(left, bottom + 14, x0)}{text(left + WIDTH, bottom + 14, x1, anchor='end')}"
        f"{text(left - 4, bottom, y0, anchor='end')}{text(left - 4, top + 10, y1, anchor='end')}"
    )


def _line(points: Sequence[Point], shade: str, dash: str = "") -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    extra = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<polyline points="{path}" fill="none" stroke="{shade}" stroke-width="2"{extra}/>'


def _calibration(
    report: Mapping[str, Any],
    names: Sequence[str],
    colour: Mapping[str, str],
    left: float,
    top: float,
) -> str:
    tall = HEIGHT - 40

    def place(level: float, share: float) -> Point:
        return left + WIDTH * (level - 0.4) / 0.6, top + tall * (1 - (share - 0.4) / 0.6)

    parts = [_frame(left, top, "interval held / its level", ("40%", "100%", "40%", "100%"))]
    parts.append(_line([place(0.4, 0.4), place(1, 1)], "#999", "4 3"))
    for name in names:
        found = report["models"][name]["coverage"]
        points = [place(float(level) / 100, max(found[level], 0.4)) for level in LEVELS]
        parts.append(_line(points, colour[name]))
    return "".join(parts)


def _pit(
    report: Mapping[str, Any],
    names: Sequence[str],
    colour: Mapping[str, str],
    left: float,
    top: float,
) -> str:
    tall = HEIGHT - 40
    most = max([max(report["models"][name]["pit"]) for name in names] + [0.2])
    ends = ("0", "1", "0", f"{100 * most:.0f}%")
    parts = [_frame(left, top, "where outcomes fell in the forecasts (flat is right)", ends)]
    bins = len(report["models"][names[0]]["pit"]) if names else 10
    even = top + tall * (1 - 1 / bins / most)
    parts.append(_line([(left, even), (left + WIDTH, even)], "#999", "4 3"))
    for name in names:
        points: list[Point] = []
        for i, share in enumerate(report["models"][name]["pit"]):
            y = top + tall * (1 - share / most)
            points += [(left + WIDTH * i / bins, y), (left + WIDTH * (i + 1) / bins, y)]
        parts.append(_line(points, colour[name]))
    return "".join(parts)


def _horizon(
    report: Mapping[str, Any],
    names: Sequence[str],
    colour: Mapping[str, str],
    left: float,
    top: float,
) -> str:
    tall, ahead = HEIGHT - 40, list(report["by_horizon"])
    curves = {
        name: [report["by_horizon"][step].get(name, {}).get("crps") for step in ahead]
        for name in names
    }
    values = [value for curve in curves.values() for value in curve if value is not None]
    most = max([*values, 1e-9]) * 1.1
    ends = (ahead[0] if ahead else "", ahead[-1] if ahead else "", "0", f"{most:.3g}")
    parts = [_frame(left, top, "CRPS by periods ahead (lower is better)", ends)]
    for name, curve in curves.items():
        points = [
            (left + WIDTH * i / max(len(ahead) - 1, 1), top + tall * (1 - value / most))
            for i, value in enumerate(curve)
            if value is not None
        ]
        if len(points) == 1:
            parts.append(
                f'<circle cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="4" '
                f'fill="{colour[name]}"/>'
            )
        elif points:
            parts.append(_line(points, colour[name]))
    return "".join(parts)
