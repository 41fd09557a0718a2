"""A spec that was checked against the fields of its events and the reducers: what the compiler and the twin work from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from .fields import Field
from .reducer import Options, Reducer
from .spec import Spec


class Derived(Enum):
    """A field that the state gives. The value is its number of bits."""

    NUMBER = ("number", 32)
    GAP = ("gap", 64)
    AGE = ("age", 64)
    REPLY = ("reply", 1)

    @property
    def bits(self) -> int:
        """The number of bits of its values."""
        return int(self.value[1])


Source = Field | Derived


@dataclass(frozen=True)
class BoundCondition:
    """``sources operator values``. There are several only for the text of ``comm``: ``==`` holds if all are equal, else ``!=``.

    Values are as the fields': negative ones only for signed fields. For ``in`` and ``not in``, values are (address, mask).
    """

    sources: tuple[Source, ...]
    operator: str
    values: tuple[int, ...]


@dataclass(frozen=True)
class BoundEvent:
    """One kind of event. ``fields`` are its usable ones by name. ``where`` has the conditions of spec and event.

    ``key`` has the fields of a key that is a list; of the others, :attr:`Bound.spec` has the name.
    """

    name: str
    fields: Mapping[str, Field]
    where: tuple[BoundCondition, ...]
    key: tuple[Field, ...]
    when: tuple[BoundCondition, ...]
    end: tuple[BoundCondition, ...]


@dataclass(frozen=True)
class Use:
    """How one event counts in a column. ``source`` is None where the value is 1."""

    source: Source | None
    when: tuple[BoundCondition, ...]


@dataclass(frozen=True)
class BoundColumn:
    """A column. ``uses`` has the events that count, by index. Its state begins at word ``word``, its results at ``result``."""

    name: str
    reducer: Reducer
    options: Options
    uses: Mapping[int, Use]
    shift: int
    clip: int | None
    word: int
    words: int
    result: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Bound:
    """A spec with its events' fields. ``key_bytes`` is a multiple of 8, ``words`` the reducers' words of a state."""

    spec: Spec
    events: tuple[BoundEvent, ...]
    columns: tuple[BoundColumn, ...]
    key_bytes: int
    words: int

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the results of a row, in order."""
        return tuple(name for column in self.columns for name in column.names)
