"""What a file does to a process of its own: the line it ends with, and the memory it took; its CPU time is bounded."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

_CHILD = """
import resource, sys
from pathlib import Path
import numpy as np
from ebpfnn import Plugins, datasets, importers, load, samples
from ebpfnn.errors import Error
from ebpfnn.importers import ImportOptions
used = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
resource.setrlimit(resource.RLIMIT_CPU, (used + int(sys.argv[4]),) * 2)
limit = int(sys.argv[3])
if limit:
    mapped = int(open("/proc/self/statm").read().split()[0]) * 4096
    resource.setrlimit(resource.RLIMIT_AS, (mapped + limit, mapped + limit))
def image(path):
    return list(samples(load("mnist"), path))
def network(path):
    architecture = None if path.suffix in (".onnx", ".pt2") else "144-16-5"
    return importers.load(path, ImportOptions(shape=(12, 12), architecture=architecture))
def data(path):
    prepare = Plugins.installed().wanted(load("mnist").input).one if datasets.class_names(path, "test") else None
    return datasets.read(path, "test", prepare)
try:
    {"image": image, "network": network, "data": data}[sys.argv[1]](Path(sys.argv[2]))
    print("read")
except Error as error:
    print(error)
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""


SECONDS = 40
"""Of CPU time. Reading any file here takes a few; a reader whose time grows with the square takes minutes."""


def read_in_a_child(kind: str, path: Path, room: int = 0) -> tuple[str, int]:
    """What reading ``path`` as an ``image``, a ``network`` or ``data`` ends with, ``read`` or an Error's text; its peak in MiB.

    ``room`` is how many bytes of address space it may take besides what it has at its start; 0 for any.
    """
    command = [sys.executable, "-c", _CHILD, kind, str(path), str(room), str(SECONDS)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode not in (-signal.SIGXCPU, -signal.SIGKILL), f"over {SECONDS} s of CPU time"
    assert ran.returncode == 0, ran.stderr
    said, peak = ran.stdout.rstrip("\n").split("\n")  # more lines than one would fail here
    return said, int(peak) >> 10


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
