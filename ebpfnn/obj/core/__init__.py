"""CO-RE: relocations of structure accesses against the types of the running kernel."""

from .core import apply_core

__all__ = ["apply_core"]
