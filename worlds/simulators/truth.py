"""The hidden truth of a simulated Sniffable: drawn from a seed, known to tests only.

Pupdates per hour are negative binomial around a profile of hour and weekday times a level that
drifts. Likes within 24 hours are negative binomial around effects of breed, hashtags, hour,
photo and place, a level that drifts, and one viral burst; each like arrives after a delay.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

type Floats = NDArray[np.float64]
type Ints = NDArray[np.int64]

BREEDS: dict[str, tuple[float, float]] = {
    "golden_retriever": (0.16, 0.30),
    "labrador_retriever": (0.15, 0.05),
    "french_bulldog": (0.11, 0.20),
    "pug": (0.10, 0.45),
    "beagle": (0.09, -0.10),
    "pembroke": (0.08, 0.60),
    "chihuahua": (0.08, -0.45),
    "german_shepherd": (0.07, -0.20),
    "pomeranian": (0.06, 0.25),
    "dalmatian": (0.04, -0.05),
    "shih_tzu": (0.03, -0.30),
    "komondor": (0.03, -0.75),
}
"""Breed: share of the pupdates that seem to show it, and its effect on log likes."""

LOOKALIKES: dict[str, str] = {
    "golden_retriever": "labrador_retriever",
    "labrador_retriever": "golden_retriever",
    "french_bulldog": "pug",
    "pug": "french_bulldog",
    "beagle": "dalmatian",
    "pembroke": "chihuahua",
    "chihuahua": "pomeranian",
    "german_shepherd": "pembroke",
    "pomeranian": "shih_tzu",
    "dalmatian": "beagle",
    "shih_tzu": "pomeranian",
    "komondor": "shih_tzu",
}
"""The breed that the classifier confuses with each."""

HASHTAGS: dict[str, tuple[float, float]] = {
    "adorable": (0.16, 0.35),
    "adorabull": (0.06, 0.50),
    "goodboy": (0.18, 0.10),
    "zoomies": (0.10, 0.25),
    "puppy": (0.14, 0.55),
    "walkies": (0.12, -0.05),
    "muddypaws": (0.07, -0.15),
    "bathday": (0.05, -0.30),
}
"""Hashtag: share of the pupdates that carry it, and its effect on log likes."""

CITIES: dict[str, tuple[float, float, float]] = {
    "Amsterdam": (52.37, 4.90, 0.34),
    "Rotterdam": (51.92, 4.48, 0.22),
    "Utrecht": (52.09, 5.12, 0.16),
    "Eindhoven": (51.44, 5.47, 0.11),
    "Groningen": (53.22, 6.57, 0.09),
    "Lisbon": (38.72, -9.14, 0.04),
    "Cape Town": (-33.93, 18.42, 0.04),
}
"""City: latitude, longitude, share of the pupdates. The last two are abroad."""
ABROAD_FROM = 5

WEEKDAYS = np.array([0.92, 0.90, 0.93, 0.96, 1.02, 1.15, 1.12])
HOURS = np.array(
    [
        [0.35, 0.22, 0.15, 0.12, 0.14, 0.28, 0.70, 1.15, 1.30, 1.15, 1.05, 1.08],
        [1.22, 1.15, 1.05, 1.05, 1.18, 1.45, 1.75, 1.90, 1.80, 1.50, 1.05, 0.65],
    ]
).ravel()
"""Profiles of pupdates: Monday first, hour 0 first (UTC)."""

VOLUME_SIZE = 14.0
LIKES_SIZE = 1.7
BASE_LIKES = np.log(17.0)
PHOTO_EFFECT, ABROAD_EFFECT, LENGTH_EFFECT = 0.35, -0.30, 0.10
BURST_HOURS, BURST_FACTOR = 6, 3.0
DELAY_HOURS = 7.0
LOOKS = (1, 6, 24)
"""Hours after posting at which the likes of a pupdate are counted."""


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What really happened, most of which no model may see.

    Arrays of length H (hours) or n (pupdates, in order of posting).

    Parameters
    ----------
    start
        The first hour.
    rate, counts
        Arrays (H,): expected and real pupdates of every hour.
    posted
        Array (n,): hours after `start` (fractions included).
    shown
        Array (n,): index of the breed the classifier names first.
    stated
        Array (n, 3): probability it gives to that breed, its lookalike and any other.
    breed
        Array (n,): index of the true breed; `stated` is right as often as it says.
    tags
        Array (n, T) of booleans.
    photo
        Array (n,) of booleans: without a photo no breed is stated.
    city
        Array (n,): index of the city, -1 where no place is given.
    real_place
        Array (n, 2): true latitude and longitude.
    place
        Array (n, 3): measured latitude, longitude and 95% radius in metres.
    length
        Array (n,): characters of text.
    mean, likes
        Arrays (n,): expected and real likes within 24 hours.
    looks
        Array (n, 3): likes counted after 1, 6 and 24 hours; the last equals `likes`.
    burst
        Hours after `start` between which likes came three times as plentifully.
    """

    start: datetime
    rate: Floats
    counts: Ints
    posted: Floats
    shown: Ints
    stated: Floats
    breed: Ints
    tags: NDArray[np.bool_]
    photo: NDArray[np.bool_]
    city: Ints
    real_place: Floats
    place: Floats
    length: Ints
    mean: Floats
    likes: Ints
    looks: Ints
    burst: tuple[int, int]


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the random stream of a name: a new name moves no other stream's draws."""
    return np.random.default_rng(np.random.SeedSequence([seed, *name.encode()]))


