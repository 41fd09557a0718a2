"""What a file does to a process of its own: the line it ends with, and the memory it took."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_CHILD = """
import resource, sys
from pathlib import Path
import numpy as np
from ebpfnn import datasets, importers
from ebpfnn.errors import Error
from ebpfnn.importers import ImportOptions
limit = int(sys.argv[3])
if limit:
    mapped = int(open("/proc/self/statm").read().split()[0]) * 4096
    resource.setrlimit(resource.RLIMIT_AS, (mapped + limit, mapped + limit))
def image(path):
    from ebpfnn_plugins import raster
    return raster.sample(path.read_bytes(), (28, 28), path.name)
def network(path):
    return importers.load(path, ImportOptions(shape=(12, 12), architecture="144-16-5"))
def data(path):
    return datasets.read(path, "test")
try:
    {"image": image, "network": network, "data": data}[sys.argv[1]](Path(sys.argv[2]))
    print("read")
except Error as error:
    print(error)
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""


def read_in_a_child(kind: str, path: Path, room: int = 0) -> tuple[str, int]:
    """What reading ``path`` as an ``image``, a ``network`` or ``data`` ends with, ``read`` or an Error's text; its peak in MiB.

    ``room`` is how many bytes of address space it may take besides what it has at its start; 0 for any.
    """
    command = [sys.executable, "-c", _CHILD, kind, str(path), str(room)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert ran.returncode == 0, ran.stderr
    said, peak = ran.stdout.rstrip("\n").split("\n")  # more lines than one would fail here
    return said, int(peak) >> 10
