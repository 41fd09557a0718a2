"""Actions: what a guard does with an event."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from ..errors import UsageError


class Action(ABC):
    """A piece that is linked behind the shell of a guard, and is called for the events that are acted on.

    ``name`` is the value of ``--action``, ``summary`` one line for ``ebpfnn plugins``. ``triggers`` are the names of the
    triggers whose events it can act on. ``value`` is what stands behind a colon: ``7`` of ``--action mark:7``.
    """

    name: str
    summary: str = ""
    triggers: tuple[str, ...] = ()
    value: str = ""

    @property
    def written(self) -> str:
        """As ``--action`` takes it: name, and value if it has one."""
        return f"{self.name}:{self.value}" if self.value else self.name

    def taking(self, value: str) -> Action:
        """This action with ``value``, "" if none was given. The default takes none.

        Raises :class:`~ebpfnn.errors.UsageError` for a value of the wrong form, and for one that is missing.
        """
        if value:
            raise UsageError(f"action '{self.name}' takes no value; leave out ':{value}'")
        return self

    @abstractmethod
    def object_path(self) -> Path:
        """An ELF object that defines ``int ebpfnn_act(struct ebpfnn_fields *, void *, __u32)`` (``guard.h``).

        It returns what the program at the event is to return. It is called for no other event.
        """

    def variables(self, trigger: str, target: str | None) -> Mapping[str, bytes]:
        """Values for the object's global variables, at an event of ``trigger``. Each has exactly the size of its variable."""
        del trigger, target
        return MappingProxyType({})
