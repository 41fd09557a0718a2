"""What becomes of the kernel's refusals. Every system call goes through one function, and here it is a made-up one."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
from collections.abc import Callable, Sequence

import pytest

from ebpfnn.errors import KernelError, NotSupported, PermissionDenied, VerifierError
from ebpfnn.kernel import Map, Object, Program, features, privilege, syscall
from ebpfnn.kernel.load.btf import KernelBtf
from ebpfnn.kernel.syscall import Command, MapFd, PerfEventAttr, ProgLoad, bpf, perf_event_open
from ebpfnn.obj import Btf, Function, Image, MapSpec, ObjectSpec, ProgramSpec, insn

CODE = insn.trivial_program()
IMAGE = Image(CODE, (), (), (), ())
PROGRAM = ProgramSpec("probe", "xdp", 6)


class Kernel:
    """Answers each call with what ``refusals`` gives for its number and command: an errno, or None for a new descriptor."""

    def __init__(self, refusals: Callable[[Command], int | None]) -> None:
        self.refusals = refusals
        self.commands: list[Command] = []
        self.log, self.log_room = b"", 0

    def syscall(self, number: int, command: int, attributes: ctypes.Structure, size: int) -> int:
        assert number == syscall._numbers()[0]
        assert size == ctypes.sizeof(attributes._obj)
        self.commands.append(Command(command))
        code = self.refusals(Command(command))
        if isinstance(attributes._obj, ProgLoad) and attributes._obj.log_level:
            code = self.write_log(attributes._obj, code)
        if code:
            ctypes.set_errno(code)
            return -1
        return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC) if command in CREATING else 0

    def write_log(self, attributes: ProgLoad, code: int | None) -> int | None:
        self.log_room = attributes.log_size
        written = self.log[: attributes.log_size - 1] + b"\0"
        ctypes.memmove(attributes.log_buf, written, len(written))
        return errno.ENOSPC if len(self.log) >= attributes.log_size else code


CREATING = {Command.MAP_CREATE, Command.PROG_LOAD, Command.BTF_LOAD, Command.OBJ_GET, Command.LINK_CREATE}
Fake = Callable[..., Kernel]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    def install(refusals: Callable[[Command], int | None]) -> Kernel:
        kernel = Kernel(refusals)
        monkeypatch.setattr(syscall, "_libc", kernel)
        return kernel

    return install


def always(code: int | None) -> Callable[[Command], int | None]:
    return lambda command: code


def in_turn(codes: Sequence[int | None]) -> Callable[[Command], int | None]:
    left = iter(codes)
    return lambda command: next(left)


def freeze() -> int:
    return bpf(Command.MAP_FREEZE, MapFd(1), "map 'm'")


@pytest.mark.parametrize(
    ("uid", "remedy"),
    [(1000, "run as root (sudo), or grant CAP_BPF and CAP_PERFMON"), (0, "root is not enough here: a seccomp filter")],
)
@pytest.mark.parametrize("code", [errno.EPERM, errno.EACCES])
def test_want_of_privilege(fake: Fake, monkeypatch: pytest.MonkeyPatch, code: int, uid: int, remedy: str) -> None:
    fake(always(code))
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(privilege, "lacking", lambda needed, root: list(needed) if uid else [])
    with pytest.raises(PermissionDenied) as caught:
        freeze()
    assert caught.value.errno == code
    assert remedy in str(caught.value)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSYS, "ENOSYS (Function not implemented); "),
        (errno.EINVAL, "map 'm': BPF_MAP_FREEZE refused with EINVAL (Invalid argument)"),
        (errno.E2BIG, "E2BIG (Argument list too long)"),
        (524, "ENOTSUPP (Operation is not supported); this kernel does not support that for an object of this type"),
    ],
)
def test_other_refusals(fake: Fake, code: int, words: str) -> None:
    kernel = fake(always(code))
    with pytest.raises(KernelError) as caught:
        freeze()
    assert words in str(caught.value)
    assert caught.value.errno == code
    assert kernel.commands == [Command.MAP_FREEZE]


def test_a_program_load_that_a_signal_interrupts_is_tried_five_times(fake: Fake) -> None:
    kernel = fake(in_turn([errno.EAGAIN] * 4 + [None]))
    Program.load(PROGRAM, IMAGE, "GPL").close()
    assert kernel.commands == [Command.PROG_LOAD] * 5


def test_a_program_load_that_is_interrupted_ever_again_is_given_up(fake: Fake) -> None:
    kernel = fake(always(errno.EAGAIN))
    with pytest.raises(KernelError, match="EAGAIN"):
        bpf(Command.PROG_LOAD, ProgLoad(), "program 'p'")
    assert kernel.commands == [Command.PROG_LOAD] * 5


def test_nothing_else_is_tried_again(fake: Fake) -> None:
    kernel = fake(always(errno.EAGAIN))
    with pytest.raises(KernelError):
        freeze()
    assert kernel.commands == [Command.MAP_FREEZE]


def test_a_machine_whose_numbers_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "pdp11")
    with pytest.raises(NotSupported, match=r"machine 'pdp11': bpf\(2\) is supported only on x86_64 and aarch64"):
        freeze()
    with pytest.raises(NotSupported):
        perf_event_open(PerfEventAttr(), "event")


@pytest.mark.parametrize("length", [10, 70_000, 5_000_000])
def test_a_verifiers_log_is_whole_however_long(fake: Fake, length: int) -> None:
    kernel = fake(always(errno.EACCES))
    kernel.log = b"x" * length + b"\nR1 is no pointer\n"
    with pytest.raises(VerifierError) as caught:
        Program.load(PROGRAM, IMAGE, "GPL")
    assert caught.value.log.encode() == kernel.log
    assert caught.value.errno == errno.EACCES
    assert str(caught.value).endswith("R1 is no pointer")
    assert len(kernel.log) < kernel.log_room <= max(1 << 16, 8 * len(kernel.log))


@pytest.mark.parametrize("code", [errno.EINVAL, errno.E2BIG])
def test_a_refusal_without_a_log_stays_what_it_was(fake: Fake, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel knows the type of program: what it says of others is not asked of one that refuses everything."""
    monkeypatch.setattr(features, "has_program_type", lambda type, attach_type: True)  # noqa: A006
    fake(always(code))
    with pytest.raises(KernelError, match="program 'probe': BPF_PROG_LOAD refused with") as caught:
        Program.load(PROGRAM, IMAGE, "GPL")
    assert not isinstance(caught.value, VerifierError)


