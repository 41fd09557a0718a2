"""The parts of plugins that run a network: triggers, and their attachments."""

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
    from ..network.inputformat import InputFormat
    from ..obj import ObjectSpec


class Attachment(AbstractContextManager["Attachment"]):
    """An attached trigger. Closing detaches it. ``link`` is the kernel's link, if there is one.

    ``provoke`` is a call that provokes one event in the calling thread, for triggers that need no class of their own.
    ``patience`` is for events that cannot be provoked reliably, such as those of a timer: for that many seconds :meth:`fire` is
    called again until the network has run. 0 is for a call that provokes one event. ``check`` is nonzero while :meth:`exchange`
    checks a network: it marks the request, so that it is neither counted nor reported to watchers.
    """

    link: Link | None = None
    patience: float = 0
    check: int = 0
    _provoke: Callable[[], object] | None = None

    def __init__(self, link: Link | None = None, provoke: Callable[[], object] | None = None) -> None:
        self.link, self._provoke = link, provoke

    def fire(self, slot: int) -> None:
        """Provokes one event in the calling thread, whose sample is in ``slot``.

        Raises :class:`~ebpfnn.errors.NotSupported` if this event cannot be provoked from here (the default).
        """
        from ..errors import NotSupported

        if self._provoke is not None:
            self._provoke()
            return
        raise NotSupported(f"{type(self).__name__}: this event cannot be provoked from here; wait for it to happen")

    def prepare(self, slot: int) -> Callable[[], object]:
        """:meth:`fire` of ``slot`` as a function, as fast as possible. It has no effect after the attachment is closed.

        It need not report a refusal: if the network did not run, :meth:`fire` is called, which reports it.
        """
        return partial(self.fire, slot)

    def prepare_batch(self, slot: int) -> Callable[[int], None]:
        """A function that provokes one event, which runs the network on that many samples of the batch, with ``slot``'s memory.

        It is called for triggers whose shell has a map ``ebpfnn_outputs`` (``bpf/run.bpf.c``). The default does not support it.
        """
        from ..errors import NotSupported

        raise NotSupported(f"{type(self).__name__}: one event runs one sample; infer them one by one")

    def exchange(self, sample: bytes) -> tuple[int, Sequence[int], int | None]:
        """Runs the program itself on one sample, if samples come with the events.

        Returns the label, the scores, and the nanoseconds in the network, None if they are not measured.

        ``sample`` is the result of :func:`ebpfnn.network.encoding.encode`. It is called for triggers whose shell defines
        ``EBPFNN_SAMPLES_FROM_EVENTS``. The default raises :class:`~ebpfnn.errors.NotSupported`.
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
    """The attachment of a trigger that does not say how another process provokes its event."""

    def __init__(self, trigger: str) -> None:
        super().__init__()
        self._trigger = trigger

    def fire(self, slot: int) -> None:
        from ..errors import NotSupported

        fact = f"trigger '{self._trigger}': its plugin does not tell how another process provokes the event"
        raise NotSupported(f"{fact}; define Trigger.attached, or wait for the event")


class Trigger(ABC):
    """A kind of kernel event, with a shell (an object that clang builds) that runs a network at it.

    ``name`` is the value of ``--trigger``, ``summary`` one line for ``ebpfnn plugins``, and ``default_target`` the event if
    ``--target`` is not given. ``options`` describes ``--option KEY=VALUE``: each key with one line of help. ``capabilities``
    names what a process needs beyond CAP_BPF, which every trigger needs. If ``needs_target`` is set and there is no target,
    nothing is attached, the program runs only by BPF_PROG_RUN, and ``ebpfnn load`` refuses. It asks for what ``takes`` says.
    """

    name: str
    summary: str = ""
    default_target: str | None = None
    options: Mapping[str, str] = MappingProxyType({})
    capabilities: tuple[str, ...] = ("CAP_PERFMON",)
    needs_target: bool = False
    takes: str = "the event to attach to"

    @abstractmethod
    def object_path(self) -> Path:
        """The shell: an ELF object whose programs call ``extern int ebpfnn_infer(const void *, struct ebpfnn_result *)``."""

    @abstractmethod
    def program(self) -> str:
        """The name of the program in the shell that this kernel can run; the others are not loaded."""

    @abstractmethod
    def attach(self, loaded: Object, target: str | None) -> Attachment:
        """Attaches ``loaded.programs[self.program()]`` to ``target``, or to ``default_target`` for None.

        ``loaded`` may hold a stub that calls the shell instead of the shell. Use only that program of it.

        Raises :class:`~ebpfnn.errors.PluginError` for a target of the wrong form, :class:`~ebpfnn.errors.KernelError` (ENOENT),
        with similar names (:func:`ebpfnn.plugin.nearest`), for one that does not exist, and
        :class:`~ebpfnn.errors.NotSupported` if this kernel does not support it.
        """

    def attached(self, program: Program, target: str | None) -> Attachment:
        """The result of :meth:`attach` for another process: ``program`` is already attached to ``target``.

        It has no link, so closing it leaves the program attached. The default cannot provoke events.
        """
        del program, target
        return _Unprovoked(self.name)

    def with_options(self, options: Mapping[str, str]) -> Trigger:
        """This trigger with ``options``. They are all in :attr:`options`: :func:`ebpfnn.plugin.configured` checks this.

        Raises :class:`~ebpfnn.errors.PluginError` for a value of the wrong form. The default has no options.
        """
        del options
        return self

    def resident(self) -> Trigger:
        """This trigger with a program that a stub can tail-call. An instance, which stays in the kernel, needs one."""
        return self

    def prepare(self, shell: ObjectSpec, target: str | None) -> None:
        """Changes the shell before it is loaded, if the kernel must know the target at that time (fentry).

        Raises as :meth:`attach` does.
        """
        del shell, target

    def refuses(self, form: InputFormat, classes: int) -> str | None:
        """None if a network with such samples and that many classes can run here, else the reason, on one line."""
        del form, classes
        return None

    def events_path(self) -> Path:
        """The shell that passes every event to an observer, ``extern int ebpfnn_observe(struct ebpfnn_fields *, void *)``."""
        return self.object_path()

    def observer(self) -> Trigger:
        """The same trigger with its event shell: :meth:`object_path` is :meth:`events_path`, :meth:`program` a program in it.

        It is prepared and attached like any trigger, and takes the options that concern its events. The default is for a
        trigger with one shell. Raises :class:`~ebpfnn.errors.NotSupported` for a shell without fields.
        """
        from ..errors import NotSupported

        if self.events_path() != self.object_path():
            fact = f"trigger '{self.name}': its plugin does not say which program of {self.events_path().name} observes"
            raise NotSupported(f"{fact}; define Trigger.observer()")
        self._extracted()
        return self

    def guard(self) -> Trigger:
        """As :meth:`observer`, with a shell that calls ``ebpfnn_act()`` for the events that are acted on (``guard.h``).

        The default raises :class:`~ebpfnn.errors.NotSupported`: the events of most triggers can only be observed.
        """
        from ..errors import NotSupported

        raise NotSupported(f"trigger '{self.name}': its events can only be observed; use xdp, tc or cgroup_skb")

    def fields(self, target: str | None) -> Sequence[Field]:
        """The fields of the events at ``target``, each name once: those that the shell of :meth:`events_path` extracts.

        Raises as :meth:`attach` does for a target, :class:`~ebpfnn.errors.NotSupported` for a shell without fields.
        """
        del target
        return self._extracted()

    def _extracted(self) -> Sequence[Field]:
        """The fields in the event shell. Raises :class:`~ebpfnn.errors.NotSupported` for a shell without fields."""
        from ..errors import NotSupported
        from ..events import fields_of
        from ..obj import ObjectSpec

        found = fields_of(ObjectSpec.from_file(self.events_path()))
        if not found:
            fact = f"trigger '{self.name}' has no fields: its shell does not call ebpfnn_observe()"
            raise NotSupported(f"{fact}; use another trigger")
        return found

    def mode(self, target: str | None) -> str:
        """How it is attached to ``target``, if its events differ by that: ``native`` or ``generic``. ``""`` if not.

        A model carries the mode that its data were collected in. Raises as :meth:`attach` does for a target.
        """
        del target
        return ""

    def variables(self) -> Mapping[str, bytes]:
        """Values for the shell's global variables, set before it is loaded. Each has exactly the size of its variable."""
        return {}

    def supported(self) -> str | None:
        """None if this kernel can run the trigger, else the reason and the remedy, on one line."""
        return None
