"""What a model is: one object with a name, a role and a `fit`. Yours are of the same kind."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from worlds.core.features import FeatureSpec
from worlds.core.forms import CountForm, SizeForm
from worlds.learn.series import Counts, Items

type Form = CountForm | SizeForm


@dataclass(frozen=True, slots=True)
class Declined:
    """A refusal, which is part of normal life: the model says why it has no belief."""

    model: str
    reason: str


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted form with the record of how it was found.

    Parameters
    ----------
    form
        What will be served.
    inference
        Method, iterations, convergence (``gradient``: largest entry of the gradient in units of
        posterior standard deviations; ``rhat``, ``ess``, ``divergences`` for samplers).
    """

    form: Form
    inference: Mapping[str, Any] = field(default_factory=dict)


type Result = Fit | Form | Declined
"""What `fit` may return; a bare form is a fit without a record."""


@runtime_checkable
class CountModel(Protocol):
    """A belief about how many things happen in the next periods."""

    @property
    def name(self) -> str:
        """How the model is called in domains, weights and answers."""
        ...

    @property
    def role(self) -> Literal["count"]:
        """Say that it counts."""
        ...

    def fit(self, history: Counts, *, horizon: int, rng: np.random.Generator) -> Result:
        """Fit on the counts before the end of `history`; predict the `horizon` periods after."""
        ...


@runtime_checkable
class SizeModel(Protocol):
    """A belief about how much one thing brings."""

    @property
    def name(self) -> str:
        """How the model is called in domains, weights and answers."""
        ...

    @property
    def role(self) -> Literal["size"]:
        """Say that it sizes."""
        ...

    def fit(
        self,
        items: Items,
        spec: FeatureSpec,
        *,
        at: datetime,
        rng: np.random.Generator,
    ) -> Result:
        """Fit on items whose label is known; predict things that come after `at`."""
        ...


type Model = CountModel | SizeModel


def as_fit(result: Result) -> Fit | Declined:
    """Return the result with a record, empty if the model keeps none."""
    return result if isinstance(result, Fit | Declined) else Fit(result)
