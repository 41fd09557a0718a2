"""Cascades: a network in front of another, which decides what the first is not sure of (docs/quantization.md, equation 22).

The margin with which the first decides is chosen on samples that neither has learned from: :func:`margin_for`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from . import reference
from .inputformat import InputFormat
from .layers import INT32_MAX, describe, expect
from .model import Model
from .network import Next, QuantizedNetwork

_AGAIN = "make the cascade from its last network on: first that of the last two, then one in front of it"


def join(first: QuantizedNetwork, second: QuantizedNetwork, margin: int, share: float, *, name: str = "") -> QuantizedNetwork:
    """A cascade: ``second`` decides where the best score of ``first`` leads the second best by less than ``margin``.

    ``share``, 0..1, is how many calibration samples go on. ``second`` may be a cascade itself. It takes the samples as
    ``first`` does: pixels, or packed in the same order if both take levels by the same thresholds. A spec that both carry is
    kept once. The card is that of ``first``, and the name too, unless ``name`` is given.

    Raises :class:`ModelError` for networks that cannot be one cascade, with what to do.
    """
    expect(first.then is None, f"'{first.name}' is a cascade, which cannot be the first network of another; {_AGAIN}")
    second = _alike(first, second)
    return replace(first, name=name or first.name, then=Next(second, margin, share))


def unpacked(network: QuantizedNetwork) -> QuantizedNetwork:
    """``network`` for samples that arrive as pixels, a byte each, and not packed: it computes the levels itself."""
    then = network.then and replace(network.then, network=unpacked(network.then.network))
    return replace(network, input=replace(network.input, packed=False, order=()), then=then)


def margin_for(scores: NDArray[np.int32], share: float) -> int:
    """The margin with which ``share``, above 0 to 1, of samples go on whose scores are ``scores``, int32 [n, classes], n >= 1.

    No more go on, except those whose two best scores are equal, which always do.
    """
    leads = np.sort(reference.margins(scores))
    count = round(share * len(leads))
    margin = int(leads[-1]) + 1 if count >= len(leads) else int(leads[count])
    return min(max(margin, 1), INT32_MAX)


def deciding(network: Model, samples: NDArray[np.uint8]) -> NDArray[np.intp]:
    """The number of the network that decides each sample, from 0 on, [n], for pixels uint8 ``[n, *shape]``.

    All are 0 for a model that is no cascade.

    Raises :class:`~ebpfnn.errors.InputError` as :func:`ebpfnn.network.reference.scores`.
    """
    found = np.zeros(len(samples), np.intp)
    if isinstance(network, QuantizedNetwork) and network.then is not None:
        alone = reference.scores(replace(network, then=None), samples)
        on = reference.margins(alone) < network.then.margin
        found[on] = 1 + deciding(network.then.network, samples[on])
    return found


def one_unit(scales: tuple[float, ...]) -> float | None:
    """The logit of a score of 1 if that is the same whichever network decides, else None. ``scales`` are those of the networks.

    They are :attr:`QuantizedNetwork.score_scales`.
    """
    return scales[0] if len(set(scales)) == 1 else None


def _alike(first: QuantizedNetwork, second: QuantizedNetwork) -> QuantizedNetwork:
    """``second`` as it can stand behind ``first``."""
    theirs = f"'{second.name}'"
    _check_labels(first, second)
    mine, its = first.input, second.input
    shapes = f"{theirs} takes samples of {describe(its.shape)}, and '{first.name}' of {describe(mine.shape)}"
    expect(mine.shape == its.shape, f"{shapes}; train both on the same samples")
    other = f"{theirs} prepares samples by '{its.preparation.kind}', and '{first.name}' by '{mine.preparation.kind}'"
    expect(mine.preparation == its.preparation, f"{other}, or with other options; train both with the same --prepare")
    if first.events or second.events:
        second = replace(second, events=_spec(first, second))
    return _packed(first, second) if mine.packed else unpacked(second)


def _check_labels(first: QuantizedNetwork, second: QuantizedNetwork) -> None:
    ours, theirs = first.labels, second.labels
    counts = f"'{second.name}' has {len(theirs)} labels, and '{first.name}' {len(ours)}"
    expect(len(ours) == len(theirs), f"{counts}; train both on the same data")
    for number, (own, other) in enumerate(zip(ours, theirs, strict=True)):
        fact = f"label {number} of '{second.name}' is '{other}', and of '{first.name}' '{own}'"
        expect(own == other, f"{fact}; train both on the same data")


def _spec(first: QuantizedNetwork, second: QuantizedNetwork) -> Mapping[str, str]:
    """None: the first network carries the spec for all."""
    same = dict(first.events) == dict(second.events)
    expect(same, f"'{second.name}' and '{first.name}' carry different specs, or one none; train both on the same rows")
    return {}


def _packed(first: QuantizedNetwork, second: QuantizedNetwork) -> QuantizedNetwork:
    """``second`` for samples that are packed as those of ``first``; all its networks must see the same levels."""
    for each in second.stages:
        if _levels(each.input) != _levels(first.input):
            fact = f"'{first.name}' takes {_told(first.input)}, and '{each.name}' {_told(each.input)}"
            raise ModelError(f"{fact}; give --unpacked, with which both take pixels, or train both with the same --bits")
    return _formatted(second, first.input)


def _formatted(network: QuantizedNetwork, form: InputFormat) -> QuantizedNetwork:
    then = network.then and replace(network.then, network=_formatted(network.then.network, form))
    return replace(network, input=form, then=then)


def _levels(form: InputFormat) -> tuple[object, ...]:
    return form.bits, form.thresholds, form.value_thresholds


def _told(form: InputFormat) -> str:
    if form.bits == 8:
        return "pixels"
    at = "thresholds of each value" if form.value_thresholds else f"thresholds {list(form.thresholds)}"
    return f"{'packed ' if form.packed else ''}levels of {form.bits} bit{'s'[: form.bits > 1]} by {at}"
