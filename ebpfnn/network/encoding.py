"""From pixels to what the kernel is given, and to the levels that a network's first layer sees.

docs/quantization.md defines levels (equation 1); :class:`~ebpfnn.network.inputformat.InputFormat` says how a network wants
them. Axes in front of a sample's are kept as they are, so one sample and many go the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .inputformat import InputFormat

_Bytes = NDArray[np.uint8]


def levels(form: InputFormat, samples: _Bytes) -> _Bytes:
    """The levels, uint8 [..., *shape] in 0..``form.highest``, of pixels, uint8 [..., *shape]; themselves where bits are 8.

    Raises :class:`InputError` for another dtype or shape.
    """
    _check(samples, form.shape)
    if form.value_thresholds:
        return value_tables(form.value_thresholds)[np.arange(form.size), samples]
    return samples if form.bits == 8 else _table(form.thresholds)[samples]


@lru_cache(maxsize=16)
def value_tables(value_thresholds: tuple[tuple[int, ...], ...]) -> _Bytes:
    """The level of each byte for each value of a sample, uint8 [values, 256], read-only."""
    tables = np.stack([_table(own) for own in value_thresholds])
    tables.setflags(write=False)
    return tables


def encode(form: InputFormat, samples: _Bytes) -> _Bytes:
    """What the kernel gets, uint8 [..., ``form.sample_bytes``], for pixels, uint8 [..., *shape].

    That is the pixels themselves, without a copy where they lie in order, unless the format is packed. Raises
    :class:`InputError` for another dtype or shape.
    """
    if not form.packed:
        _check(samples, form.shape)
        return samples.reshape(*_in_front(samples, form), form.size)
    natural = levels(form, samples).reshape(*_in_front(samples, form), form.size)
    return _pack(form, natural[..., form.order] if form.order else natural)


def decode(form: InputFormat, encoded: _Bytes) -> _Bytes:
    """The levels, uint8 [..., *shape], of what the kernel gets, uint8 [..., ``form.sample_bytes``].

    What fills the last byte of a packed sample is not looked at. Raises :class:`InputError` for another dtype or shape.
    """
    _check(encoded, (form.sample_bytes,))
    in_front = encoded.shape[:-1]
    if not form.packed:
        return levels(form, encoded.reshape(*in_front, *form.shape))
    spread: _Bytes = (encoded[..., None] >> np.array(_shifts(form), np.uint8)) & np.uint8(form.highest)
    ordered = spread.reshape(*in_front, form.sample_bytes * 8 // form.bits)[..., : form.size]
    natural: _Bytes = ordered[..., places(form.order)] if form.order else ordered
    return natural.reshape(*in_front, *form.shape)


def places(order: Sequence[int]) -> NDArray[np.int64]:
    """Where each value lies in an ``order`` (equation 18): the inverse of a permutation, int64 [values].

    By assignment, because numpy's argsort is wrong where QEMU emulates AVX2.
    """
    found = np.empty(len(order), np.int64)
    found[np.array(order, np.int64)] = np.arange(len(order))
    return found


def _pack(form: InputFormat, values: _Bytes) -> _Bytes:
    if form.bits == 1:
        return np.packbits(values, axis=-1, bitorder="big" if form.bit_order == "big" else "little")
    packed = np.zeros((*values.shape[:-1], form.sample_bytes), np.uint8)
    for place, shift in enumerate(_shifts(form)):
        each = values[..., place :: 8 // form.bits]
        packed[..., : each.shape[-1]] |= each << shift
    return packed


def _shifts(form: InputFormat) -> range:
    """How far each level of a byte lies from its least significant bit, the first level first."""
    rising = range(0, 8, form.bits)
    return rising[::-1] if form.bit_order == "big" else rising


@lru_cache(maxsize=64)
def _table(thresholds: tuple[int, ...]) -> _Bytes:
    """The level of each pixel, uint8 [256]."""
    table: _Bytes = np.searchsorted(thresholds, np.arange(256), side="right").astype(np.uint8)
    table.setflags(write=False)
    return table


def _in_front(samples: _Bytes, form: InputFormat) -> tuple[int, ...]:
    return samples.shape[: samples.ndim - len(form.shape)]


def _check(given: _Bytes, shape: tuple[int, ...]) -> None:
    if given.dtype != np.uint8 or given.shape[-len(shape) :] != shape:
        raise InputError(f"samples: {given.dtype} {list(given.shape)}; give uint8 {list(shape)} or [n, *{list(shape)}]")
