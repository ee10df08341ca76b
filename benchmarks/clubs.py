"""A domain with many segments, for measuring: posts of clubs, each with a level of its own."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import numpy as np

from facts import Event, Exact
from worlds.core.features import Features, FeatureSpec
from worlds.core.questions import Quantity, Question, SumOver
from worlds.domain import Domain

BEGIN = datetime(2026, 10, 5, tzinfo=UTC)
DAYS = 28


def features(row: Mapping[str, object]) -> Features:
    club = row.get("club")
    return Features({"club": ((str(club), 1.0),)} if club else {})


def events(clubs: int, each: int, seed: int) -> Iterator[Event]:
    """Yield posts with their likes a day later; clubs differ in how often and how well."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(16, 1 / 16, clubs)
    club = rng.choice(clubs, clubs * each, p=rate / rate.sum())
    level = rng.normal(3, 0.7, clubs)
    hour = np.sort(rng.uniform(0, 24 * DAYS, clubs * each))
    likes = rng.negative_binomial(2, 2 / (2 + np.exp(level[club])))
    for i, one in enumerate(club):
        at = BEGIN + timedelta(hours=float(hour[i]))
        name = f"post:{i}"
        yield Event("bench", f"{i}", name, {"club": Exact(f"club{one:04d}")}, at)
        late = at + timedelta(hours=3)
        yield Event("bench", f"{i}/likes", name, {"likes": Exact(int(likes[i]))}, late)


DOMAIN = Domain(
    name="clubs",
    title="Clubs",
    text="Posts of many clubs.",
    entity="post",
    grain="hour",
    quantities=(
        Quantity("posts", "posts", "count", "hour", (1, 200)),
        Quantity("likes_per_post", "likes", "size", "post", (1, 150)),
    ),
    questions=(Question("likes_next_hour", SumOver("likes_per_post", "posts"), "likes"),),
    label="likes",
    label_ripens=timedelta(hours=2),
    features=features,
    spec=FeatureSpec(categories=("club",), version="clubs-1"),
    models={"posts": ("historical", "streaming"), "likes_per_post": ("historical",)},
    shares=("club",),
)
