"""BTF in the kernel: the types that maps and programs refer to, and the kernel's own."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ...errors import KernelError, NotSupported, VerifierError
from ...obj import Btf
from ...obj.btf.sanitize import BtfFeature, sanitize
from .. import features
from ..fd import Descriptor
from ..memlock import charging
from ..syscall import BtfLoad, Command, bpf
from .verifier import summary

BTF_DIRECTORY = Path("/sys/kernel/btf")
"""Where a kernel with CONFIG_DEBUG_INFO_BTF shows its types (Linux 5.4), and those of its modules (5.11)."""
_LARGEST_BTF = 256 << 20  # far beyond any kernel's
_LOG_SIZE = 1 << 20


class KernelBtf(Descriptor):
    """A loaded BTF object. ``describes_functions`` is False if the kernel does not accept func_info that refers to it."""

    describes_functions = True

    @classmethod
    def load_known(cls, btf: Btf, name: str) -> KernelBtf | None:
        """Loads the parts of ``btf`` that the kernel supports, None if it supports no BTF. Raises as :meth:`load` does."""
        try:
            return cls.load(sanitize(btf), name)
        except KernelError as refusal:
            missing = features.missing_btf() if refusal.errno in (errno.EINVAL, errno.E2BIG) else frozenset()
            if not missing:
                raise
        try:
            loaded = cls.load(sanitize(btf, missing), name)
        except KernelError:
            if BtfFeature.FUNC in missing:
                return None
            raise
        loaded.describes_functions = BtfFeature.FUNC not in missing
        return loaded

    @classmethod
    def load(cls, btf: Btf, name: str) -> KernelBtf:
        """Loads ``btf``. Raises :class:`VerifierError`, with the kernel's log, for invalid types, else KernelError."""
        data = btf.to_bytes()
        buffer = ctypes.create_string_buffer(data, len(data))
        what = f"BTF of {name}"
        attributes = BtfLoad(btf=ctypes.addressof(buffer), btf_size=len(data))
        try:
            return cls(charging(lambda: bpf(Command.BTF_LOAD, attributes, what)), name)
        except KernelError as refusal:
            log = ctypes.create_string_buffer(_LOG_SIZE)
            attributes.btf_log_buf, attributes.btf_log_size, attributes.btf_log_level = ctypes.addressof(log), _LOG_SIZE, 1
            try:
                return cls(bpf(Command.BTF_LOAD, attributes, what), name)
            except KernelError:
                text = log.value.decode("utf-8", "replace")
            if not text:
                raise
            raise VerifierError(f"{refusal}: {summary(text)}", refusal.errno, text) from None


@cache
def vmlinux(path: Path | None = None) -> Btf:
    """The types of the running kernel, or of the BTF file at ``path``; read once and then shared, so not to be changed.

    Raises :class:`~ebpfnn.errors.NotSupported` where there are none, :class:`~ebpfnn.errors.ObjectError` for a file that is
    no BTF.
    """
    return _read(path or BTF_DIRECTORY / "vmlinux", None)


@cache
def module_btf(name: str) -> Btf:
    """The types of a loaded module, on top of those of :func:`vmlinux`. Raises as that does."""
    return _read(BTF_DIRECTORY / name, vmlinux())


def kernel_types() -> Iterator[Btf]:
    """The types of :func:`vmlinux`, then those of each module; each is read on first use. Raises as they do."""
    yield vmlinux()
    for name in module_names():
        yield module_btf(name)


def module_names() -> list[str]:
    """The loaded modules that have BTF, in order."""
    try:
        return sorted(entry.name for entry in BTF_DIRECTORY.iterdir() if entry.name != "vmlinux")
    except OSError:
        return []


def _read(path: Path, base: Btf | None) -> Btf:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_BTF + 1)
    except OSError as fault:
        raise NotSupported(
            f"{path}: {fault.strerror}; the kernel has its types there if built with CONFIG_DEBUG_INFO_BTF=y, "
            "otherwise give a BTF file for this kernel"
        ) from None
    if len(data) > _LARGEST_BTF:
        raise NotSupported(f"{path}: larger than {_LARGEST_BTF} bytes; give a BTF file")
    return Btf.from_bytes(data, base)
