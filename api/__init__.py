"""The service over HTTP and the command line.

A prediction multiplies small arrays: more than one BLAS thread makes it slower, and several times
slower when the cores are busy. So one is the default here, set before NumPy is imported.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
