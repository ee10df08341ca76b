"""How counts fall around a forecast of their place: learned from forecasts that met their outcome.

Y is a mixture of negative binomials around mu exp(s v_k): v_k is a fixed grid of departures, s
their typical size, and the weights w_k are learned (Kiefer & Wolfowitz 1956,
doi:10.1214/aoms/1177728066, by EM, drawn to a bell curve with wide tails). So the law can be
skewed and heavy-tailed where outcomes are, and remains a mixture whose generating function is
known.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import special

from worlds.core.distributions import (
    Floats,
    negative_binomial_cdf,
    negative_binomial_logpmf,
)

GRID: Floats = np.r_[-12.0, np.linspace(-4.5, 4.5, 19)]
"""Departures in units of their typical size; the first is for zeros that chance cannot explain."""
BELL: Floats = (1 + GRID**2 / 6) ** -3.5 / ((1 + GRID**2 / 6) ** -3.5).sum()
SMOOTH = 0.35
"""Spread of every component in the same units: they overlap, so that the law has no gaps."""
STRENGTH = 30.0
"""Forecasts that the bell curve is worth."""
ROUNDS = 30
ENOUGH = 1500
"""Outcomes beyond which a law is learned from every second, third ..."""
LEAST, MOST = 0.02, 1.2
"""Smallest and largest typical size of the log departure."""
UNKNOWN = 0.6
"""The typical size where nothing has been forecast yet."""
SMALL = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Law:
    """The law of one block of horizons.

    Parameters
    ----------
    scale
        Typical size of the log departure, beyond what chance brings.
    weights
        Array (K,): probabilities of the departures of `GRID`.
    """

    scale: float
    weights: Floats

    @classmethod
    def unknown(cls) -> "Law":
        """Return the law where nothing has been forecast yet."""
        return cls(UNKNOWN, BELL)

    @classmethod
    def fit(cls, y: Floats, place: Floats, weight: Floats, together: int) -> "Law":
        """Return the law of outcomes around forecasts.

        Parameters
        ----------
        y, place, weight
            Arrays (m,): outcomes, forecasts of their place and how much each counts.
        together
            Outcomes of one origin err together: that many count as two.
        """
        if len(y) == 0:
            return cls.unknown()
        thin = slice(None, None, max(len(y) // ENOUGH, 1))
        y, place, weight = y[thin], place[thin], weight[thin] * max(len(y) // ENOUGH, 1)
        place = np.maximum(place, 1e-3)
        size = np.abs(np.log((y + SMALL) / (place + SMALL)))
        order = np.argsort(size)
        upto = np.cumsum(weight[order]) / weight.sum()
        middle = float(size[order][min(int(np.searchsorted(upto, 0.68)), len(size) - 1)])
        chance = float(weight @ (1 / (place + SMALL))) / float(weight.sum())
        scale = np.sqrt(max(middle**2 - 0.9 * chance, 0.04 * middle**2))
        trust = len(y) / (len(y) + 5 * together)
        scale = trust * scale + (1 - trust) * UNKNOWN
        law = cls(float(np.clip(scale, LEAST, MOST)), BELL)
        means, sizes = law.components(place)
        log_prob = negative_binomial_logpmf(y[:, None], means, sizes)
        likely = np.exp(log_prob - log_prob.max(1, keepdims=True))
        worth = weight * min(2 / together, 1.0)
        found = BELL.copy()
        for _ in range(ROUNDS):
            share = likely * found
            share /= share.sum(1, keepdims=True)
            found = (worth @ share + STRENGTH * BELL) / (worth.sum() + STRENGTH)
        return cls(law.scale, found)

    def components(self, place: Floats) -> tuple[Floats, Floats]:
        """Return means (..., K) and sizes of the components around places (...)."""
        size = 1 / (SMOOTH * self.scale) ** 2
        means = np.maximum(place, 1e-3)[..., None] * np.exp(self.scale * GRID)
        return means, np.full(means.shape, size)

    def log_prob(self, y: Floats, place: Floats) -> Floats:
        """Return the log probability of outcomes (...) around places (...)."""
        means, sizes = self.components(place)
        parts = negative_binomial_logpmf(np.asarray(y, float)[..., None], means, sizes)
        return np.asarray(special.logsumexp(parts, b=self.weights, axis=-1))

    def cdf(self, y: Floats, place: Floats) -> Floats:
        """Return P(Y <= y) of (...) around places (...)."""
        means, sizes = self.components(place)
        return np.asarray(
            negative_binomial_cdf(np.asarray(y, float)[..., None], means, sizes) @ self.weights
        )


def blocks(horizon: int) -> list[range]:
    """Return the steps 1 .. horizon in blocks of 1, 1, 2, 4, 8, ...: each has one law."""
    edges = [0, 1]
    while edges[-1] < horizon:
        edges.append(min(2 * edges[-1], horizon))
    return [range(a + 1, b + 1) for a, b in pairwise(edges)]
