"""How the rows in C want weights: by groups of inputs, as many outputs each as fill whole vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ALIGNED = 64
"""Bytes that a vector's address is a multiple of."""
_PAIR = 128  # the most that two weights of one sign may be together: times 255 it fits 16 bits


def grouped(weights: NDArray[Any], together: int, padded: int) -> NDArray[Any]:
    """[outputs, inputs] as [inputs / together, padded, together], zeros where there are none."""
    outputs, inputs = weights.shape
    groups = -(-inputs // together)
    whole = np.zeros((padded, groups * together), weights.dtype)
    whole[:outputs, :inputs] = weights
    grouped: NDArray[Any] = whole.reshape(padded, groups, together).transpose(1, 0, 2)
    return grouped


def in_halves(weights: NDArray[np.int8]) -> NDArray[np.int8]:
    """[outputs, inputs], the first of the upper half of them followed by the first of the lower, and so on; 16 at least."""
    outputs, inputs = weights.shape
    half = -(-inputs // 16) * 8
    whole = np.zeros((outputs, 2, half), np.int8)
    whole.reshape(outputs, -1)[:, :inputs] = weights
    interleaved: NDArray[np.int8] = whole.transpose(0, 2, 1).reshape(outputs, -1)
    return interleaved


def unsaturated(weights: NDArray[np.int8]) -> tuple[NDArray[np.int8], NDArray[np.int8], NDArray[np.int32]]:
    """Weights [groups, padded, 4] whose pairs add up in 16 bits, what of them is left over, and the groups that it is of."""
    pairs = weights.astype(np.int32).reshape(*weights.shape[:2], 2, 2)
    first, second = pairs[..., 0], pairs[..., 1]
    room = np.where(np.sign(first) == np.sign(second), _PAIR - np.abs(first), _PAIR)
    kept = np.clip(second, -room, room)
    left = np.stack([np.zeros_like(first), second - kept], axis=-1).reshape(weights.shape).astype(np.int8)
    groups = np.flatnonzero(left.any(axis=(1, 2))).astype(np.int32)
    return np.stack([first, kept], axis=-1).reshape(weights.shape).astype(np.int8), left[groups], groups


def lengthened(vector: NDArray[np.int32], length: int) -> NDArray[np.int32]:
    """``vector`` with zeros behind it."""
    whole = np.zeros(length, np.int32)
    whole[: len(vector)] = vector
    return whole


def aligned(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Zeros that begin where a vector may be loaded from."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + ALIGNED, np.uint8)
    start = -memory.ctypes.data % ALIGNED
    array: NDArray[Any] = memory[start : start + size].view(dtype).reshape(shape)
    return array
