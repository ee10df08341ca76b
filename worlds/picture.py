"""Pictures of an answer: fifty equally likely dots, as SVG for pages and as text for terminals."""

from html import escape

import numpy as np

from worlds.answer import Answer

DOTS = 50
BINS = 25
WIDTH, DOT = 520, 20.8
BARS = " ▁▂▃▄▅▆▇█"


def dots(answer: Answer, count: int = DOTS) -> list[float]:
    """Return the values of `count` equally likely dots (quantile dotplot, Fernandes 2018)."""
    levels = (np.arange(count) + 0.5) / count
    return [float(value) for value in answer.outcome.mixture.quantile(levels)]


def svg(answer: Answer) -> str:
    """Return the quantile dotplot; dots that fulfil the threshold are filled."""
    values = np.array(dots(answer))
    low, high = float(values.min()), float(values.max())
    span = (high - low) or 1.0
    column = np.minimum(((values - low) / span * BINS).astype(int), BINS - 1)
    height = int(np.bincount(column).max()) * DOT + 40
    marks, stacked = [], [0] * BINS
    for value, place in zip(values, column, strict=True):
        stacked[place] += 1
        x, y = (place + 0.5) * DOT, height - 24 - (stacked[place] - 0.5) * DOT
        hit = answer.threshold is not None and answer.threshold.holds(float(value))
        fill = "#c2410c" if hit else "#94a3b8"
        marks.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{DOT * 0.42:.1f}" fill="{fill}"/>')
    label = escape(answer.sentence(), quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
        f'width="{WIDTH}" role="img" aria-label="{label}">{"".join(marks)}'
        f'<text x="2" y="{height - 6:.0f}" font-size="13">{low:,.0f}</text>'
        f'<text x="{WIDTH - 2}" y="{height - 6:.0f}" font-size="13" text-anchor="end">'
        f"{high:,.0f} {escape(answer.question.unit)}</text></svg>"
    )


def bars(answer: Answer, width: int = 60) -> tuple[str, float, float]:
    """Return a line of block characters for the density between the 0.5% and 99.5% quantiles."""
    low, high = answer.outcome.mixture.quantile([0.005, 0.995]).tolist()
    edges = np.linspace(low - 0.5, high + 0.5, width + 1)
    mass = np.diff(answer.outcome.cdf(edges))
    top = float(mass.max()) or 1.0
    steps = np.ceil(np.clip(mass, 0, None) / top * (len(BARS) - 1)).astype(int)
    return "".join(BARS[step] for step in steps), low, high
