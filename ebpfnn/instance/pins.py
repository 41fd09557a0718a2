"""The pins of one instance: its maps, named as in the shell and the stub, its stub and its link."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType

from .. import abi
from ..errors import Error, SessionError
from ..kernel import Map, Program
from .about import About, Foreign, foreign
from .attached import check_attached
from .guarded import GUARDING
from .locks import entries, telling
from .stub import CHOOSER, NETWORKS

ABOUT, STUB, STATE = "about", "stub", "state"
_MOST = 1 << 20  # size of a description in bytes, in every version
NAMES = {
    abi.SAMPLES: "input",
    abi.RESULTS: "output",
    abi.CALLERS: "callers",
    abi.WATCH: "watch",
    abi.EVENTS: "events",
    ABOUT: "about",
    CHOOSER: "chooser",
}
"""A map's name and its pin's. There is one more, ``networks``: an array of programs is emptied once nobody has it open.

Maps that are the shell's own affair, such as its counters, lie under their names in the directory ``state``.
"""
OBSERVING = {
    abi.STATES: "states",
    abi.VERDICTS: "verdicts",
    abi.COUNTS: "counts",
    abi.LABELS: "classes",
    abi.WATCH: "watch",
    abi.EVENTS: "events",
    ABOUT: "about",
    CHOOSER: "chooser",
}
"""The same for an instance that observes events itself."""


def numbered(pin: str, event: int) -> str:
    """The name of a pin of which there is one for each kind of event: that of the first has no number."""
    return f"{pin}-{event}" if event else pin


def look(path: Path) -> Foreign | None:
    """What is known of the instance at ``path`` if it has another ABI version. Only its pin ``about`` is opened.

    Raises :class:`~ebpfnn.errors.KernelError` if that may not be opened, :class:`SessionError` if it cannot be read.
    """
    return foreign(_described(path))


def check_pinned(path: Path) -> None:
    """Raises :class:`~ebpfnn.errors.VersionError` for an instance of another ABI version, else as :func:`look`."""
    other = look(path)
    if other is not None:
        raise other.refusal(f"instance '{path.name}'")


def _described(path: Path) -> bytes:
    with telling(path), suppress(FileNotFoundError):
        (path / ABOUT).stat()  # bpf(2) would refuse without a reason
    with Map.open(path / ABOUT) as about:
        if about.key_size != 4 or about.value_size > _MOST:
            raise SessionError(f"instance '{path.name}': its map 'about' was not made by ebpfnn; unload it")
        return about.lookup(bytes(4)) or b""


class Pins(AbstractContextManager["Pins"]):
    """The instance whose pins are in ``path``, with every map open except ``networks``.

    Raises :class:`~ebpfnn.errors.VersionError` if it has another ABI version, :class:`~ebpfnn.errors.KernelError` if a pin is
    missing or may not be opened, :class:`SessionError` if the instance does not exist or is removed meanwhile.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with telling(path):
            self._inode = path.stat().st_ino
            (path / STATE).stat()  # messages about a closed instance name the instance, not its directory
            self.observes = (path / OBSERVING[abi.VERDICTS]).exists()
            guarding = {name: pin for name, pin in GUARDING.items() if (path / pin).exists()}
            own = {each.name: f"{STATE}/{each.name}" for each in entries(path / STATE)}
        with ExitStack() as held, self.in_place():
            check_pinned(path)
            self.maps: Mapping[str, Map] = {
                name: held.enter_context(Map.open(path / pin))
                for name, pin in {**(OBSERVING if self.observes else NAMES), **guarding, **own}.items()
            }
            self.check_in_place()
            self.swaps = memoryview(self.maps[CHOOSER].mmap(writable=False)).cast("I")  # faster to read than by bpf(2)
            self._held = held.pop_all()

    def current(self) -> tuple[int, About]:
        """The number of swaps, and the description of the network since the last one. Raises :class:`SessionError`."""
        while True:
            count = self.swaps[0]
            found = self.maps[ABOUT].lookup(struct.pack("<I", count & 1)) or b""
            if self.swaps[0] == count:  # a swap first writes the other description, and then this one
                return count, About.decode(found)

    def known(self) -> dict[int, About]:
        """The descriptions of this network, the first, and of the former one, by the number of swaps before.

        A swap that was taken back counts twice, and the network has its number from before. Raises as :meth:`current`.
        """
        count, about = self.current()
        former = About.decode(self.maps[ABOUT].lookup(struct.pack("<I", (count - 1) & 1)) or b"")
        numbered = ((count, about), (count - 1, former))
        return {number if each.swaps is None else each.swaps: each for number, each in numbered}

    def units(self) -> dict[int, float | None]:
        """The value of a score of 1, of this network and the former one, by the number of swaps. Raises as :meth:`current`."""
        return {count: about.unit for count, about in self.known().items()}

    def program(self, name: str = "") -> Program:
        """The stub, which has the name ``name`` for the trigger. Raises :class:`~ebpfnn.errors.KernelError`."""
        with self.in_place():
            return Program.open(self.path / STUB, name)

    def programs(self) -> Iterator[Program]:
        """The stub of each of its events, open until the next one is taken. Raises as :meth:`program`."""
        for event in range(self.events):
            with self.in_place(), Program.open(self.path / numbered(STUB, event)) as stub:
                yield stub

    def networks(self, event: int = 0) -> Map:
        """The programs that the stub of an event calls; close them soon. Raises :class:`~ebpfnn.errors.KernelError`."""
        with self.in_place():
            return Map.open(self.path / numbered(NETWORKS, event))

    @property
    def events(self) -> int:
        """How many kinds of events it is attached to."""
        return sum(each.name.startswith(STUB) for each in entries(self.path))

    def current_place(self) -> bool:
        """Whether the instance still exists, and no other one has replaced it."""
        try:
            return self.path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """If the instance was unloaded meanwhile, errors inside become a :class:`SessionError` that says so."""
        try:
            yield
        except Error:
            self.check_in_place()
            raise

    def check_in_place(self) -> None:
        """Raises :class:`SessionError` if the instance was unloaded, even if another one has its name now."""
        if not self.current_place():
            raise SessionError(f"instance '{self.path.name}' was unloaded; `ebpfnn list` shows what is loaded") from None

    def check_attached(self, about: About) -> None:
        """Raises :class:`~ebpfnn.errors.DetachedError` if its attachment is gone, else as :meth:`check_in_place`."""
        with self.in_place():
            check_attached(self.path, about)
        self.check_in_place()  # a missing link counts as one that never existed

    def close(self) -> None:
        self._held.close()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
