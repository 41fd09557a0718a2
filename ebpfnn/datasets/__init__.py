"""Samples and labels from files."""

from .datasets import (
    Prepare,
    Samples,
    check_labels,
    class_names,
    first,
    has_labels,
    is_divided,
    prepared,
    read,
    read_samples,
    read_targets,
    table,
)

__all__ = [
    "Prepare",
    "Samples",
    "check_labels",
    "class_names",
    "first",
    "has_labels",
    "is_divided",
    "prepared",
    "read",
    "read_samples",
    "read_targets",
    "table",
]
