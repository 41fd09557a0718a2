"""Files of tensors by name: what ``torch.save(module.state_dict(), file)`` and safetensors wrote.

PyTorch opens neither: :mod:`.torch_pickle` reads the pickle that a .pt file has inside.
"""

from __future__ import annotations

import re
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from ..errors import ModelError
from ..network.layers import expect
from ..network.tensorfile import check_header
from .steps import LARGEST
from .torch_pickle import Odd, Tensor
from .torch_zip import Saved

MAX_BYTES = 64 << 20
_NESTED = ("state_dict", "model_state_dict", "model")
"""Where training scripts keep the state dict in a checkpoint."""
_REMEDY = "save module.state_dict() with torch.save()"

Tensors = dict[str, NDArray[Any]]


def read_torch(data: bytes) -> Tensors:
    """The tensors of a .pt file, by key, in the order of the file; floats are float32.

    Raises :class:`ModelError` where it is none, or contains objects other than tensors.
    """
    saved = Saved(data, MAX_BYTES, _REMEDY)
    held = saved.value
    for name in _NESTED:
        if isinstance(held, dict) and isinstance(held.get(name), dict):
            held = held[name]
    expect(isinstance(held, dict) and len(held) > 0, f"holds {_kind(held)} where a state dict is wanted; {_REMEDY}")
    size = 0
    for key, value in held.items():
        expect(isinstance(value, Tensor), f"key {str(key)!r} is no plain tensor but {_kind(value)}; {_REMEDY}")
        size += prod(value.sizes)
        _check_size(str(key), size)
    return {str(key): _values(saved, str(key), value) for key, value in held.items()}


def _kind(value: object) -> str:
    return value.kind if isinstance(value, Odd) else type(value).__name__


def _values(saved: Saved, key: str, tensor: Tensor) -> NDArray[Any]:
    found = saved.array(tensor, f"key {key!r}")
    if tensor.dtype == "bfloat16":
        return (found.astype(np.uint32) << 16).view(np.float32)
    return found.astype(np.float32 if found.dtype.kind == "f" else found.dtype.newbyteorder("="))


def read_safetensors(data: bytes) -> Tensors:
    """The tensors of a .safetensors file, by key; keys are sorted, numbers in them by value, for the file has no order.

    Raises :class:`ModelError` where it is none, or is a network that is quantized already.
    """
    check_header(data)
    try:
        tensors = safetensors.numpy.load(data)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ModelError("not a safetensors file of float tensors, or cut short; copy or save it again") from error
    for key, array in tensors.items():
        expect(array.dtype.kind != "c", f"key {key!r} is of {array.dtype}, which is complex; save real numbers")
    header = data[8 : 8 + int.from_bytes(data[:8], "little")]
    expect(b'"ebpfnn' not in header, "a network of ebpfnn's own; give it to `ebpfnn infer` or `ebpfnn eval`")
    for key, size in zip(tensors, accumulate(array.size for array in tensors.values()), strict=True):
        _check_size(key, size)
    return {key: tensors[key].astype(np.float32) for key in sorted(tensors, key=_natural)}


def _check_size(key: str, size: int) -> None:
    expect(size <= LARGEST, f"key {key!r} brings the file to {size} values, over {LARGEST}; give a smaller network")


def _natural(key: str) -> list[tuple[bool, int, str]]:
    return [(not word.isdigit(), int(word) if word.isdigit() else 0, word) for word in re.split("([0-9]+)", key)]
