"""Loads programs, with readable errors of the verifier, and runs them (BPF_PROG_RUN)."""

from __future__ import annotations

import ctypes
import errno
import struct
from dataclasses import dataclass
from pathlib import Path

from ...errors import KernelError, NotSupported, PermissionDenied, VerifierError
from ...obj import AttachType, Image, ProgramSpec, ProgramType
from ...obj.uapi import enum_name
from .. import features, ids, info, pinning
from ..fd import Descriptor
from ..map.map_creation import kernel_name
from ..memlock import charging
from ..prepared import PreparedRun
from ..syscall import Command, ProgLoad, ProgRun, bpf, u32
from .verifier import poisoned, summary

# Types whose expected attach type kernels before 4.17 do not know (libbpf 1.5, SEC_ATTACHABLE_OPT).
_ATTACH_TYPE_OPTIONAL = frozenset(
    {ProgramType.CGROUP_SKB, ProgramType.CGROUP_SOCK, ProgramType.CGROUP_DEVICE, ProgramType.SOCK_OPS, ProgramType.SK_SKB}
    | {ProgramType.SK_MSG, ProgramType.XDP, ProgramType.LIRC_MODE2, ProgramType.FLOW_DISSECTOR, ProgramType.SK_REUSEPORT}
)
_FIRST_LOG, _LARGEST_LOG = 1 << 16, 1 << 26  # the kernel takes at most UINT_MAX >> 2 (bpf_verifier_log_attr_valid)
# BPF_LOG_LEVEL1, and BPF_LOG_STATS (Linux 5.2) for a program too large to walk: the trace of a million steps tells no more.
_LOG_TRACE, _LOG_STATS = 1, 4
_ROOM = 256  # for what a program adds to a packet, and for a context that was given in part (__sk_buff has 192 bytes)
# Types whose context BPF_PROG_RUN hands back by ctx_out (bpf_ctx_finish, Linux 6.18); SYSCALL's is written where it was given.
_CONTEXT_OUT = frozenset(
    {ProgramType.SOCKET_FILTER, ProgramType.SCHED_CLS, ProgramType.SCHED_ACT, ProgramType.CGROUP_SKB, ProgramType.SK_LOOKUP}
    | {ProgramType.LWT_IN, ProgramType.LWT_OUT, ProgramType.LWT_XMIT, ProgramType.LWT_SEG6LOCAL, ProgramType.XDP}
)
_OF_MANY_USES = (ProgramType.TRACING, ProgramType.LSM)
_FUNC_INFO = struct.Struct("<II")
_LINE_INFO = struct.Struct("<IIII")


@dataclass(frozen=True)
class RunResult:
    """``return_value`` of the program; ``duration`` in nanoseconds, the mean of its repetitions.

    ``data`` is the packet as the program left it, ``context`` the context, where there was one: as it was given for the types
    that keep theirs to themselves (tracing, tracepoints).
    """

    return_value: int
    duration: int
    data: bytes
    context: bytes = b""


