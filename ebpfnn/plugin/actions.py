"""Actions: what a guard does with an event."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType


class Action(ABC):
    """A piece that is linked behind the shell of a guard, and is called for the events that are acted on.

    ``name`` is the value of ``--action``, ``summary`` one line for ``ebpfnn plugins``. ``triggers`` are the names of the
    triggers whose events it can act on.
    """

    name: str
    summary: str = ""
    triggers: tuple[str, ...] = ()

    @abstractmethod
    def object_path(self) -> Path:
        """An ELF object that defines ``int ebpfnn_act(struct ebpfnn_fields *, void *, __u32)`` (``guard.h``).

        It returns what the program at the event is to return. It is called for no other event.
        """

    def variables(self, trigger: str) -> Mapping[str, bytes]:
        """Values for the object's global variables, at an event of ``trigger``. Each has exactly the size of its variable."""
        del trigger
        return MappingProxyType({})
