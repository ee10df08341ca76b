"""From a release to answers: load its models, build the worlds, say how and from what."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import Any

import numpy as np

from worlds.answer import Answer, ModelUse
from worlds.core.coherent import recalibrated, total_of
from worlds.core.compound import Severity
from worlds.core.distributions import Count, CountMixture
from worlds.core.engine import Belief, Beliefs, evaluate
from worlds.core.evaluators.effort import Effort
from worlds.core.features import Features
from worlds.core.forms import CountForm, CountPath, SizeForm
from worlds.core.forms.default import default_count, default_size
from worlds.core.formula import check_names
from worlds.core.path_total import PathTotal
from worlds.core.questions import Assumptions, Comparison, Expression, Question
from worlds.core.recalibration import Recalibration
from worlds.domain import Domain
from worlds.errors import (
    ModelFaultError,
    QuestionError,
    SnapshotError,
    UnknownNameError,
    WorldsError,
)
from worlds.groups import split
from worlds.periods import periods
from worlds.pool import Pool, Said
from worlds.prediction import Prediction, predicted
from worlds.publish import Release, SnapshotStore
from worlds.segments import SegmentModels
from worlds.splitting import Splitting
from worlds.watch.containment import check, check_content, fault_of, guarded

DEFAULT = "default"
LEVELS = (0.5, 0.8, 0.9, 0.95)
ERROR = 1e-5
"""Error of cumulative probabilities that is good enough where nobody says another."""
PATIENCE = 5.0
"""Seconds after which a formula without an exact route is answered as well as it is known."""
REMEMBERED = 256
"""Most beliefs that an answerer remembers (models times restrictions)."""
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Loaded:
    """One model in memory."""

    weight: float
    form: CountForm | SizeForm
    snapshot: str | None


@dataclass(frozen=True)
class Answerer:
    """Everything needed to answer, immutable: swap the whole object to change anything.

    Parameters
    ----------
    domain
        What may be asked.
    release
        What was published; None before the first.
    models
        Quantity to model to what was loaded. A quantity without any has the `default` model.
    trouble
        Why models are missing: these answers are degraded.
    notes
        What every answer says besides.
    segments
        Models of parts of the things, read when they are asked for.
    on_fault
        Told of every model that is left out because it failed while answering.
    """

    domain: Domain
    release: Release | None
    models: Mapping[str, Mapping[str, Loaded]]
    trouble: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    segments: SegmentModels | None = None
    on_fault: Callable[[ModelFaultError], object] | None = field(default=None, compare=False)

    @classmethod
    def load(cls, domain: Domain, store: SnapshotStore, release: Release | None) -> "Answerer":
        """Read every snapshot of a release; what cannot be used is left out and said.

        The weights of the remaining models of a quantity are scaled to sum to 1; where none
        remains the default belief takes over.
        """
        trouble = [] if release else ["no release has been published yet"]
        models: dict[str, dict[str, Loaded]] = {}
        for quantity in domain.quantities:
            loaded: dict[str, Loaded] = {}
            named = release.models.get(quantity.name, {}) if release else {}
            for model, snapshot_id in named.items():
                try:
                    form = _usable(domain, quantity.role, store, snapshot_id)
                except SnapshotError as error:
                    trouble.append(f"{quantity.name}/{model}: {error}")
                    continue
                weight = release.weights[quantity.name][model] if release else 0.0
                loaded[model] = Loaded(weight, guarded(form), snapshot_id)
            models[quantity.name] = _recalibrated(
                _rescale(loaded), release, quantity.name, trouble
            ) or _defaults(domain, quantity.role, release)
            if release and not _rescale(loaded):
                why = "no usable model" if not loaded else "all weights are zero"
                trouble.append(f"{quantity.name}: {why}; the default belief answers")
        return cls(domain, release, models, tuple(trouble), {}, _segments(domain, store, release))

    def of_segment(self, where: Mapping[str, str]) -> "Answerer":
        """Return what answers under a restriction: a segment's own models, where it has any.

        The models of everything, thinned by the share of the label, answer the quantities (and
        the segments) for which the segment's own were not better on its past.
        """
        found = self.segments.find(where) if self.segments is not None and where else None
        if found is None:
            return self
        own = {
            quantity: {model: Loaded(*one) for model, one in models.items()}
            for quantity, models in found.own.items()
        }
        return replace(
            self,
            models={**self.models, **own},
            trouble=(*self.trouble, *found.trouble),
            notes={"segment": found.note} if found.note else {},
        )

    def prepare(self) -> "Answerer":
        """Compute what would make the first prediction slow; return self."""
        for loaded in self.models[self.domain.quantity("size").name].values():
            if hasattr(loaded.form, "prepare"):
                loaded.form.prepare()
        self._pool.of(Features())
        return self

    def try_out(self) -> list[ModelFaultError]:
        """Let every model predict once, which also makes the first prediction quick.

        Returns
        -------
        list of ModelFaultError
            What is wrong with those that cannot.
        """
        faults = []
        for quantity, models in self.models.items():
            for model, loaded in models.items():
                try:
                    _try_out(loaded.form)
                except Exception as error:  # noqa: BLE001 - a model is anybody's code
                    faults.append(fault_of(quantity, model, error))
        return faults

    @property
    def degraded(self) -> str | None:
        """Why answers come from a fallback, or None."""
        return "; ".join(self.trouble) or None

    @cached_property
    def start(self) -> datetime:
        """Begin of the next period."""
        return self.release.until if self.release else EPOCH

    @property
    def versions(self) -> list[ModelUse]:
        """Which models take part, with weight and snapshot."""
        return [
            ModelUse(quantity, model, loaded.weight, loaded.snapshot)
            for quantity, models in self.models.items()
            for model, loaded in models.items()
        ]

    def ask(
        self,
        name: str,
        *,
        given: Mapping[str, object] | None = None,
        do: Mapping[str, object] | None = None,
        where: Mapping[str, str] | None = None,
        threshold: float | str | None = None,
        levels: Sequence[float] = LEVELS,
        over: int = 1,
        by: str | None = None,
        error: float | None = None,
        seconds: float | None = None,
    ) -> Answer:
        """Answer a question of the domain about the next period, or the next few together.

        Parameters
        ----------
        name
            Name of the question.
        given, do
            Conditions and interventions by quantity (see `worlds.core.questions`).
        where
            Category to label: only things that carry it.
        threshold
            ``200000`` or ``"> 200000"``; the question's own where left out.
        levels
            Levels of the central intervals.
        over
            Number of periods whose total is asked. They share one level (see
            `worlds.core.path_total`); conditions and interventions speak of the total.
        by
            A category whose labels are answered one by one as well, or some labels of it:
            ``breed``, ``breed=pug,beagle`` (see `worlds.groups`).
        error
            The error of cumulative probabilities that is good enough; 1e-5 where left out.
        seconds
            After about so many the best answer so far is returned, with its error; without a
            limit where left out.

        Raises
        ------
        UnknownNameError, QuestionError, ImpossibleError
            What cannot be asked, and what would be right.
        """
        question = self.domain.question(name)
        effort = None
        if error is not None or seconds is not None:
            effort = _effort(seconds, ERROR if error is None else error, over, by)
        return self._answer(question, given, do, where, threshold, levels, over, by, effort)

    def query(
        self,
        formula: str,
        *,
        unit: str | None = None,
        given: Mapping[str, object] | None = None,
        do: Mapping[str, object] | None = None,
        where: Mapping[str, str] | None = None,
        conditions: Sequence[str] = (),
        threshold: float | str | None = None,
        levels: Sequence[float] = LEVELS,
        over: int = 1,
        by: str | None = None,
        error: float = ERROR,
        seconds: float | None = PATIENCE,
    ) -> Answer:
        """Answer a formula over the quantities of the domain about the next period.

        Parameters
        ----------
        formula
            Such as ``sum(likes_per_pupdate, pupdates) * 0.02`` (see `worlds.core.formula`).
        unit
            Unit of the answer; found from those of the quantities where left out.
        given, do, where, threshold, levels, over, by
            As in `ask`.
        conditions
            Comparisons that hold, such as ``"pupdates > 3"``.
        error
            The error of cumulative probabilities that is good enough.
        seconds
            After about so many the best answer so far is returned, with its error.

        Raises
        ------
        FormulaError
            With the place, what is wrong and what would be right.
        UnknownNameError, QuestionError, ImpossibleError
            What cannot be asked, and what would be right.
        """
        effort = _effort(seconds, error, over, by)
        known = self.domain.units()
        for text in (formula, *conditions):
            check_names(text, known)
        expression = Expression(formula, tuple(known.items()), tuple(conditions))
        if not expression.names():
            known_names = ", ".join(sorted(known))
            msg = f"the formula names no quantity of the domain; there are {known_names}"
            raise QuestionError(msg)
        question = Question("query", expression, unit or "", formula)
        return self._answer(question, given, do, where, threshold, levels, over, by, effort)

    def _answer(self, *asked: Any) -> Answer:
        """Answer without the models that fail while they are asked, and say so."""
        try:
            return self._evaluate(*asked)
        except ModelFaultError as fault:
            return self.without(fault)._answer(*asked)

    def _evaluate(
        self,
        question: Question,
        given: Mapping[str, object] | None,
        do: Mapping[str, object] | None,
        where: Mapping[str, str] | None,
        threshold: float | str | None,
        levels: Sequence[float],
        over: int,
        by: str | None = None,
        effort: Effort | None = None,
    ) -> Answer:
        if isinstance(over, bool) or not isinstance(over, int) or over < 1:
            msg = f"over takes a number of periods, 1 or more; got {over!r}"
            raise QuestionError(msg)
        where = self.normalised(where or {})
        assume = Assumptions.parse(question, given, do, where)
        limit = question.threshold if threshold is None else threshold
        compared = None if limit is None else Comparison.parse(limit, ">")
        again = effort.again() if effort else lambda: None
        mine = self.of_segment(where) if by is None else self
        outcome = evaluate(question, mine.beliefs(question, where, over), assume, effort=effort)
        question = replace(question, unit=question.unit or outcome.unit)
        wanted = Splitting(question, assume, over, tuple(levels), compared, again)
        groups = None if by is None else split(self, wanted, by)
        return Answer(
            question=question,
            outcome=outcome,
            threshold=compared,
            levels=tuple(levels),
            start=self.start,
            end=self.start + over * self.domain.step,
            assumptions={"given": dict(given or {}), "do": dict(do or {}), "where": where},
            models=tuple(use for use in mine.versions if use.quantity in question.formula.names()),
            release=self.release,
            degraded=mine.degraded,
            notes=(*self._aged(), *mine.notes.values(), *self._unseen(where), *_joint(over)),
            groups=groups,
            split=partial(periods, mine, wanted) if over > 1 else None,
        )

    def beliefs(self, question: Question, where: Mapping[str, str], over: int = 1) -> Beliefs:
        """Return what every model of the question's quantities believes of the next periods."""
        days = over * (self.domain.step / timedelta(days=1)) / 2
        beliefs: dict[str, dict[str, Belief]] = {}
        for name in question.formula.names():
            beliefs[name] = {}
            for model, loaded in self.models[name].items():
                content = self._content(name, model, where, days, over)
                beliefs[name][model] = Belief(loaded.weight, content)
        return beliefs

    def _content(
        self, name: str, model: str, where: Mapping[str, str], days: float, over: int
    ) -> Count | Severity:
        """Return what one model believes, computed once as long as few restrictions are asked."""
        key = (name, model, tuple(sorted(where.items())), days, over)
        if key not in self._contents:
            form = self.models[name][model].form
            if len(self._contents) >= REMEMBERED:
                self._contents.clear()
            try:
                self._contents[key] = check_content(
                    _total(form, where, over)
                    if isinstance(form, CountForm)
                    else form.severity(where, days)
                )
            except Exception as error:  # a model is anybody's code: it fails by itself
                if isinstance(error, WorldsError) and not isinstance(error, ModelFaultError):
                    raise  # what was asked has no meaning
                raise fault_of(name, model, error) from error
        return self._contents[key]

    @cached_property
    def _contents(self) -> dict[tuple[object, ...], Count | Severity]:
        return {}

    def normalised(self, where: Mapping[str, str]) -> dict[str, str]:
        """Return `where` with labels as the extractor writes them."""
        settled = {}
        for category, label in where.items():
            if category not in self.domain.shares:
                raise UnknownNameError("category", category, self.domain.shares)
            if not isinstance(label, str) or not label.strip():
                msg = f"where takes a label for {category!r}, such as 'pug'; got {label!r}"
                raise QuestionError(msg)
            found = self.domain.features({category: label}).categories.get(category)
            settled[category] = found[0][0] if found else label
        return settled

    def _aged(self) -> list[str]:
        """Say so where the period is not the coming one, as of when the facts were read."""
        if self.release is None:
            return []
        known, begin, end = self.release.as_of, self.start, self.start + self.domain.step
        if begin < known < end:
            return ["the period had begun when the facts were read; what it brought is left out"]
        if known < end:
            return []
        days = (known - begin) / timedelta(days=1)
        return [
            f"the facts end {days:,.0f} days before they were read: the period is the one after"
            f" the last fact, not the coming {self.domain.grain}"
        ]

    def _unseen(self, where: Mapping[str, str]) -> list[str]:
        forms = [loaded.form for models in self.models.values() for loaded in models.values()]
        known: dict[str, set[str]] = {}
        for form in forms:
            for category, (labels, _) in getattr(form, "shares", {}).items():
                known.setdefault(category, set()).update(labels)
        return [
            f"{category}={label} was never seen: few or none are expected, what one brings is open"
            for category, label in where.items()
            if label not in known.get(category, set())
        ]

    def predict(
        self,
        draft: Mapping[str, object],
        *,
        at: datetime | None = None,
        levels: Sequence[float] = LEVELS,
        thresholds: Sequence[float] = (),
        worlds: bool = False,
    ) -> Prediction:
        """Predict what one thing brings. Unknown features widen the answer, never fail.

        Parameters
        ----------
        draft
            What is known of the thing, as the domain's extractor understands it.
        at
            When it begins; beyond the reference of the models the level may have drifted.
        levels, thresholds
            Levels of the central intervals; values whose exceedance is wanted.
        worlds
            Whether to list what every model says by itself.
        """
        try:
            found, _ = self.forecast(
                draft, at=at, levels=levels, thresholds=thresholds, worlds=worlds
            )
        except ModelFaultError as fault:
            return self.without(fault).predict(
                draft, at=at, levels=levels, thresholds=thresholds, worlds=worlds
            )
        return found

    def forecast(
        self,
        draft: Mapping[str, object],
        *,
        at: datetime | None = None,
        levels: Sequence[float] = LEVELS,
        thresholds: Sequence[float] = (),
        worlds: bool = False,
    ) -> tuple[Prediction, Said]:
        """Predict, and return what every model said besides; a model at fault is not hidden.

        Raises
        ------
        ModelFaultError
            If a model raised, gave no distribution or took too long: ask `without` it.
        """
        said = self._pool.of(self.domain.features(draft), at)
        unused = draft.keys() - self._stated
        try:
            found = predicted(
                said,
                levels=levels,
                thresholds=thresholds,
                with_worlds=worlds,
                ignored=tuple(sorted(unused)) if unused else (),
                recalibration=self._recalibration,
            )
        except Exception:  # which of them is to blame is looked for only now
            self._pool.blame(said)
            raise
        return found, said

    def without(self, fault: ModelFaultError) -> "Answerer":
        """Return what answers without a model at fault; the weights of the others are rescaled.

        Raises
        ------
        ModelFaultError
            If it is not there.
        """
        models = self.models.get(fault.quantity, {})
        if fault.model not in models or fault.model == DEFAULT:
            raise fault
        if self.on_fault is not None:
            self.on_fault(fault)
        left = {name: loaded.weight for name, loaded in models.items() if name != fault.model}
        total = sum(left.values()) or 1.0
        weights = {name: weight / total for name, weight in left.items()}
        text = f"{fault.quantity}/{fault.model} is left out: {fault.kind}: {fault.reason}"
        return replace(self.weighed({fault.quantity: weights}, (text,)), segments=None)

    def weighed(
        self, weights: Mapping[str, Mapping[str, float]], trouble: Sequence[str] = ()
    ) -> "Answerer":
        """Return what answers with other weights; models of weight 0 take no part.

        Parameters
        ----------
        weights
            Quantity to model to weight. Where all are 0 the default belief answers.
        trouble
            Why answers are degraded besides.
        """
        models = dict(self.models)
        for quantity in self.domain.quantities:
            if quantity.name in weights:
                loaded = {
                    name: replace(one, weight=weights[quantity.name].get(name, 0.0))
                    for name, one in self.models[quantity.name].items()
                    if weights[quantity.name].get(name, 0.0) > 0
                }
                models[quantity.name] = loaded or _defaults(
                    self.domain, quantity.role, self.release
                )
        return replace(self, models=models, trouble=(*self.trouble, *trouble))

    @cached_property
    def _size(self) -> str:
        """Name of the size quantity."""
        return self.domain.quantity("size").name

    @cached_property
    def _stated(self) -> frozenset[str]:
        """What a draft may say."""
        return frozenset(entry.name for entry in self.domain.draft)

    @cached_property
    def _recalibration(self) -> Recalibration | None:
        """What the release says that cumulative probabilities of the pool of sizes become."""
        raw = (
            self.release.evidence.get(self._size, {}).get("recalibration") if self.release else None
        )
        try:
            found = Recalibration.from_json(raw) if raw else None
        except SnapshotError:
            return None  # a map that is none changes nothing
        return found if found and found.changes else None

    @cached_property
    def _pool(self) -> Pool:
        """The models of sizes."""
        loaded = self.models[self._size].items()
        return Pool(
            self._size,
            [
                (name, one.weight, one.form)
                for name, one in loaded
                if isinstance(one.form, SizeForm)
            ],
        )