class Program(Descriptor):
    """A verified program in the kernel."""

    @classmethod
    def load(
        cls,
        spec: ProgramSpec,
        image: Image,
        license: str,  # noqa: A002
        btf_fd: int = 0,
        target: tuple[int, int] = (0, 0),
        fd_array: tuple[int, ...] = (),
    ) -> Program:
        """Loads ``image``, with every address filled in.

        ``target`` is what the program is bound to: a type's id, and the descriptor of the module or program that has it.
        ``fd_array`` lists the descriptors of the modules whose functions are called, by the index that the calls give.

        First without a log, which costs time; where the kernel refuses, again with one that grows until it fits.

        Raises :class:`VerifierError` for a program that the verifier refuses, :class:`NotSupported` for a type that this kernel
        does not have, else :class:`~ebpfnn.errors.KernelError`.
        """
        request = _LoadRequest(spec, image, license, btf_fd)
        request.bind(target, fd_array)
        try:
            return cls(charging(request.send_known), spec.name)
        except KernelError as refusal:
            if refusal.errno == errno.EPERM and features.is_closed_to_all(ProgramType(spec.type), spec.expected_attach_type):
                fact = f"this kernel takes {_kind(spec)} programs from no user, although it loads others"
                raise PermissionDenied(
                    f"{request.what}: {fact} (EPERM); use a kprobe, a tracepoint or another hook", errno.EPERM
                ) from None
            if refusal.errno in _NO_VERDICT:
                raise
            log = request.explain(_LOG_STATS if refusal.errno == errno.E2BIG else _LOG_TRACE)
            if isinstance(log, int):
                return cls(log, spec.name)
            if not log:
                if refusal.errno == errno.EINVAL and _is_unknown(spec):
                    raise NotSupported(
                        f"{request.what}: this kernel has no programs of type {ProgramType(spec.type).name}; "
                        "use another hook, or a newer kernel"
                    ) from None
                raise
            raise VerifierError(
                f"{request.what}: {poisoned(log, image.unresolved) or summary(log)}", refusal.errno, log
            ) from None

    @classmethod
    def open(cls, path: Path, name: str = "") -> Program:
        """The program that is pinned at ``path``, whose ``name`` is the pin's unless told.

        Raises :class:`~ebpfnn.errors.KernelError`.
        """
        return cls(pinning.open_pin(path, "a program"), name or path.name)

    @classmethod
    def from_id(cls, id: int) -> Program:  # noqa: A002
        """The program of that id, whoever loaded it. Raises :class:`~ebpfnn.errors.KernelError`, ENOENT where there is none."""
        return cls(ids.open_id(ids.Kind.PROGRAM, id), f"program {id}")

    def run(self, *, context: bytes = b"", data: bytes = b"", repeat: int = 0) -> RunResult:
        """Runs the program once, or ``repeat`` times, on a made-up context or packet (BPF_PROG_RUN).

        Raises :class:`~ebpfnn.errors.KernelError`: ENOTSUPP (524) for a type that cannot be run so.
        """
        out = ctypes.create_string_buffer(len(data) + _ROOM) if data else None
        packet = ctypes.create_string_buffer(data, len(data)) if data else None
        given = ctypes.create_string_buffer(context, len(context) + _ROOM) if context else None
        attributes = ProgRun(
            prog_fd=self.fileno(),
            repeat=repeat,
            ctx_size_in=len(context),
            ctx_in=_address(given),
            data_size_in=len(data),
            data_in=_address(packet),
            data_size_out=len(out) if out else 0,
            data_out=_address(out),
        )
        if given and self.info().type in _CONTEXT_OUT:
            attributes.ctx_size_out, attributes.ctx_out = len(given), _address(given)
        bpf(Command.PROG_RUN, attributes, f"program '{self.name}'")
        left = out.raw[: attributes.data_size_out] if out else b""
        seen = given.raw[: attributes.ctx_size_out or len(context)] if given else b""
        return RunResult(attributes.retval, attributes.duration, left, seen)

    def prepare_run(self, *, context: bytes = b"", data: bytes = b"") -> PreparedRun:
        """:meth:`run`, once a call, of which nothing but the context or packet is to change. Raises as :meth:`fileno` does."""
        return PreparedRun(self, context=context, data=data)

    def bind_map(self, table: Descriptor) -> None:
        """Binds a map to the program, although no instruction uses it (Linux 5.10).

        Raises :class:`~ebpfnn.errors.KernelError`.
        """
        bpf(Command.PROG_BIND_MAP, _BindMap(self.fileno(), table.fileno()), f"program '{self.name}'")

    def pin(self, path: Path) -> None:
        """Pins the program. Raises as :func:`ebpfnn.kernel.pinning.pin` does."""
        pinning.pin(self, path)

    def info(self) -> info.ProgramInfo:
        """What the kernel says of it."""
        found = info.ProgramInfo()
        info.read_info(self, found)
        return found


# Of the system, whatever the verifier makes of the program: descriptors and memory are taken after it had its say.
_NO_VERDICT = (errno.EPERM, errno.ENOMEM, errno.ENOSYS, errno.EMFILE, errno.ENFILE, errno.EINTR, errno.EAGAIN)


def _is_unknown(spec: ProgramSpec) -> bool:
    try:
        return not features.has_program_type(ProgramType(spec.type), spec.expected_attach_type)
    except KernelError:
        return False  # the probe was refused for another reason, which tells nothing of the type