@pytest.mark.parametrize("limited", [True, False])
def test_a_raised_limit_that_does_not_help_is_put_back(fake: Fake, monkeypatch: pytest.MonkeyPatch, limited: bool) -> None:
    limit = (1 << 16, 1 << 16) if limited else (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: limit)
    monkeypatch.setattr(resource, "setrlimit", lambda which, to: raised.append(to))
    kernel = fake(always(errno.EPERM))
    with pytest.raises(PermissionDenied):
        Map.create(MapSpec("m", 2, 4, 4, 1))
    assert raised == ([(resource.RLIM_INFINITY, resource.RLIM_INFINITY), limit] if limited else [])
    assert kernel.commands == [Command.MAP_CREATE] * (1 + limited)


def test_a_limit_that_cannot_be_raised_leaves_the_refusal(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(which: int, to: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda which: (0, 0))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    fake(always(errno.EPERM))
    with pytest.raises(PermissionDenied):
        KernelBtf.load(Btf(), "test.o")


@pytest.mark.parametrize("failing", [Command.MAP_UPDATE_ELEM, Command.MAP_FREEZE, Command.PROG_LOAD])
def test_a_later_failure_closes_what_came_before(fake: Fake, failing: Command) -> None:
    """That no descriptor is left, conftest.py checks."""
    kernel = fake(lambda command: errno.ENOMEM if command is failing else None)
    maps = {name: MapSpec(name, 2, 4, 8, 1, contents=bytes(8), frozen=True) for name in ("a", "b")}
    spec = ObjectSpec("test.o", "GPL", Btf(), {"probe": Function("probe", CODE)}, {"probe": PROGRAM}, maps)
    with pytest.raises(KernelError, match="ENOMEM"):
        Object.load(spec)
    assert kernel.commands[-1] is failing


def test_what_a_signal_interrupted_is_tried_again(fake: Fake) -> None:
    """But for a run: the program may have run by then."""
    answers = iter([errno.EINTR, errno.EINTR, None])
    kernel = fake(lambda command: next(answers))
    freeze()
    assert kernel.commands == [Command.MAP_FREEZE] * 3
    kernel = fake(always(errno.EINTR))
    with pytest.raises(KernelError, match="a signal interrupted it; try again"):
        bpf(Command.PROG_RUN, MapFd(), "program 'p'")
    assert kernel.commands == [Command.PROG_RUN]


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_what_runs_out_once_the_verifier_is_content_is_no_matter_of_the_program(fake: Fake, code: int) -> None:
    """The kernel takes the descriptor last: the log tells of a program that was taken."""
    kernel = fake(always(code))
    kernel.log = b"processed 9 insns (limit 1000000)\n"
    with pytest.raises(KernelError, match=f"BPF_PROG_LOAD refused with {errno.errorcode[code]}") as caught:
        Program.load(PROGRAM, IMAGE, "GPL")
    assert not isinstance(caught.value, VerifierError)
