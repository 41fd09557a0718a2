"""Runs the events of a spec in the kernel: each by BPF_PROG_RUN of the shell that has its fields, with a clock that is set."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ebpfnn.built import object_path
from ebpfnn.events import Field, Place, beside, fields_of
from ebpfnn.kernel import Map, Object, Program, RingBuffer
from ebpfnn.obj import ObjectSpec, link

from . import frames
from .sequences import Event
from .shells import own_shell, packed
from .worlds import ARGUMENTS, Kind, World

SHARED = ("ebpfnn_states", "ebpfnn_verdicts", "ebpfnn_rows", "ebpfnn_counts", "ebpfnn_classes", "ebpfnn_clock", "captured")
"""Maps that all programs of one spec have together."""
_PACKET = bytes(64)
Observer = Callable[[int], Sequence[ObjectSpec]]
"""What is linked behind the shell of the event of an index: its observer, and the body of a network."""


@dataclass(frozen=True)
class Shell:
    """A shell with the one program that makes an event, and all its fields."""

    spec: ObjectSpec
    program: str
    fields: Sequence[Field]


def shells(world: World, directory: Path) -> list[Shell]:
    """One for each kind of event; ``directory`` keeps what clang makes."""
    return [_shell(each, directory) for each in world.events]


def _shell(kind: Kind, directory: Path) -> Shell:
    if kind.made_by in ("one", "other"):
        own = own_shell(kind.types, directory)
        return Shell(own, "mine", fields_of(own))
    hook = frames.HOOKS.get(kind.made_by)
    name, program = (hook.shell, hook.program) if hook else ("task_events", "ebpfnn_raw_events")
    shipped = ObjectSpec.from_file(object_path(name))
    fields = fields_of(shipped)
    if not hook:
        own_fields = [
            Field(each, offset, int(type_[1:]) // 8, type_[0] == "s", place=Place.CONTEXT)
            for each, (offset, type_) in ARGUMENTS.items()
        ]
        fields = beside(own_fields, fields)
    shipped.keep_programs(program)
    shipped.set_variable("ebpfnn_replaying", (1).to_bytes(4, "little"))
    return Shell(shipped, program, fields)


class Running(AbstractContextManager["Running"]):
    """The programs of all events, loaded. They share states, rows and verdicts."""

    def __init__(self, world: World, made: Sequence[Shell], observer: Observer) -> None:
        self.made, self.world = made, world
        self.maps: dict[str, Map] = {}
        self.loaded: list[Object] = []
        with ExitStack() as held:
            for index, shell in enumerate(made):
                spec = shell.spec
                for behind in observer(index):
                    spec = link(spec, behind)
                shared = {name: table for name, table in self.maps.items() if name in spec.maps}
                self.loaded.append(held.enter_context(Object.load(spec, maps=shared)))
                for name in SHARED:
                    if name in self.loaded[-1].maps:
                        self.maps.setdefault(name, self.loaded[-1].maps[name])
            self.clock = self.maps["ebpfnn_clock"].array(np.uint64) if "ebpfnn_clock" in self.maps else None
            self.ring = held.enter_context(RingBuffer(self.maps["ebpfnn_rows"])) if "ebpfnn_rows" in self.maps else None
            self._held = held.pop_all()

    def run(self, event: Event) -> int:
        """What the program returned. Raises :class:`~ebpfnn.errors.KernelError` for a packet that cannot be run so."""
        shell, loaded, kind = self.made[event.index], self.loaded[event.index], self.world.events[event.index]
        program = loaded.programs[shell.program]
        if kind.made_by in ("one", "other"):
            table = loaded.maps["given"]
            table.update(bytes(4), packed(list(shell.fields), event.values, table.value_size))
            return program.run(data=_PACKET).return_value
        assert self.clock is not None
        self.clock[...] = event.values["time"]
        if event.frame:
            return program.run(data=event.frame).return_value
        return self._raw(program, shell, event)

    def _raw(self, program: Program, shell: Shell, event: Event) -> int:
        name = event.values["comm"].to_bytes(8, "little") + event.values["comm_rest"].to_bytes(8, "little")
        Path("/proc/thread-self/comm").write_bytes(name.rstrip(b"\0"))
        own = [field for field in shell.fields if field.place is Place.CONTEXT]
        return program.run(context=packed(own, event.values, 96)).return_value

    def records(self) -> Iterator[bytes]:
        """What has come by the ring since the last call."""
        return self.ring.consume() if self.ring else iter(())

    def close(self) -> None:
        del self.clock
        self._held.close()

    def __exit__(self, *_: Any) -> None:
        self.close()


@contextmanager
def one_thread() -> Iterator[dict[str, int]]:
    """This thread stays on one CPU, and gets its name back. Gives the fields of a thread that are always the same."""
    allowed, comm = os.sched_getaffinity(0), Path("/proc/thread-self/comm")
    name, cpu = comm.read_bytes().rstrip(b"\n"), min(allowed)
    os.sched_setaffinity(0, {cpu})
    ids = {"pid": threading.get_native_id(), "tgid": os.getpid(), "uid": os.getuid(), "gid": os.getgid()}
    try:
        yield {**ids, "cpu": cpu, "cgroup": _cgroup()}
    finally:
        comm.write_bytes(name)
        os.sched_setaffinity(0, allowed)


def _cgroup() -> int:
    """The inode of this process's directory in cgroup2, or of its root."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    root = next((entry[1] for entry in mounts if entry[2] == "cgroup2"), None)
    if root is None:
        return 1
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    return Path(root, next(line[3:] for line in lines if line.startswith("0::")).lstrip("/")).stat().st_ino
