"""Actions: what a guard does with an event."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from ..errors import UsageError
from .types import Trigger


class Action(ABC):
    """A piece that is linked behind the shell of a guard, and is called for the events that are acted on.

    ``name`` is the value of ``--action``, ``summary`` one line for ``ebpfnn plugins``. ``triggers`` are the names of the
    triggers whose events it can act on, None for every trigger with a :meth:`Trigger.guard`. ``value`` is what stands behind a
    colon: ``7`` of ``--action mark:7``.
    """

    name: str
    summary: str = ""
    triggers: tuple[str, ...] | None = ()
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

    def check(self, trigger: Trigger, target: str | None) -> None:
        """Called before anything is loaded, with one of :attr:`triggers`. The default accepts everything.

        Raises :class:`UsageError` if it cannot act at ``target``, :class:`~ebpfnn.errors.NotSupported` if this kernel cannot.
        """
        del trigger, target

    @abstractmethod
    def object_path(self, trigger: str) -> Path:
        """An ELF object that defines ``int ebpfnn_act(struct ebpfnn_fields *, void *, __u32)`` (``guard.h``).

        It is for events of ``trigger``. The function returns what the program at the event is to return, or ``EBPFNN_GO_ON``
        to let the event go on. It is called for no other event. Programs of one guard share the object's maps, and a swap keeps
        them.
        """

    def variables(self, trigger: str, target: str | None) -> Mapping[str, bytes]:
        """Values for the object's global variables, at an event of ``trigger``. Each has exactly the size of its variable."""
        del trigger, target
        return MappingProxyType({})
