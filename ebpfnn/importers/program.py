"""A graph of PyTorch's ATen operators, wherever it was read from: what :mod:`.aten` walks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Sizes = tuple[int | None, ...]
"""A shape with the batch in front; None where a size is not fixed."""


@dataclass(frozen=True)
class Ref:
    """An argument that is what the node ``name`` gave."""

    name: str


@dataclass(frozen=True)
class Call:
    """A node: ``op`` without its overload, such as ``aten.conv2d``; arguments by the schema's names, defaults left out.

    ``name`` is that of its first output, ``shape`` the size of it. A dtype among the arguments is a string: "float32".
    """

    op: str
    name: str
    arguments: Mapping[str, Any]
    shape: Sizes = ()

    @property
    def taken(self) -> list[str]:
        """The names of the nodes whose outputs it takes, in the order of its arguments."""
        return [each.name for each in _flat(list(self.arguments.values())) if isinstance(each, Ref)]

    @property
    def inputs(self) -> frozenset[str]:
        """:attr:`taken`, each once."""
        return frozenset(self.taken)


@dataclass(frozen=True)
class Program:
    """A graph of one input, whose ``dtype`` is a string: "float32"."""

    calls: Sequence[Call]
    constants: Mapping[str, NDArray[Any]]
    input: str
    shape: Sizes
    dtype: str
    output: str


def _flat(values: Sequence[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list):
            yield from _flat(value)
        else:
            yield value
