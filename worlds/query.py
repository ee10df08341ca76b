"""Lazy questions for notebooks and programs: a plan that runs when a number is asked for.

>>> from worlds import open_worlds                                    # doctest: +SKIP
>>> likes = open_worlds("var/sniffable").ask("likes_next_hour")       # doctest: +SKIP
>>> likes.do(pupdates={"times": 2}).prob("> 1000")                    # doctest: +SKIP
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from worlds.answer import Answer, Prediction
from worlds.ask import Answerer
from worlds.core.distributions import Floats
from worlds.core.estimate import Estimate
from worlds.core.outcome import World
from worlds.domain import Domain, load_domain
from worlds.errors import QuestionError
from worlds.picture import svg
from worlds.publish import SnapshotStore


@dataclass(frozen=True)
class Worlds:
    """The published models of one domain."""

    domain: Domain
    store: SnapshotStore

    def answerer(self, as_of: datetime | None = None) -> Answerer:
        """Return what answers: the release in force, or the newest one known at `as_of`.

        Raises
        ------
        QuestionError
            If `as_of` has no time zone, or nothing had been published for it.
        """
        if as_of is None:
            return Answerer.load(self.domain, self.store, self.store.current())
        if as_of.tzinfo is None:
            msg = f"as_of needs a time zone: write 2026-01-31T12:00:00+00:00, not {as_of}"
            raise QuestionError(msg)
        release = self.store.as_of(as_of)
        if release is None:
            first = min((r.as_of.isoformat() for r in self.store.releases()), default="none")
            msg = f"nothing was published as of {as_of.isoformat()}; the first: {first}"
            raise QuestionError(msg)
        return Answerer.load(self.domain, self.store, release)

    def ask(self, question: str) -> "Query":
        """Return a plan for a question; nothing runs yet."""
        self.domain.question(question)
        return Query(self, question)

    def predict(self, draft: Mapping[str, object], **options: Any) -> Prediction:
        """Predict what one thing brings (see `Answerer.predict`)."""
        return self.answerer().predict(draft, **options)


def open_worlds(path: str | Path, domain: str | None = None) -> Worlds:
    """Open the published models below a directory such as ``var/sniffable``.

    Parameters
    ----------
    path
        The directory of one domain.
    domain
        Name or file of the domain; the name of the directory where left out.
    """
    root = Path(path)
    return Worlds(load_domain(domain or root.name), SnapshotStore(root / "snapshots"))


@dataclass(frozen=True)
class Query:
    """An immutable plan; every change returns another plan, every verb runs it once."""

    worlds_of: Worlds
    question: str
    _given: Mapping[str, object] = field(default_factory=dict)
    _do: Mapping[str, object] = field(default_factory=dict)
    _where: Mapping[str, str] = field(default_factory=dict)
    _as_of: datetime | None = None

    def given(self, **conditions: object) -> "Query":
        """Condition by Bayes: ``given(pupdates=">= 20")`` or ``"model = learned"``."""
        return replace(self, _given={**self._given, **conditions})

    def do(self, **interventions: object) -> "Query":
        """Intervene, weights unchanged: ``do(pupdates=500)``, ``do(pupdates={"times": 2})``."""
        return replace(self, _do={**self._do, **interventions})

    def where(self, **labels: str) -> "Query":
        """Restrict to things that carry a label: ``where(breed="pug")``."""
        return replace(self, _where={**self._where, **labels})

    def as_of(self, moment: datetime) -> "Query":
        """Answer from what was known at a moment (time zone needed)."""
        return replace(self, _as_of=moment)

    @cached_property
    def answer(self) -> Answer:
        """The whole answer."""
        answerer = self.worlds_of.answerer(self._as_of)
        return answerer.ask(self.question, given=self._given, do=self._do, where=self._where)

    def worlds(self) -> tuple[World, ...]:
        """Return the possible worlds, most probable first."""
        return self.answer.outcome.worlds

    def mean(self) -> Estimate:
        """Return the mean."""
        return self.answer.outcome.mean()

    def quantile(self, p: float) -> Estimate:
        """Return the value not exceeded with probability p."""
        return self.answer.outcome.quantile(p)

    def interval(self, level: float = 0.9) -> tuple[Estimate, Estimate]:
        """Return the central interval."""
        return self.answer.outcome.interval(level)

    def prob(self, comparison: str) -> Estimate:
        """Return the probability of a comparison such as ``"> 200000"``."""
        return self.answer.outcome.prob(comparison)

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws."""
        return self.answer.outcome.sample(rng, size)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield one flat row a world, for a table of any kind."""
        for world in self.answer.to_dict()["worlds"]:
            ends = {"low": world["interval"]["low"], "high": world["interval"]["high"]}
            flat = {k: v for k, v in world.items() if k not in {"choices", "interval"}}
            yield {**world["choices"], **flat, **ends}

    def _repr_html_(self) -> str:
        """Return a picture with its sentence, for notebooks."""
        return (
            f"<figure>{svg(self.answer)}<figcaption>{self.answer.sentence()}</figcaption></figure>"
        )
