"""Says which columns of a row spoke for what a model gives."""

from .explain import Column, Explanation, Flip, explain, told
from .levels import Levels
from .path import Condition

__all__ = ["Column", "Condition", "Explanation", "Flip", "Levels", "explain", "told"]
