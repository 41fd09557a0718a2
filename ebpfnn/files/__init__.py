"""Reads files within limits, and writes them completely or not at all."""

from .files import is_file, read, replace, replace_directory, strangers
from .growing import FULL, Growing, growing

__all__ = ["FULL", "Growing", "growing", "is_file", "read", "replace", "replace_directory", "strangers"]
