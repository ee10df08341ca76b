"""A small published domain, made by hand, for tests that need one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from worlds.core.features import Features
from worlds.core.forms import CountPath, LogLinear
from worlds.domain import load_domain
from worlds.publish import Release, Snapshot, SnapshotStore

UNTIL = datetime(2017, 8, 2, tzinfo=UTC)
AS_OF = datetime(2026, 3, 1, 12, tzinfo=UTC)
DOMAIN = load_domain("dogposts")


def count_form(mean: float, size: float) -> CountPath:
    """Return a count with a tenth of its posts showing pugs."""
    shares = {
        "breed": (("pug", "beagle", "other"), np.array([8.0, 12.0, 60.0])),
        "photo": (("photo",), np.array([80.0])),
        "stage": (("no_stage", "pupper"), np.array([70.0, 10.0])),
    }
    ones = np.ones((1, 1))
    return CountPath(UNTIL, timedelta(days=1), ones, ones * mean, ones * size, shares)


def size_form(level: float, size: float) -> LogLinear:
    """Return a size whose log mean is `level`, more for pugs."""
    rng = np.random.default_rng(3)
    draws = rng.normal([level, 0.4], [0.12, 0.2], (256, 2)).T.astype(np.float32)
    posts = tuple(Features({"breed": (("pug", 0.2), ("other", 0.8))}) for _ in range(20))
    groups = {"breed": 0.5, "hashtag": 0.3}
    return LogLinear(
        ("intercept", "breed=pug"), draws, size, groups, ("hashtag",), {}, 0.02, UNTIL, posts
    )


def publish(root: Path, as_of: datetime = AS_OF, level: float = 9.5) -> Release:
    """Publish a release of two models a quantity below `root`."""
    store = SnapshotStore(root)
    forms = {
        "posts": {"historical": count_form(3.0, 6.0), "learned": count_form(2.0, 4.0)},
        "likes_per_post": {"historical": size_form(9.2, 1.1), "learned": size_form(level, 1.7)},
    }
    provenance = {"domain": "dogposts", "extractor": DOMAIN.spec.version}
    models = {
        quantity: {
            model: store.put(Snapshot(quantity, model, form, provenance))
            for model, form in named.items()
        }
        for quantity, named in forms.items()
    }
    weights = {
        "posts": {"historical": 0.35, "learned": 0.65},
        "likes_per_post": {"historical": 0.2, "learned": 0.8},
    }
    release = Release("dogposts", as_of, UNTIL, models, weights)
    store.release(release)
    return release
