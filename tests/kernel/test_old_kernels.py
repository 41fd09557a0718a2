"""Kernels that know less, made of this one by refusing at the system call what they would refuse."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Callable, Iterator

import pytest
from declarations import DECLARATIONS

from ebpfnn.errors import VerifierError
from ebpfnn.kernel import Object, features, syscall
from ebpfnn.kernel.syscall import Command
from ebpfnn.obj import Btf, Kind, Linkage, ObjectSpec
from ebpfnn.obj.btf.sanitize import BtfFeature
from ebpfnn.obj.uapi import MMAPABLE, ProgramType

Build = Callable[..., ObjectSpec]
pytestmark = pytest.mark.root
SOURCE = """
    int ran;
    float real;
    __attribute__((noinline)) int part(int x) { volatile int y = x; return y + 1; }
    SEC("xdp") int run(void *context) { ran++; return part(1); }"""


class OldKernel:
    """Answers EINVAL or E2BIG for what ``refuses`` says, and passes the rest on. ``calls`` are those that came through."""

    def __init__(self, refuses: Callable[[Command, ctypes.Structure], int]) -> None:
        self._libc, self._refuses = syscall._libc, refuses
        self.calls: list[Command] = []

    def syscall(self, number: int, command: int, attributes: object, size: int) -> int:
        structure: ctypes.Structure = attributes._obj  # type: ignore[attr-defined]  # what byref() holds
        code = self._refuses(Command(command), structure)
        if code:
            ctypes.set_errno(code)
            return -1
        self.calls.append(Command(command))
        return int(self._libc.syscall(number, command, attributes, size))


@pytest.fixture
def old_kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., OldKernel]]:
    def install(refuses: Callable[[Command, ctypes.Structure], int]) -> OldKernel:
        kernel = OldKernel(refuses)
        monkeypatch.setattr(syscall, "_libc", kernel)
        return kernel

    yield install
    monkeypatch.undo()


@pytest.fixture
def build(build_spec: Build) -> Build:
    return lambda source, name="test.o": build_spec(DECLARATIONS + source, name)


def types_of(attributes: ctypes.Structure) -> Btf:
    return Btf.from_bytes(ctypes.string_at(attributes.btf, attributes.btf_size))


def without_kinds(*kinds: Kind) -> Callable[[Command, ctypes.Structure], int]:
    def refuses(command: Command, attributes: ctypes.Structure) -> int:
        if command is not Command.BTF_LOAD:
            return 0
        btf = types_of(attributes)
        return errno.EINVAL if any(btf[type_id].kind in kinds for type_id in range(1, len(btf))) else 0

    return refuses


def without_names(command: Command, attributes: ctypes.Structure) -> int:
    name = {Command.MAP_CREATE: "map_name", Command.PROG_LOAD: "prog_name"}.get(command)
    return errno.E2BIG if name and getattr(attributes, name) else 0


def without_attach_types(command: Command, attributes: ctypes.Structure) -> int:
    return errno.E2BIG if command is Command.PROG_LOAD and attributes.expected_attach_type else 0


def without_mapping(command: Command, attributes: ctypes.Structure) -> int:
    return errno.EINVAL if command is Command.MAP_CREATE and attributes.map_flags & MMAPABLE else 0


def without_types(command: Command, attributes: ctypes.Structure) -> int:
    return errno.EINVAL if command is Command.BTF_LOAD else 0


def without_global_linkage(command: Command, attributes: ctypes.Structure) -> int:
    if command is not Command.BTF_LOAD:
        return 0
    btf = types_of(attributes)
    functions = [btf[type_id] for type_id in range(1, len(btf)) if btf[type_id].kind is Kind.FUNC]
    return errno.EINVAL if any(function.vlen == Linkage.GLOBAL for function in functions) else 0


@pytest.mark.parametrize(
    "refuses",
    [
        *(without_kinds(kind) for kind in (Kind.FLOAT, Kind.DATASEC, Kind.VAR, Kind.FUNC, Kind.FUNC_PROTO)),
        *(without_kinds(Kind.FUNC, Kind.FUNC_PROTO, Kind.VAR, Kind.DATASEC, Kind.FLOAT), without_global_linkage),
        *(without_names, without_attach_types, without_mapping, without_types),
    ],
)
def test_an_object_loads_and_runs_all_the_same(
    build: Build, old_kernel: Callable[..., OldKernel], refuses: Callable[[Command, ctypes.Structure], int]
) -> None:
    old_kernel(refuses)
    with Object.load(build(SOURCE)) as loaded:
        assert loaded.programs["run"].run(data=bytes(64)).return_value == 2
        assert loaded.maps[".bss"].lookup(bytes(4))[:4] == (1).to_bytes(4, "little")


def test_a_refusal_of_the_verifiers_is_told_on_an_old_kernel_too(build: Build, old_kernel: Callable[..., OldKernel]) -> None:
    old_kernel(without_names)
    with pytest.raises(VerifierError, match=r"program 'run': R\d invalid mem access"):
        Object.load(build('SEC("xdp") int run(void *context) { return *(volatile int *)8; }'))


def test_a_kernel_that_knows_everything_is_not_probed(build: Build, old_kernel: Callable[..., OldKernel]) -> None:
    if features.missing_btf():
        pytest.skip("this kernel does not know every kind of BTF (Linux 6.0)")
    features.missing_btf.cache_clear()
    kernel = old_kernel(lambda command, attributes: 0)
    Object.load(build(SOURCE)).close()
    assert kernel.calls.count(Command.BTF_LOAD) == 1
    assert kernel.calls.count(Command.PROG_LOAD) == 1


def test_this_kernel_has_what_it_has() -> None:
    assert features.has_program_type(ProgramType.XDP)
    assert features.has_object_names()
    assert features.has_expected_attach_type()


def test_what_is_missing_is_found_by_trying(old_kernel: Callable[..., OldKernel]) -> None:
    here = features.missing_btf()
    features.missing_btf.cache_clear()
    old_kernel(without_kinds(Kind.FLOAT, Kind.ENUM64))
    assert features.missing_btf() - here == {BtfFeature.FLOAT, BtfFeature.ENUM64} - here


def test_types_that_are_wrong_are_refused_as_such(build: Build) -> None:
    spec = build(SOURCE)
    assert spec.btf is not None
    spec.btf.retire_extern(spec.btf.find("run", Kind.FUNC) or 0)
    with pytest.raises(VerifierError, match="program 'run'"):
        Object.load(spec)
