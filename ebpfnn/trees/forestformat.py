"""What a model file says of trees. The arrays of all trees are stored one after the other; ``nodes`` tells them apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..network import calibration, fields
from ..network.fields import Described
from ..network.layers import expect
from .forest import MOST_TREES, Forest, Tree

_ARRAYS = {"nodes": np.int32, "values": np.int32, "thresholds": np.uint8, "children": np.int32, "leaves": np.int32}


def describe(forest: Forest) -> dict[str, Any]:
    """All of ``forest`` but its tensors, as JSON knows it. Without ``events`` if it carries no spec."""
    return {
        "name": forest.name,
        "input": fields.describe_input(forest.input),
        "labels": list(forest.labels),
        "base": list(forest.base),
        "score_scale": forest.score_scale,
        "tolerance": forest.tolerance,
        "result": forest.result,
        "card": dict(forest.card),
        **fields.describe_events(forest.events),
        **calibration.describe(forest.calibration),
    }


def tensors(forest: Forest) -> dict[str, NDArray[Any]]:
    """``nodes`` int32 [trees]; and the arrays of :class:`Tree`, those of all trees one after the other."""
    found: dict[str, NDArray[Any]] = {"nodes": np.array([tree.nodes for tree in forest.trees], np.int32)}
    for name in ("values", "thresholds", "children", "leaves"):
        found[name] = np.concatenate([getattr(tree, name) for tree in forest.trees])
    return found


def build(described: Described, arrays: Mapping[str, NDArray[Any]]) -> Forest:
    """The forest that :func:`describe` and :func:`tensors` were given.

    Raises :class:`ModelError` for whatever is absent, of another type, or out of range.
    """
    for name in sorted(set(arrays) ^ set(_ARRAYS)):
        raise ModelError(f"tensor {name!r} is {'not expected' if name in arrays else 'missing'}")
    for name, dtype in _ARRAYS.items():
        expect(arrays[name].dtype == dtype, f"tensor {name!r} must be {np.dtype(dtype).name}")
    form = fields.within("input", fields.build_input, fields.get(described, "input", dict))
    scale, tolerance = fields.number(described, "score_scale"), fields.number(described, "tolerance")
    name, labels, result = fields.text(described, "name"), fields.texts(described, "labels"), fields.text(described, "result")
    base, card, events = fields.integers(described, "base"), fields.card(described), fields.events(described)
    return Forest(
        name, form, labels, _trees(arrays), base, scale, tolerance, card, events, result, calibration.build(described)
    )


def _trees(arrays: Mapping[str, NDArray[Any]]) -> tuple[Tree, ...]:
    counts = arrays["nodes"]
    expect(counts.ndim == 1 and 1 <= counts.size <= MOST_TREES, f"nodes must be int32 [trees], 1 to {MOST_TREES} of them")
    expect(int(counts.min()) >= 0, "nodes must not be negative")
    total, trees = int(counts.sum(dtype=np.int64)), counts.size
    for name, rows in {"values": total, "thresholds": total, "children": total, "leaves": total + trees}.items():
        given = len(arrays[name]) if arrays[name].ndim else 0
        expect(given == rows, f"tensor {name!r} has {given} rows, and the nodes of all trees make {rows}")
    built, node = [], 0
    for number, count in enumerate(map(int, counts)):
        inner, leaf = slice(node, node + count), slice(node + number, node + count + number + 1)
        parts = (arrays["values"][inner], arrays["thresholds"][inner], arrays["children"][inner], arrays["leaves"][leaf])
        built.append(fields.within(f"tree {number}", Tree, *parts))
        node += count
    return tuple(built)
