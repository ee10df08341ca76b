"""Keeping pandas out of a process that does not use it.

The first Python list that becomes an Arrow array makes pyarrow look whether it is a pandas series,
and for that import pandas wherever it is installed: a second of processor time and 65 MB, in the
middle of the first request. Where pyarrow finds no pandas it does not look again until somebody
asks for a data frame, which still works.
"""

import importlib.abc
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

import pyarrow as pa


class _Absent(importlib.abc.MetaPathFinder):
    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 the protocol's
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        if fullname == "pandas":
            msg = "pandas is left out here"
            raise ModuleNotFoundError(msg, name=fullname)
        return None


def without_pandas() -> None:
    """Let pyarrow take it that there is no pandas, unless it is loaded already.

    For processes that serve or run one command; where people work with series, arrays made of them
    would be read as plain lists.
    """
    if "pandas" in sys.modules:
        return
    absent = _Absent()
    sys.meta_path.insert(0, absent)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(absent)
