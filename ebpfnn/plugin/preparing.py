"""Chooses the preparation of a network: from ``--prepare``, or from the data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..network.layers import Shape
from ..network.preparation import Preparation, usual
from ..preparation import mnist_like
from .manager import Plugins

_LOOKED_AT = 500
_GLYPHS = 0.8
"""If this share of the samples looks like MNIST's, the data set is one of glyphs."""


def chosen(text: str, plugins: Plugins) -> Preparation | None:
    """The preparation in ``--prepare KIND:KEY=VALUE,...``; None for ''. Raises :class:`UsageError` and :class:`PluginError`."""
    if not text:
        return None
    name, _, rest = text.partition(":")
    kind = plugins.offered_preparations.get(name)
    options = dict(_pair(each, text) for each in rest.split(",")) if rest else {}
    for key in sorted(set(options) - set(kind.options)):
        known = ", ".join(sorted(kind.options)) or "none at all"
        raise UsageError(f"preparation '{name}' has no option '{key}'; its options: {known}")
    return Preparation(name, kind.chosen(options))


def learned(arrays: NDArray[np.uint8], shape: Shape) -> Preparation:
    """How pictures become samples like ``arrays``, uint8 [n, *shape].

    If most of ``arrays`` look like MNIST's: ``glyph``, with their ink. Other samples with rows and columns: ``picture``, only
    resized.
    """
    if len(shape) != 2 or arrays.shape[1:] != shape:
        return usual(shape)
    some = arrays[:: len(arrays) // _LOOKED_AT + 1]
    for ink, polarity in (("light", "light-on-dark"), ("dark", "dark-on-light")):
        alike = sum(mnist_like.taken(each, *shape, polarity) is not None for each in some)
        if alike >= _GLYPHS * len(some):
            return Preparation("glyph", {"ink": ink})
    return Preparation("picture")


def _pair(text: str, whole: str) -> tuple[str, str]:
    key, equal, value = text.partition("=")
    if not equal:
        raise UsageError(f"preparation '{whole}': '{text}' is no option; give KIND:KEY=VALUE,KEY=VALUE")
    return key, value
