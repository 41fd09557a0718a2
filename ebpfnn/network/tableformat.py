"""What a model file says of a layer of tables.

Rows that are all 0 are not stored: ``present`` has a bit for each row of each group, as numpy.packbits makes them, and
``rows`` those that are there, in int8 if they fit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import fields
from .fields import Described
from .layers import LARGEST_SIZE, ByteLanes, Requantization, Table, expect

Take = Callable[[str], NDArray[Any]]
"""Takes a tensor by its name."""


def describe(layer: Table) -> dict[str, Any]:
    """All of ``layer`` but its tensors, as JSON knows it."""
    by = layer.requantization
    how = (
        {"byte_lanes": {"shift": by.shift, "exact": by.exact}}
        if isinstance(by, ByteLanes)
        else fields.describe_requantization(by)
    )
    return {"bits": layer.bits, "lowest": layer.low, **how}


def tensors(layer: Table) -> dict[str, NDArray[Any]]:
    """The tensors of ``layer`` by name."""
    by = layer.requantization
    multipliers = {"positive": by.positive, "negative": by.negative} if isinstance(by, Requantization) else {}
    return {
        **stored(layer.tables),
        "bias": layer.bias,
        "order": layer.order,
        "occupied": layer.occupied,
        **multipliers,
    }


def stored(tables: NDArray[np.int16]) -> dict[str, NDArray[Any]]:
    """The tensors of ``tables``, int16 [groups, rows, outputs], by name."""
    rows = tables.reshape(-1, tables.shape[-1])
    present = rows.any(axis=1)
    found = rows[present]
    small = found.size == 0 or (found.min() >= -128 and found.max() <= 127)
    return {"rows": found.astype(np.int8) if small else found, "present": np.packbits(present)}


def build(described: Described, take: Take) -> Table:
    """The layer that :func:`describe` and :func:`tensors` were given.

    Raises :class:`ModelError` for whatever is absent, of another type, or out of range.
    """
    bits, low = fields.integer(described, "bits"), fields.integer(described, "lowest")
    order, bias = take("order"), take("bias")
    tables = _tables(take("rows"), take("present"), order, bits)
    return Table(tables, bias, order, _requantization(described, take), bits, low, take("occupied"))


def _requantization(described: Described, take: Take) -> Requantization | ByteLanes:
    if "byte_lanes" not in described:
        return fields.build_requantization(described, take("positive"), take("negative"))
    found = fields.get(described, "byte_lanes", dict)
    return ByteLanes(fields.integer(found, "shift"), fields.get(found, "exact", bool))


def _tables(stored: NDArray[Any], present: NDArray[Any], order: NDArray[Any], bits: int) -> NDArray[np.int16]:
    expect(order.ndim == 2 and order.size > 0 and 1 <= bits <= 8, "order must be int32 [groups, members], bits 1 to 8")
    reach = order.shape[1] * bits
    expect(reach <= 8, f"has groups of {order.shape[1]} inputs of {bits} bits, {reach} bits; a group has at most 8")
    rows = len(order) << reach
    expect(stored.dtype in (np.int8, np.int16) and stored.ndim == 2, "rows must be int8 or int16 [stored rows, outputs]")
    expect(rows * stored.shape[1] <= LARGEST_SIZE, f"tables must hold at most {LARGEST_SIZE} values")
    expect(present.dtype == np.uint8 and present.shape == (-(-rows // 8),), f"present must be uint8 [{-(-rows // 8)}]")
    there = np.unpackbits(present)
    expect(not there[rows:].any() and there.sum() == len(stored), f"{len(stored)} rows are stored, and {there.sum()} present")
    tables = np.zeros((rows, stored.shape[1]), np.int16)
    tables[there[:rows].astype(bool)] = stored
    tables.setflags(write=False)
    return tables.reshape(len(order), 1 << reach, -1)
