"""The pins of one instance: its maps by the names that the shell and the stub give them, its stub and its link."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType

from .. import abi
from ..errors import SessionError
from ..kernel import Map, Program
from .about import About
from .store import telling
from .stub import CHOOSER, NETWORKS

ABOUT, STUB, LINK, STATE = "about", "stub", "link", "state"
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


class Pins(AbstractContextManager["Pins"]):
    """The instance whose pins lie in ``path``, with every map open but ``networks``.

    Raises :class:`~ebpfnn.errors.KernelError` where a pin is missing or may not be opened, :class:`SessionError` where the
    instance is gone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with telling(path):
            self._inode = path.stat().st_ino
            own = {each.name: f"{STATE}/{each.name}" for each in (path / STATE).iterdir()}
        with ExitStack() as held:
            self.maps: Mapping[str, Map] = {
                name: held.enter_context(Map.open(path / pin)) for name, pin in {**NAMES, **own}.items()
            }
            if not self.current_place():
                raise SessionError(f"instance '{path.name}' was replaced while it was being opened; try again")
            self.swaps = memoryview(self.maps[CHOOSER].mmap(writable=False)).cast("I")  # quicker to read than by bpf(2)
            self._held = held.pop_all()

    def current(self) -> tuple[int, About]:
        """How many swaps there were, and what the network is that answers since the last. Raises :class:`SessionError`."""
        while True:
            count = self.swaps[0]
            found = self.maps[ABOUT].lookup(struct.pack("<I", count & 1)) or b""
            if self.swaps[0] == count:  # a swap writes the other description before, and this one only after it
                return count, About.decode(found)

    def program(self, name: str = "") -> Program:
        """The stub, which the trigger knows as ``name``. Raises :class:`~ebpfnn.errors.KernelError`."""
        return Program.open(self.path / STUB, name)

    def networks(self) -> Map:
        """The programs that the stub calls, to be closed soon. Raises :class:`~ebpfnn.errors.KernelError`."""
        return Map.open(self.path / NETWORKS)

    def current_place(self) -> bool:
        """Whether the instance is still there, and no other in its place."""
        try:
            return self.path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def close(self) -> None:
        self._held.close()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
