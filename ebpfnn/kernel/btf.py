"""BTF in the kernel: the types that maps and programs refer to."""

from __future__ import annotations

import ctypes

from ..errors import KernelError, VerifierError
from ..obj import Btf
from .fd import Descriptor
from .memlock import charging
from .syscall import BtfLoad, Command, bpf
from .verifier import summary

_LOG_SIZE = 1 << 20


class KernelBtf(Descriptor):
    """A loaded set of types."""

    @classmethod
    def load(cls, btf: Btf, name: str) -> KernelBtf:
        """Raises :class:`VerifierError`, with the kernel's log, for types that contradict themselves, else KernelError."""
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