def _try_out(form: CountForm | SizeForm) -> None:
    if isinstance(form, CountForm):
        check_content(form.count())
        return
    if hasattr(form, "prepare"):
        form.prepare()
    check(form.quick(Features()))
    check_content(form.severity())


def _total(form: CountForm, where: Mapping[str, str], over: int) -> Count:
    """Return the count of the next period, or the total of the next few."""
    if over == 1:
        return form.count(where)
    horizon = int(getattr(form, "horizon", 1))
    if over > horizon:
        msg = f"the models reach {horizon} periods ahead; a total over {over} was asked"
        raise QuestionError(msg)
    if isinstance(form, CountPath):
        return total_of(form, where, over)
    periods = [form.count(where, step) for step in range(over)]
    return PathTotal.of([one for one in periods if isinstance(one, CountMixture)])


def _effort(seconds: float | None, error: float, over: int, by: str | None) -> Effort:
    """Return the effort for the whole; its periods and its groups take as long again."""
    parts = (2 if over > 1 else 1) + (1 if by is not None else 0)
    return Effort.within(None if seconds is None else seconds / parts, error)


def _joint(over: int) -> list[str]:
    if over == 1:
        return []
    return [f"{over} periods together: they share one level, their noise is independent"]


def _usable(
    domain: Domain, role: str, store: SnapshotStore, snapshot_id: str
) -> CountForm | SizeForm:
    snapshot = store.get(snapshot_id)
    version = snapshot.provenance.get("extractor")
    if role == "size" and version != domain.spec.version:
        ours = domain.spec.version
        msg = f"it was fitted on extractor version {version!r}, the domain has {ours!r}"
        raise SnapshotError(msg)
    form = snapshot.form
    if role == "count" and isinstance(form, CountForm):
        return form
    if role == "size" and isinstance(form, SizeForm):
        return form
    msg = f"its form {form.form!r} cannot serve a {role}"
    raise SnapshotError(msg)


