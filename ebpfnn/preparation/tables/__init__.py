"""Reads tables row by row: CSV, JSON lines, numpy's files, Parquet. Memory is bounded for every file."""

from .collected import is_collected, read_about
from .opening import SUFFIXES, form, is_table, read_table
from .table import Table

__all__ = ["SUFFIXES", "Table", "form", "is_collected", "is_table", "read_about", "read_table"]
