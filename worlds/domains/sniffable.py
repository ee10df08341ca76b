"""Sniffable, a social network for dogs: pupdates per hour and the likes they gather in a day."""

from collections.abc import Mapping
from datetime import timedelta

from worlds.core.features import Features, FeatureSpec
from worlds.core.questions import Amount, Quantity, Question, SumOver
from worlds.domain import Domain, DraftField
from worlds.domains import _reading as read
from worlds.domains._breeds import breed_name
from worlds.domains._places import Box, region

HOME: Box = (50, 54, 3, 8)
"""The home region: the Netherlands and around."""

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

SPEC = FeatureSpec(
    categories=("breed", "hour", "photo", "region", "weekday"),
    tags=("hashtag",),
    numbers=("text_length",),
    version="1",
)


def features(row: Mapping[str, object]) -> Features:
    """Return what models see of a pupdate, from a row of facts or a draft. Never raises.

    A pupdate without a word about a photo has none, unless a breed is stated; breed, place and
    time are unknown where left out. A place is a cell of the home region or abroad. A category
    may also be named outright (``region="abroad"``); an unheard-of label is one never seen.
    """
    breed = read.alternatives(row.get("breed"), breed_name)
    photo = read.truth(row.get("has_photo"))
    photo = bool(breed) if photo is None else photo
    place = read.position(row.get("place"))
    posted = read.moment(row.get("posted_at"))
    derived = {
        "breed": breed,
        "hour": read.certain(f"{posted.hour:02d}" if posted else None),
        "photo": read.certain("photo" if photo else "no_photo"),
        "region": region(place, HOME) if place else (),
        "weekday": read.certain(WEEKDAYS[posted.weekday()] if posted else None),
    }
    return Features(
        read.settled(row, derived, nameable=("hour", "photo", "region", "weekday")),
        {"hashtag": read.words(row.get("hashtags"))},
        read.known({"text_length": read.number(row.get("text_length"), 0, 280)}),
    )


DOMAIN = Domain(
    name="sniffable",
    title="Sniffable",
    text="A social network for dogs. Posts are pupdates; what counts are their likes.",
    entity="post",
    grain="hour",
    quantities=(
        Quantity(
            name="pupdates",
            unit="pupdates",
            role="count",
            per="hour",
            usual=(1, 60),
            text="Pupdates posted in an hour.",
        ),
        Quantity(
            name="likes_per_pupdate",
            unit="likes",
            role="size",
            per="post",
            usual=(1, 150),
            text="Likes a pupdate gathers within 24 hours.",
        ),
    ),
    questions=(
        Question(
            name="likes_next_hour",
            formula=SumOver("likes_per_pupdate", "pupdates"),
            unit="likes",
            text="How many likes will the pupdates of the next hour gather within 24 hours?",
            threshold=1000,
        ),
        Question(
            name="pupdates_next_hour",
            formula=Amount("pupdates"),
            unit="pupdates",
            text="How many pupdates will be posted in the next hour?",
            threshold=40,
        ),
    ),
    label="likes",
    label_ripens=timedelta(hours=24),
    features=features,
    spec=SPEC,
    draft=(
        DraftField(
            "breed",
            "probabilities",
            "Breeds the photo may show, with probabilities; or one breed",
            {"pug": 0.7, "french_bulldog": 0.2, "other": 0.1},
        ),
        DraftField("has_photo", "truth", "Whether there is a photo", True),
        DraftField("hashtags", "texts", "Hashtags", ["adorabull", "zoomies"]),
        DraftField("text_length", "number", "Characters of text", 80),
        DraftField(
            "place",
            "place",
            "Where, with the radius that holds 95% of the error",
            {"lat": 52.37, "lon": 4.9, "radius95_m": 500},
        ),
        DraftField("posted_at", "time", "When it will be posted", "2026-11-20T19:30:00+00:00"),
    ),
    models={
        "pupdates": ("historical", "seasonal", "streaming", "learned", "waves"),
        "likes_per_pupdate": ("historical", "recent", "local", "learned", "boosted"),
    },
    shares=("breed", "region"),
    simulate="worlds.simulators.sniffable:simulate",
)
