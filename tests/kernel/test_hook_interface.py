"""XDP and traffic control on a veth pair of the test's own."""

from __future__ import annotations

import errno
import importlib.util
import sys
from collections.abc import Callable, Iterator

import pytest
from fixtures import Loaded, loaded
from netspace import namespace, run, send
from waiting import wait_until

from ebpfnn.errors import KernelError, NotSupported
from ebpfnn.kernel import Link, LinkType, XdpMode, attach_clsact, attach_netkit, attach_tcx, attach_xdp
from ebpfnn.kernel.link.interface import interface_index
from ebpfnn.obj import ObjectSpec
from ebpfnn.obj.uapi import AttachType

pytestmark = pytest.mark.root
LOOK = """
	unsigned char *data = (void *)(long)packet->data, *end = (void *)(long)packet->data_end;

	if (data + 15 > end || data[12] != 0x88 || data[13] != 0xb5)
		return PASS;
"""
XDP = f"""
#define PASS XDP_PASS
SEC("xdp") int first(struct xdp_md *packet)
{{
	{LOOK}
	HIT(data[14]);
	return XDP_PASS;
}}
SEC("xdp") int second(struct xdp_md *packet)
{{
	{LOOK}
	HIT(1000 + data[14]);
	return XDP_PASS;
}}
"""
TC = f"""
#define PASS -1
struct frame {{ __u32 others[19]; __u32 data; __u32 data_end; }};
SEC("tc") int first(struct frame *packet)
{{
	{LOOK}
	HIT(data[14]);
	return -1;
}}
SEC("tc") int second(struct frame *packet)
{{
	{LOOK}
	HIT(data[14]);
	return -1;
}}
"""


@pytest.fixture
def xdp(build_spec: Callable[[str], ObjectSpec]) -> Iterator[Loaded]:
    with namespace(), loaded(build_spec, XDP) as held:
        yield held


@pytest.fixture
def tc(build_spec: Callable[[str], ObjectSpec]) -> Iterator[Loaded]:
    with namespace(), loaded(build_spec, TC) as held:
        yield held


def arrives(held: Loaded, number: int, expected: int | None = None) -> bool:
    """Whether a frame that is sent is counted."""
    before = held.hits
    send(number)
    return wait_until(lambda: held.hits == before + 1) and held.last == (number if expected is None else expected)


def passes_unseen(held: Loaded) -> bool:
    """Whether a frame that is sent is not counted: one that comes after it would be, by a program attached for that."""
    before = held.hits
    send(200)
    with attach_xdp(held.programs[0], "here", XdpMode.SKB):
        send(201)
        return wait_until(lambda: held.last == 201) and held.hits == before + 1


@pytest.mark.parametrize("mode", [0, XdpMode.SKB, XdpMode.DRIVER])
def test_xdp_sees_what_comes_in(xdp: Loaded, mode: int) -> None:
    with attach_xdp(xdp.programs[0], "here", mode) as link:
        assert arrives(xdp, 7)
        assert link.info().type is LinkType.XDP
        assert link.info().target == {"ifindex": interface_index("here")}
    assert passes_unseen(xdp)


def test_xdp_changes_its_program_in_place(xdp: Loaded) -> None:
    first, second = xdp.programs
    with attach_xdp(first, "here", XdpMode.SKB) as link:
        link.update(second, old=first)
        assert arrives(xdp, 3, 1003)
        assert link.info().program_id == second.info().id
        with pytest.raises(KernelError, match="'first' is not the attached program") as refused:
            link.update(second, old=first)
        assert refused.value.errno == errno.EPERM
        link.update(first)
        assert arrives(xdp, 4)
        link.detach()
        assert link.info().target == {"ifindex": 0}
        assert passes_unseen(xdp)


def test_only_one_xdp_program_fits(xdp: Loaded) -> None:
    first, second = xdp.programs
    with attach_xdp(first, "here"), pytest.raises(KernelError, match="XDP on interface 'here': another program is attached"):
        attach_xdp(second, "here")


@pytest.mark.parametrize("egress", [False, True])
def test_tcx_sees_both_ways(tc: Loaded, egress: bool) -> None:
    interface = "there" if egress else "here"
    try:
        link = attach_tcx(tc.programs[0], interface, egress=egress)
    except NotSupported as lack:
        pytest.skip(str(lack))
    with link:
        assert arrives(tc, 9)
        info = link.info()
        assert (info.type, info.target) == (LinkType.TCX, {"ifindex": interface_index(interface)})
        assert info.attach_type is (AttachType.TCX_EGRESS if egress else AttachType.TCX_INGRESS)
        with pytest.raises(KernelError, match=rf"interface '{interface}': 'first' is attached there already"):
            attach_tcx(tc.programs[0], interface, egress=egress)
        with attach_tcx(tc.programs[1], interface, egress=egress, first=True):
            before = tc.hits
            send(1)
            assert wait_until(lambda: tc.hits == before + 2)
    before = tc.hits
    with attach_tcx(tc.programs[0], interface, egress=egress):
        assert arrives(tc, 8)
    assert tc.hits == before + 1


@pytest.mark.parametrize("egress", [False, True])
def test_clsact_sees_both_ways(tc: Loaded, egress: bool) -> None:
    if importlib.util.find_spec("pyroute2") is None:
        pytest.skip("pyroute2 is not installed (the extra 'net')")
    interface = "there" if egress else "here"
    with attach_clsact(tc.programs[0], interface, egress=egress) as link:
        assert arrives(tc, 9)
        with pytest.raises(KernelError, match=r"EEXIST.*choose another priority or handle"):
            attach_clsact(tc.programs[0], interface, egress=egress)
        with attach_clsact(tc.programs[0], interface, egress=egress, priority=2):
            before = tc.hits
            send(1)
            assert wait_until(lambda: tc.hits == before + 2)
        assert arrives(tc, 10)
        with pytest.raises(NotSupported, match="no link on this kernel"):
            link.info()
    run("tc", "qdisc", "add", "dev", interface, "clsact")  # fails where the qdisc was left behind


def test_clsact_without_pyroute2(tc: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyroute2", None)
    with pytest.raises(NotSupported, match=r"pip install 'ebpfnn\[net\]'"):
        attach_clsact(tc.programs[0], "here")


def test_netkit_on_what_is_none(tc: Loaded) -> None:
    with pytest.raises((NotSupported, KernelError), match="netkit primary of interface 'here'"):
        attach_netkit(tc.programs[0], "here")


def test_an_interface_that_is_not_there(xdp: Loaded) -> None:
    attachers: list[Callable[..., Link]] = [attach_xdp, attach_tcx, attach_clsact]
    for attach in attachers:
        with pytest.raises(KernelError, match="interface 'heer' not found in this network namespace; did you mean 'here"):
            attach(xdp.programs[0], "heer")
