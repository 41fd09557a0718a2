"""Reads files within limits, and writes them completely or not at all."""

from .files import is_file, read, replace, replace_directory, strangers

__all__ = ["is_file", "read", "replace", "replace_directory", "strangers"]