def _segments(
    domain: Domain, store: SnapshotStore, release: Release | None
) -> SegmentModels | None:
    """Return the segments of a release; their models are read when they are asked for."""
    if release is None or not release.segments:
        return None
    roles = {quantity.name: quantity.role for quantity in domain.quantities}
    return SegmentModels(
        release.segments, lambda name, snapshot: _usable(domain, roles[name], store, snapshot)
    )


def _rescale(loaded: Mapping[str, Loaded]) -> dict[str, Loaded]:
    total = float(np.sum([model.weight for model in loaded.values()]))
    if not 0 < total < np.inf:
        return {}
    return {
        name: Loaded(model.weight / total, model.form, model.snapshot)
        for name, model in loaded.items()
    }


def _recalibrated(
    loaded: dict[str, Loaded], release: Release | None, quantity: str, trouble: list[str]
) -> dict[str, Loaded]:
    """Return the models such that their mixture is the recalibrated pool, where that is known."""
    evidence = release.evidence.get(quantity, {}) if release else {}
    try:
        found = recalibrated(
            {name: model.form for name, model in loaded.items()},
            {name: model.weight for name, model in loaded.items()},
            evidence,
        )
    except SnapshotError as error:
        trouble.append(f"{quantity}: not recalibrated: {error}")
        found = None
    if found is None:
        return loaded
    forms, weights = found
    return {
        name: Loaded(weights[name], forms[name], model.snapshot) for name, model in loaded.items()
    }


def _defaults(domain: Domain, role: str, release: Release | None) -> dict[str, Loaded]:
    start = release.until if release else EPOCH
    quantity = domain.quantity(role)
    form: CountForm | SizeForm
    if role == "count":
        form = default_count(quantity, start, domain.step)
    else:
        form = default_size(quantity, start)
    return {DEFAULT: Loaded(1.0, form, None)}
