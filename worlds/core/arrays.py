"""Arrays of numbers, as types."""

import numpy as np
from numpy.typing import NDArray

type Floats = NDArray[np.float64]
type Complexes = NDArray[np.complex128]
