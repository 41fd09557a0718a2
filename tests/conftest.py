"""What all tests share: the rules that hold around each, objects built from C, and what a kernel must have for a test.

The helpers in support/ (such as ``mnist``) are importable from every test: setup.cfg names the folder.
"""

from __future__ import annotations

import errno
import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Generator, Iterator
from functools import cache
from pathlib import Path

import pytest
from clang import compile_bpf, find_clang
from descriptors import descriptors
from hypothesis import settings
from promises import check_kernel, excuse, hold

from ebpfnn.errors import Error, KernelError
from ebpfnn.kernel import features, has_program_type, tracefs
from ebpfnn.kernel.pinning import BPFFS, is_bpffs
from ebpfnn.obj import ObjectSpec, ProgramType

# onnxruntime opens a database of its own under ~/.cache where it is imported, which looks like something left open.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# Networks that this machine keeps in its kernel are none of a test's: `ebpfnn infer` would use them.
os.environ["EBPFNN_BPFFS"] = "/nonexistent"

settings.register_profile("here", deadline=None, database=None)
settings.register_profile("ci", deadline=None, database=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_sessionstart() -> None:
    check_kernel()
    # What runs in the background of a script ignores SIGINT, and so would every process that tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    excuse(report, call)
    hold(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    hold(report)
    return report


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("root"):
        lack = missing_for_bpf()
        if lack:
            pytest.skip(lack)


@cache
def missing_for_bpf() -> str | None:
    """What this machine lacks to load any program at all, None where it can."""
    if os.geteuid() != 0:
        return "needs root"
    try:
        loads = has_program_type(ProgramType.SOCKET_FILTER)
    except KernelError as refusal:
        if refusal.errno not in (errno.EPERM, errno.EACCES, errno.ENOSYS):
            raise
        return f"bpf(2) is closed to root here ({refusal.code})"
    return None if loads else "this kernel takes no socket filters"


@pytest.fixture(autouse=True)
def no_descriptor_is_left() -> Iterator[None]:
    """Fails a test that leaves a descriptor open: a map or a program lives as long as one is."""
    before = descriptors()
    yield
    if descriptors() != before:
        gc.collect()
    left = {fd: what for fd, what in descriptors().items() if before.get(fd) != what}
    assert not left, f"left open: {left}"


@pytest.fixture(autouse=True)
def probes_are_forgotten() -> Iterator[None]:
    """What a kernel that a test made up was found to lack says nothing of the real one."""
    yield
    for probe in vars(features).values():
        if hasattr(probe, "cache_clear"):
            probe.cache_clear()


@pytest.fixture(scope="session")
def build_object(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """Compiles BPF C (``vmlinux.h`` and a GPL license in front), with more flags where given; the same source once."""
    clang = find_clang()
    if clang is None:
        pytest.skip("clang is not installed")
    directory = tmp_path_factory.mktemp("objects")
    return lambda source, *flags: compile_bpf(clang, source, directory, *flags)


@pytest.fixture(scope="session")
def build_spec(build_object: Callable[..., bytes]) -> Callable[..., ObjectSpec]:
    """What ``build_object`` makes, read; ``name`` is the spec's."""

    def build(source: str, name: str = "test.o") -> ObjectSpec:
        return ObjectSpec.from_bytes(build_object(source), name)

    return build


@pytest.fixture
def bpffs() -> Iterator[Path]:
    """A directory for pins, removed with whatever is in it."""
    if not is_bpffs(BPFFS):
        pytest.skip(f"no BPF file system on {BPFFS}")
    directory = Path(tempfile.mkdtemp(prefix="test-", dir=BPFFS))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def tracing() -> None:
    """For tests that attach to tracepoints."""
    try:
        tracefs()
    except Error as lack:
        pytest.skip(str(lack))
