"""One model of one quantity: back-tested, fitted, examined, or refused with a reason."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from worlds.core.forms import CountForm, CountPath, SizeForm
from worlds.core.questions import Quantity
from worlds.domain import Domain
from worlds.errors import DomainError, UnknownNameError
from worlds.learn import backtest, gate, registry
from worlds.learn.history import History
from worlds.learn.protocol import CountModel, Declined, Fit, Model, SizeModel, as_fit
from worlds.learn.scoring import Scores, collect, score
from worlds.learn.seeds import stream
from worlds.learn.series import aware
from worlds.learn.supervision import Failure, supervise

HORIZON = {"hour": 24, "day": 7}
"""Periods ahead that count models predict."""
ROUTES: Mapping[str, Mapping[str, str]] = {"fast": {}, "pymc": {"learned": "learned_pymc"}}
"""Inference of the final fit: which model takes the place of which (scores stay the first's)."""

RECHECKED = 200
"""Latest scored things on which the very fit that is published is looked at once more."""

type Tick = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run is made.

    Parameters
    ----------
    seed
        Same seed, facts and code: same bytes.
    deadline
        Seconds that one model of one quantity may take, back-test included.
    route
        ``fast``, or ``pymc`` for the reference inference of the learned counts and sizes.
    """

    seed: int = 0
    deadline: float = 120.0
    route: str = "fast"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that has been fitted and scored."""

    model: Model
    fit: Fit
    scores: Scores
    seconds: float


@dataclass(frozen=True, slots=True)
class Field:
    """Everything the models of one quantity share.

    Parameters
    ----------
    domain, quantity, history, settings
        What is learned from what.
    replaced
        Model to the form of the snapshot that a new one would replace.
    """

    domain: Domain
    quantity: Quantity
    history: History
    settings: Settings
    replaced: Mapping[str, CountForm | SizeForm]

    def entries(self) -> tuple[object, ...]:
        """Return the models that the domain names; the default always takes part."""
        return entries(self.domain, self.quantity)

    def candidate(self, entry: object, tick: Tick) -> tuple[str, Candidate | Declined]:
        """Return name and candidate of one model, or why there is none."""
        try:
            model = registry.find(self.quantity.role, entry)
        except (UnknownNameError, DomainError) as error:
            name = entry if isinstance(entry, str) else type(entry).__name__
            return name, Declined(name, str(error))
        never_late = model.name == registry.DEFAULT
        deadline = None if never_late else self.settings.deadline
        outcome = supervise(lambda: self._try(model, tick), deadline)
        if isinstance(outcome, Failure):
            return model.name, Declined(model.name, outcome.reason)
        if isinstance(outcome.value, Declined):
            return model.name, outcome.value
        fit, scores = outcome.value
        return model.name, Candidate(model, fit, scores, outcome.seconds)

    def _try(self, model: Model, tick: Tick) -> tuple[Fit, Scores] | Declined:
        # fitting first: who declines the whole history is not worth a back-test
        fit = as_fit(self._fit(self._routed(model)))
        tick()
        if isinstance(fit, Declined):
            return fit
        form = CountForm if self.quantity.role == "count" else SizeForm
        if not isinstance(fit.form, form):
            kind = type(fit.form).__name__
            return Declined(model.name, f"{kind} is no form of a {self.quantity.role}")
        scores = self._backtest(model, tick)
        return scores if isinstance(scores, Declined) else (fit, scores)

    def _routed(self, model: Model) -> Model:
        routes = ROUTES[self.settings.route]
        shipped = registry.built_in().get((model.role, model.name)) == model
        routed = shipped and model.name in routes  # a domain's own model may have the name too
        return registry.find(model.role, routes[model.name]) if routed else model

    def _fit(self, model: Model) -> Fit | Declined:
        rng = stream(self.settings.seed, self.quantity.name, model.name)
        if isinstance(model, CountModel) and self.quantity.role == "count":
            horizon = HORIZON[self.domain.grain]
            return as_fit(model.fit(self.history.counts, horizon=horizon, rng=rng))
        if isinstance(model, SizeModel):
            spec, until = self.domain.spec, self.history.until
            return as_fit(model.fit(self.history.items, spec, at=until, rng=rng))
        return Declined(model.name, f"it has no role {self.quantity.role!r}")

    def _backtest(self, model: Model, tick: Tick) -> Scores | Declined:
        seed = self.settings.seed
        if isinstance(model, CountModel) and self.quantity.role == "count":
            ahead = HORIZON[self.domain.grain]
            return backtest.counts(model, self.history.counts, seed=seed, horizon=ahead, tick=tick)
        spec = self.domain.spec
        return backtest.sizes(model, self.history.items, spec, seed=seed, tick=tick)  # type: ignore[arg-type]  # its role is size

    def checks(
        self, name: str, found: Candidate, default: Candidate | None
    ) -> tuple[gate.Check, ...]:
        """Return the report of the gate on a candidate."""
        other = default.scores if default is not None and default is not found else None
        return gate.examine(
            found.fit,
            found.scores,
            default=other,
            replaced=self._against(name, found.scores),
            final=self._final(found),
            past=self.history.counts.y,
        )

    def _final(self, found: Candidate) -> tuple[Scores, Scores] | None:
        """Return scores of the fit that would be published and of its back-test, latest things."""
        form = found.fit.form
        if not isinstance(form, SizeForm) or isinstance(form, CountForm):
            return None
        latest = found.scores.take(np.arange(max(len(found.scores) - RECHECKED, 0),
                                             len(found.scores)))  # fmt: skip
        mine = self._forecast(form, latest, "final")
        return mine, latest.take(np.searchsorted(latest.at, mine.at))

    def _against(self, name: str, scores: Scores) -> tuple[Scores, Scores] | None:
        """Return scores of the new model and of the snapshot it replaces on the same new facts."""
        form = self.replaced.get(name)
        if form is None:
            return None
        if isinstance(form, CountPath):
            old = _path_scores(form, scores, stream(self.settings.seed, self.quantity.name))
        elif isinstance(form, SizeForm):
            old = self._size_scores(form, scores)
        else:
            return None
        places = np.searchsorted(scores.at, old.at)
        return scores.take(places), old

    def _size_scores(self, form: SizeForm, scores: Scores) -> Scores:
        reference = getattr(form, "reference", None)
        if reference is None:
            return scores.take(np.zeros(0, np.intp))
        new = np.array([aware(moment) > reference for moment in scores.at], bool)
        return self._forecast(form, scores.take(np.flatnonzero(new)), "replaced")

    def _forecast(self, form: SizeForm, scores: Scores, name: str) -> Scores:
        """Return the scores of a form on the things that were scored."""
        rng = stream(self.settings.seed, self.quantity.name, name)
        items = self.history.items
        place = {moment: i for i, moment in enumerate(items.at)}
        chosen = [place[moment] for moment in scores.at]
        rows = [
            score(form.predict(items.features[i], aware(items.at[i])), float(items.label[i]), rng)
            for i in chosen
        ]
        return collect(items.at[chosen], items.label[chosen], rows)


def _path_scores(form: CountPath, scores: Scores, rng: np.random.Generator) -> Scores:
    """Return the scores of a published path on the periods that it reaches."""
    steps = [int((aware(moment) - form.start) / form.step) for moment in scores.at]
    new = [i for i, step in enumerate(steps) if 0 <= step < form.horizon]
    ahead = [aware(scores.at[i]) >= form.start for i in new]
    chosen = np.array([i for i, later in zip(new, ahead, strict=True) if later], np.intp)
    rows = [score(form.count(step=steps[i]), float(scores.outcome[i]), rng) for i in chosen]
    return collect(scores.at[chosen], scores.outcome[chosen], rows)


def entries(domain: Domain, quantity: Quantity) -> tuple[object, ...]:
    """Return the models that a domain names for a quantity, and the default one."""
    named = domain.models.get(quantity.name, ())
    return (*(entry for entry in named if entry != registry.DEFAULT), registry.DEFAULT)
