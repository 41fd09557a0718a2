"""Trees, forests and boosted trees in integers: the model, the reference in numpy, its file format, and its bodies.

docs/trees.md defines what they compute.
"""

from .forest import Forest, Tree

__all__ = ["Forest", "Tree"]
