"""How samples are made, as a network carries it: the name of a kind, and its options as plain JSON.

What a kind does is for the plugin that brings it (:class:`ebpfnn.plugin.PreparationKind`); here are data alone, so that a
network can be read, stored and compared where that plugin is not installed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import ModelError

MNIST = (28, 28)
"""MNIST's rows and columns."""
MOST_BYTES = 2 << 20
"""Options as JSON: some 100,000 bounds of columns. An instance keeps them in the kernel."""


@dataclass(frozen=True)
class Preparation:
    """``kind`` names what makes the samples, and ``options`` tell it how: JSON objects, lists, strings, numbers and booleans.

    Raises :class:`ModelError` for a kind that cannot be printed, and for options that are no JSON or over 2 MiB of it.
    """

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not self.kind or not self.kind.isprintable():
            raise ModelError(f"preparation {self.kind!r}: no name of a kind; give one such as 'glyph'")
        try:
            size = len(json.dumps(self.options, allow_nan=False))
        except (TypeError, ValueError, RecursionError) as error:
            raise ModelError(f"preparation '{self.kind}': its options are no JSON ({error})") from None
        if size > MOST_BYTES:
            fact = f"its options are {size} bytes of JSON, over {MOST_BYTES}"
            raise ModelError(f"preparation '{self.kind}': {fact}; use fewer bounds, or fewer columns")


def usual(shape: tuple[int, ...]) -> Preparation:
    """What a network whose file names none is given: glyphs for 28x28, pictures for other images of 1 or 3 channels."""
    if shape == MNIST:
        return Preparation("glyph")
    return Preparation("picture" if len(shape) == 2 or (len(shape) == 3 and shape[0] in (1, 3)) else "raw")
