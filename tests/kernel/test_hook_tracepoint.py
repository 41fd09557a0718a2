"""Tracepoints and raw tracepoints, and what every link can do."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures import Loaded, loaded
from waiting import wait_until

from ebpfnn.errors import Error, KernelError, NotSupported
from ebpfnn.kernel import Link, LinkType, Program, attach_raw_tracepoint, attach_tracepoint
from ebpfnn.kernel.link import HeldLink, perf_event
from ebpfnn.kernel.syscall import refusal
from ebpfnn.obj import ObjectSpec

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]
COUNTER = """
SEC("tp/syscalls/sys_enter_getppid") int first(void *context)
{
	if (MINE)
		HIT(1);
	return 0;
}
"""
COOKIE = COUNTER.replace("HIT(1)", "HIT(bpf_get_attach_cookie(context))")
RAW = """
SEC("raw_tp/sys_enter") int first(void *context)
{
	if (MINE)
		HIT(1);
	return 0;
}
SEC("raw_tp/sys_enter") int second(void *context)
{
	if (MINE)
		HIT(2);
	return 0;
}
"""


def fired(held: Loaded) -> int:
    """How often it runs as this thread calls getppid(2) once."""
    before = held.hits
    os.getppid()
    return held.hits - before


def test_a_tracepoint_fires_until_its_link_is_closed(build_spec: Callable[[str], ObjectSpec]) -> None:
    with loaded(build_spec, COUNTER) as held:
        link = attach_tracepoint(held.program, "syscalls", "sys_enter_getppid")
        assert fired(held) == 1
        link.close()
        assert fired(held) == 0


@pytest.mark.usefixtures("perf_links")
def test_a_link_says_what_it_hangs_on(build_spec: Callable[[str], ObjectSpec]) -> None:
    with (
        loaded(build_spec, COUNTER) as held,
        attach_tracepoint(held.program, "syscalls", "sys_enter_getppid") as link,
    ):
        info = link.info()
        assert (info.type, info.program_id) == (LinkType.PERF_EVENT, held.program.info().id)
        assert info.target.get("tp_name", "sys_enter_getppid") == "sys_enter_getppid"


@pytest.mark.usefixtures("perf_links")
def test_a_program_reads_its_cookie(build_spec: Callable[[str], ObjectSpec]) -> None:
    with (
        loaded(build_spec, COOKIE) as held,
        attach_tracepoint(held.program, "syscalls", "sys_enter_getppid", cookie=77),
    ):
        assert fired(held) == 1
        assert held.last == 77


@pytest.mark.usefixtures("perf_links")
def test_a_pin_keeps_it_attached(build_spec: Callable[[str], ObjectSpec], bpffs: Path) -> None:
    with loaded(build_spec, COUNTER) as held:
        with attach_tracepoint(held.program, "syscalls", "sys_enter_getppid") as link:
            link.pin(bpffs / "kept")
            number = link.info().id
        assert fired(held) == 1
        with Link.open(bpffs / "kept") as again:
            assert again.info().id == number
        (bpffs / "kept").unlink()
        assert wait_until(lambda: fired(held) == 0)  # the kernel lets go of an unpinned link a grace period later


@pytest.mark.usefixtures("perf_links")
def test_a_kind_that_cannot_be_updated_or_detached_says_so(build_spec: Callable[[str], ObjectSpec]) -> None:
    with (
        loaded(build_spec, COUNTER) as held,
        attach_tracepoint(held.program, "syscalls", "sys_enter_getppid") as link,
    ):
        with pytest.raises(NotSupported, match="this kind of link cannot be updated; close it and attach again"):
            link.update(held.program)
        with pytest.raises(NotSupported, match="this kind of link detaches by being closed"):
            link.detach()
        assert fired(held) == 1


def test_a_kernel_without_links_for_perf_events(
    build_spec: Callable[[str], ObjectSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise refusal("link", errno.EINVAL)

    monkeypatch.setattr(perf_event, "bpf", refuse)
    with loaded(build_spec, COUNTER) as held:
        link = attach_tracepoint(held.program, "syscalls", "sys_enter_getppid")
        assert isinstance(link, HeldLink)
        assert fired(held) == 1
        for impossible in (link.info, lambda: link.update(held.program), lambda: link.pin(Path("/sys/fs/bpf/never"))):
            with pytest.raises(NotSupported, match="no link on this kernel"):
                impossible()
        link.detach()
        assert fired(held) == 0
        with pytest.raises(NotSupported, match=r"with a cookie needs Linux 5\.15"):
            attach_tracepoint(held.program, "syscalls", "sys_enter_getppid", cookie=1)


@pytest.mark.parametrize(
    ("category", "event", "words"),
    [
        ("syscalls", "sys_enter_getpid_", r"'syscalls:sys_enter_getpid_' not found; did you mean '.*sys_enter_getpid"),
        ("syscall", "sys_enter_getpid", "did you mean '.*syscalls"),
        ("syscalls", "qqqqqqqq", "`ls .*/events/syscalls` shows what there is"),
    ],
)
def test_a_misspelt_tracepoint(build_spec: Callable[[str], ObjectSpec], category: str, event: str, words: str) -> None:
    with loaded(build_spec, COUNTER) as held, pytest.raises(Error, match=words):
        attach_tracepoint(held.program, category, event)


def test_a_raw_tracepoint_fires(build_spec: Callable[[str], ObjectSpec]) -> None:
    with loaded(build_spec, RAW) as held:
        first: Program = held.programs[0]
        link = attach_raw_tracepoint(first, "sys_enter")
        assert fired(held) > 0
        assert link.info().type is LinkType.RAW_TRACEPOINT
        assert link.info().target == {"tp_name": "sys_enter"}
        with Link.from_id(link.info().id) as same:
            assert same.info() == link.info()
        link.close()
        assert fired(held) == 0


def test_a_misspelt_raw_tracepoint(build_spec: Callable[[str], ObjectSpec]) -> None:
    with (
        loaded(build_spec, RAW) as held,
        pytest.raises(Error, match=r"raw tracepoint 'sched_swich' not found; did you mean '.*sched_switch"),
    ):
        attach_raw_tracepoint(held.programs[0], "sched_swich")


def test_a_link_that_is_not_there(bpffs: Path) -> None:
    with pytest.raises(KernelError, match="link 4294967294 does not exist"):
        Link.from_id(0xFFFFFFFE)
    with pytest.raises(KernelError, match="nothing is pinned there"):
        Link.open(bpffs / "none")
