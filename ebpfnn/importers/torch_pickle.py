"""The pickles that torch.save() writes, read without unpickling: plain values, and tensors as what they say of themselves.

A pickle is a program for a machine with a stack. The one here knows the instructions that a state dict needs, calls nothing,
imports nothing, and makes nothing but None, numbers, strings, tuples, lists, dicts and the three classes below.

Source: Lib/pickletools.py of CPython; torch/_utils.py and torch/serialization.py of PyTorch 2.14.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any

MAX_BYTES = 2 << 20
"""A tensor takes about 150 bytes of it, and an instruction of one byte can make an object of 64."""


MOST_AXES, MOST_VALUES = 16, 1 << 48
"""Of a tensor: numpy takes no more than 2^63 bytes, and products of Python's own integers grow without an end."""
MOST_KEY = 1 << 31
"""Larger integers can all have the same hash, so that a dict of them takes a time that grows with its square."""


class NotPlain(ValueError):
    """The pickle would make something else."""


@dataclass(frozen=True)
class Named:
    """What the pickle would import: ``torch.float32``. It is not looked up."""

    name: str


@dataclass(frozen=True)
class Tensor:
    """A tensor: the key of its storage, how many elements of ``dtype`` that has, or bytes where ``in_bytes``; its place."""

    key: str
    held: int
    in_bytes: bool
    dtype: str
    start: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class Odd:
    """A tensor of a kind that is not read."""

    kind: str


@dataclass(frozen=True)
class _Storage:
    dtype: str
    key: str
    size: int


def read(stream: bytes) -> Any:
    """The value that ``stream`` makes. Raises :class:`NotPlain`, or another :class:`ValueError` or LookupError for damage."""
    if len(stream) > MAX_BYTES:
        raise NotPlain(f"{len(stream)} bytes of pickle")
    machine = _Machine()
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name == "STOP":
            return machine.stack.pop()
        if opcode.name not in _STEPS:
            raise NotPlain(opcode.name)
        _STEPS[opcode.name](machine, argument)
    raise ValueError("no STOP")


@dataclass
class _Machine:
    stack: list[Any] = field(default_factory=list)
    below: list[list[Any]] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def mark(self, _argument: object) -> None:
        self.below.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        found, self.stack = self.stack, self.below.pop()
        return found

    def take(self, count: int) -> list[Any]:
        """The last ``count`` values, which must be there."""
        found = [self.stack.pop() for _ in range(count)]
        return found[::-1]

    def put(self, place: int | None) -> None:
        self.memo[len(self.memo) if place is None else place] = self.stack[-1]

    def append(self, values: list[Any]) -> None:
        _checked(self.stack[-1], list).extend(values)

    def set_items(self, values: list[Any]) -> None:
        target = _checked(self.stack[-1], dict)
        for key, value in zip(values[::2], values[1::2], strict=True):
            # No tuples: hash() of one that is nested deep enough ends the process.
            _check(type(key) in (str, int), f"a key that is {type(key).__name__}")
            _check(type(key) is str or 0 <= key < MOST_KEY, "a key that is too large")
            target[key] = value

    def reduce(self, _argument: object) -> None:
        called, given = self.take(2)
        self.push(_call(called, given))

    def build(self, _argument: object) -> None:
        """What is set on an object beside what it holds, such as the ``_metadata`` of a state dict, is left out."""
        self.take(1)
        _checked(self.stack[-1], dict)


_STEPS: dict[str, Callable[[_Machine, Any], object]] = {
    "PROTO": lambda _on, _argument: None,
    "FRAME": lambda _on, _argument: None,
    "NONE": lambda on, _: on.push(None),
    "NEWTRUE": lambda on, _: on.push(True),
    "NEWFALSE": lambda on, _: on.push(False),
    "EMPTY_TUPLE": lambda on, _: on.push(()),
    "EMPTY_LIST": lambda on, _: on.push([]),
    "EMPTY_DICT": lambda on, _: on.push({}),
    "MARK": _Machine.mark,
    "TUPLE": lambda on, _: on.push(tuple(on.since_mark())),
    "TUPLE1": lambda on, _: on.push(tuple(on.take(1))),
    "TUPLE2": lambda on, _: on.push(tuple(on.take(2))),
    "TUPLE3": lambda on, _: on.push(tuple(on.take(3))),
    "APPEND": lambda on, _: on.append(on.take(1)),
    "APPENDS": lambda on, _: on.append(on.since_mark()),
    "SETITEM": lambda on, _: on.set_items(on.take(2)),
    "SETITEMS": lambda on, _: on.set_items(on.since_mark()),
    "GLOBAL": lambda on, name: on.push(Named(name.replace(" ", "."))),
    "STACK_GLOBAL": lambda on, _: on.push(Named(".".join(_checked(word, str) for word in on.take(2)))),
    "BINPERSID": lambda on, _: on.push(_storage(*on.take(1))),
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
    **dict.fromkeys(("BINPUT", "LONG_BINPUT", "MEMOIZE"), _Machine.put),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda on, place: on.push(on.memo[place])),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"), _Machine.push),
    **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE"), _Machine.push),
}

