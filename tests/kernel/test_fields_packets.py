"""The fields of packets, by BPF_PROG_RUN: each is what another parser says, written from the RFCs."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
import pytest
from eventframes import chain, ethernet, extension, fragmented, icmp, ipv4, ipv6, sctp, tcp, udp
from fieldoracle import NAMES, Oracle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from observed import ONLY, Observed, observing

from ebpfnn.errors import KernelError
from ebpfnn.obj import ObjectSpec

pytestmark = pytest.mark.root
Build = Callable[..., ObjectSpec]
# Shell, program, direction, whether it sees Ethernet's header, and what it returns whatever the observer says.
HOOKS = {
    "xdp": ("xdp_events", "ebpfnn_xdp_events", 1, True, 2),
    "tc ingress": ("tc_events", "ebpfnn_tc_ingress", 1, True, 0xFFFFFFFF),
    "tc egress": ("tc_events", "ebpfnn_tc_egress", 2, True, 0xFFFFFFFF),
    "cgroup ingress": ("cgroup_skb_events", "ebpfnn_cgroup_ingress", 1, False, 1),
    "cgroup egress": ("cgroup_skb_events", "ebpfnn_cgroup_egress", 2, False, 1),
    "socket filter": ("socket_filter_events", "ebpfnn_socket_events", 1, False, 0),
}


class Hook(Observed):
    """An observer behind one of HOOKS, attached to nothing."""

    name = ""

    def see(self, frame: bytes) -> dict[str, int] | None:
        """The fields of ``frame``, time and CPU left out; None where BPF_PROG_RUN takes no such frame."""
        before = self.count
        try:
            ran = self.program.run(data=frame)
        except KernelError:
            return None
        assert (ran.return_value, ran.data[14:]) == (HOOKS[self.name][4], frame[14:])  # what has no link header loses it here
        assert self.count == before + 1
        return {name: value for name, value in self.fields.items() if name not in ("time", "cpu")}

    def expected(self, frame: bytes) -> dict[str, int]:
        _, _, direction, link, _ = HOOKS[self.name]
        ethertype = None if link else int.from_bytes(frame[12:14], "big")
        return Oracle(frame if link else frame[14:], ethertype, direction=direction).fields


@pytest.fixture(scope="module", params=HOOKS)
def hook(request: pytest.FixtureRequest, build_spec: Build) -> Iterator[Hook]:
    shell, program, *_ = HOOKS[request.param]
    with observing(build_spec, shell, program) as seen:
        found = Hook(seen.loaded, program, seen.described)
        found.name = request.param
        yield found


TRANSPORTS = {
    "tcp": (6, tcp(b"x" * 30)),
    "tcp with options": (6, tcp(b"x" * 30, words=11, flags=0xC2)),
    "tcp whose header is too short": (6, tcp(b"x" * 30, words=4)),
    "udp": (17, udp(b"y" * 20)),
    "udp-lite": (136, udp(b"y" * 20)),
    "sctp": (132, sctp(b"z" * 20)),
    "icmp": (1, icmp(payload=b"p" * 16)),
    "icmpv6": (58, icmp(128, 0, b"p" * 16)),
    "esp": (50, bytes(range(30))),
    "nothing": (59, b"\0" * 30),
}
NO_OPERATION, ROUTER_ALERT, RECORD_ROUTE = b"\x01", bytes([148, 4, 0, 0]), bytes([7, 11, 4, *range(8)])
OPTIONS = {
    "none": b"",
    "router alert": ROUTER_ALERT,
    "record route and end": RECORD_ROUTE + b"\0",
    "source route behind padding": NO_OPERATION + bytes([131, 7, 4, 1, 2, 3, 4]),
    "most": NO_OPERATION * 16,
    "too many": NO_OPERATION * 20,
    "sixteen and the end": NO_OPERATION * 16 + bytes(4),
    "a length of 1": bytes([68, 1, 0, 0]),
    "a length of 0": bytes([68, 0, 0, 0]),
    "a length past the header": bytes([68, 5, 0, 0]),
    "a type alone": NO_OPERATION * 3 + b"\x44",
    "all of it": bytes([68, 40, *range(38)]),
}
CHAINS: dict[str, tuple[list[int], int]] = {
    "hop by hop": ([0], 0),
    "all six": ([0, 60, 43, 44, 51, 60], 0),
    "seven": ([0, 60, 43, 44, 51, 60, 60], 0),
    "long ones": ([0, 60, 43, 51, 135, 139], 6),
    "others": ([140, 139, 135], 1),
    "longer than the packet": ([60], 255),
}
TAGS = {
    "none": (),
    "one": ((0x8100, 0x6005),),
    "two": ((0x88A8, 0x0FFF), (0x8100, 0x2001)),
    "priority alone": ((0x8100, 0xE000),),
    "three": ((0x88A8, 1), (0x8100, 2), (0x8100, 3)),
}
FRAMES: dict[str, bytes] = {
    **{f"IPv4 {name}": ethernet(0x0800, ipv4(*each)) for name, each in TRANSPORTS.items()},
    **{f"IPv6 {name}": ethernet(0x86DD, ipv6(*each)) for name, each in TRANSPORTS.items()},
    **{f"option {name}": ethernet(0x0800, ipv4(6, tcp(b"x" * 9), options)) for name, options in OPTIONS.items()},
    **{
        f"extensions {name}": ethernet(0x86DD, ipv6(*chain(kinds, 17, udp(b"y" * 9), units)))
        for name, (kinds, units) in CHAINS.items()
    },
    **{
        f"tags {name}, {version}": ethernet(kind, ip, tags)
        for (name, tags), (version, kind, ip) in product(
            TAGS.items(), [("IPv4", 0x0800, ipv4(17, udp(b"y" * 30))), ("IPv6", 0x86DD, ipv6(6, tcp(b"x" * 30)))]
        )
    },
    "first fragment": ethernet(0x0800, ipv4(17, udp(b"y" * 16), fragment=0x2000)),
    "later fragment": ethernet(0x0800, ipv4(17, udp(b"y" * 16), fragment=0x2001)),
    "last fragment": ethernet(0x0800, ipv4(6, tcp(b"y" * 16), fragment=0x1FFF)),
    "fragment in the middle": ethernet(0x0800, ipv4(6, tcp(b"y" * 16), fragment=0x1000)),
    "reserved flag": ethernet(0x0800, ipv4(6, tcp(b"y" * 16), fragment=0x8000)),
    "IPv6 first fragment": ethernet(0x86DD, ipv6(44, fragmented(6, 0, more=True) + tcp(b"y" * 16))),
    "IPv6 later fragment": ethernet(0x86DD, ipv6(44, fragmented(6, 1, more=True) + tcp(b"y" * 16))),
    "IPv6 fragment in the middle": ethernet(0x86DD, ipv6(44, fragmented(6, 4096, more=False) + tcp(b"y" * 16))),
    "IPv6 last fragment": ethernet(0x86DD, ipv6(44, fragmented(60, 8191, more=False) + tcp(b"y" * 16))),
    "IPv6 atomic fragment": ethernet(0x86DD, ipv6(44, fragmented(17, 0, more=False) + udp(b"y" * 16))),
    "IPv6 fragment behind another header": ethernet(
        0x86DD, ipv6(60, extension(44) + fragmented(60, 0, more=True) + extension(6) + tcp())
    ),
    "total too long": ethernet(0x0800, ipv4(17, udp(b"y" * 16), total=1400)),
    "total shorter than the header": ethernet(0x0800, ipv4(17, udp(b"y" * 16), total=19)),
    "total within the transport header": ethernet(0x0800, ipv4(17, udp(b"y" * 16), total=27)),
    "total of 0": ethernet(0x0800, ipv4(6, tcp(b"y" * 16), total=0)),
    "header of 4 words": ethernet(0x0800, ipv4(17, udp(b"y" * 16), words=4)),
    "IPv6 too long": ethernet(0x86DD, ipv6(17, udp(b"y" * 16), length=65535)),
    "IPv6 of 0": ethernet(0x86DD, ipv6(17, udp(b"y" * 16), length=0)),
    "IPv6 within the extension header": ethernet(0x86DD, ipv6(60, extension(59, 1), length=8)),
    "IPv4 as IPv6": ethernet(0x86DD, ipv4(17, udp(b"y" * 40))),
    "IPv6 as IPv4": ethernet(0x0800, ipv6(17, udp(b"y" * 16))),
    "ARP": ethernet(0x0806, bytes(range(46))),
    "padding": ethernet(0x0800, ipv4(6, tcp())) + bytes(6),
}


@pytest.mark.parametrize("name", FRAMES)
def test_every_field_is_what_another_parser_says(hook: Hook, name: str) -> None:
    assert hook.see(FRAMES[name]) == hook.expected(FRAMES[name])


CUT = ["tags two, IPv6", "option record route and end", "extensions all six", "IPv4 tcp with options", "IPv6 sctp", "IPv4 icmp"]


@pytest.mark.parametrize("name", CUT)
def test_a_packet_that_is_cut_short_anywhere(hook: Hook, name: str) -> None:
    frame = FRAMES[name]
    taken = 0
    for length in range(14, len(frame)):
        seen = hook.see(frame[:length])
        taken += seen is not None
        assert seen is None or seen == hook.expected(frame[:length]), length
    # BPF_PROG_RUN takes link headers alone for XDP, and else wants an IP header behind them.
    assert taken >= len(frame) - 55


def test_what_is_known_by_hand(hook: Hook) -> None:
    """So that the oracle is not alone: a QinQ frame with IPv4 options, and an IPv6 one with a first fragment."""
    frame = ethernet(0x0800, ipv4(6, tcp(b"x" * 9), ROUTER_ALERT), TAGS["two"])
    seen = hook.see(frame)
    assert seen is not None
    assert (seen["vlan"], seen["vlan_inner"], seen["tags"], seen["ethertype"]) == (4095, 1, 2, 0x0800)
    assert (seen["source"], seen["destination"], seen["version"]) == (0x0A010203, 0xC0A8C804, 4)
    assert (seen["network_header"], seen["transport_header"], seen["payload"], seen["network_length"]) == (24, 20, 9, 53)
    assert (seen["options"], seen["option_kinds"], seen["hops"], seen["service"]) == (1, 1 << 20, 61, 0xB8)
    assert (seen["source_port"], seen["destination_port"], seen["tcp_flags"], seen["tcp_window"]) == (50123, 443, 18, 64240)
    seen = hook.see(FRAMES["IPv6 first fragment"])
    assert seen is not None
    assert (seen["source_high"], seen["source_low"]) == (0x20010DB800000001, 0x123456789ABCDEF0)
    assert (seen["destination_high"], seen["destination_low"]) == (0xFE80000000000000, 0xFEDCBA9876543210)
    assert (seen["fragment"], seen["extensions"], seen["protocol"], seen["network_header"]) == (1, 1, 6, 48)
    assert (seen["service"], seen["hops"], seen["truncated"], seen["malformed"], seen["unread"]) == (0xB8, 63, 0, 0, 0)


kinds = st.sampled_from([0, 43, 44, 51, 60, 135, 139, 140])
transports = st.sampled_from(list(TRANSPORTS.values()))
words = st.binary(max_size=40).map(lambda data: data[: len(data) // 4 * 4])
tags = st.lists(st.tuples(st.sampled_from([0x8100, 0x88A8]), st.integers(0, 0xFFFF)), max_size=3)
ipv4s = st.builds(
    lambda each, options, fragment, total, size: ipv4(*each, options, fragment=fragment, total=total, words=size),
    transports,
    words,
    st.sampled_from([0, 0x4000, 0x2000, 0x2003, 0xFFFF]),
    st.one_of(st.just(-1), st.integers(0, 0xFFFF), st.integers(0, 60)),
    st.one_of(st.just(-1), st.integers(0, 15)),
)
ipv6s = st.builds(
    lambda order, each, units, length: ipv6(*chain(order, *each, units), length=length),
    st.lists(kinds, max_size=8),
    transports,
    st.integers(0, 5),
    st.one_of(st.just(-1), st.integers(0, 0xFFFF)),
)
frames = st.builds(
    lambda kind_and_ip, order: ethernet(*kind_and_ip, order),
    st.one_of(
        st.tuples(st.just(0x0800), ipv4s),
        st.tuples(st.just(0x86DD), ipv6s),
        st.tuples(st.integers(0x600, 0xFFFF), st.binary(min_size=46, max_size=90)),
        st.tuples(st.sampled_from([0x0800, 0x86DD]), st.binary(min_size=46, max_size=90)),
    ),
    tags,
)


def damaged(frame: bytes, seed: int, times: int) -> bytes:
    """A few bytes behind the EtherType are others, and the end may be missing."""
    changed, chosen = bytearray(frame), random.Random(seed)
    for _ in range(times):
        changed[chosen.randrange(14, len(changed))] = chosen.randrange(256)
    return bytes(changed[: chosen.randrange(14, len(changed) + 1)] if times % 2 else changed)


@pytest.mark.slow  # on an emulated processor: 1,200 programs' runs with hypothesis between them
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frame=frames, seed=st.integers(0, 1 << 32), times=st.integers(0, 5))
def test_whatever_comes(hook: Hook, frame: bytes, seed: int, times: int) -> None:
    sent = damaged(frame, seed, times)
    seen = hook.see(sent)
    assert seen is None or seen == hook.expected(sent)


def test_time_and_cpu_are_those_of_the_event(hook: Hook) -> None:
    allowed = os.sched_getaffinity(0)
    try:
        for cpu in sorted(allowed):
            os.sched_setaffinity(0, {cpu})
            before = time.monotonic_ns()
            hook.see(FRAMES["IPv4 tcp"])
            assert before <= hook.fields["time"] <= time.monotonic_ns()
            assert hook.fields["cpu"] == cpu
    finally:
        os.sched_setaffinity(0, allowed)


def test_no_field_is_left_out(hook: Hook) -> None:
    assert {*hook.fields} == {*NAMES, "time", "cpu"}


def test_an_event_within_another_is_passed_over_and_counted(hook: Hook) -> None:
    state = hook.loaded.maps["ebpfnn_fields"]
    busy = -(-max(each.offset + each.size for each in hook.described) // 8)  # behind the fields: busy, then nested
    idle = state.lookup_percpu(ONLY, np.uint64)
    assert idle is not None
    assert (idle[:, busy] == 0).all()
    occupied = idle.copy()
    occupied[:, busy] = 1
    try:
        state.update_percpu(ONLY, occupied)
        before = hook.count
        assert hook.program.run(data=FRAMES["IPv4 tcp"]).return_value == HOOKS[hook.name][4]
        after = state.lookup_percpu(ONLY, np.uint64)
        assert after is not None
        assert (hook.count, after[:, busy + 1].sum()) == (before, idle[:, busy + 1].sum() + 1)
    finally:
        state.update_percpu(ONLY, idle)
    assert hook.see(FRAMES["IPv4 tcp"]) == hook.expected(FRAMES["IPv4 tcp"])