def _kind(spec: ProgramSpec) -> str:
    """Its type, and for one of many uses which: a kernel may take iterators, and refuse fentry."""
    use = f" ({enum_name(AttachType, spec.expected_attach_type)})" if spec.type in _OF_MANY_USES else ""
    return ProgramType(spec.type).name + use


class _BindMap(ctypes.Structure):
    """The attributes of BPF_PROG_BIND_MAP."""

    _fields_ = (("prog_fd", u32), ("map_fd", u32), ("flags", u32))


class _LoadRequest:
    """The attributes of a BPF_PROG_LOAD and the memory they point to."""

    def __init__(self, spec: ProgramSpec, image: Image, license: str, btf_fd: int) -> None:  # noqa: A002
        self.what = f"program '{spec.name}'"
        code = image.code
        self._code = ctypes.create_string_buffer(code, len(code))
        self._license = ctypes.create_string_buffer(license.encode("ascii", "replace"))
        self.attributes = ProgLoad(
            prog_type=spec.type,
            insn_cnt=len(code) // 8,
            insns=ctypes.addressof(self._code),
            license=ctypes.addressof(self._license),
            prog_flags=spec.flags,
            prog_name=kernel_name(spec.name),
            expected_attach_type=spec.expected_attach_type,
        )
        if btf_fd:
            self._describe(image, btf_fd)

    def bind(self, target: tuple[int, int], fd_array: tuple[int, ...]) -> None:
        self.attributes.attach_btf_id, self.attributes.attach_fd = target
        if fd_array:
            self._fds = (ctypes.c_int32 * len(fd_array))(*fd_array)
            self.attributes.fd_array = ctypes.addressof(self._fds)

    def send_known(self) -> int:
        """Loads it; if the kernel refuses, tries once more without what it does not support."""
        try:
            return self.send()
        except KernelError as refusal:
            if refusal.errno not in (errno.EINVAL, errno.E2BIG) or not self._drop_unknown():
                raise
        return self.send()

    def _drop_unknown(self) -> bool:
        """Takes out what the kernel does not know and can do without, and tells whether there was any."""
        before = bytes(self.attributes)
        if not features.has_object_names():
            self.attributes.prog_name = b""
        if self.attributes.prog_type in _ATTACH_TYPE_OPTIONAL and not features.has_expected_attach_type():
            self.attributes.expected_attach_type = 0
        return bytes(self.attributes) != before

    def send(self) -> int:
        return bpf(Command.PROG_LOAD, self.attributes, self.what)

    def explain(self, level: int) -> str | int:
        """The log of a refused load, or the program's descriptor where the kernel takes it now: memory or a limit came free.

        ENOSPC only says that the buffer was too small for the log: it is not the failure.
        """
        size = _FIRST_LOG
        while True:
            log = ctypes.create_string_buffer(size)
            self.attributes.log_level, self.attributes.log_size = level, size
            self.attributes.log_buf = ctypes.addressof(log)
            try:
                return self.send()
            except KernelError as refusal:
                if refusal.errno == errno.ENOSPC and size < _LARGEST_LOG:
                    size = min(size * 8, _LARGEST_LOG)
                    continue
                return log.value.decode("utf-8", "replace")

    def _describe(self, image: Image, btf_fd: int) -> None:
        functions = b"".join(_FUNC_INFO.pack(*entry) for entry in image.functions)
        lines = b"".join(_LINE_INFO.pack(ln.index, ln.file, ln.text, ln.line << 10 | ln.column) for ln in image.lines)
        self._functions = ctypes.create_string_buffer(functions, len(functions))
        self._lines = ctypes.create_string_buffer(lines, len(lines))
        attributes = self.attributes
        attributes.prog_btf_fd = btf_fd
        if image.functions:
            attributes.func_info, attributes.func_info_cnt = ctypes.addressof(self._functions), len(image.functions)
            attributes.func_info_rec_size = _FUNC_INFO.size
        if image.lines:
            attributes.line_info, attributes.line_info_cnt = ctypes.addressof(self._lines), len(image.lines)
            attributes.line_info_rec_size = _LINE_INFO.size


def _address(buffer: ctypes.Array[ctypes.c_char] | None) -> int:
    return ctypes.addressof(buffer) if buffer is not None else 0
