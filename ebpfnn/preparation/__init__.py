"""From what people have to samples: what sources give, decoding images, and the arithmetic of the kinds of preparation."""

from .items import Item, Picture, Prepared, Row, Values

__all__ = ["Item", "Picture", "Prepared", "Row", "Values"]
