"""The models in force: what they say of one thing, and how some of them are left out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Self

from worlds.answer import ModelUse
from worlds.core.features import Features
from worlds.core.forms import SizeForm
from worlds.core.recalibration import Recalibration
from worlds.domain import Domain
from worlds.errors import ModelFaultError, SnapshotError
from worlds.loading import (
    DEFAULT,
    EPOCH,
    Loaded,
    default_models,
    load_models,
    segments_of,
    try_out,
)
from worlds.pool import Pool, Said
from worlds.prediction import Prediction, predicted
from worlds.publish import Release, SnapshotStore
from worlds.segments import SegmentModels
from worlds.watch.containment import fault_of

LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Levels of the central intervals, where none are asked for."""


@dataclass(frozen=True)
class InForce:
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
    def load(cls, domain: Domain, store: SnapshotStore, release: Release | None) -> Self:
        """Read every snapshot of a release; what cannot be used is left out and said.

        The weights of the remaining models of a quantity are scaled to sum to 1; where none
        remains the default belief takes over.
        """
        models, trouble = load_models(domain, store, release)
        segments = segments_of(domain, store, release)
        return cls(domain, release, models, tuple(trouble), {}, segments)

    def of_segment(self, where: Mapping[str, str]) -> Self:
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

    def prepare(self) -> Self:
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
                    try_out(loaded.form)
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

    def without(self, fault: ModelFaultError) -> Self:
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
    ) -> Self:
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
                models[quantity.name] = loaded or default_models(
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
        named = self.domain.spec.categories  # the label of a category may be stated outright
        return frozenset([*(entry.name for entry in self.domain.draft), *named])

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
