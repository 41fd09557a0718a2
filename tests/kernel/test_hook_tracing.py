"""Programs bound to kernel functions and tracepoints by BTF, where the kernel lets anybody load them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from fixtures import HELPERS, loaded

from ebpfnn.errors import KernelError, PermissionDenied
from ebpfnn.kernel import LinkType, Object, attach_freplace, attach_tracing
from ebpfnn.obj import ObjectSpec
from ebpfnn.obj.uapi import AttachType

pytestmark = pytest.mark.root
PROGRAM = """
SEC("{section}") int watch(void *context)
{{
	if (MINE)
		HIT(1);
	return 0;
}}
"""
HOOKS = {
    "tp_btf/sys_enter": AttachType.TRACE_RAW_TP,
    "fentry/vfs_read": AttachType.TRACE_FENTRY,
    "fexit/vfs_read": AttachType.TRACE_FEXIT,
    "fmod_ret/security_file_open": AttachType.MODIFY_RETURN,
    "lsm/file_open": AttachType.LSM_MAC,
}


@pytest.mark.parametrize("section", HOOKS)
def test_it_fires_until_its_link_is_closed(build_spec: Callable[[str], ObjectSpec], section: str) -> None:
    with ExitStack() as resources:
        try:
            held = resources.enter_context(loaded(build_spec, PROGRAM.format(section=section)))
        except PermissionDenied as refused:
            pytest.skip(f"this kernel lets nobody load programs of section {section.partition('/')[0]} ({refused.code})")
        if section.startswith("lsm/") and "bpf" not in active_security_modules():
            pytest.skip("bpf is not among this kernel's active security modules (lsm=)")
        with attach_tracing(held.program) as link:
            read_nothing()
            assert held.hits >= 1
            assert link.info().type in (LinkType.TRACING, LinkType.RAW_TRACEPOINT)
            assert link.info().attach_type in (HOOKS[section], None)
        before = held.hits
        read_nothing()
        assert held.hits == before


def active_security_modules() -> list[str]:
    """From securityfs, which is mounted for the look: not every machine has it mounted."""
    with TemporaryDirectory() as place:
        subprocess.run(["mount", "-t", "securityfs", "securityfs", place], check=True)
        try:
            return Path(place, "lsm").read_text().strip().split(",")
        finally:
            subprocess.run(["umount", place], check=True)


def read_nothing() -> None:
    """Enters the kernel at each of the places above."""
    with open("/dev/null", "rb") as stream:
        stream.read()


def test_what_was_loaded_for_no_function(build_spec: Callable[[str], ObjectSpec]) -> None:
    with loaded(build_spec, 'SEC("socket") int watch(void *context) { return 0; }') as held:
        for attach in (attach_tracing, attach_freplace):
            with pytest.raises(KernelError, match="it was not loaded for a kernel function; give one of section tp_btf"):
                attach(held.program)
        with pytest.raises(KernelError, match="a cookie needs the attach type"):
            attach_tracing(held.program, cookie=1)
        with pytest.raises(KernelError, match="'watch'"):
            attach_freplace(held.program, held.program, 1)


TARGET = """
__noinline int answer(struct __sk_buff *context)
{
	volatile int one = 1; /* or the compiler, which sees what is returned, calls nothing */
	return one;
}
SEC("socket") int target(struct __sk_buff *context)
{
	return answer(context);
}
"""
REPLACEMENT = """
SEC("freplace/answer") int replaced(struct __sk_buff *context)
{
	HIT(1);
	return 2;
}
"""


def test_a_function_is_replaced_until_the_link_is_closed(build_spec: Callable[[str], ObjectSpec]) -> None:
    with loaded(build_spec, TARGET) as target, ExitStack() as resources:
        spec = build_spec(HELPERS + REPLACEMENT)
        try:
            held = resources.enter_context(Object.load(spec, targets={"replaced": target.program}))
        except PermissionDenied as refused:
            pytest.skip(f"this kernel lets nobody load programs of section freplace ({refused.code})")
        assert target.program.run(data=bytes(64)).return_value == 1
        with attach_freplace(held.programs["replaced"]):
            assert target.program.run(data=bytes(64)).return_value == 2
        assert target.program.run(data=bytes(64)).return_value == 1
