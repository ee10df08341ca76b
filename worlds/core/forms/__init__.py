"""Forms: what a published model is when it is served. NumPy arrays and a little meta data."""

from worlds.core.forms.base import FORMS, CountForm, Form, SizeForm, register
from worlds.core.forms.count_path import CountPath
from worlds.core.forms.forest import Forest
from worlds.core.forms.log_linear import LogLinear

__all__ = ["FORMS", "CountForm", "CountPath", "Forest", "Form", "LogLinear", "SizeForm", "register"]