def draw_truth(seed: int, days: int, end: datetime, per_hour: float) -> Truth:
    """Draw what happens in the `days` before `end`.

    Parameters
    ----------
    seed
        Same seed, days, hour of `end` and rate: same truth.
    days
        Length of the past.
    end
        Aware; the past ends at the last full hour before it.
    per_hour
        Pupdates an hour on average over a week.
    """
    last = end.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    start = last - timedelta(days=days)
    hour, weekday = _calendar(start, days * 24)
    rate, counts = _volume(stream(seed, "volume"), hour, weekday, per_hour)
    rng = stream(seed, "times")
    at_hour = np.repeat(np.arange(len(counts)), counts)
    posted = np.sort(at_hour + rng.uniform(0, 1, len(at_hour)))
    n = len(posted)
    photo = stream(seed, "photos").random(n) < 0.9
    shown, stated, breed = _breeds(stream(seed, "breeds"), n)
    tags = stream(seed, "hashtags").random((n, len(HASHTAGS))) < _column(HASHTAGS, 0)
    city, real, place = _places(stream(seed, "places"), n)
    length = np.clip(stream(seed, "texts").gamma(3.0, 25.0, n), 3, 280).astype(np.int64)
    first = int(len(counts) * 0.6)
    burst = (first, first + BURST_HOURS)
    level = _level(stream(seed, "likes level"), len(counts), burst)
    posted_hour = np.floor(posted).astype(int)
    effects = (
        _column(BREEDS, 1)[breed]
        + tags @ _column(HASHTAGS, 1)
        + PHOTO_EFFECT * photo
        + ABROAD_EFFECT * (city >= ABROAD_FROM)
        + LENGTH_EFFECT * (length - 75) / 45
        + 0.22 * np.cos((hour[posted_hour] - 20) * np.pi / 12)
    )
    mean = np.exp(BASE_LIKES + level[posted_hour] + effects)
    likes, looks = _likes(stream(seed, "likes"), mean)
    return Truth(
        start, rate, counts, posted, shown, stated, breed, tags, photo, city, real, place, length,
        mean, likes, looks, burst,
    )  # fmt: skip


def _column(table: dict[str, tuple[float, float]], index: int) -> Floats:
    return np.array([row[index] for row in table.values()])


