"""The protocol of forms and their registry. A form of your own: one class, `@register`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from worlds.core.compound import Severity
from worlds.core.distributions import Count, Distribution
from worlds.core.features import Features

type Meta = dict[str, Any]
type Arrays = Mapping[str, NDArray[np.generic]]


@runtime_checkable
class Form(Protocol):
    """Something that can be stored as meta data (JSON) and arrays, and read back."""

    form: ClassVar[str]

    def to_parts(self) -> tuple[Meta, Arrays]:
        """Return meta data and arrays."""
        ...

    @classmethod
    def from_parts(cls, meta: Meta, arrays: Arrays) -> Self:
        """Read back what `to_parts` returned."""
        ...


@runtime_checkable
class CountForm(Form, Protocol):
    """How many things happen in the next periods."""

    def count(self, where: Mapping[str, str] | None = None, step: int = 0) -> Count:
        """Return the predictive distribution of the count in period `step`."""
        ...


@runtime_checkable
class SizeForm(Form, Protocol):
    """How much one thing brings."""

    def predict(self, features: Features, at: datetime | None = None) -> Distribution:
        """Return the predictive distribution for one thing."""
        ...

    def quick(self, features: Features, at: datetime | None = None) -> Distribution:
        """Return the same within the form's stated error, in a fraction of a millisecond."""
        ...

    def severity(self, where: Mapping[str, str] | None = None, days: float = 0.0) -> Severity:
        """Return the size of one thing of the recent population, with shared uncertainty."""
        ...

    def surprises(self, features: Features) -> list[str]:
        """Return which features the model has not met: they widen the answer."""
        ...


FORMS: dict[str, type[Form]] = {}


def register[F: Form](cls: type[F]) -> type[F]:
    """Make a form known under its `form` name."""
    FORMS[cls.form] = cls
    return cls
