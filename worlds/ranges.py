"""Interventions over a range ("growth between 1.2 and 2 times"): a prior over it, as nodes.

A smooth dependence on the factor is integrated by the Clenshaw-Curtis rule, whose nodes hold both
ends and all nodes of the rule with half as many steps: refining repeats no work. Whole numbers are
taken as they are, or by equal cells where there are too many.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, get_args

import numpy as np

from worlds.core.distributions import LARGEST, Floats
from worlds.core.questions import shown
from worlds.errors import QuestionError

Prior = Literal["uniform", "log-uniform"]
KINDS = {"times": "times", "between": "fixed"}
MOST_RANGES = 3


@dataclass(frozen=True, slots=True)
class Range:
    """A range of an intervention on one quantity.

    Parameters
    ----------
    quantity
        What is intervened on.
    kind
        ``times``: a factor; ``between``: the value itself.
    low, high
        The ends, both of which are possible.
    prior
        ``uniform`` over the range, or ``log-uniform``.
    """

    quantity: str
    kind: str
    low: float
    high: float
    prior: str = "uniform"

    @property
    def label(self) -> str:
        """How the range is called among the choices of the worlds."""
        return f"{self.quantity} {KINDS[self.kind]}"

    @property
    def whole(self) -> bool:
        """Whether the values are whole numbers."""
        ends = (self.low, self.high)
        return self.kind == "between" and all(x == np.floor(x) for x in ends)

    def intervention(self, value: float) -> object:
        """Return the intervention at one value of the range."""
        return {"times": value} if self.kind == "times" else value

    def nodes(self, count: int) -> list[tuple[float, float]]:
        """Return at most `count` (3, 5, 9, 17, ...) values with their probabilities."""
        if self.whole:
            return self._whole_nodes(count)
        share, w = _clenshaw_curtis(count - 1)
        if self.prior == "log-uniform":
            values = self.low * (self.high / self.low) ** share
        else:
            values = self.low + (self.high - self.low) * share
        return list(zip(values.tolist(), w.tolist(), strict=True))

    def _whole_nodes(self, count: int) -> list[tuple[float, float]]:
        values = np.arange(float(self.low), float(self.high) + 1)
        weights = 1 / values if self.prior == "log-uniform" else np.ones_like(values)
        weights = weights / weights.sum()
        if len(values) > count:
            cell = np.minimum((np.cumsum(weights) * count).astype(int), count - 1)
            mass = np.bincount(cell, weights, count)
            centre = np.bincount(cell, weights * values, count)
            values, weights = np.round(centre[mass > 0] / mass[mass > 0]), mass[mass > 0]
        return list(zip(values.tolist(), weights.tolist(), strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "quantity": self.quantity,
            "kind": self.kind,
            "low": self.low,
            "high": self.high,
            "prior": self.prior,
        }


def _clenshaw_curtis(steps: int) -> tuple[Floats, Floats]:
    """Return nodes in [0, 1] and weights that sum to 1 (Trefethen 2008, doi:10.1137/060659831)."""
    angle = np.pi * np.arange(steps + 1) / steps
    k = np.arange(1, steps // 2 + 1)
    factor = np.where(k == steps // 2, 1.0, 2.0) / (4.0 * k**2 - 1)
    weights = (1 - np.cos(2 * np.outer(angle, k)) @ factor) / steps
    weights[[0, -1]] /= 2
    return np.round((1 - np.cos(angle)) / 2, 15), weights / weights.sum()


def find_ranges(do: Mapping[str, object]) -> tuple[Range, ...]:
    """Return the ranges among interventions.

    Raises
    ------
    QuestionError
        If a range has no meaning, or there are more than `MOST_RANGES`.
    """
    found = tuple(_read(name, raw) for name, raw in do.items() if _is_range(raw))
    if len(found) > MOST_RANGES:
        msg = f"at most {MOST_RANGES} ranges at once; got {len(found)}"
        raise QuestionError(msg)
    return found


def _is_range(raw: object) -> bool:
    if not isinstance(raw, Mapping):
        return False
    return "between" in raw or "prior" in raw or isinstance(raw.get("times"), list | tuple)


def _read(name: str, raw: object) -> Range:
    if (
        not isinstance(raw, Mapping)
        or len(set(raw) & set(KINDS)) != 1
        or set(raw)
        - {
            *KINDS,
            "prior",
        }
    ):
        raise QuestionError(_usage(name, raw))
    kind = next(kind for kind in KINDS if kind in raw)
    ends, prior = raw[kind], raw.get("prior", "uniform")
    if not isinstance(ends, list | tuple) or len(ends) != 2 or prior not in get_args(Prior):
        raise QuestionError(_usage(name, raw))
    if not all(isinstance(x, int | float) and not isinstance(x, bool) for x in ends):
        raise QuestionError(_usage(name, raw))
    low, high = ends
    if not 0 <= low < high <= LARGEST or (prior == "log-uniform" and low <= 0):
        raise QuestionError(_usage(name, raw))
    return Range(name, kind, float(low), float(high), str(prior))


def _short(raw: object) -> str:
    """Return what was given; whole numbers of any length shortened."""
    if isinstance(raw, Mapping):
        return f"{{{', '.join(f'{key!r}: {_short(value)}' for key, value in raw.items())}}}"
    if isinstance(raw, list | tuple):
        return f"[{', '.join(map(_short, raw))}]"
    return shown(raw)


def _usage(name: str, raw: object) -> str:
    return (
        f'a range of {name!r} is {{"times": [low, high]}} or {{"between": [low, high]}} with '
        f'0 <= low < high <= {LARGEST:g}, and "prior" "uniform" or "log-uniform" (low > 0); '
        f"got {_short(raw)}"
    )


def grid(ranges: tuple[Range, ...], count: int) -> list[tuple[tuple[float, ...], float]]:
    """Return the points of all ranges together, with their probabilities."""
    axes = [each.nodes(count) for each in ranges]
    return [
        (tuple(value for value, _ in point), float(np.prod([weight for _, weight in point])))
        for point in product(*axes)
    ]


def corners(ranges: tuple[Range, ...]) -> list[tuple[float, ...]]:
    """Return the corners of all ranges together."""
    return list(product(*((each.low, each.high) for each in ranges)))
