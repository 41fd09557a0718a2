"""Maps, and the ways to read and write them."""

from .map import Map

__all__ = ["Map"]