def _calendar(start: datetime, hours: int) -> tuple[Ints, Ints]:
    clock = start.hour + np.arange(hours)
    return clock % 24, (start.weekday() + clock // 24) % 7


def _volume(
    rng: np.random.Generator, hour: Ints, weekday: Ints, per_hour: float
) -> tuple[Floats, Ints]:
    """Return expected and real pupdates: profile times a level that drifts and returns."""
    level = _autoregression(rng, len(hour), persistence=0.99, sd=0.025)
    profile = HOURS[hour] / HOURS.mean() * WEEKDAYS[weekday] / WEEKDAYS.mean()
    rate = per_hour * profile * np.exp(level)
    counts = rng.poisson(rate * rng.gamma(VOLUME_SIZE, 1 / VOLUME_SIZE, len(rate)))
    return rate, counts


def _autoregression(rng: np.random.Generator, n: int, persistence: float, sd: float) -> Floats:
    shocks = rng.normal(0, sd, n)
    level = np.zeros(n)
    for i in range(1, n):
        level[i] = persistence * level[i - 1] + shocks[i]
    return level


def _breeds(rng: np.random.Generator, n: int) -> tuple[Ints, Floats, Ints]:
    """Return the breed named first, the stated probabilities, and the true breed.

    The truth is drawn from the statement, so the statement is calibrated by construction.
    """
    names = list(BREEDS)
    lookalike = np.array([names.index(LOOKALIKES[name]) for name in names])
    shown = rng.choice(len(names), n, p=_column(BREEDS, 0))
    sure = 0.35 + 0.64 * rng.beta(2.2, 1.1, n)
    second = (1 - sure) * rng.beta(4, 2, n)
    stated = np.round(np.column_stack([sure, second]), 3)
    stated = np.column_stack([stated, 1 - stated.sum(1)])
    case = (rng.random(n)[:, None] > stated.cumsum(1)[:, :2]).sum(1)
    steps = rng.integers(1, len(names), n)
    elsewhere = (shown + steps) % len(names)
    elsewhere = np.where(elsewhere == lookalike[shown], (elsewhere + 1) % len(names), elsewhere)
    elsewhere = np.where(elsewhere == shown, (elsewhere + 1) % len(names), elsewhere)
    breed = np.choose(case, [shown, lookalike[shown], elsewhere])
    return shown, stated, breed


def _places(rng: np.random.Generator, n: int) -> tuple[Ints, Floats, Floats]:
    """Return cities, real places, and measured ones that miss by the radius 5% of the time."""
    table = np.array(list(CITIES.values()))
    city = rng.choice(len(table), n, p=table[:, 2] / table[:, 2].sum())
    radius = np.clip(np.exp(rng.normal(np.log(400), 1.6, n)), 10, 60_000)
    sd = radius / np.sqrt(2 * np.log(20))
    metres = 111_320 * np.column_stack([np.ones(n), np.cos(np.radians(table[city, 0]))])
    real = table[city, :2] + rng.normal(0, 6_000, (n, 2)) / metres
    measured = real + rng.normal(size=(n, 2)) * sd[:, None] / metres
    city = np.where(rng.random(n) < 0.2, -1, city)
    return city, real, np.column_stack([measured, radius])


def _level(rng: np.random.Generator, hours: int, burst: tuple[int, int]) -> Floats:
    """Return the log level of likes per hour: a slow walk, and one viral burst."""
    level: Floats = np.cumsum(rng.normal(0, 0.012, hours))
    level[slice(*burst)] += np.log(BURST_FACTOR)
    level -= level[-1] * 0.5
    return level


def _likes(rng: np.random.Generator, mean: Floats) -> tuple[Ints, Ints]:
    """Return likes within 24 hours and their counts at every look (exponential delays)."""
    likes = rng.poisson(mean * rng.gamma(LIKES_SIZE, 1 / LIKES_SIZE, len(mean)))
    arrived = -np.expm1(-np.array(LOOKS) / DELAY_HOURS)
    arrived = arrived / arrived[-1]
    six = rng.binomial(likes, arrived[1])
    one = rng.binomial(six, arrived[0] / arrived[1])
    return likes, np.column_stack([one, six, likes])
