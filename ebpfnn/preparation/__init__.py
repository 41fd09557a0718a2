"""Converts input to samples: what sources give, image decoding, and the arithmetic of the kinds of preparation."""

from .encoder import Encoder, number
from .encoders import Bounds
from .items import Item, Picture, Prepared, Row, Values

__all__ = ["Bounds", "Encoder", "Item", "Picture", "Prepared", "Row", "Values", "number"]
