"""Lazy questions for notebooks and programs: a plan that runs when a number is asked for.

>>> from worlds import open_worlds                                    # doctest: +SKIP
>>> likes = open_worlds("var/sniffable").ask("likes_next_hour")       # doctest: +SKIP
>>> likes.do(pupdates={"times": 2}).prob("> 1000")                    # doctest: +SKIP
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from facts import Store
from worlds.adhoc import NAME, Adhoc
from worlds.answer import Answer
from worlds.ask import PATIENCE, Answerer
from worlds.core.compare import Compared, compare
from worlds.core.decide import Decision
from worlds.core.distributions import Floats
from worlds.core.estimate import Estimate
from worlds.core.explain import ChoiceEffect, Explanation
from worlds.core.formula import check_names
from worlds.core.newsvendor import Provision
from worlds.core.outcome import World
from worlds.core.questions import Comparison
from worlds.domain import Domain, load_domain
from worlds.errors import QuestionError
from worlds.groups import Groups
from worlds.periods import Periods
from worlds.picture import svg
from worlds.prediction import Prediction
from worlds.publish import SnapshotStore
from worlds.ranges import find_ranges
from worlds.scenario_runs import ScenarioComparison, compare_scenarios, run
from worlds.scenarios import Scenario, ScenarioStore
from worlds.tables import (
    Table,
    answer_tables,
    datatree,
    draws_table,
    world_rows,
    worlds_table,
)
from worlds.view import Reading, Source, View
from worlds.viewing import find_view, look
from worlds.why import Why, why


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

    def ask(
        self, question: str, *, error: float | None = None, seconds: float | None = None
    ) -> "Query":
        """Return a plan for a question; nothing runs yet.

        Parameters
        ----------
        question
            Its name.
        error, seconds
            How exact the answer must be, and after how long the best so far will do (see
            `Answerer.ask`).
        """
        view = find_view(self.domain, question)
        options = {"error": error, "seconds": seconds}
        said = {name: value for name, value in options.items() if value is not None}
        if view is not None and said:
            msg = f"{view.name} asks facts, which are counted exactly: leave out error and seconds"
            raise QuestionError(msg)
        return Query(self, question, _options=said)

    def look(
        self, view: str, source: Source, as_of: datetime | None = None, **wanted: Any
    ) -> Answer:
        """Answer a view from facts that somebody has open: ``look("dirty_now", store.reader())``.

        Parameters
        ----------
        view
            Its name.
        source
            Usually ``store.reader()``.
        as_of
            Nothing recorded later is read.
        wanted
            As `worlds.viewing.look` takes it: where, given, threshold, levels.
        """
        found = find_view(self.domain, view)
        if found is None:
            msg = f"{view} asks models, not facts: ask({view!r})"
            raise QuestionError(msg)
        return look(found, Reading(source, as_of), **wanted)

    def query(
        self,
        formula: str,
        *,
        unit: str | None = None,
        error: float = 1e-5,
        seconds: float | None = PATIENCE,
    ) -> "Query":
        """Return a plan for a formula over the quantities of the domain; nothing runs yet.

        ``query("sum(likes_per_pupdate, pupdates) * 0.02", unit="EUR")``. What is wrong with the
        formula is said now, with the place; the options are those of `Answerer.query`.
        """
        check_names(formula, self.domain.units())
        options = {"unit": unit, "error": error, "seconds": seconds}
        return Query(self, "query", _formula=formula, _options=options)

    @property
    def scenarios(self) -> ScenarioStore:
        """The stored scenarios of this domain."""
        return ScenarioStore(self.store.root.parent / "scenarios")

    def compare(
        self,
        question: str | Adhoc,
        scenarios: Sequence[Scenario | str],
        *,
        coupling: str = "same luck",
        over: int = 1,
    ) -> ScenarioComparison:
        """Compare scenarios or their names with the first; a single one with `BASELINE`.

        The question is the name of one, or a formula (`worlds.adhoc.Adhoc`).
        """
        chosen = [self.scenarios.find(one) if isinstance(one, str) else one for one in scenarios]
        answerer = self.answerer()
        asks = question.on(answerer) if isinstance(question, Adhoc) else answerer
        name = NAME if isinstance(question, Adhoc) else question
        return compare_scenarios(asks, name, chosen, coupling=coupling, over=over)

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
    _formula: str | None = None
    _options: Mapping[str, Any] = field(default_factory=dict)
    _conditions: tuple[str, ...] = ()
    _over: int = 1
    _by: str | None = None

    def given(self, *formulas: str, **conditions: object) -> "Query":
        """Condition by Bayes: ``given(pupdates=">= 20")`` or ``"model = learned"``.

        Plans for a formula also take comparisons of formulas:
        ``given("sum(likes_per_pupdate, pupdates) > 500")``.
        """
        if formulas and self._formula is None:
            msg = "named questions are conditioned by quantity, such as given(pupdates='>= 20')"
            raise QuestionError(msg)
        both = (*self._conditions, *formulas)
        return replace(self, _given={**self._given, **conditions}, _conditions=both)

    def do(self, **interventions: object) -> "Query":
        """Intervene, weights unchanged: ``do(pupdates=500)``, ``do(pupdates={"times": 2})``."""
        return replace(self, _do={**self._do, **interventions})

    def where(self, **labels: str) -> "Query":
        """Restrict to things that carry a label: ``where(breed="pug")``."""
        return replace(self, _where={**self._where, **labels})

    def over(self, periods: int) -> "Query":
        """Ask for the total of so many periods; they share one level (joint paths)."""
        return replace(self, _over=periods)

    def by(self, category: str, *labels: str) -> "Query":
        """Answer every label of a category by itself as well: ``by("breed")``.

        ``by("breed", "pug", "beagle")`` names the groups. See `groups`.
        """
        return replace(self, _by=f"{category}={','.join(labels)}" if labels else category)

    def as_of(self, moment: datetime) -> "Query":
        """Answer from what was known at a moment (time zone needed)."""
        return replace(self, _as_of=moment)

    @cached_property
    def answer(self) -> Answer:
        """The whole answer."""
        domain = self.worlds_of.domain
        view = None if self._formula is not None else find_view(domain, self.question)
        if view is not None:
            return self._viewed(view)
        answerer = self.worlds_of.answerer(self._as_of)
        if self._formula is not None:
            return answerer.query(
                self._formula,
                given=self._given,
                do=self._do,
                where=self._where,
                conditions=self._conditions,
                over=self._over,
                by=self._by,
                **self._options,
            )
        if find_ranges(self._do):
            if self._by is not None or self._options:
                msg = (
                    "ranges of interventions are asked of all groups together, as exactly as "
                    "scenarios are: leave out by, error and seconds"
                )
                raise QuestionError(msg)
            return run(answerer, self.question, self.scenario("the query"), over=self._over).answer
        return answerer.ask(
            self.question,
            given=self._given,
            do=self._do,
            where=self._where,
            over=self._over,
            by=self._by,
            **self._options,
        )

    def _viewed(self, view: View) -> Answer:
        """Open the fact file, which nobody else may hold meanwhile, and answer a view."""
        if self._do or self._by is not None or self._over > 1:
            msg = f"{view.name} asks facts, not models: leave out do, by and over"
            raise QuestionError(msg)
        path = self.worlds_of.store.root.parent / "facts.duckdb"
        with Store.open(path, create=False) as store:
            reading = Reading(store.reader(), self._as_of)
            return look(view, reading, where=self._where, given=self._given)

    def groups(self) -> Groups:
        """Return the answer by group, after `by`.

        Raises
        ------
        QuestionError
            If no groups were asked for.
        """
        if self.answer.groups is None:
            msg = "no groups were asked for: by('breed').groups()"
            raise QuestionError(msg)
        return self.answer.groups

    def periods(self) -> Periods:
        """Return every period of the horizon, their joint paths and the largest, after `over`.

        Raises
        ------
        QuestionError
            If only one period was asked for, or they cannot be told apart.
        """
        found = self.answer.periods
        if not isinstance(found, Periods):
            msg = f"there are no periods to tell apart: {found or 'over(6).periods()'}"
            raise QuestionError(msg)
        return found

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

    def hdi(self, level: float = 0.9) -> tuple[Estimate, Estimate]:
        """Return the shortest interval of this probability."""
        return self.answer.outcome.hdi(level)

    def possible(self, comparison: str, least: float = 0.0) -> tuple[bool, Estimate]:
        """Return whether a comparison may hold, and the probability that makes it so."""
        return self.answer.outcome.possible(comparison, least)

    def certain(self, comparison: str, most: float = 0.0) -> tuple[bool, Estimate]:
        """Return whether a comparison holds for sure, and the probability that makes it so."""
        return self.answer.outcome.certain(comparison, most)

    def cdf(self, x: float) -> Estimate:
        """Return P(answer <= x)."""
        return self.answer.outcome.prob(Comparison.parse(x, "<="))

    def exceedance(self, thresholds: Sequence[float]) -> list[tuple[float, Estimate]]:
        """Return for every threshold the probability of lying above it."""
        return self.answer.outcome.exceedance(thresholds)

    def explain(self, threshold: str | float | None = None) -> Explanation:
        """Explain where the width and the probability of a threshold come from."""
        return self.answer.explain(threshold)

    def sensitivity(
        self, threshold: str | float | None = None, *, acts_at: float | None = None
    ) -> tuple[ChoiceEffect, ...]:
        """Return how resolving every choice would move the answer, most moving first."""
        return self.answer.explain(threshold, acts_at=acts_at).effects

    def decide(self, **decision: object) -> Decision | Provision:
        """Choose a capacity.

        ``decide(service_level=0.99)``, ``decide(shortfall_cost=5, over_cost=2)`` or
        ``decide(capacities=[500, 800], unit_cost=1, shortfall_cost=5)``.
        """
        return self.answer.decide(decision)

    def scenario(self, name: str) -> Scenario:
        """Return what this plan assumes as a scenario that can be stored and shared."""
        return Scenario(name, self._given, self._do, self._where)

    def compare(self, other: "Query", coupling: str = "same luck") -> Compared:
        """Compare another plan (B) with this one (A) on common worlds."""
        names = ("this", "other")
        return compare(self.answer.outcome, other.answer.outcome, names=names, coupling=coupling)

    def why(
        self, other: "Query", statistic: str = "mean", threshold: str | float | None = None
    ) -> Why:
        """Return why another plan for the same question (as of, assumptions) differs."""
        mine, theirs = self._asked, other._asked
        if mine != theirs or self._over != other._over:
            msg = f"two answers to one question are needed; got {mine}, {theirs}"
            raise QuestionError(msg)
        first, second = (one.worlds_of.answerer(one._as_of) for one in (self, other))
        both = self.scenario("this"), other.scenario("other")
        return why(
            first, second, mine, both, statistic=statistic, threshold=threshold, over=self._over
        )

    @property
    def _asked(self) -> str | Adhoc:
        if self._formula is None:
            return self.question
        return Adhoc(self._formula, conditions=self._conditions, **self._options)

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Return draws."""
        return self.answer.outcome.sample(rng, size)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield one flat row a world, for a table of any kind."""
        yield from world_rows(self.answer.to_dict())

    def sql(self, select: str, *, draws: int = 10_000, seed: int = 0) -> Table:
        """Answer one SELECT over the worlds beside the facts, which nobody may hold meanwhile.

        Parameters
        ----------
        select
            Over ``worlds``, ``draws``, ``periods`` and ``groups`` (the last two after `over` and
            `by`), and over ``facts`` and its wide tables as known at `as_of`.
        draws, seed
            Number of draws, and what makes them the same again.
        """
        tables = answer_tables(self.answer, np.random.default_rng(seed), draws)
        path = self.worlds_of.store.root.parent / "facts.duckdb"
        with Store.open(path, create=False) as store, store.reader() as reader:
            return reader.sql(select, as_of=self._as_of, tables=tables)

    def to_arrow(self) -> Table:
        """Return one row a world as an Arrow table."""
        return worlds_table(self)

    def draws(self, rng: np.random.Generator, size: int) -> Table:
        """Return draws as an Arrow table: world, its choices, value."""
        return draws_table(self.answer.outcome, rng, size)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Stream one row a world to whatever reads Arrow (DuckDB, polars, pandas, pyarrow)."""
        table: Any = self.to_arrow()
        return table.__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> object:
        """Return the schema of the rows."""
        schema: Any = self.to_arrow().schema
        return schema.__arrow_c_schema__()

    def to_pandas(self) -> Any:
        """Return one row a world as a pandas data frame (extra ``notebooks``)."""
        return self.to_arrow().to_pandas()

    def to_polars(self) -> Any:
        """Return one row a world as a polars data frame (extra ``notebooks``)."""
        import polars as pl

        return pl.from_arrow(self.to_arrow())

    def to_datatree(self, rng: np.random.Generator, *, chains: int = 4, draws: int = 1000) -> Any:
        """Return draws as an ArviZ tree, for its plots (extra ``pymc``)."""
        return datatree(self.answer.outcome, self.question, rng, chains=chains, draws=draws)

    def _repr_html_(self) -> str:
        """Return a picture with its sentence, for notebooks."""
        return (
            f"<figure>{svg(self.answer)}<figcaption>{self.answer.sentence()}</figcaption></figure>"
        )
