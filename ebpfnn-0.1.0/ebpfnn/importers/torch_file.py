"""Files of tensors by name: what ``torch.save(module.state_dict(), file)`` and safetensors wrote.

A .pt file is a pickle inside a zip. PyTorch's weights-only unpickler makes tensors and plain containers of it and nothing
else; versions before 2.6 could be led out of it (CVE-2025-32434), so they are not used.
"""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from itertools import accumulate
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from ..errors import ModelError
from ..layers import expect
from .steps import LARGEST

MAX_BYTES = 64 << 20
_NESTED = ("state_dict", "model_state_dict", "model")
"""Where training scripts keep the state dict in a checkpoint."""
_DAMAGE = (
    pickle.UnpicklingError,
    RuntimeError,
    AssertionError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    TypeError,
    ValueError,
)
"""What torch.load() raises for a file that is not what it says, or holds what it does not make."""
_REMEDY = "save module.state_dict() with torch.save()"

Tensors = dict[str, NDArray[Any]]


def read_torch(data: bytes) -> Tensors:
    """The tensors of a .pt file, by key, in the order of the file; floats are float32.

    Raises :class:`ModelError` where it is none, or holds more than tensors.
    """
    _check_zip(data)
    torch = _torch()
    try:
        held = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except _DAMAGE as error:
        raise ModelError(f"holds more than tensors, which is not opened, or is damaged; {_REMEDY}") from error
    for name in _NESTED:
        if isinstance(held, dict) and isinstance(held.get(name), dict):
            held = held[name]
    expect(isinstance(held, dict) and len(held) > 0, f"holds {type(held).__name__} where a state dict is wanted; {_REMEDY}")
    size = 0
    for key, value in held.items():
        dense = isinstance(value, torch.Tensor) and value.layout == torch.strided and not value.is_quantized
        expect(dense, f"key {str(key)!r} is no plain tensor but {type(value).__name__}; {_REMEDY}")
        size += value.numel()
        _check_size(str(key), size)
    return {str(key): (each.float() if each.is_floating_point() else each).detach().numpy() for key, each in held.items()}


def read_safetensors(data: bytes) -> Tensors:
    """The tensors of a .safetensors file, by key; keys are sorted, numbers in them by value, for the file has no order.

    Raises :class:`ModelError` where it is none, or is a network that is quantized already.
    """
    try:
        tensors = safetensors.numpy.load(data)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ModelError("not a safetensors file of float tensors, or cut short; copy or save it again") from error
    header = data[8 : 8 + int.from_bytes(data[:8], "little")]
    expect(b'"ebpfnn' not in header, "a network of ebpfnn's own; give it to `ebpfnn infer` or `ebpfnn eval`")
    for key, size in zip(tensors, accumulate(array.size for array in tensors.values()), strict=True):
        _check_size(key, size)
    return {key: tensors[key].astype(np.float32) for key in sorted(tensors, key=_natural)}


def _check_zip(data: bytes) -> None:
    """PyTorch writes zips without compression since 1.6; others could unpack to anything."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            plain = all(member.compress_type == zipfile.ZIP_STORED for member in archive.infolist())
            size = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
        raise ModelError(f"not a file that torch.save() of PyTorch 1.6 or later wrote, or cut short; {_REMEDY}") from error
    expect(plain and size <= MAX_BYTES, f"is compressed, or unpacks to more than {MAX_BYTES >> 20} MiB; {_REMEDY}")


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise ModelError("reading .pt files takes PyTorch; pip install 'ebpfnn[train]', or give safetensors") from error
    version = tuple(int(word) for word in re.findall("[0-9]+", torch.__version__)[:2])
    expect(version >= (2, 6), f"PyTorch {torch.__version__} cannot open .pt files safely; upgrade to 2.6, or give safetensors")
    return torch


def _check_size(key: str, size: int) -> None:
    expect(size <= LARGEST, f"key {key!r} brings the file to {size} values, over {LARGEST}; give a smaller network")


def _natural(key: str) -> list[tuple[bool, int, str]]:
    return [(not word.isdigit(), int(word) if word.isdigit() else 0, word) for word in re.split("([0-9]+)", key)]
