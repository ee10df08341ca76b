"""What a model sees of one thing: categories, tags and numbers. One extractor for all."""

from collections.abc import Mapping
from dataclasses import dataclass, field

type Alternatives = tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Features:
    """One thing (a post) as every model sees it.

    Parameters
    ----------
    categories
        Of each category exactly one label is true; with what probability, says every pair
        (label, probability), which sum to 1. A missing category is unknown.
    tags
        Of each group of tags all listed ones hold; unseen ones are allowed.
    numbers
        Finite numbers by name; a missing one is unknown.
    """

    categories: Mapping[str, Alternatives] = field(default_factory=dict)
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """Which features an extractor yields; its version belongs to every snapshot fitted on it."""

    categories: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    version: str = "1"


def to_json(features: Features) -> dict[str, object]:
    """Return the JSON form of features."""
    return {
        "categories": {
            name: [list(pair) for pair in alts] for name, alts in features.categories.items()
        },
        "tags": {name: list(labels) for name, labels in features.tags.items()},
        "numbers": dict(features.numbers),
    }


def from_json(raw: Mapping[str, dict[str, list[list[object]]]]) -> Features:
    """Return features from their JSON form."""
    return Features(
        {
            name: tuple((str(label), float(str(prob))) for label, prob in alts)
            for name, alts in raw["categories"].items()
        },
        {name: tuple(str(label) for label in labels) for name, labels in raw["tags"].items()},
        {name: float(str(value)) for name, value in raw["numbers"].items()},
    )
