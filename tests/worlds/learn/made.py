"""Histories made up for tests, with a known truth."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from worlds.core.features import Features, FeatureSpec
from worlds.core.questions import Quantity
from worlds.learn.series import Counts, Items, utc64

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
COUNT = Quantity("posts", "posts", "count", "day", (1, 60))
SIZE = Quantity("likes", "likes", "size", "post", (1, 400))
SPEC = FeatureSpec(("breed", "photo"), ("hashtag",), ("length",), "made-1")


def negbin(rng: np.random.Generator, mean: NDArray[np.float64], size: float) -> NDArray[np.float64]:
    return rng.poisson(mean * rng.gamma(size, 1 / size, np.shape(mean))).astype(float)


def counts(y: NDArray[np.float64], step: timedelta = DAY, start: datetime = START) -> Counts:
    shares = {"breed": (("beagle", "pug"), np.outer(y, [0.25, 0.75]))}
    return Counts(COUNT, start, step, np.asarray(y, float), shares)


def weekly(rng: np.random.Generator, days: int, level: float = 10.0, drift: float = 0.0) -> Counts:
    """Days with a busy weekend, NB noise of size 8 and a level that walks."""
    walk = np.cumsum(rng.normal(0, drift, days)) if drift else np.zeros(days)
    weekend = np.where(np.arange(days) % 7 >= 5, 1.6, 0.8)
    return counts(negbin(rng, level * weekend * np.exp(walk), 8.0))


@dataclass(frozen=True)
class Truth:
    """The effects behind made items."""

    breeds: dict[str, float]
    tags: dict[str, float]
    length: float
    level: NDArray[np.float64]
    size: float
    mean: NDArray[np.float64]


BREEDS = {"beagle": -0.3, "komondor": -0.6, "pug": 0.5, "samoyed": 0.7, "whippet": 0.0}
TAGS = {"puppy": 0.6, "rain": -0.4}


def items(
    rng: np.random.Generator, n: int, size: float = 2.0, walk: float = 0.02, sure: bool = False
) -> tuple[Items, Truth]:
    """Items ten a day, whose classifier is calibrated: the true breed is drawn from its word."""
    names = list(BREEDS)
    confidence = np.ones(n) if sure else rng.uniform(0.4, 1.0, n)
    first, step = rng.integers(len(names), size=n), rng.integers(1, len(names), n)
    second = (first + step) % len(names)
    true = np.where(rng.uniform(size=n) < confidence, first, second)
    tagged = rng.uniform(size=(n, 2)) < 0.3
    length = rng.gamma(4.0, 20.0, n)
    level = 3.5 + np.cumsum(rng.normal(0, walk, n))
    mean = np.exp(
        level
        + np.array(list(BREEDS.values()))[true]
        + tagged @ np.array(list(TAGS.values()))
        + 0.2 * (length - 80) / 40
    )
    made = [
        Features(
            {
                "breed": tuple(
                    (names[k], float(p))
                    for k, p in ((first[i], confidence[i]), (second[i], 1 - confidence[i]))
                    if p > 0
                ),
                "photo": (("photo", 1.0),),
            },
            {"hashtag": tuple(t for t, on in zip(TAGS, tagged[i], strict=True) if on)},
            {"length": float(length[i])},
        )
        for i in range(n)
    ]
    at = utc64(START) + (np.arange(n) * 8640).astype("timedelta64[s]")
    found = Items(SIZE, made, at.astype("datetime64[us]"), negbin(rng, mean, size), at)
    return found, Truth(BREEDS, TAGS, 0.2, level, size, mean)
