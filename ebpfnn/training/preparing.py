"""Chooses how samples are made for a new network: by the options, or by the data if there are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, ModelError, UsageError
from ..network.inputformat import InputFormat
from ..network.layers import Shape
from ..network.preparation import Preparation
from ..plugin import Plugins, Wanted
from ..plugin.preparing import chosen, learned
from ..preparation import Picture
from ..preparation.columns import inputs, read
from .options import Options, Precision

COLUMNS = "columns"
"""The preparation of tables."""
GLYPH = (28, 28)
"""MNIST's rows and columns."""


def for_pictures(options: Options, plugins: Plugins, first: Picture) -> Wanted:
    """For folders of images: ``picture`` unless the options name another kind, and the size of the first image.

    Raises :class:`InputError` for options that do not fit.
    """
    preparation = _named(options, plugins) or Preparation("picture")
    columns, rows = first.image.size
    gray = first.image.mode in ("1", "L", "LA") or first.image.mode.startswith(("I", "F"))
    found = (rows, columns) if gray else (3, rows, columns)
    return _wanted(plugins, options.input_shape or (GLYPH if preparation.kind == "glyph" else found), preparation)


def for_arrays(options: Options, plugins: Plugins, arrays: NDArray[np.uint8]) -> Wanted:
    """For samples that are arrays, uint8 [n, *shape]: the kind that the options name, or the one that fits the arrays."""
    shape = options.input_shape or arrays.shape[1:]
    return _wanted(plugins, shape, _named(options, plugins) or learned(arrays, shape))


def for_columns(options: Options, plugins: Plugins, described: Sequence[Mapping[str, Any]]) -> Wanted:
    """For the rows of a table. ``described`` has the columns as a network stores them.

    Raises :class:`UsageError` if the options name another kind.
    """
    named = options.prepare.partition(":")[0]
    if named not in ("", COLUMNS):
        raise UsageError(f"--prepare {named}: the data are a table, which takes '{COLUMNS}' alone; leave out --prepare")
    preparation = Preparation(COLUMNS, {"columns": list(described)})
    return plugins.wanted(input_format(options.precision, (inputs(read(preparation.options, plugins.encoders)),), preparation))


def input_format(precision: Precision, shape: Shape, preparation: Preparation | None = None) -> InputFormat:
    """The input format of the network. If no thresholds are given, they are evenly spaced.

    Columns of 1 bit are bits already, 0 or 1, and arrive packed.
    """
    bits, highest = precision.input_bits, 2**precision.input_bits - 1
    spread = tuple(round(256 * (level + 0.5) / (highest + 1)) for level in range(highest)) if bits < 8 else ()
    packed = precision.packed
    if bits == 1 and preparation is not None and preparation.kind == COLUMNS:
        spread, packed = (1,), True
    return InputFormat(shape, bits, precision.thresholds or spread, packed, precision.bit_order, prepared=preparation)


def _named(options: Options, plugins: Plugins) -> Preparation | None:
    """The kind that ``--prepare`` names, for pictures and arrays. None if it was not given."""
    preparation = chosen(options.prepare, plugins)
    if preparation is not None and preparation.kind == COLUMNS:
        raise UsageError(f"--prepare {COLUMNS}: the data are no table; name another kind, or leave out --prepare")
    return preparation


def _wanted(plugins: Plugins, shape: Shape, preparation: Preparation) -> Wanted:
    try:
        return plugins.wanted(InputFormat(shape, prepared=preparation))
    except ModelError as error:
        raise InputError(f"data: {error}") from error
