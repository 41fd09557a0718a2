"""An instance: a network that stays in the kernel with its trigger, under a name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType

from .. import abi
from ..compiler import Body
from ..errors import SessionError
from ..network.model import Model
from ..plugin import Plugins, Trigger, configured
from ..session import cases
from ..session.cases import Case
from ..session.compiling import compile_here
from ..session.guarding import Brakes, Guard
from ..session.verdicts import MOST, Verdict, latest
from . import figures, snapshot
from .about import About, Foreign
from .alerts import AlertWatch
from .attached import is_attached
from .deciding import network_of
from .figures import Statistics
from .guarded import NAMES
from .loading import load_instance
from .locks import telling
from .observing import load_observing
from .pins import Pins, look
from .rates import Rates, measure
from .ready import NONE, Compiled, prepare
from .session import InstanceSession
from .snapshot import Snapshot
from .store import Store
from .swap import check_swap, swap, swap_back
from .swap_observing import rehearse_swap, swap_observing
from .watch import VerdictWatch, Watch


class Instance(AbstractContextManager["Instance"]):
    """A loaded network. Closing leaves it loaded, unless it is ``holding``.

    ``name`` is the name of the instance, ``path`` the directory of its pins. ``proof`` says how it was checked, if it was
    loaded here. ``holding`` says why it stays attached only until this object is closed; '' if the kernel keeps it.
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
        network: Model,
        trigger: Trigger,
        target: str | None = None,
        *,
        name: str | None = None,
        options: Mapping[str, str] = NONE,
        file: Path | None = None,
        group: int = -1,
        body: Body | None = None,
        store: Store | None = None,
        plugins: Plugins | None = None,
        filters: Sequence[str] = (),
        any_mode: bool = False,
        guard: Guard | None = None,
    ) -> Instance:
        """Loads ``network`` with ``trigger``, checks it against the reference, and leaves it in the kernel under ``name``.

        If ``name`` is None, it is the name of the network with its dots replaced by ``-``. ``options`` are the trigger's.
        ``file`` is the path that the network was read from, for its description. If ``group`` is not -1, its members may use
        the instance. ``body`` is the code that defines ``ebpfnn_infer``; None compiles the network for this kernel.

        A network that carries a spec observes the events of the spec itself, unless ``trigger`` takes samples alone (``run``).
        ``target`` is then that of the events that have none in the spec. ``filters`` are further conditions of the spec, such
        as ``"uid == 1000"``. ``any_mode`` allows another trigger or mode than the network's data were collected in. ``plugins``
        have the triggers of further events, the reducers, and the kinds of models; the default is the installed ones. A
        ``guard`` acts on events; it begins in audit: see :meth:`brakes`.

        Raises :class:`~ebpfnn.errors.PluginError` for an unknown option, :class:`~ebpfnn.errors.SessionError` for a name that
        is taken or a check that failed, :class:`~ebpfnn.errors.NotSupported` for what cannot run here, and the kernel's errors.
        Nothing stays behind then.
        """
        ready = prepare(
            network,
            trigger,
            target,
            name=name,
            options=options,
            file=file,
            plugins=plugins,
            filters=filters,
            any_mode=any_mode,
            guard=guard,
        )
        store = store or Store()
        store.sweep()
        store.check_free(ready.name)
        return cls.make(ready.compiled(body), group, store)

    @classmethod
    def make(cls, compiled: Compiled, group: int, store: Store) -> Instance:
        """Loads what was prepared and compiled. Raises as :meth:`load`, and nothing stays behind then."""
        ready, body = compiled.ready, compiled.body
        with ExitStack() as held:
            if ready.observed:
                loaded = load_observing(held, store, ready.name, ready.observed, body, ready.about, group, compiled.proof)
            else:
                given = (ready.network, ready.trigger, body, ready.about, group, ready.plugins)
                loaded = load_instance(held, store, ready.name, *given)
            found = cls(store, ready.name, loaded.path, loaded.proof, loaded.holding)
            found._held, found._trigger = held.pop_all(), ready.trigger
            return found

    @classmethod
    def open(cls, name: str, store: Store | None = None) -> Instance:
        """The instance of that name. Raises :class:`~ebpfnn.errors.SessionError`, with similar names, if there is none."""
        store = store or Store()
        return cls(store, name, store.find(name))

    @classmethod
    def all(cls, store: Store | None = None, *, sweep: bool = True) -> list[Instance]:
        """Every instance, by name. See :meth:`Store.names` for ``sweep``."""
        store, found = store or Store(), []
        for name in store.names(sweep=sweep):
            with suppress(SessionError):  # it was unloaded since
                found.append(cls(store, name, store.directory / name))
        return found

    def is_loaded(self) -> bool:
        """Whether it still exists. Any user with the permission can unload it."""
        try:
            return self.path.stat().st_ino == self._inode
        except OSError:
            return False

    def about(self) -> About:
        """The description of its current network. Raises :class:`~ebpfnn.errors.KernelError` if it may not be opened."""
        with Pins(self.path) as pins:
            return pins.current()[1]

    def foreign(self) -> Foreign | None:
        """What is known of it if it has another ABI version, so that it can only be listed and unloaded. Else None.

        Raises as :meth:`about`.
        """
        return look(self.path)

    def is_attached(self) -> bool:
        """Whether the target that it was attached to still exists. Raises as :meth:`about`."""
        with Pins(self.path) as pins:
            return is_attached(self.path, pins.current()[1])

    def check_attached(self) -> None:
        """Raises :class:`~ebpfnn.errors.DetachedError` if the target that it was attached to is gone, else as :meth:`about`."""
        with Pins(self.path) as pins:
            pins.check_attached(pins.current()[1])

    def trigger(self, plugins: Plugins | None = None) -> Trigger:
        """Its trigger, with its options. Raises :class:`~ebpfnn.errors.PluginError` if no plugin offers it any more."""
        if self._trigger is None:
            about = self.about()
            trigger = (plugins or Plugins.installed()).trigger(about.trigger)
            self._trigger = configured(trigger.observer() if about.observes else trigger, about.options)
        return self._trigger

    def session(self, plugins: Plugins | None = None) -> InstanceSession:
        """A session that infers on it from this process; close it. Raises :class:`~ebpfnn.errors.Error`."""
        return InstanceSession(self.path, self.trigger(plugins), plugins)

    def statistics(self) -> Statistics:
        """Its counters. Raises as :meth:`about`."""
        with Pins(self.path) as pins:
            return figures.read(pins)

    def snapshot(self, seconds: float = 1.0) -> Snapshot:
        """All of its counters and settings. Counting the elements of its maps takes no more than ``seconds``.

        Raises as :meth:`about`.
        """
        return snapshot.take(self.path, seconds)

    def watch(self) -> Watch:
        """Reports every inference from now on; close it. Raises as :class:`Watch`."""
        return Watch(self.path)

    def watch_verdicts(self) -> VerdictWatch:
        """As :meth:`watch`, for an instance that observes events: reports every verdict."""
        return VerdictWatch(self.path)

    def alerts(self) -> AlertWatch:
        """The events that its action told of and nobody has read, and every one from now on; close it.

        Raises as :class:`AlertWatch`.
        """
        return AlertWatch(self.path)

    def verdicts(self, most: int = MOST, label: str | None = None) -> list[Verdict]:
        """The latest ``most`` verdicts of an instance that observes events, one for each key, the latest first.

        If ``label`` is given, only those that have it.

        Raises :class:`~ebpfnn.errors.SessionError` for an instance that callers give samples, else as :meth:`about`.
        """
        with Pins(self.path) as pins:
            about = pins.current()[1]
            if not about.observes:
                raise SessionError(f"instance '{self.name}' has no verdicts: callers give it samples; see `ebpfnn watch`")
            return latest(pins.maps[abi.VERDICTS], about.labels, about.parts, most, label, pins.units())

    @contextmanager
    def brakes(self) -> Iterator[Brakes]:
        """The brakes of its guard. Raises :class:`~ebpfnn.errors.NotSupported` if it has none, else as :meth:`about`."""
        with Pins(self.path) as pins:
            yield Brakes(pins.maps, f"instance '{self.name}'")

    def cases(self, most: int = cases.MOST) -> list[Case]:
        """The latest ``most`` cases of its guard, the latest first: the verdicts at which keys became due, with their rows.

        Raises :class:`~ebpfnn.errors.NotSupported` if it has no guard, else as :meth:`about`.
        """
        with Pins(self.path) as pins:
            known, what = pins.known(), f"instance '{self.name}'"
            about = next(iter(known.values()))
            events, names = (about.guard.get(name, []) for name in NAMES)
            others = {swaps: each.guard[NAMES[1]] for swaps, each in known.items() if each.guard}
            return cases.latest(pins.maps, about.labels, about.parts, events, names, most, what, others)

    def network(self, swaps: int | None = None, plugins: Plugins | None = None) -> Model:
        """Its network, from the file that it was loaded from; if ``swaps`` is given, that before which there were so many.

        Raises :class:`~ebpfnn.errors.SessionError` if that file has another network now or is gone, and for a network that was
        replaced more than one swap ago; else as :meth:`about`.
        """
        with Pins(self.path) as pins:
            return network_of(pins, next(iter(pins.known())) if swaps is None else swaps, plugins or Plugins.installed())

    def stats(self, seconds: float = 1.0) -> Rates:
        """Its rates per second, counted for that many seconds. Raises as :meth:`about`."""
        return measure(self.path, seconds)

    def swap(
        self, network: Model, *, file: Path | None = None, body: Body | None = None, plugins: Plugins | None = None
    ) -> str:
        """Replaces its network by ``network`` between two events, without a gap. Returns how the new network was checked.

        Raises :class:`~ebpfnn.errors.NotSupported` for a network that takes another input, needs more memory or has another
        number of labels, and :class:`~ebpfnn.errors.SessionError` if its check fails. The previous network then stays in place.
        """
        code = body or compile_here(network, plugins=plugins)
        if self.about().observes:
            return swap_observing(self.path, network, code, file, plugins or Plugins.installed())
        return swap(self.path, self.trigger(plugins), network, code, file, plugins)

    def check_swap(self, network: Model, plugins: Plugins) -> None:
        """Checks ``network`` as :meth:`swap` does before it changes anything, and raises what it raises then."""
        if self.about().observes:
            rehearse_swap(self.path, network, plugins)
        else:
            check_swap(self.path, network, plugins)

    def swap_back(self, swaps: int) -> None:
        """Undoes swap number ``swaps``, its last one. Raises :class:`~ebpfnn.errors.SessionError` if another one came after."""
        swap_back(self.path, swaps)

    def unload(self) -> None:
        """Detaches it and frees its memory. Raises :class:`~ebpfnn.errors.SessionError` if it no longer exists."""
        self.store.remove(self.name)
        self.close()

    def close(self) -> None:
        """Closes its descriptors. If it is ``holding``, this detaches and unloads it. May be called twice.

        In the child of a fork the instance stays, since it belongs to the parent.
        """
        self._held.close()
        if self.holding and self._process == os.getpid():
            self.store.sweep()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
