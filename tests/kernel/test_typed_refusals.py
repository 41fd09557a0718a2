"""Refusals and leftovers of loading and attaching: typed, and nothing half-done stays."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures import loaded
from kernelmaps import make

from ebpfnn.errors import KernelError, ObjectError, PermissionDenied
from ebpfnn.kernel import Object, Program, attach_cgroup, attach_kprobe_multi, features, has_program_type
from ebpfnn.kernel.link import link, prog_attach
from ebpfnn.kernel.load import program
from ebpfnn.kernel.load.attach_target import find_target
from ebpfnn.kernel.load.map_loading import MapLoader
from ebpfnn.kernel.syscall import Command
from ebpfnn.obj import Image, MapSpec, ObjectSpec, ProgramSpec, insn
from ebpfnn.obj.spec import PIN_BY_NAME
from ebpfnn.obj.uapi import AttachType, MapType, ProgramType

pytestmark = pytest.mark.root
PROGRAM = 'SEC("socket") int idle(void *context) { return 0; }'
IMAGE = Image(insn.trivial_program(), (), (), (), ())


def test_a_full_map_says_so() -> None:
    with make(MapType.HASH, entries=1) as table:
        table.update(bytes(4), bytes(8))
        with pytest.raises(KernelError, match=r"E2BIG .*; the map is full"):
            table.update(b"else", bytes(8))


@pytest.mark.parametrize(
    "type",
    [ProgramType.CGROUP_SOCK_ADDR, ProgramType.CGROUP_SOCKOPT, ProgramType.SK_LOOKUP, ProgramType.XDP, ProgramType.STRUCT_OPS],
)
def test_types_that_need_an_attach_type_are_found(type: ProgramType) -> None:  # noqa: A002
    assert has_program_type(type)


def test_a_load_that_succeeds_the_second_time_is_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = program.bpf, []

    def once_refused(command: Command, attributes: ctypes.Structure, what: str) -> int:
        calls.append(command)
        if len(calls) == 1:
            raise KernelError("refused", errno.EBUSY)
        return real(command, attributes, what)

    monkeypatch.setattr(program, "bpf", once_refused)
    with Program.load(ProgramSpec("probe", "xdp", ProgramType.XDP), IMAGE, "GPL") as found:
        assert found.info().type == ProgramType.XDP
    assert len(calls) >= 2


def test_the_context_is_read_back(build_spec: Callable[[str], ObjectSpec]) -> None:
    source = """
        SEC("syscall") int set(__u32 *context) { context[1] = context[0] + 1; return 0; }
        struct __sk_buff_head { __u32 len, pkt_type, mark; };
        SEC("tc") int mark(struct __sk_buff_head *context) { context->mark += 5; return 0; }"""
    with Object.load(build_spec(source)) as held:
        assert held.programs["set"].run(context=bytes([6, 0, 0, 0, 0, 0, 0, 0])).context == bytes([6, 0, 0, 0, 7, 0, 0, 0])
        given = bytes(8) + (37).to_bytes(4, "little")
        assert held.programs["mark"].run(context=given, data=bytes(64)).context[8:12] == (42).to_bytes(4, "little")


def test_no_descriptor_left_means_nothing_attached(
    build_spec: Callable[[str], ObjectSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with loaded(build_spec, PROGRAM) as held:
        monkeypatch.setattr(link.os, "dup", full)
        monkeypatch.setattr(prog_attach, "bpf", lambda *_: pytest.fail("attached"))
        with pytest.raises(KernelError, match=r"EMFILE .*; .*ulimit -n"):
            prog_attach.attach(held.program, held.map(".bss"), AttachType.CGROUP_DEVICE, "hook")


def test_a_cgroup_that_is_not_there(build_spec: Callable[[str], ObjectSpec], tmp_path: Path) -> None:
    with loaded(build_spec, PROGRAM) as held:
        for place in (tmp_path / "none", tmp_path):
            with pytest.raises(KernelError, match="give a directory of the cgroup2 mount"):
                attach_cgroup(held.program, place, AttachType.CGROUP_DEVICE)


@pytest.mark.parametrize("name", ["../x", "/sys/x", "..", ""])
def test_a_pin_stays_in_its_directory(build_spec: Callable[[str], ObjectSpec], bpffs: Path, name: str) -> None:
    spec = replace(build_spec(PROGRAM), maps={name: MapSpec(name, MapType.ARRAY, 4, 8, 1, pinning=PIN_BY_NAME)})
    with pytest.raises(ObjectError, match="this is not a valid file name"), ExitStack() as held:
        MapLoader(spec, 0, {}, bpffs / "deep", held).load()
    assert os.listdir(bpffs) == []  # noqa: PTH208


def test_no_function_to_probe(build_spec: Callable[[str], ObjectSpec]) -> None:
    with loaded(build_spec, PROGRAM) as held:
        with pytest.raises(KernelError, match="name at least one"):
            attach_kprobe_multi(held.program, [])
        with pytest.raises(KernelError, match="give either returns or session"):
            attach_kprobe_multi(held.program, ["vfs_read"], returns=True, session=True)


@pytest.mark.parametrize(
    ("name", "attach_type", "words"),
    [
        ("unheard:vfs_read", AttachType.TRACE_FENTRY, "module 'unheard' has no function 'vfs_read'"),
        ("vfs_read", 9999, "attach type 9999 is unknown to ebpfnn"),
    ],
)
def test_a_target_that_cannot_be_told(name: str, attach_type: int, words: str) -> None:
    spec = ProgramSpec("watch", f"fentry/{name}", ProgramType.TRACING, attach_type, attach_to=name)
    with ExitStack() as held, pytest.raises(ObjectError, match=words):
        find_target(spec, "test.o", {}, held)


def test_a_kernel_that_takes_some_tracing_programs_says_which_it_refuses(
    build_spec: Callable[[str], ObjectSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = features.bpf

    def without_fentry(command: Command, attributes: ctypes.Structure, what: str) -> int:
        if command is Command.PROG_LOAD and getattr(attributes, "expected_attach_type", 0) == AttachType.TRACE_FENTRY:
            raise PermissionDenied(f"{what}: refused", errno.EPERM)
        return real(command, attributes, what)

    for module in (features, program):
        monkeypatch.setattr(module, "bpf", without_fentry)
    spec = build_spec('SEC("fentry/bpf_fentry_test1") int run(void *context) { return 0; }')
    with pytest.raises(
        PermissionDenied, match=r"takes TRACING \(trace_fentry\) programs from no user, although it loads others"
    ):
        Object.load(spec)
    assert features.has_program_type(ProgramType.TRACING, AttachType.TRACE_RAW_TP)
    assert features.has_program_type(ProgramType.TRACING, AttachType.TRACE_ITER)


def test_a_tracepoint_program_that_is_refused_is_none_of_a_closed_type(
    build_spec: Callable[[str], ObjectSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = program.bpf

    def refuse(command: Command, attributes: ctypes.Structure, what: str) -> int:
        if command is Command.PROG_LOAD:
            raise PermissionDenied(f"{what}: a security module says no", errno.EPERM)
        return real(command, attributes, what)

    monkeypatch.setattr(program, "bpf", refuse)
    with pytest.raises(PermissionDenied, match="a security module says no"):
        Object.load(build_spec('SEC("tp_btf/sys_enter") int run(void *context) { return 0; }'))
