"""What a plugin brings that runs a network: triggers, and their attachments."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..events import Field
    from ..kernel import Link, Object, Program
    from ..network.layers import InputFormat
    from ..obj import ObjectSpec


class Attachment(AbstractContextManager["Attachment"]):
    """A trigger in place: closing it detaches. ``link`` is the kernel's link, where there is one.

    ``provoke`` is the call that provokes one event in the thread that makes it, for triggers that need no class of their own.
    ``patience`` is for events that nothing provokes for certain, such as a timer's: for so many seconds :meth:`fire` is called
    again until the network has run. 0 is for a call that provokes one event. ``check`` is set while :meth:`exchange` checks a
    network: the number that then marks its request, so that it is neither counted nor told to watchers; else 0.
    """

    link: Link | None = None
    patience: float = 0
    check: int = 0
    _provoke: Callable[[], object] | None = None

    def __init__(self, link: Link | None = None, provoke: Callable[[], object] | None = None) -> None:
        self.link, self._provoke = link, provoke

    def fire(self, slot: int) -> None:
        """Provokes one event in the calling thread, whose sample lies in ``slot``.

        Raises :class:`~ebpfnn.errors.NotSupported` where this event cannot be provoked from here (the default).
        """
        from ..errors import NotSupported

        if self._provoke is not None:
            self._provoke()
            return
        raise NotSupported(f"{type(self).__name__}: this event cannot be provoked from here; wait for it to happen")

    def prepare(self, slot: int) -> Callable[[], object]:
        """:meth:`fire` of ``slot``, as quick to call as it can be made, and of no effect once the attachment is closed.

        It need not tell of a refusal: where the network did not run, :meth:`fire` is called, and does.
        """
        return partial(self.fire, slot)

    def prepare_batch(self, slot: int) -> Callable[[int], None]:
        """What provokes one event that runs the network on so many samples of the batch, in the memory of ``slot``.

        It is asked of triggers whose shell has a map ``ebpfnn_outputs`` (``bpf/run.bpf.c``); the default knows none.
        """
        from ..errors import NotSupported

        raise NotSupported(f"{type(self).__name__}: one event runs one sample; infer them one by one")

    def exchange(self, sample: bytes) -> tuple[int, Sequence[int], int | None]:
        """Has one sample computed by the program itself, where samples come with the events.

        Returns its label, its scores, and the nanoseconds in the network, None where they are not measured.

        ``sample`` is what :func:`ebpfnn.network.encoding.encode` made. It is asked of triggers whose shell defines
        ``EBPFNN_SAMPLES_FROM_EVENTS``; the default knows no way, and raises :class:`~ebpfnn.errors.NotSupported`.
        """
        from ..errors import NotSupported

        raise NotSupported(f"{type(self).__name__}: its samples come with its events, and none can be provoked from here")

    def close(self) -> None:
        """Detaches. May be called twice."""
        if self.link is not None:
            self.link.close()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class _Unprovoked(Attachment):
    """Of a trigger that does not say how another process provokes its event."""

    def __init__(self, trigger: str) -> None:
        super().__init__()
        self._trigger = trigger

    def fire(self, slot: int) -> None:
        from ..errors import NotSupported

        fact = f"trigger '{self._trigger}': its plugin does not tell how another process provokes the event"
        raise NotSupported(f"{fact}; define Trigger.attached, or wait for the event")


class Trigger(ABC):
    """Knows an event of the kernel, and a shell (a clang-built object) that runs a network at it.

    ``name`` is what ``--trigger`` selects, ``summary`` one line for ``ebpfnn plugins``, and ``default_target`` the event
    where ``--target`` names none. ``options`` tells what ``--option KEY=VALUE`` takes: each key with one line of help.
    ``capabilities`` names what a process needs beyond CAP_BPF, which every trigger needs. Where it ``needs_target``, nothing is
    attached without one, and the program runs by BPF_PROG_RUN alone: ``ebpfnn load`` then refuses.
    """

    name: str
    summary: str = ""
    default_target: str | None = None
    options: Mapping[str, str] = MappingProxyType({})
    capabilities: tuple[str, ...] = ("CAP_PERFMON",)
    needs_target: bool = False

    @abstractmethod
    def object_path(self) -> Path:
        """The shell: an ELF object whose programs call ``extern int ebpfnn_infer(const void *, struct ebpfnn_result *)``."""

    @abstractmethod
    def program(self) -> str:
        """The name of the program in the shell that this kernel can run; the others are not loaded."""

    @abstractmethod
    def attach(self, loaded: Object, target: str | None) -> Attachment:
        """Attaches ``loaded.programs[self.program()]`` to ``target``, or to ``default_target`` for None.

        What is in ``loaded`` may be a stub that calls the shell, and not the shell: use nothing of it but that program.

        Raises :class:`~ebpfnn.errors.PluginError` for a target of the wrong form, :class:`~ebpfnn.errors.KernelError` (ENOENT)
        for one that is not there, with what is near to it (:func:`ebpfnn.plugin.nearest`), and
        :class:`~ebpfnn.errors.NotSupported` where this kernel cannot.
        """

    def attached(self, program: Program, target: str | None) -> Attachment:
        """What :meth:`attach` returned, for another process: ``program`` is in place at ``target`` already.

        It has no link, so that closing it leaves the program where it is. The default can provoke nothing.
        """
        del program, target
        return _Unprovoked(self.name)

    def with_options(self, options: Mapping[str, str]) -> Trigger:
        """This trigger as ``options`` say, which has none but those of :attr:`options`: :func:`ebpfnn.plugin.configured` looks.

        Raises :class:`~ebpfnn.errors.PluginError` for a value of the wrong form; the default knows no option.
        """
        del options
        return self

    def resident(self) -> Trigger:
        """This trigger with a program that a stub can tail-call, as an instance needs that stays in the kernel."""
        return self

    def prepare(self, shell: ObjectSpec, target: str | None) -> None:
        """Changes the shell before it is loaded, where the kernel must know the target by then (fentry).

        Raises as :meth:`attach` does.
        """
        del shell, target

    def refuses(self, form: InputFormat, classes: int) -> str | None:
        """None where a network with these samples and so many classes can run here, else the reason why not, as one line."""
        del form, classes
        return None

    def events_path(self) -> Path:
        """The shell that hands every event to an observer, ``extern int ebpfnn_observe(struct ebpfnn_fields *, void *)``."""
        return self.object_path()

    def fields(self, target: str | None) -> Sequence[Field]:
        """What the events at ``target`` offer, each name once: the fields that the shell of :meth:`events_path` extracts.

        Raises as :meth:`attach` does for a target, :class:`~ebpfnn.errors.NotSupported` for a shell without fields.
        """
        del target
        from ..errors import NotSupported
        from ..events import fields_of
        from ..obj import ObjectSpec

        found = fields_of(ObjectSpec.from_file(self.events_path()))
        if not found:
            fact = f"trigger '{self.name}' has no fields: its shell does not call ebpfnn_observe()"
            raise NotSupported(f"{fact}; use another trigger")
        return found

    def variables(self) -> Mapping[str, bytes]:
        """Values for the shell's global variables, set before it is loaded: exactly as many bytes as each variable has."""
        return {}

    def supported(self) -> str | None:
        """None where this kernel can run the trigger, else the reason why not and what mends it, as one line."""
        return None
