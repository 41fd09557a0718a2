"""Samples and labels from files."""

from .datasets import Samples, check_labels, class_names, is_divided, read

__all__ = ["Samples", "check_labels", "class_names", "is_divided", "read"]
