"""Facts: immutable, uncertain, known from a time on. See ``Store``."""

from facts.errors import (
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
from facts.reader import Reader, fact_value
from facts.store import Store
from facts.values import (
    Categorical,
    Exact,
    Interval,
    Normal,
    Point,
    Value,
    kinds,
    parse_value,
    register,
)

__all__ = [
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
    "QueryError",
    "RawBad",
    "Reader",
    "Receipt",
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
]
