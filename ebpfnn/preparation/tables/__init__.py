"""Tables as their rows, one at a time: CSV, JSON lines, numpy's files, Parquet. Memory is bounded whatever a file says."""

from .opening import SUFFIXES, form, is_table, read_table
from .table import Table

__all__ = ["SUFFIXES", "Table", "form", "is_table", "read_table"]
