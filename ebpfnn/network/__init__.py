"""Networks in integers: layers, samples, the reference in numpy, and the file format."""

from .network import MAX_CLASSES, QuantizedNetwork

__all__ = ["MAX_CLASSES", "QuantizedNetwork"]
