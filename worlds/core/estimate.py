"""A number which knows how it was computed and how exact it is."""

from typing import Any, Self


class Estimate(float):
    """A float with its method and error bound.

    Arithmetic gives plain floats: a bound does not survive it.

    Parameters
    ----------
    value
        The number.
    method
        How it was computed: ``exact``, ``pgf inversion (COS)``, ``pgf inversion (FFT)``.
    error
        Bound on the absolute error of the number itself (0 for exact up to rounding).
    """

    method: str
    error: float

    def __new__(cls, value: float, *, method: str, error: float) -> Self:
        """Make the number."""
        self = super().__new__(cls, value)
        self.method = method
        self.error = error
        return self

    def __getnewargs_ex__(self) -> tuple[tuple[float], dict[str, Any]]:
        return (float(self),), {"method": self.method, "error": self.error}

    def __repr__(self) -> str:
        return f"{float(self):.10g} ({self.method}, error <= {self.error:.2g})"

    __str__ = float.__repr__
