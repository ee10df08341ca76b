"""Tables and percentages for terminals. Pure functions that return text."""

from collections.abc import Mapping, Sequence

import numpy as np


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows under headers, first column to the left, the others to the right."""
    cells = [list(map(str, row)) for row in [headers, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headers))]
    lines = ["  ".join(_pad(row, widths)).rstrip() for row in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _pad(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        cell.ljust(width) if i == 0 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def percentages(shares: Sequence[float], digits: int = 1) -> list[str]:
    """Return shares as per cent whose shown digits sum to 100 (largest remainders get the rest).

    Shares that do not sum to 1 keep their own sum.
    """
    scale = 10**digits
    exact = np.asarray(shares, float) * 100 * scale
    whole = np.floor(exact)
    missing = round(float(exact.sum() - whole.sum()))
    whole[np.argsort(whole - exact, kind="stable")[:missing]] += 1
    return [f"{value / scale:.{digits}f}%" for value in whole]


def named(choices: Mapping[str, str]) -> str:
    """Return a world as ``posts=learned, likes=historical``."""
    return ", ".join(f"{name}={option}" for name, option in choices.items()) or "the only world"


def amount(value: float) -> str:
    """Return a number with thousands separated and three digits where it is small."""
    return f"{value:,.0f}" if abs(value) >= 1000 or value == round(value) else f"{value:,.3g}"


def signed(value: float) -> str:
    """Return a change with its sign."""
    return ("+" if value > 0 else "") + amount(value)


def percent(prob: float) -> str:
    """Return a probability as per cent; what is possible never shows as 0 or 100."""
    if 0 < prob < 0.0005:
        return "<0.1%"
    if 0.9995 < prob < 1:
        return ">99.9%"
    return f"{100 * prob:.1f}%"
