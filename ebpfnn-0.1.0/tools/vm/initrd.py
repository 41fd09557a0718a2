"""What the guest boots from: busybox, ``init`` beside this file, the modules it loads, and the command.

Needs neither kmod nor cpio: what a module depends on stands in its own ``.modinfo``.
"""

from __future__ import annotations

import lzma
import re
import stat
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

BUSYBOX = Path("/bin/busybox")
MODULES = (
    *("virtio_pci", "virtiofs", "overlay", "veth", "dummy"),
    *("cls_bpf", "act_bpf", "sch_ingress", "nf_defrag_ipv4", "nf_defrag_ipv6"),
)
DIRECTORIES = ("bin", "dev", "lower", "modules", "newroot", "proc", "rw", "sys")
_DIRECTORY, _FILE = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o755


def initrd(kernel: Path, command: str) -> bytes:
    """The archive in the kernel's ``newc`` format (Documentation/driver-api/early-userspace/buffer-format.rst)."""
    modules = Modules(kernel).load_order(MODULES)
    files = {
        "bin/busybox": BUSYBOX.read_bytes(),
        "init": Path(__file__).with_name("init").read_bytes(),
        "command": command.encode(),
        "modules.list": "".join(f"{name}\n" for name in modules).encode(),
        "config": next(kernel.rglob("config-*")).read_bytes(),
        **{f"modules/{name}": content for name, content in modules.items()},
    }
    entries = [*((name, _DIRECTORY, b"") for name in DIRECTORIES), *((name, _FILE, data) for name, data in files.items())]
    return b"".join(_entries([*entries, ("TRAILER!!!", 0, b"")]))


def _entries(entries: Iterable[tuple[str, int, bytes]]) -> Iterator[bytes]:
    for inode, (name, mode, data) in enumerate(entries, 1):
        encoded = name.encode() + b"\0"
        numbers = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
        header = b"070701" + b"".join(b"%08X" % number for number in numbers) + encoded
        yield _padded(header) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


@dataclass
class Modules:
    """The modules of an unpacked kernel."""

    kernel: Path
    _found: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._files = {_name(path.name): path for path in self.kernel.rglob("*.ko*")}

    def load_order(self, wanted: Iterable[str]) -> dict[str, bytes]:
        """The modules by name, each after what it needs; what this kernel has built in, or has not at all, is left out."""
        for name in wanted:
            self._add(_name(name))
        return self._found

    def _add(self, name: str) -> None:
        if name in self._found or name not in self._files:
            return
        content = _read(self._files.pop(name))
        for needed in re.findall(rb"\0depends=([^\0]*)", content) + re.findall(rb"\0softdep=pre: ([^\0]*)", content):
            for each in re.split(r"[, ]+", needed.decode()):
                self._add(_name(each))
        self._found[name] = content


def _name(file: str) -> str:
    return file.partition(".ko")[0].replace("-", "_")


def _read(path: Path) -> bytes:
    if path.suffix == ".xz":
        return lzma.decompress(path.read_bytes())
    if path.suffix == ".zst":
        return subprocess.run(["zstd", "-dc", path], check=True, capture_output=True).stdout
    return path.read_bytes()
