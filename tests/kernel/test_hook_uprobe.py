"""Uprobes on a library that the test builds."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures import loaded

from ebpfnn.errors import KernelError, NotSupported
from ebpfnn.kernel import LinkType, attach_uprobe, attach_uprobe_multi, attach_uretprobe, tracefs
from ebpfnn.kernel.link import uprobe
from ebpfnn.kernel.link.symbols import function_offset
from ebpfnn.obj import ObjectSpec

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]
LIBRARY = """
__attribute__((noinline)) int ebpfnn_double(int number) { return number + number; }
__attribute__((noinline)) int ebpfnn_triple(int number) { return 3 * number; }
"""
PROGRAM = """
SEC("uprobe") int probe(void *context)
{
	if (MINE)
		HIT(1);
	return 0;
}
"""
COOKIE = PROGRAM.replace("HIT(1)", "HIT(bpf_get_attach_cookie(context))")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("cc is not installed")
    path = tmp_path_factory.mktemp("library") / "probed.so"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-x", "c", "-o", path, "-"], input=LIBRARY, text=True, check=True)
    return path


def test_entries_and_returns(build_spec: Callable[[str], ObjectSpec], library: Path) -> None:
    double = ctypes.CDLL(str(library)).ebpfnn_double
    with loaded(build_spec, PROGRAM) as held:
        with attach_uprobe(held.program, library, "ebpfnn_double"):
            assert double(21) == 42
            assert held.hits == 1
            with attach_uretprobe(held.program, library, "ebpfnn_double"):
                assert double(4) == 8
                assert held.hits == 3
        double(1)
        assert held.hits == 3


@pytest.mark.usefixtures("perf_links")
def test_a_cookie(build_spec: Callable[[str], ObjectSpec], library: Path) -> None:
    double = ctypes.CDLL(str(library)).ebpfnn_double
    with loaded(build_spec, COOKIE) as held, attach_uprobe(held.program, library, "ebpfnn_double", cookie=5) as link:
        assert double(21) == 42
        assert (held.hits, held.last) == (1, 5)
        assert link.info().type is LinkType.PERF_EVENT
        assert link.info().target.get("event", "uprobe") == "uprobe"


def test_an_offset_instead_of_a_name(build_spec: Callable[[str], ObjectSpec], library: Path) -> None:
    triple = ctypes.CDLL(str(library)).ebpfnn_triple
    place = function_offset(library, "ebpfnn_triple")
    with loaded(build_spec, PROGRAM) as held, attach_uprobe(held.program, library, "", offset=place):
        triple(1)
        assert held.hits == 1


def test_a_kernel_whose_perf_events_know_no_uprobes(
    build_spec: Callable[[str], ObjectSpec], library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = tracefs() / "uprobe_events"
    if not events.exists():
        pytest.skip("this kernel has no CONFIG_UPROBE_EVENTS")
    double, before = ctypes.CDLL(str(library)).ebpfnn_double, events.read_text()
    monkeypatch.setattr(uprobe, "unit_type", lambda _unit: None)
    with loaded(build_spec, PROGRAM) as held:
        for attach, expected in ((attach_uprobe, 1), (attach_uretprobe, 2)):
            with attach(held.program, library, "ebpfnn_double"):
                assert str(library) in events.read_text()
                double(1)
            assert held.hits == expected
            assert events.read_text() == before
        with pytest.raises(NotSupported, match=r"need Linux 4\.17"):
            attach_uprobe(held.program, library, "ebpfnn_double", cookie=1)
        with pytest.raises(KernelError):
            attach_uprobe(held.program, library, "", offset=1 << 40)
        assert events.read_text() == before


def test_many_at_once(build_spec: Callable[[str], ObjectSpec], library: Path) -> None:
    loaded_library = ctypes.CDLL(str(library))
    with loaded(build_spec, PROGRAM.replace('SEC("uprobe")', 'SEC("uprobe.multi")')) as held:
        try:
            link = attach_uprobe_multi(held.program, library, ["ebpfnn_double", "ebpfnn_triple"])
        except NotSupported as lack:
            pytest.skip(str(lack))
        with link:
            loaded_library.ebpfnn_double(1)
            loaded_library.ebpfnn_triple(1)
            assert held.hits == 2
            info = link.info()
            assert info.type is LinkType.UPROBE_MULTI
            assert (info.target["path"], info.target["count"]) == (str(library), 2)


def test_what_is_not_there(build_spec: Callable[[str], ObjectSpec], library: Path) -> None:
    with loaded(build_spec, PROGRAM) as held:
        with pytest.raises(KernelError, match="has no function 'ebpfnn_dubble'; did you mean 'ebpfnn_double"):
            attach_uprobe(held.program, library, "ebpfnn_dubble")
        with pytest.raises(KernelError, match=r"cannot be read \(No such file"):
            attach_uprobe(held.program, library.parent / "none.so", "main")
        with pytest.raises(KernelError, match="is no program or library"):
            attach_uprobe(held.program, Path(__file__), "main")
