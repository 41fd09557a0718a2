"""An instance: a network that stays in the kernel, behind its trigger, under a name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from types import MappingProxyType, TracebackType

from ..compiler import Body
from ..errors import NotSupported, SessionError
from ..network import QuantizedNetwork
from ..plugin import Plugins, Trigger, configured, why_not
from ..session.compiling import compile_here
from . import figures
from .about import About, Foreign, describe
from .attached import is_attached
from .figures import Statistics
from .loading import load_instance
from .locks import telling
from .pins import Pins, look
from .rates import Rates, measure
from .session import InstanceSession
from .store import Store
from .swap import swap
from .watch import Watch

_NONE: Mapping[str, str] = MappingProxyType({})


class Instance(AbstractContextManager["Instance"]):
    """A network that is loaded, by :meth:`load` or by whoever did; closing it leaves it loaded, unless it is ``holding``.

    ``name`` is the instance's, ``path`` the directory of its pins. ``proof`` tells how it was proved when it was loaded here,
    and ``holding`` why it is attached only until this is closed, '' where the kernel keeps it.
    """

    def __init__(self, store: Store, name: str, path: Path, proof: str = "", holding: str = "") -> None:
        self.store, self.name, self.path, self.proof, self.holding = store, name, path, proof, holding
        self._trigger: Trigger | None = None
        with telling(path):
            self._inode = path.stat().st_ino
        self._held, self._process = ExitStack(), os.getpid()

    @classmethod
    def load(
        cls,
        network: QuantizedNetwork,
        trigger: Trigger,
        target: str | None = None,
        *,
        name: str | None = None,
        options: Mapping[str, str] = _NONE,
        file: Path | None = None,
        group: int = -1,
        body: Body | None = None,
        store: Store | None = None,
    ) -> Instance:
        """Loads ``network`` behind ``trigger``, proves it against the reference, and leaves it in the kernel under ``name``.

        For None that is the network's, its dots made to ``-``. ``options`` are the trigger's; ``file`` is where the network was
        read from, which is told; the members of ``group`` may use the instance where it is not -1. ``body`` is what defines
        ``ebpfnn_infer``, for None the network compiled for this kernel.

        Raises :class:`~ebpfnn.errors.PluginError` for an option unknown, :class:`~ebpfnn.errors.SessionError` for a name that
        is taken or a proof that failed, :class:`~ebpfnn.errors.NotSupported` for what cannot run here, and what the kernel
        refuses; nothing stays behind then.
        """
        store, name = store or Store(), network.name.replace(".", "-") if name is None else name
        ready = configured(trigger, options)
        reason = why_not(ready) or ready.refuses(network.input, len(network.labels))
        if reason:
            raise NotSupported(f"network '{network.name}' behind trigger '{trigger.name}': {reason}")
        about = describe(network, file, trigger.name, target or ready.default_target, options)
        about.encode()
        store.sweep()
        store.check_free(name)
        with ExitStack() as held:
            loaded = load_instance(held, store, name, network, ready, body or compile_here(network), about, group)
            found = cls(store, name, loaded.path, loaded.proof, loaded.holding)
            found._held, found._trigger = held.pop_all(), ready
            return found

    @classmethod
    def open(cls, name: str, store: Store | None = None) -> Instance:
        """The instance of that name. Raises :class:`~ebpfnn.errors.SessionError` where there is none, with what is near."""
        store = store or Store()
        return cls(store, name, store.find(name))

    @classmethod
    def all(cls, store: Store | None = None) -> list[Instance]:
        """Every instance, by name."""
        store, found = store or Store(), []
        for name in store.names():
            with suppress(SessionError):  # unloaded meanwhile
                found.append(cls(store, name, store.directory / name))
        return found

    def is_loaded(self) -> bool:
        """Whether it is there still: anybody who may can unload it."""
        try:
            return self.path.stat().st_ino == self._inode
        except OSError:
            return False

    def about(self) -> About:
        """What its network is, now. Raises :class:`~ebpfnn.errors.KernelError` where it may not be opened."""
        with Pins(self.path) as pins:
            return pins.current()[1]

    def foreign(self) -> Foreign | None:
        """What it is where it is of another ABI version, so that it can be listed and unloaded alone; else None.

        Raises as :meth:`about`.
        """
        return look(self.path)

    def is_attached(self) -> bool:
        """Whether what it was attached to is there still. Raises as :meth:`about`."""
        with Pins(self.path) as pins:
            return is_attached(self.path, pins.current()[1])

    def check_attached(self) -> None:
        """Raises :class:`~ebpfnn.errors.DetachedError` where what it was attached to has gone, else as :meth:`about`."""
        with Pins(self.path) as pins:
            pins.check_attached(pins.current()[1])

    def trigger(self, plugins: Plugins | None = None) -> Trigger:
        """Its trigger, with its options. Raises :class:`~ebpfnn.errors.PluginError` where no plugin offers it any more."""
        if self._trigger is None:
            about = self.about()
            self._trigger = configured((plugins or Plugins.installed()).trigger(about.trigger), about.options)
        return self._trigger

    def session(self, plugins: Plugins | None = None) -> InstanceSession:
        """Infers on it from this process; close it. Raises :class:`~ebpfnn.errors.Error` as :class:`InstanceSession`."""
        return InstanceSession(self.path, self.trigger(plugins))

    def statistics(self) -> Statistics:
        """How often it ran and answered. Raises as :meth:`about`."""
        with Pins(self.path) as pins:
            return figures.read(pins)

    def watch(self) -> Watch:
        """Tells of every inference from now on; close it. Raises as :class:`Watch`."""
        return Watch(self.path)

    def stats(self, seconds: float = 1.0) -> Rates:
        """What it does a second, counted for so long. Raises as :meth:`about`."""
        return measure(self.path, seconds)

    def swap(
        self, network: QuantizedNetwork, *, file: Path | None = None, body: Body | None = None, plugins: Plugins | None = None
    ) -> str:
        """Has ``network`` answer in the place of its network, without a moment in between; tells how that was proved.

        Raises :class:`~ebpfnn.errors.NotSupported` for a network of another input, or of more memory or other labels in number,
        :class:`~ebpfnn.errors.SessionError` where its proof fails; the former network is in place then.
        """
        return swap(self.path, self.trigger(plugins), network, body or compile_here(network), file)

    def unload(self) -> None:
        """Detaches it and frees what it holds. Raises :class:`~ebpfnn.errors.SessionError` where it is gone already."""
        self.store.remove(self.name)
        self.close()

    def close(self) -> None:
        """Lets go of it; where it is ``holding``, that detaches and unloads it. May be called twice.

        In the child of a fork it stays: it is the parent's.
        """
        self._held.close()
        if self.holding and self._process == os.getpid():
            self.store.sweep()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
