"""Kprobes, where the kernel has them; where it has none, the error that says so."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from fixtures import loaded

from ebpfnn.errors import KernelError, NotSupported
from ebpfnn.kernel import Link, attach_kprobe, attach_kprobe_multi, attach_kretprobe, tracefs
from ebpfnn.kernel.link import kprobe
from ebpfnn.kernel.link.pmu import unit_type
from ebpfnn.kernel.link.tracefiles import traceable_functions
from ebpfnn.obj import ObjectSpec

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]
FUNCTION = "__x64_sys_getppid"
PROGRAM = """
SEC("kprobe") int probe(void *context)
{
	if (MINE)
		HIT(1);
	return 0;
}
"""
MULTI = PROGRAM.replace('SEC("kprobe")', 'SEC("kprobe.multi")')


def lacks_kprobes() -> bool:
    return unit_type("kprobe") is None and not (tracefs() / "kprobe_events").exists()


@pytest.mark.parametrize("attach", [attach_kprobe, attach_kretprobe])
def test_a_kprobe_fires(build_spec: Callable[[str], ObjectSpec], attach: Callable[..., Link]) -> None:
    if lacks_kprobes():
        pytest.skip("this kernel has no kprobes (CONFIG_KPROBES)")
    with loaded(build_spec, PROGRAM) as held:
        with attach(held.program, FUNCTION):
            os.getppid()
            assert held.hits == 1
        os.getppid()
        assert held.hits == 1


@pytest.mark.parametrize("attach", [attach_kprobe, attach_kretprobe])
def test_a_kernel_without_kprobes_says_so(build_spec: Callable[[str], ObjectSpec], attach: Callable[..., Link]) -> None:
    if not lacks_kprobes():
        pytest.skip("this kernel has kprobes")
    with (
        loaded(build_spec, PROGRAM) as held,
        pytest.raises(NotSupported, match=rf"'{FUNCTION}': this kernel has no kprobes \(CONFIG_KPROBE"),
    ):
        attach(held.program, FUNCTION)


def test_many_at_once(build_spec: Callable[[str], ObjectSpec]) -> None:
    with loaded(build_spec, MULTI) as held:
        try:
            link = attach_kprobe_multi(held.program, [FUNCTION])
        except NotSupported as lack:
            pytest.skip(str(lack))
        with link:
            os.getppid()
            assert held.hits == 1


def test_a_pattern_that_matches_nothing(build_spec: Callable[[str], ObjectSpec]) -> None:
    with loaded(build_spec, MULTI) as held, pytest.raises(KernelError, match="no traceable function matches"):
        attach_kprobe_multi(held.program, "qqq_*")


def test_a_misspelt_function_names_its_neighbors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kprobe, "traceable_functions", lambda: ["vfs_read", "vfs_write", "do_exit"])
    assert str(kprobe._not_found("kprobe 'vfs_raed'", ["vfs_raed"], 2)).endswith("did you mean 'vfs_read', 'vfs_write'?")


def test_functions_are_listed_without_their_modules() -> None:
    functions = traceable_functions()
    assert all(" " not in function for function in functions)
