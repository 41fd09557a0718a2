"""Converts input to samples: what sources give, image decoding, and the arithmetic of the kinds of preparation."""

from .items import Item, Picture, Prepared, Row, Values

__all__ = ["Item", "Picture", "Prepared", "Row", "Values"]
