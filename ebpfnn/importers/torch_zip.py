"""The zips that torch.save() writes: a pickle, and beside it the values of each storage, as bytes.

Sizes that the pickle tells are checked against the entries of the archive before anything is made.
"""

from __future__ import annotations

import io
import zipfile
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..files import zips
from ..network.layers import expect
from . import torch_pickle
from .torch_pickle import NotPlain, Tensor

DTYPES = {
    **{name: name for name in ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool")},
    **{name: name for name in ("uint16", "uint32", "uint64")},
    "bfloat16": "uint16",
}
"""numpy's dtype of the bytes of each of PyTorch's."""


class Saved:
    """What a file of torch.save() holds; ``value`` is what :func:`.torch_pickle.read` makes of it.

    Raises :class:`ModelError`, ending with ``remedy``, where ``data`` is none, unpacks to over ``limit`` bytes, or would make
    anything else.
    """

    def __init__(self, data: bytes, limit: int, remedy: str) -> None:
        self._remedy = remedy
        fact = "not a file that torch.save() of PyTorch 1.6 or later wrote, or cut short"
        try:
            with zips.opened(io.BytesIO(data)) as archive:
                names = archive.namelist()
                expect(len(set(names)) == len(names), f"has entries of the same name; {remedy}")
                plain = all(member.compress_type == zipfile.ZIP_STORED for member in archive.infolist())
                small = zips.unpacked(archive) <= limit
                expect(plain and small, f"is compressed, or unpacks to more than {limit >> 20} MiB; {remedy}")
                self._parts = {name: zips.read(archive, name) for name in names}
        except (*zips.DAMAGE, LookupError) as error:
            raise ModelError(f"{fact}; {remedy}") from error
        roots = [name.removesuffix("data.pkl") for name in self._parts if name.count("/") == 1 and name.endswith("/data.pkl")]
        expect(len(roots) == 1, f"{fact}; {remedy}")
        self._root = roots[0]
        self._order = ">" if self._parts.get(self._root + "byteorder", b"little").strip() == b"big" else "<"
        self.value = self._read()

    def _read(self) -> Any:
        try:
            return torch_pickle.read(self._parts[self._root + "data.pkl"])
        except (NotPlain, ValueError, LookupError, TypeError) as error:
            raise ModelError(f"contains objects other than tensors (refused), or is damaged; {self._remedy}") from error

    def array(self, tensor: Tensor, what: str) -> NDArray[Any]:
        """The values of ``tensor``, read-only and strided as they lie; bfloat16 as the uint16 of its bits.

        Raises :class:`ModelError`, naming ``what``, where its storage holds less, or is of a type that is not read.
        """
        expect(tensor.dtype in DTYPES, f"{what} is of {tensor.dtype}, which is not read; give it as float32")
        dtype = np.dtype(self._order + np.dtype(DTYPES[tensor.dtype]).str[1:])
        held = self._parts.get(f"{self._root}data/{tensor.key}", b"")
        size = tensor.held * (1 if tensor.in_bytes else dtype.itemsize)
        last = tensor.start + sum((size - 1) * stride for size, stride in zip(tensor.sizes, tensor.strides, strict=True))
        empty = prod(tensor.sizes) == 0
        fits = size <= len(held) and (empty or (last + 1) * dtype.itemsize <= size)
        expect(fits, f"{what} is larger than what the file holds of it; {self._remedy}")
        if empty:
            return np.zeros(tensor.sizes, dtype)
        values = np.frombuffer(held, dtype, size // dtype.itemsize)[tensor.start :]
        strides = [stride * dtype.itemsize for stride in tensor.strides]
        return np.lib.stride_tricks.as_strided(values, tensor.sizes, strides, writeable=False)
