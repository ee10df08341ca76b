"""Facts: immutable, uncertain, known from a time on. See ``Store``."""

from facts.errors import (
    ArchiveError,
    EventError,
    FactsError,
    IntakeFull,
    MappingError,
    QueryError,
    StoreBusy,
    StoreClosed,
    StoreDamaged,
    StoreError,
    StoreMissing,
    StoreTooNew,
    ValueKindError,
    WriteFailed,
)
from facts.events import Event, RawBad, Receipt, event_json, parse_event
from facts.importers.mapping import TableMapping, load_mapping
from facts.importers.table import ImportReport, import_table
from facts.lean import without_pandas
from facts.reader import Reader, fact_value
from facts.rollup import RollUp
from facts.store import Store
from facts.values import (
    Categorical,
    Exact,
    Interval,
    Normal,
    Point,
    Quantiles,
    Samples,
    Value,
    kinds,
    parse_value,
    register,
)

__all__ = [
    "ArchiveError",
    "Categorical",
    "Event",
    "EventError",
    "Exact",
    "FactsError",
    "ImportReport",
    "IntakeFull",
    "Interval",
    "MappingError",
    "Normal",
    "Point",
    "Quantiles",
    "QueryError",
    "RawBad",
    "Reader",
    "Receipt",
    "RollUp",
    "Samples",
    "Store",
    "StoreBusy",
    "StoreClosed",
    "StoreDamaged",
    "StoreError",
    "StoreMissing",
    "StoreTooNew",
    "TableMapping",
    "Value",
    "ValueKindError",
    "WriteFailed",
    "event_json",
    "fact_value",
    "import_table",
    "kinds",
    "load_mapping",
    "parse_event",
    "parse_value",
    "register",
    "without_pandas",
]
