"""Reads tables row by row: CSV, JSON lines, numpy's files, Parquet. Memory is bounded for every file."""

from .opening import SUFFIXES, form, is_table, read_table
from .table import Table

__all__ = ["SUFFIXES", "Table", "form", "is_table", "read_table"]
