"""Real posts about dogs: how many a day, and the likes each has gathered in the end."""

from collections.abc import Mapping
from datetime import timedelta

from worlds.core.features import Alternatives, Features, FeatureSpec
from worlds.core.questions import Amount, Quantity, Question, SumOver
from worlds.domain import Domain, DraftField
from worlds.domains import _reading as read
from worlds.domains._breeds import breed_name

JOKE = 2.0
"""Ratings above this (420/10, 1776/10) are jokes: a category of their own, no number."""

SPEC = FeatureSpec(
    categories=("breed", "photo", "rating", "reply", "stage"),
    tags=("hashtag",),
    numbers=(),
    version="1",
)
"""Chosen by the log score of the 995 posts from month 6 on, each month predicted from all before
by the learned model (gain a post, standard errors 0.001 to 0.014).

Rating 0.055 (as a category; as a number it adds nothing), reply 0.051, photo 0.001; stage and
hashtags nothing (within 0.001): they stay because people ask by them. Breed costs 0.028 with the
negative-binomial model, which follows a few viral posts (a log-normal one gains 0.02 by it); it
stays because questions are asked by breed. Guesses that are no dog count as `other`: keeping their
names costs another 0.016. Hour, weekday, length of the text and whether the dog is named do not
help (0 to -0.003).
"""


def features(row: Mapping[str, object]) -> Features:
    """Return what models see of a post, from a row of facts or a draft. Never raises.

    A post without a word about images, reply, stages or hashtags has none of them; the breed
    and the rating are unknown where left out. A category may also be named outright
    (``stage="pupper"``); an unheard-of label is one never seen.
    """
    breed = read.alternatives(row.get("breed"), breed_name)
    images = read.number(row.get("images"), 0, 10)
    photo = bool(breed) if images is None else images > 0
    derived = {
        "breed": breed,
        "photo": read.certain("photo" if photo else "no_photo"),
        "rating": _rating(row.get("rating")),
        "reply": read.certain("reply" if read.truth(row.get("is_reply")) else "original"),
        "stage": read.certain("_".join(sorted(read.words(row.get("stages")))) or "no_stage"),
    }
    return Features(
        read.settled(row, derived, nameable=("photo", "reply", "stage")),
        {"hashtag": read.words(row.get("hashtags"))},
    )


def _rating(raw: object) -> Alternatives:
    """Return the rating rounded to tenths (12/10 is 1.2), or a joke."""
    value = read.number(raw, 0, 1e6)
    if value is None:
        return ()
    return read.certain("joke" if value > JOKE else f"{value:.1f}")


DOMAIN = Domain(
    name="dogposts",
    title="Posts about dogs",
    text="Original posts of an account that rates dogs, 2015 to 2017, with uncertain breeds.",
    entity="post",
    grain="day",
    quantities=(
        Quantity(
            name="posts",
            unit="posts",
            role="count",
            per="day",
            usual=(1, 25),
            text="Posts in a day.",
        ),
        Quantity(
            name="likes_per_post",
            unit="likes",
            role="size",
            per="post",
            usual=(200, 60_000),
            text="Likes a post has gathered in the end.",
        ),
    ),
    questions=(
        Question(
            name="likes_next_day",
            formula=SumOver("likes_per_post", "posts"),
            unit="likes",
            text="How many likes will the posts of the next day gather in the end?",
            threshold=100_000,
        ),
        Question(
            name="posts_next_day",
            formula=Amount("posts"),
            unit="posts",
            text="How many posts will there be in the next day?",
            threshold=3,
        ),
    ),
    label="likes",
    label_ripens=timedelta(0),
    features=features,
    spec=SPEC,
    draft=(
        DraftField(
            "breed",
            "probabilities",
            "Breeds the photo may show, with probabilities; or one breed",
            {"golden_retriever": 0.6, "labrador_retriever": 0.3, "other": 0.1},
        ),
        DraftField("images", "number", "Number of images", 1),
        DraftField("stages", "texts", "Dog stages: doggo, pupper, puppo, floofer", ["pupper"]),
        DraftField("hashtags", "texts", "Hashtags", ["barkweek"]),
        DraftField("rating", "number", "Rating as a fraction: 12/10 is 1.2", 1.2),
        DraftField("is_reply", "truth", "Whether it replies to another post", False),
    ),
    models={
        "posts": ("historical", "seasonal", "streaming", "learned", "waves"),
        "likes_per_post": ("historical", "recent", "local", "learned", "boosted"),
    },
    shares=("breed", "photo", "stage"),
    mapping="dogposts",
)
