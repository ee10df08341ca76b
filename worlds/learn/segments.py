"""Models of a part of the things alone: those with one label, such as ``breed=pug``.

A thing whose label is uncertain counts for a label drawn once by its probabilities, so that counts
are whole and right on average; sizes are learned from things whose most probable label it is. A
segment's models answer ``where breed=pug`` only if they forecast the past of the segment better
than the models of everything did, thinned by the share of the label.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from worlds.core.distributions import Floats
from worlds.domain import Domain
from worlds.errors import FitError, UnknownNameError
from worlds.learn.history import History
from worlds.learn.seeds import stream
from worlds.learn.series import Counts, Items, utc64

LEAST_THINGS = 20
"""Expected things below which a label is no segment of its own under ``--by``."""


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """The things that carry one label."""

    category: str
    label: str

    @property
    def name(self) -> str:
        """How it is called in releases and reports."""
        return f"{self.category}={self.label}"


@dataclass(frozen=True, slots=True)
class Part:
    """What is known of one segment: all that a worker needs, and nothing of the others."""

    segment: Segment
    counts: Counts
    items: Items


def parse(text: str, domain: Domain) -> Segment:
    """Return the segment that ``category=label`` names.

    Raises
    ------
    FitError, UnknownNameError
        If it is no such text, or if answers cannot be restricted to the category.
    """
    category, sign, label = text.partition("=")
    if not sign or not label.strip():
        msg = f"a segment is category=label, such as breed=pug; got {text!r}"
        raise FitError(msg)
    known_category(category, domain)
    found = domain.features({category: label}).categories.get(category)
    return Segment(category, found[0][0] if found else label)


def known_category(category: str, domain: Domain) -> str:
    """Return a category that answers can be restricted to.

    Raises
    ------
    UnknownNameError
        With those that there are.
    """
    if category not in domain.shares:
        raise UnknownNameError("category", category, domain.shares)
    return category


class Parts:
    """Cuts a history into segments, one at a time: memory holds a few, not all.

    Parameters
    ----------
    history
        Of everything.
    seed
        For drawing one label of every thing that has several.
    """

    def __init__(self, history: History, seed: int) -> None:
        self.history = history
        self._seed = seed
        self._drawn: dict[str, Mapping[str, NDArray[np.intp]]] = {}
        self._likely: dict[str, Mapping[str, NDArray[np.intp]]] = {}
        self._expected: dict[str, Mapping[str, float]] = {}

    def by(self, category: str, least: float = LEAST_THINGS) -> list[Segment]:
        """Return the labels with enough things, those with most of them first."""
        self._index(category)
        sizes = self._expected[category]
        names = sorted(sizes, key=lambda label: (-sizes[label], label))
        return [Segment(category, label) for label in names if sizes[label] >= least]

    def part(self, segment: Segment) -> Part:
        """Return what is known of a segment; nothing, if its label was never seen."""
        self._index(segment.category)
        none = np.zeros(0, np.intp)
        drawn = self._drawn[segment.category].get(segment.label, none)
        likely = self._likely[segment.category].get(segment.label, none)
        items = self.history.items
        return Part(segment, self._counts(items.at[drawn], segment), items.take(likely))

    def parts(self, segments: Sequence[Segment]) -> Iterator[Part]:
        """Yield the parts one by one."""
        for segment in segments:
            yield self.part(segment)

    @cached_property
    def _first(self) -> int:
        """Number of the first period of which every thing is at hand."""
        counts, items = self.history.counts, self.history.items
        if len(items) == 0 or counts.y.sum() <= len(items):
            return 0
        return min(int((items.at[0] - utc64(counts.start)) // np.timedelta64(counts.step)) + 1,
                   len(counts))  # fmt: skip

    def _counts(self, begin: NDArray[np.datetime64], segment: Segment) -> Counts:
        whole = self.history.counts
        period = (begin - utc64(whole.start)) // np.timedelta64(whole.step)
        inside = period[(period >= 0) & (period < len(whole))].astype(np.intp)
        y = np.bincount(inside, minlength=len(whole)).astype(float)
        shares = {
            name: (labels, soft * _scale(y, whole.y)[:, None])
            for name, (labels, soft) in whole.shares.items()
            if name != segment.category
        }
        return replace(whole, y=y, shares=shares).after(self._first)

    def _index(self, category: str) -> None:
        """Find the things of every label of a category, in one pass."""
        if category in self._drawn:
            return
        drawn: dict[str, list[int]] = defaultdict(list)
        likely: dict[str, list[int]] = defaultdict(list)
        expected: dict[str, float] = defaultdict(float)
        level = stream(self._seed, "segments", category).random(len(self.history.items))
        for i, item in enumerate(self.history.items.features):
            alternatives = item.categories.get(category, ())
            if not alternatives:
                continue
            for label, prob in alternatives:
                expected[label] += prob
            drawn[_draw(alternatives, float(level[i]))].append(i)
            likely[max(alternatives, key=lambda one: one[1])[0]].append(i)
        self._drawn[category] = {k: np.array(v, np.intp) for k, v in drawn.items()}
        self._likely[category] = {k: np.array(v, np.intp) for k, v in likely.items()}
        self._expected[category] = expected


def _draw(alternatives: Sequence[tuple[str, float]], level: float) -> str:
    """Return the label in whose part of [0, 1) the level falls."""
    for label, prob in alternatives:
        level -= prob
        if level < 0:
            return label
    return alternatives[-1][0]


def _scale(part: Floats, whole: Floats) -> Floats:
    """Return the share of every period that the segment has."""
    return np.asarray(np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0))
