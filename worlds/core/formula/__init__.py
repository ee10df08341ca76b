"""Formulas that people write: grammar, units, ranges, values. No eval anywhere."""

from worlds.core.formula.checks import Checked, Symbol, check, check_names
from worlds.core.formula.parser import parse
from worlds.core.formula.ranges import Range
from worlds.core.formula.tree import Node, names
from worlds.core.formula.units import Units
from worlds.core.formula.values import value

__all__ = [
    "Checked",
    "Node",
    "Range",
    "Symbol",
    "Units",
    "check",
    "check_names",
    "names",
    "parse",
    "value",
]
