"""Architectures as short strings: ``784-32-10``, or ``conv8x3-pool2-conv16x3-pool2-64-10``.

========================== ==========================================================================================
``784-32-10``              a number is a dense layer's outputs; where a string begins with one, that is the sample's size
``in-32-10``               the same for samples of any size: how many inputs the columns of a table get is learned
``conv8x3``                a convolution, 8 channels, window 3x3; then in this order ``s2`` its stride, ``p1`` its padding
                           on every side, ``g4`` its groups; ``conv8x3x5s1x2`` has a window of 3 rows and 5 columns,
                           and moves by 1 row and 2 columns
``dw3``                    a depthwise convolution: as many channels and groups as it is given; ``s2``, ``p1`` as above
``pool2``, ``avgpool2``    the maximum or the average of each window 2x2; its stride is its window unless ``s1`` says so
``gap``                    the average of each channel
``table32``                32 sums of rows that groups of values select; after it comes the number of classes alone
========================== ==========================================================================================

Every layer with weights but the last is followed by the activation that the trainer is told.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod

from ..errors import ModelError
from .graph import Sources
from .layers import Add, Concat, Dense, Layer, MaxPool, Shape, Table, Window, describe, expect

ANY_SIZE = "in"
"""The first word of an architecture for samples of any size."""
_WIDEST = 1 << 16
_WORD = re.compile(
    r"(?P<kind>[a-z]*)(?P<sizes>[0-9]{1,5}(?:x[0-9]{1,5})*)?(?P<options>(?:[spg][0-9]{1,5}|s[0-9]{1,5}x[0-9]{1,5})*)"
)
_SIZES = {"": (1,), "conv": (2, 3), "dw": (1, 2), "pool": (1, 2), "avgpool": (1, 2), "gap": (0,), "table": (1,)}
"""How many numbers may follow each word."""
_OPTIONS = {"conv": "spg", "dw": "sp", "pool": "sp", "avgpool": "sp"}


@dataclass(frozen=True)
class Step:
    """One layer of an architecture.

    ``kind`` is "dense", "conv", "dw", "pool", "avgpool", "gap" or "table". ``channels`` are the outputs of a dense layer or a
    table too, 0 where they are those of the input; ``window`` is None for "dense", "gap" and "table".
    """

    kind: str
    channels: int = 0
    window: Window | None = None
    groups: int = 1


def parse(text: str, shape: Shape) -> tuple[Step, ...]:
    """The layers of the architecture ``text`` for samples of ``shape``.

    Raises :class:`ModelError` for a word that is none, a size that is not the sample's, or an end that gives no scores.
    """
    words = text.split("-")
    if words[0] == ANY_SIZE:
        words[0] = str(prod(shape))
    if words[0].isascii() and words[0].isdigit():
        size = prod(shape)
        expect(
            words[0] == str(size), f"architecture {text!r}: a sample has {size} values ({describe(shape)}); begin with {size}"
        )
        words = words[1:]
    try:
        steps = tuple(map(_step, words))
    except ModelError as error:
        raise ModelError(f"architecture {text!r}: {error}") from error
    expect(bool(steps) and steps[-1].kind in ("dense", "gap"), f"architecture {text!r}: end with the number of classes, or gap")
    kinds = [step.kind for step in steps]
    fits = "table" not in kinds or kinds == ["table", "dense"]
    expect(fits, f"architecture {text!r}: a table stands alone before the number of classes; give one such as table32-10")
    return steps


def has_tables(text: str) -> bool:
    """Whether the architecture ``text`` has a layer of tables."""
    return any(word.startswith("table") for word in text.split("-"))


def architecture(layers: tuple[Layer, ...], sources: Sources = ()) -> str:
    """What :func:`parse` would take for these layers; average pools appear as the depthwise convolutions that they are.

    Of a graph, which it does not take, a layer that is given others' values than those of the one before has their numbers,
    -1 for the sample: ``add(0,2)``.
    """
    first = [str(layers[0].inputs)] if isinstance(layers[0], Dense | Table) else []
    *inner, last = layers
    words = [*map(_word, inner), str(last.outputs) if isinstance(last, Table) else _word(last)]
    for number, taken in enumerate(sources):
        if taken != (number - 1,):
            words[number] += f"({','.join(map(str, taken))})"
    return "-".join((*first, *words))


def _step(word: str) -> Step:
    found = _WORD.fullmatch(word)
    sizes = [int(size) for size in (found["sizes"] or "").split("x") if size] if found else []
    options = dict(re.findall("([spg])([0-9x]+)", found["options"])) if found else {}
    kind = found["kind"] if found else "?"
    fits = found and len(sizes) in _SIZES.get(kind, ()) and set(options) <= set(_OPTIONS.get(kind, ()))
    if not fits or not all(1 <= size <= _WIDEST for size in sizes):
        known = "layers are 16, conv8x3s1p1g1, dw3s1p1, pool2s2p0, avgpool2, gap and table32"
        trees = "; trees are tree:8, forest:16x8 and boost:32x4" if ":" in word else ""
        raise ModelError(f"{word!r} is not a layer; {known}{trees}")
    if kind in ("", "table"):
        return Step(kind or "dense", sizes[0])
    if kind == "gap":
        return Step("gap")
    channels = sizes.pop(0) if kind == "conv" else 0
    kernel = (sizes[0], sizes[-1])
    strides, edge = [int(size) for size in options.get("s", "").split("x") if size], int(options.get("p", 0))
    moved = (strides[0], strides[-1]) if strides else (1, 1) if kind in ("conv", "dw") else kernel
    return Step(kind, channels, Window(kernel, moved, (edge,) * 4), int(options.get("g", 1)))


def _word(layer: Layer) -> str:
    if isinstance(layer, Dense):
        return str(layer.outputs)
    if isinstance(layer, Table):
        return f"table{layer.outputs}"
    if isinstance(layer, Add | Concat):
        return "add" if isinstance(layer, Add) else "concat"
    window = layer.window
    size = _pair(window.kernel)
    edge = f"p{max(window.padding)}" if any(window.padding) else ""
    if isinstance(layer, MaxPool):
        return f"pool{size}" + (f"s{_pair(window.stride)}" if window.stride != window.kernel else "") + edge
    stride = f"s{_pair(window.stride)}" if window.stride != (1, 1) else ""
    if layer.groups == layer.inputs == layer.outputs > 1:
        return f"dw{size}{stride}{edge}"
    return f"conv{layer.outputs}x{size}{stride}{edge}" + (f"g{layer.groups}" if layer.groups > 1 else "")


def _pair(sizes: tuple[int, int]) -> str:
    rows, columns = sizes
    return str(rows) if rows == columns else f"{rows}x{columns}"