_STORAGES = {
    "Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16", "Long": "int64", "Int": "int32",
    "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool", "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
}  # fmt: skip
_UNTYPED = "torch.storage.UntypedStorage"


def _storage(described: Any) -> _Storage:
    """What stands for a storage: ("storage", its class, its key, its device, its size)."""
    kind, named, key, _device, size = _checked(described, tuple)
    _check(kind == "storage", "a reference to something else")
    name = _checked(named, Named).name
    dtype = _STORAGES.get(name.removeprefix("torch.").removesuffix("Storage"), name)
    return _Storage(dtype, _checked(key, str), _checked(size, int))


_ODD = {
    "torch._utils._rebuild_sparse_tensor": "sparse",
    "torch._utils._rebuild_sparse_csr_tensor": "sparse",
    "torch._utils._rebuild_nested_tensor": "nested",
    "torch._utils._rebuild_qtensor": "quantized",
    "torch._utils._rebuild_meta_tensor_no_storage": "on the device 'meta', without values",
    "torch._utils._rebuild_wrapper_subclass": "of a class of its own",
}
_FIRST = ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state", "torch.Size", "torch.device")
_INNER = "torch._tensor._rebuild_from_type_v2"


def _call(called: Any, given: Any) -> Any:
    """What the function would return; there are few that a state dict needs."""
    name, given = _checked(called, Named).name, _checked(given, tuple)
    if name == _INNER and given[1] in (Named("torch.Tensor"), Named("torch.nn.parameter.Parameter")):
        name, given = _checked(given[0], Named).name, _checked(given[2], tuple)
    if name == "collections.OrderedDict" and not given:
        return {}
    if name == "torch._utils._rebuild_tensor_v2":
        return _tensor(given, None, given[6:])
    if name == "torch._utils._rebuild_tensor_v3":
        return _tensor(given, _checked(given[6], Named).name.removeprefix("torch."), given[7:])
    if name in _FIRST:
        return given[0]
    if name == "torch.serialization._get_layout":
        return Named(_checked(given[0], str))
    if name in _ODD:
        return Odd(_ODD[name])
    raise NotPlain(name)


def _tensor(given: tuple[Any, ...], dtype: str | None, more: tuple[Any, ...]) -> Tensor | Odd:
    """``more`` may hold a dict that says whether the values are to be conjugated or negated when they are looked at."""
    storage, start, sizes, strides = _checked(given[0], _Storage), *given[1:4]
    numbers = [_checked(each, int) for each in (start, *_checked(sizes, tuple), *_checked(strides, tuple))]
    _check(min([storage.size, *numbers]) >= 0 and len(sizes) == len(strides), "a tensor that lies nowhere")
    _check(len(sizes) <= MOST_AXES and max([storage.size, *numbers]) < MOST_VALUES, "a tensor that is too large")
    _check(prod(size or 1 for size in sizes) < MOST_VALUES, "a tensor that is too large")
    if any(isinstance(each, dict) and (each.get("conj") or each.get("neg")) for each in more):
        return Odd("a view that negates or conjugates")
    untyped = storage.dtype == _UNTYPED
    return Tensor(storage.key, storage.size, untyped, dtype or storage.dtype, start, sizes, strides)


def _checked(value: Any, kind: type) -> Any:
    _check(type(value) is kind, f"{type(value).__name__} where {kind.__name__} is wanted")
    return value


def _check(fits: bool, fact: str) -> None:
    if not fits:
        raise ValueError(fact)
