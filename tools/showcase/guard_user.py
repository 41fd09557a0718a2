"""The guard in user space: the C of flow_watch.c, and the program of flow_drop.bpf.c that drops what it says."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import struct
import subprocess
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from guard_models import BOUNDS
from lab import LabError

from ebpfnn.bench.kernel_rows import empty_body
from ebpfnn.bench.native import KINDS, SOURCES, NativeRunner
from ebpfnn.kernel import Object
from ebpfnn.network import QuantizedNetwork
from ebpfnn.obj import ObjectSpec, link
from ebpfnn.preparation.columns import read

RING, SOCKET = "ring", "socket"
_TOOLS, _ROOT = Path(__file__).parent, Path(__file__).resolve().parents[2]
_RING_BYTES = 1 << 22
_ALL = 0x0003  # ETH_P_ALL
_SOL_PACKET, _OUTGOING = 263, 23  # PACKET_IGNORE_OUTGOING
RESULTS = (*(f"length.{n}" for n in range(1, 9)), *("port.1" if name == "port" else name for name in list(BOUNDS)[1:]))
"""The results of connection.toml, in the order of flow.h."""


def _built(source: Path, command: list[str], suffix: str) -> bytes:
    with TemporaryDirectory() as directory:
        path = Path(directory) / f"built{suffix}"
        ran = subprocess.run([*command, str(source), "-o", str(path)], capture_output=True, text=True, check=False)
        if ran.returncode:
            raise LabError(f"{source}: {ran.stderr.strip()[-400:]}")
        return path.read_bytes()


@cache
def _object() -> bytes:
    newest = max(Path("/usr/bin").glob("clang-[0-9]*"), key=lambda path: int(path.name[6:]), default=Path("clang"))
    clang = os.environ.get("CLANG") or str(newest)
    includes = [f"-I{_ROOT}/bpf", f"-I{_ROOT}/bpf/include", f"-I{SOURCES}"]
    return _built(_TOOLS / "flow_drop.bpf.c", [clang, "-target", "bpf", "-mcpu=v3", "-O2", "-g", *includes, "-c"], ".o")


def programs() -> ObjectSpec:
    """Those of flow_drop.bpf.c, without a network."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "flow_drop.bpf.o"
        path.write_bytes(_object())
        found = ObjectSpec.from_file(path)
    found.resize_map("flow_ring", max_entries=_RING_BYTES)
    found.keep_programs("drop_alone", "drop_or_tell", "flow_nothing")
    return link(found, empty_body().spec)


@cache
def library() -> ctypes.CDLL:
    if not shutil.which("cc"):
        raise LabError("no C compiler; apt-get install gcc libc6-dev")
    flags = ["-O3", "-march=native", "-fno-strict-aliasing", "-Wno-unknown-pragmas", "-shared", "-fPIC"]
    built = _built(_TOOLS / "flow_watch.c", ["cc", *flags, f"-I{SOURCES}", f"-I{_ROOT}/bpf/include"], ".so")
    with TemporaryDirectory() as directory:
        path = Path(directory) / "flow_watch.so"
        path.write_bytes(built)
        loaded = ctypes.CDLL(str(path))
    for name in ("user_new", "ring_open", "watcher_new"):
        getattr(loaded, name).restype = ctypes.c_void_p
    for name in ("user_packets", "watcher_spent"):
        getattr(loaded, name).restype = ctypes.c_uint64
    return loaded


class Watcher(ExitStack):
    """Takes packets in a ``way``, and blocks connections. Raises :class:`LabError`."""

    def __init__(self, network: QuantizedNetwork, spared: int, margin: int, lasting_ns: int, way: str) -> None:
        super().__init__()
        with ExitStack() as held:
            self._way = way
            self._object = held.enter_context(Object.load(programs()))
            self.program = self._object.programs["drop_or_tell" if way == RING else "drop_alone"]
            self._network = NativeRunner(KINDS[0], network)
            columns = read(network.input.preparation.options)
            self._columns = np.array([RESULTS.index(column.name) for column in columns], np.uint8)
            self._bounds = np.array([BOUNDS[name.partition(".")[0]] for name in RESULTS], np.uint64)
            lib = library()
            user = ctypes.c_void_p(lib.user_new(self._network.described, ctypes.c_void_p(self._bounds.ctypes.data), 0))
            held.callback(lib.user_free, user)
            self._user, ring, fd = user, None, -1
            if way == RING:
                buffer = self._object.maps["flow_ring"]
                fd, ring = buffer.fileno(), ctypes.c_void_p(lib.ring_open(buffer.fileno(), ctypes.c_uint64(_RING_BYTES)))
                held.callback(lib.ring_close, ring)
            else:
                self._socket = held.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
                fd = self._socket.fileno()
            blocked = self._object.maps["blocked"].fileno()
            self._place = ctypes.c_void_p(
                lib.watcher_new(user, ring, fd, blocked, spared + 1, margin, ctypes.c_uint64(lasting_ns))
            )
            held.callback(lib.watcher_free, self._place)
            if lib.watcher_columns(self._place, ctypes.c_void_p(self._columns.ctypes.data), len(columns)):
                raise LabError(f"network '{network.name}' takes {len(columns)} columns; give one of connection.toml")
            self.push(held.pop_all())

    def listen(self, interface: str) -> None:
        """Packets of the interface come from now on."""
        if self._way == RING:
            return
        if library().watcher_map(self._place):
            raise LabError("a packet socket cannot be mapped; free some memory")
        self._socket.setsockopt(_SOL_PACKET, _OUTGOING, 1)
        self._socket.bind((interface, _ALL))

    def run(self) -> None:
        """Takes packets until :meth:`stop` is called."""
        library().watcher_run(self._place)

    def take(self) -> None:
        """Takes what has come."""
        library().watcher_take(self._place)

    def stop(self) -> None:
        library().watcher_stop(self._place)

    @property
    def packets(self) -> int:
        return int(library().user_packets(self._user))

    @property
    def cpu_seconds(self) -> float:
        return int(library().watcher_spent(self._place)) / 1e9

    def acted(self, at: int) -> set[int]:
        """The ports at that place of the keys that were blocked at some time."""
        found = self._object.maps["blocked"].items()
        return {port for key, _ in found for port in struct.unpack_from("<H", key, at)}
