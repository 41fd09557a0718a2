"""Items as a source gives them, before preparation, and the prepared sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded image, or one frame of it. ``image`` is Pillow's, loaded; :mod:`ebpfnn.preparation.decode` makes them.

    ``notes`` says which parts of its file are left out.
    """

    image: Image
    source: str = "image"
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, pixels: NDArray[np.uint8]) -> Picture:
        """The picture of ``pixels``, uint8 [rows, columns] for gray, or [rows, columns, 3] for red, green and blue."""
        from PIL import Image

        return cls(Image.fromarray(pixels))

    def gray(self) -> NDArray[np.uint8]:
        """The pixels, uint8 [rows, columns], upright. Transparent pixels become ground. Raises :class:`InputError`."""
        from . import pixels

        return pixels.gray(self.image, self.source)

    def color(self) -> NDArray[np.uint8]:
        """The pixels, uint8 [rows, columns, 3] in red, green and blue, as :meth:`gray`."""
        from . import pixels

        return pixels.color(self.image, self.source)


@dataclass(frozen=True, eq=False)
class Values:
    """A sample as a data set or a raw stream has it: ``array``, of any shape, integers, floats or booleans.

    ``notes`` says how it was converted.
    """

    array: NDArray[Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Row:
    """A row of a table: ``cells`` by column name, numbers or text as they were read."""

    cells: Mapping[str, Any]


Item = Picture | Values | Row
"""Any item that a source gives."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """``data``, uint8 of a network's input shape, C-contiguous, and the steps that made it, as text.

    ``warnings`` says why the sample is doubtful, such as ``blank``.
    """

    data: NDArray[np.uint8]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
