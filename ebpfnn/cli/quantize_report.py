"""The loss by quantization on the calibration samples, per layer and in labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from ..errors import printable
from ..network import QuantizedNetwork, encoding, layers, reference
from ..network.graph import SAMPLE
from ..network.layers import INT32_MAX, INT32_MIN, ByteLanes, Layer, Unscaled
from ..network.model import LABEL, VECTOR
from ..quantize import float_reference
from ..quantize.floats import Network
from .tables import open_console

_CHUNK = 256
_SHOWN = 5
_COMPONENTS = 10
"""The most components of vectors whose errors are shown each."""
_Floats = NDArray[np.float64]
_UNKNOWN = "the file is already quantized; there is no floating-point form to compare with"


@dataclass(frozen=True, eq=False)
class Calibration:
    """``samples``, uint8 [n, *shape], their name for messages, and their labels, [n], None if they do not fit the network."""

    samples: NDArray[np.uint8]
    labels: NDArray[np.intp] | None
    name: str


def print_report(integers: QuantizedNetwork, on: Calibration, output: Path, lines: Iterable[str]) -> None:
    """Prints what the file ``output`` has, its layers, and ``lines`` on how far it agrees with what it was made of."""
    click.echo(
        f"{printable(str(output))}: {printable(integers.name)}, {integers.architecture}, {output.stat().st_size:,} bytes"
    )
    for key, value in integers.card.items():
        click.echo(f"  {printable(key)}: {printable(value)}")
    open_console().print(_table(integers, on))
    click.echo(f"On {printable(on.name)}:")
    for line in lines:
        click.echo(f"  {line}")


def _table(network: QuantizedNetwork, on: Calibration) -> Table:
    from ..evaluation.layer_table import layer_rows

    table = Table(box=None, pad_edge=False, header_style="")
    for name in ("layer", "output", "bytes", "range", "largest |sum|", "of int32", "clipped", "zero inputs"):
        table.add_column(name, justify="left" if name == "layer" else "right")
    for row, clipped in zip(layer_rows(network), clipped_shares(network, on.samples), strict=True):
        sums = ("", "") if row.bound is None else (f"{row.bound:,}", f"{row.bound / INT32_MAX:.2%}")
        share = "" if clipped is None else f"{clipped:.3%}"
        zeros = "" if row.density is None else f"{1 - row.density:.1%}"
        kind = " ".join(filter(None, (row.kind, row.window)))
        table.add_row(kind, row.gives, f"{row.size:,}" if row.size else "", row.values, *sums, share, zeros)
    return table


def clipped_shares(network: QuantizedNetwork, samples: NDArray[np.uint8]) -> list[float | None]:
    """For each layer the share, 0..1, of its outputs that its range clipped. None for layers that clip nothing.

    Values that a ReLU sets to 0 are not counted as clipped.
    """
    cut, seen = np.zeros(len(network.layers), np.int64), np.zeros(len(network.layers), np.int64)
    for start in range(0, len(samples), _CHUNK):
        held = {SAMPLE: encoding.levels(network.input, samples[start : start + _CHUNK]).astype(np.int64)}
        for number, (layer, sources) in enumerate(zip(network.layers, network.takes, strict=True)):
            held[number], clipped = _forward(layer, [held[source] for source in sources])
            seen[number] += held[number].size
            cut[number] += clipped
    return [
        None if _clips_nothing(layer) else float(some / most)
        for layer, some, most in zip(network.layers, cut, seen, strict=True)
    ]


def _clips_nothing(layer: Layer) -> bool:
    return isinstance(layer, Unscaled) or isinstance(layer.requantization, ByteLanes)


def _forward(layer: Layer, given: list[NDArray[np.int64]]) -> tuple[NDArray[np.int64], int]:
    """What ``layer`` gives, and how many of these its range clipped."""
    if isinstance(layer, Unscaled) or isinstance(layer.requantization, ByteLanes):
        return reference.forward(layer, *given), 0
    by = layer.requantization
    whole = replace(by, low=INT32_MIN, high=INT32_MAX, activation=None)
    if isinstance(layer, layers.Weighted | layers.Table):
        sums = reference.accumulate(layer, *given)
        gives, uncut = reference.requantize(by, sums), reference.requantize(whole, sums)
    else:
        gives, uncut = reference.join(layer, given), reference.join(replace(layer, requantization=whole), given)
    below = 0 if by.low == by.zero_point else np.count_nonzero(uncut < by.low)
    return gives, int(below + np.count_nonzero(uncut > by.high))


def agreement(integers: QuantizedNetwork, floats: Network | None, on: Calibration) -> Iterator[str]:
    """Lines on the labels of ``integers`` and ``floats``. None stands for a file whose integers were used unchanged."""
    if integers.result != LABEL:
        yield from values_agree(integers, floats, on)
        return
    count, found = len(on.samples), reference.labels(integers, on.samples)
    right = [f"integers {share(found == on.labels)}"] if on.labels is not None else []
    if floats is None:
        yield _UNKNOWN
    else:
        logits = float_reference.logits(floats, on.samples)
        wanted = logits.argmax(axis=1)
        yield f"floats and integers give the same label for {np.count_nonzero(found == wanted):,} of {count:,} samples"
        yield from _others(integers.labels, logits, found)
        right = [f"floats {share(wanted == on.labels)}", *right] if right else []
    if right:
        yield f"right: {', '.join(right)}"


def values_agree(integers: QuantizedNetwork, floats: Network | None, on: Calibration) -> Iterator[str]:
    """As :func:`agreement`, on values, vectors and anomaly scores, which are no labels."""
    if floats is None:
        yield _UNKNOWN
        return
    wanted = float_reference.logits(floats, on.samples)
    given = reference.scores(integers, on.samples) * integers.score_scale
    errors = np.abs(given - wanted)
    if integers.result == VECTOR:
        yield from components_agree(integers.labels, errors, wanted, "samples")
        return
    relative = errors / np.maximum(np.abs(wanted), np.finfo(np.float64).tiny)
    yield f"floats and integers differ by {errors.mean():.3g} on average, by {errors.max():.3g} at most"
    yield f"  that is {relative.mean():.2%} of the value on average, {relative.max():.2%} at most"
    yield f"  on {len(wanted):,} samples, values of {wanted.min():.4g} to {wanted.max():.4g}"


def components_agree(labels: tuple[str, ...], errors: _Floats, wanted: _Floats, what: str) -> Iterator[str]:
    """The errors of each component of vectors, float64 [n, labels], on as many samples or rows, which ``what`` says."""
    yield f"floats and integers differ, on {len(wanted):,} {what}, by"
    for name, off, values in zip(labels[:_COMPONENTS], errors.T, wanted.T, strict=False):
        reach = f"values of {values.min():.4g} to {values.max():.4g}"
        yield f"  {off.mean():.3g} on average, {off.max():.3g} at most in {name!r}, {reach}"
    if len(labels) > _COMPONENTS:
        rest = errors[:, _COMPONENTS:]
        yield f"  and {rest.mean():.3g} on average, {rest.max():.3g} at most in {len(labels) - _COMPONENTS} more"


def _others(labels: tuple[str, ...], logits: NDArray[np.float64], found: NDArray[np.intp]) -> Iterator[str]:
    """The samples whose labels ``found`` are not those of ``logits``, the largest lead in floats first: the worst mistakes."""
    wanted = logits.argmax(axis=1)
    other = np.flatnonzero(found != wanted)
    leads = logits[other, wanted[other]] - logits[other, found[other]]
    for place in np.argsort(-leads, kind="stable")[:_SHOWN]:
        sample = int(other[place])
        names = printable(labels[wanted[sample]]), printable(labels[found[sample]])
        yield f"  sample {sample}: floats {names[0]!r}, integers {names[1]!r}; a lead of {leads[place]:.3g} in floats"
    if len(other) > _SHOWN:
        yield f"  and {len(other) - _SHOWN:,} more, with smaller leads"


def share(hits: NDArray[np.bool_]) -> str:
    """A share in percent."""
    return f"{hits.mean():.2%}"
