"""What a file does to a process of its own: the line it ends with, and the memory it took; its CPU time is bounded."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

_READER = """
import json, os, resource, signal, sys, traceback
from pathlib import Path
import numpy as np
from ebpfnn import Plugins, datasets, importers, load, samples
from ebpfnn.errors import Error
from ebpfnn.importers import ImportOptions
def image(path):
    return list(samples(load("mnist"), path))
def network(path):
    architecture = None if path.suffix in (".onnx", ".pt2") else "144-16-5"
    return importers.load(path, ImportOptions(shape=(12, 12), architecture=architecture))
def data(path):
    prepare = Plugins.installed().wanted(load("mnist").input).one if datasets.class_names(path, "test") else None
    return datasets.read(path, "test", prepare)
def read(kind, path, limit, seconds):
    used = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
    resource.setrlimit(resource.RLIMIT_CPU, (used + seconds,) * 2)
    if limit:
        mapped = int(open("/proc/self/statm").read().split()[0]) * 4096
        resource.setrlimit(resource.RLIMIT_AS, (mapped + limit, mapped + limit))
    try:
        {"image": image, "network": network, "data": data}[kind](Path(path))
        said = "read"
    except Error as error:
        said = str(error)
    return said, open("/proc/self/status").read().split("VmHWM:")[1].split()[0]
for line in sys.stdin:
    reading, writing = os.pipe()
    if not (child := os.fork()):
        signal.alarm(300)
        try:
            status, told = 0, json.dumps(read(*json.loads(line)))
        except BaseException:
            status, told = 1, traceback.format_exc()
        os.write(writing, told.encode())
        os._exit(status)
    os.close(writing)
    with open(reading) as file:
        told = file.read()
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), told]), flush=True)
"""


SECONDS = 40
"""Of CPU time. Reading any file here takes a few; a reader whose time grows with the square takes minutes."""


class Reader:
    """Reads each file in a process that has done nothing else: a fork of one that has imported what reads them."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", _READER]
        self._forking = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def read(self, kind: str, path: Path, room: int = 0) -> tuple[str, int]:
        """What reading ``path`` as an ``image``, a ``network`` or ``data`` ends with, ``read`` or an Error's text; its MiB.

        ``room`` is how many bytes of address space it may take besides what it has at its start; 0 for any.
        """
        assert self._forking.stdin is not None
        assert self._forking.stdout is not None
        print(json.dumps([kind, str(path), room, SECONDS]), file=self._forking.stdin, flush=True)
        status, told = json.loads(self._forking.stdout.readline())
        assert status not in (-signal.SIGXCPU, -signal.SIGKILL), f"over {SECONDS} s of CPU time"
        assert status == 0, told
        said, peak = json.loads(told)
        assert "\n" not in said
        return said, int(peak) >> 10

    def close(self) -> None:
        self._forking.communicate()


def pt(stream: bytes, **members: bytes) -> bytes:
    """A file as torch.save() makes them, of this pickle and these storages."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("net/data.pkl", stream)
        for name, data in members.items():
            made.writestr("net/data/" + name, data)
    return file.getvalue()


def number(value: int) -> bytes:
    size = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little")


def numbers(values: Sequence[int]) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(sizes: Sequence[int], strides: Sequence[int], start: int = 0, held: int = 1) -> bytes:
    """A state dict of one tensor, whose storage has one number."""
    storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0sX\x03\0\0\0cpu" + number(held) + b"tQ"
    given = b"(" + storage + number(start) + numbers(sizes) + numbers(strides) + b"\x89}t"
    return pt(b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n" + given + b"Rs.", s=bytes(4))
