"""What a reducer is: the numbers that it keeps of a column's values. docs/events.md defines those that come with ebpfnn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from .code import ReducerCode

Options = Mapping[str, int]
"""The options of a column's reducer, by name."""


class Reducer(ABC):
    """Turns the values of a column into results, one value at a time, in a few 64-bit words of state that begin as zeros.

    ``name`` is what a spec calls it, ``summary`` one line for ``ebpfnn plugins``. ``options`` describes its options, each with
    one line of help. ``takes_value`` is False if a column may not say ``of``, ``shift`` or ``clip``. The Python half
    (:meth:`step`, :meth:`read`) and the BPF half (:meth:`emit_step`, :meth:`emit_read`) compute the same.
    """

    name: str
    summary: str = ""
    options: Mapping[str, str] = MappingProxyType({})
    takes_value: bool = True

    def read_options(self, given: Mapping[str, Any]) -> Options:
        """``given`` checked, with the defaults of those that are not given. A spec has no others than :attr:`options`.

        Raises :class:`~ebpfnn.errors.ModelError` with the reason. Durations are read by :func:`ebpfnn.events.duration`.
        """
        del given
        return {}

    def words(self, options: Options) -> int:
        """How many words of state it needs."""
        del options
        return 1

    def results(self, options: Options) -> int:
        """How many results it gives."""
        del options
        return 1

    def numbered(self, options: Options) -> bool:
        """Whether its results are called ``NAME.1``, ``NAME.2``, ... rather than ``NAME``."""
        return self.results(options) > 1

    def most_bits(self, options: Options) -> int:
        """How many bits a value may have, so that nothing overflows in 2^32 - 1 events."""
        del options
        return 64

    @abstractmethod
    def step(self, state: list[int], value: int, time: int, options: Options) -> None:
        """Changes ``state``, :meth:`words` integers below 2^64, by one value at ``time`` (ns)."""

    @abstractmethod
    def read(self, state: Sequence[int], options: Options) -> tuple[int, ...]:
        """The results, each below 2^64."""

    @abstractmethod
    def emit_step(self, code: ReducerCode, options: Options) -> None:
        """Writes the instructions of :meth:`step`."""

    @abstractmethod
    def emit_read(self, code: ReducerCode, options: Options) -> None:
        """Writes the instructions of :meth:`read`."""
