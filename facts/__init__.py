"""Immutable, uncertain facts in DuckDB: values, store, intake, as-of reads, importers."""
