"""Packets, by BPF_PROG_RUN: what is answered, and how; what passes as it came."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from zlib import crc32

import numpy as np
import pytest
import wire
from ebpfnn_plugins.cgroup_skb import CgroupSkbTrigger
from ebpfnn_plugins.socket_filter import SocketFilterTrigger
from ebpfnn_plugins.tc import TcTrigger
from ebpfnn_plugins.xdp import XdpTrigger
from networks import random_network, samples
from packetnets import ANSWERING, NETWORK, SAMPLE, TC_PASS, WATCHING, XDP_PASS, XDP_TX, Loaded, ask

from ebpfnn import abi
from ebpfnn.errors import KernelError, NotSupported, PluginError
from ebpfnn.kernel import RingBuffer
from ebpfnn.network import reference
from ebpfnn.plugin import Trigger
from ebpfnn.session import Session

pytestmark = pytest.mark.root


@pytest.fixture(params=ANSWERING, scope="module")
def loaded(request: pytest.FixtureRequest) -> Iterator[Loaded]:
    trigger, passes, answers = ANSWERING[request.param]
    with Session(NETWORK, trigger) as session:
        yield Loaded(session, passes, answers, has_buffers=request.param != "xdp")


EVERY_WAY = [
    (version, vlans, checksum)
    for version in (4, 6)
    for vlans in (0, 1, 2)
    for checksum in ("full", "none", "partial")
    if (version, checksum) != (6, "none")
]


@pytest.mark.parametrize(("version", "vlans", "checksum"), EVERY_WAY)
def test_a_request_comes_back_with_the_scores(loaded: Loaded, version: int, vlans: int, checksum: str) -> None:
    given = wire.build(ask(network=crc32(b"test")), version, vlans, checksum)
    verdict, answer = loaded.run(given)
    assert (verdict, len(answer)) == (loaded.answers, len(given))
    asked, told = wire.read(given), wire.read(answer)
    assert (told.link, told.vlans) == (wire.THERE + wire.HERE, asked.vlans)
    assert (told.source, told.destination, told.ports) == (asked.destination, asked.source, asked.ports[::-1])
    head = struct.unpack_from("!4sBBHIIII", told.payload)
    expected = reference.scores(NETWORK, SAMPLE)
    assert head[:6] == (b"eBNN", 1, 1, 5, crc32(b"test"), 77)
    assert head[6] == int(expected.argmax())
    assert list(struct.unpack_from("!5i", told.payload, 24)) == expected.tolist()
    assert told.payload[44:] == asked.payload[44:]
    if checksum == "partial" and loaded.has_buffers:
        assert told.check == asked.check  # the pseudo header's sum, which is the reply's too: whoever sends it completes it
    else:
        assert told.intact
        assert told.check


@pytest.mark.parametrize("version", [4, 6])
def test_a_reply_has_all_its_hops_whatever_the_request_had_left(loaded: Loaded, version: int) -> None:
    for hops in range(256):
        given = wire.build(ask(sequence=hops * 257), version, hops=hops)
        answer = loaded.run(given)[1]
        assert answer[wire.udp_at(answer) - (33 if version == 6 else 12)] == 64
        assert wire.read(answer).intact


def test_many_samples_are_the_references(loaded: Loaded) -> None:
    for sample in samples(60, seed=4):
        result = loaded.session.infer(sample)
        assert result.scores.tolist() == reference.scores(NETWORK, sample).tolist()


@pytest.mark.parametrize(("version", "vlans"), [(4, 0), (4, 2), (6, 0), (6, 2)])
def test_what_is_cut_short_passes_as_it_came(loaded: Loaded, version: int, vlans: int) -> None:
    whole = wire.build(ask(), version, vlans)
    assert loaded.run(whole)[0] == loaded.answers
    # What BPF_PROG_RUN takes at the least: a link header and a byte; of socket buffers the IP header too.
    shortest = 15 if loaded.passes == XDP_PASS else 54 if version == 6 else 34
    for length in range(shortest, len(whole)):
        assert loaded.passes_on(whole[:length]), length


def test_what_is_longer_than_its_ip_length_is_padding(loaded: Loaded) -> None:
    whole = wire.build(ask())
    verdict, answer = loaded.run(whole + b"trailer")
    assert (verdict, answer[len(whole) :]) == (loaded.answers, b"trailer")
    assert wire.read(answer).intact


@pytest.mark.parametrize("bit", [0x01, 0x80])
def test_every_byte_of_ip_and_udp_counts(loaded: Loaded, bit: int) -> None:
    whole = wire.build(ask())
    for at in range(12, len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= bit
        assert loaded.passes_on(bytes(damaged)), at


def ipv4(frame: bytes, at: int, value: bytes) -> bytes:
    """The IPv4 header with other bytes, its checksum made right again."""
    header = bytearray(frame[14:34])
    header[at : at + len(value)] = value
    header[10:12] = bytes(2)
    header[10:12] = (~wire.ones(bytes(header)) & 0xFFFF).to_bytes(2, "big")
    return frame[:14] + bytes(header) + frame[34:]


WHOLE = wire.build(ask(), checksum="none")
FOREIGN: dict[str, bytes] = {
    "another port": wire.build(ask(), port=4243),
    "another version": wire.build(ask(version=2)),
    "another magic": wire.build(b"eBNM" + ask()[4:]),
    "another network": wire.build(ask(network=crc32(b"another"))),
    "a reply": wire.build(ask(kind=1)),
    "a reserved field": wire.build(ask(scores=1)),
    "a sample too long": wire.build(ask(SAMPLE.tobytes() + bytes(4))),
    "a sample too short": wire.build(ask(SAMPLE.tobytes()[:-4])),
    "no checksum over IPv6": wire.build(ask(), 6, checksum="none"),
    "three tags": wire.build(ask(), vlans=2)[:12] + b"\x81\0\0\1" + wire.build(ask(), vlans=2)[12:],
    "ARP": WHOLE[:12] + b"\x08\x06" + WHOLE[14:],
    "a first fragment": ipv4(WHOLE, 6, b"\x20\x00"),
    "a later fragment": ipv4(WHOLE, 6, b"\x00\x01"),
    "a reserved flag": ipv4(WHOLE, 6, b"\x80\x00"),
    "TCP": ipv4(WHOLE, 9, b"\x06"),
    "another IP length": ipv4(WHOLE, 2, (len(WHOLE) - 15).to_bytes(2, "big")),
    "from everywhere": ipv4(WHOLE, 12, bytes([255] * 4)),
    "from nowhere": ipv4(WHOLE, 12, bytes(4)),
    "from a group": ipv4(WHOLE, 12, bytes([224, 0, 0, 1])),
    "to a group": ipv4(WHOLE, 16, bytes([239, 1, 1, 1])),
    "to a group on the link": b"\x01" + WHOLE[1:],
    "to all on the link": b"\xff" * 6 + WHOLE[6:],
    "from port 0": WHOLE[:34] + bytes(2) + WHOLE[36:],
    "IPv6 extensions": (six := wire.build(ask(), 6))[:20] + b"\x2c" + six[21:],
    "IPv4 in IPv6's place": WHOLE[:12] + b"\x86\xdd" + WHOLE[14:],
}


def with_options() -> bytes:
    """A request whose IPv4 header has options: four of no operation."""
    header = bytearray(WHOLE[14:34] + b"\x01" * 4)
    header[0], header[10:12] = 0x46, bytes(2)
    header[2:4] = (len(WHOLE) - 14 + 4).to_bytes(2, "big")
    header[10:12] = (~wire.ones(bytes(header)) & 0xFFFF).to_bytes(2, "big")
    return WHOLE[:14] + bytes(header) + WHOLE[34:]


@pytest.mark.parametrize("frame", [*FOREIGN.values(), with_options()], ids=[*FOREIGN, "IPv4 options"])
def test_what_is_not_for_the_network_passes_as_it_came(loaded: Loaded, frame: bytes) -> None:
    assert loaded.run(WHOLE)[0] == loaded.answers
    answered = loaded.count("answered")
    assert loaded.passes_on(frame)
    assert loaded.count("answered") == answered


def test_a_reply_is_no_request(loaded: Loaded) -> None:
    """Or two networks would answer each other for ever."""
    assert loaded.passes_on(loaded.run(wire.build(ask()))[1])


def test_a_damaged_sample_is_counted(loaded: Loaded) -> None:
    damaged = bytearray(wire.build(ask()))
    damaged[70] ^= 1
    before = loaded.count("damaged")
    assert loaded.passes_on(bytes(damaged))
    assert loaded.count("damaged") == before + 1


def test_a_cpu_is_at_one_request_at_a_time(loaded: Loaded) -> None:
    packets = loaded.session.loaded.maps["ebpfnn_packets"]
    idle = packets.lookup_percpu(bytes(4), np.uint64)
    assert not idle[:, 4].any()
    taken, nested = idle.copy(), loaded.count("nested")
    taken[:, 4] = 1
    packets.update_percpu(bytes(4), taken)
    assert loaded.passes_on(wire.build(ask()))
    assert (loaded.count("nested"), loaded.count("busy")) == (nested + 1, len(idle))
    packets.update_percpu(bytes(4), idle)
    assert loaded.run(wire.build(ask()))[0] == loaded.answers


def frames_from(*sources: str) -> list[bytes]:
    return [wire.build(ask(), 6 if ":" in source else 4, source=source) for source in sources]


def test_only_those_who_may_are_answered() -> None:
    trigger = XdpTrigger().with_options({"allow": "10.1.0.0/16, 192.0.2.7, fd00:1::/33", "port": "4242"})
    with Session(NETWORK, trigger) as session:
        loaded = Loaded(session, XDP_PASS, XDP_TX)
        for frame in frames_from("10.1.0.1", "10.1.255.255", "192.0.2.7", "fd00:1::2", "fd00:1:7fff::1"):
            assert loaded.run(frame)[0] == XDP_TX
        for frame in frames_from("10.2.0.1", "192.0.2.6", "fd00:1:8000::1", "::ffff:10.1.2.3", "::a01:203"):
            assert loaded.passes_on(frame)
        assert loaded.count("denied") == 4  # no packet comes from the fourth: IPv4 as IPv6 writes it
        assert session.infer(SAMPLE).label == int(reference.scores(NETWORK, SAMPLE).argmax())


@pytest.mark.parametrize("allow", ["fd00:1::/64", "10.0.0.0/8"])
def test_a_sample_is_brought_from_a_source_that_may(allow: str) -> None:
    for trigger in (XdpTrigger(), TcTrigger(), CgroupSkbTrigger(), SocketFilterTrigger()):
        with Session(NETWORK, trigger.with_options({"allow": allow, "port": "9"})) as session:
            assert session.infer(SAMPLE).scores.tolist() == reference.scores(NETWORK, SAMPLE).tolist()


@pytest.mark.parametrize("layers", [(9, 5, 3), (3, 64), (1, 2), (301, 4, 64), (1400, 2), (1397, 2), (8, 62)])
def test_samples_of_every_size(layers: tuple[int, ...]) -> None:
    """Whatever is larger, the sample or the reply; samples of no whole words."""
    network = random_network(layers, seed=8)
    for trigger in (XdpTrigger(), TcTrigger(), CgroupSkbTrigger(), SocketFilterTrigger()):
        with Session(network, trigger) as session:
            for sample in samples(layers[0], seed=9)[::5]:
                assert session.infer(sample).scores.tolist() == reference.scores(network, sample).tolist()


def test_packed_samples() -> None:
    network = random_network((60, 7, 5), seed=3, bits=1, packed=True)
    with Session(network, XdpTrigger()) as session:
        assert session.infer(SAMPLE).scores.tolist() == reference.scores(network, SAMPLE).tolist()


@pytest.mark.parametrize("name", WATCHING)
def test_those_who_only_look(name: str) -> None:
    with Session(NETWORK, WATCHING[name]) as session:
        loaded = Loaded(session, 1, 1)
        for sample in samples(60, seed=5):
            result = session.infer(sample)
            assert result.scores.tolist() == reference.scores(NETWORK, sample).tolist()
            assert result.elapsed_ns is None  # a time of 0 would pass for a measured one
        assert session.infer_many(samples(60, seed=5)).elapsed_ns is None
        answered = loaded.count("answered")
        for version, vlans in ((4, 0), (6, 0)):
            frame = wire.build(ask(), version, vlans)
            verdict, left = loaded.run(frame)
            assert (verdict, left[14:]) == (0 if name == "socket_filter" else 1, frame[14:])
        assert loaded.count("answered") == answered + 2
        for frame in FOREIGN.values():
            assert loaded.run(frame)[1][14:] == frame[14:]
        on_the_link = 2  # these do not see to whom a frame was sent there
        assert loaded.count("answered") == answered + 2 + on_the_link


def events(session: Session, run: Callable[[], object]) -> np.ndarray:
    """What a watcher is told meanwhile."""
    session.loaded.maps[abi.WATCH].update(bytes(4), struct.pack("=QQ", 1 << 63, 0))
    with RingBuffer(session.loaded.maps[abi.EVENTS]) as ring:
        run()
        return np.frombuffer(b"".join(ring.consume()), abi.EVENT)


@pytest.mark.parametrize("trigger", [XdpTrigger(), TcTrigger()], ids=["xdp", "tc"])
def test_without_answers_packets_pass_and_watchers_are_told(trigger: Trigger) -> None:
    with Session(NETWORK, trigger.with_options({"answer": "no"})) as session:
        loaded = Loaded(session, XDP_PASS if trigger.name == "xdp" else TC_PASS, 0)
        frames = [wire.build(ask(), version) for version in (4, 6)]
        told = events(session, lambda: [loaded.passes_on(frame) or pytest.fail("answered") for frame in frames])
        assert told["source"].tolist() == [0x0A010203, 0x123456789ABCDEF0]
        assert set(told["label"].tolist()) == {int(reference.scores(NETWORK, SAMPLE).argmax())}
        with pytest.raises(NotSupported, match="with answer=no the program sends no reply, only watchers get its results"):
            session.infer(SAMPLE)


def test_a_network_that_computes_in_more_than_a_cpu_has() -> None:
    network = random_network("conv40x3p1-conv8x3-5", seed=1, shape=(1, 32, 32))
    with pytest.raises(
        NotSupported, match=r"network 'test' behind trigger 'xdp': it needs \d+ bytes; a per-CPU value holds 32768"
    ):
        Session(network, XdpTrigger())


def test_a_sample_that_no_packet_holds() -> None:
    with pytest.raises(NotSupported, match=r"trigger 'xdp': a sample takes 1401 bytes, and a packet holds 1400; use fewer"):
        Session(random_network((1401, 2), seed=1), XdpTrigger())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"port": "0"}, "option port=0: not a UDP port; give a number from 1 to 65535"),
        ({"port": "x"}, "option port=x: not a UDP port"),
        ({"mode": "fast"}, "option mode=fast: not a value of it; give one of auto, native, generic"),
        ({"answer": "maybe"}, "give one of yes, no"),
        ({"allow": "10.0.0.1/8"}, "option allow=10.0.0.1/8: .*has host bits set; give prefixes such as"),
        ({"allow": ",".join(["10.0.0.0/8"] * 17)}, "option allow: 17 prefixes, of 16 that fit; join some of them"),
    ],
)
def test_options_of_the_wrong_form(options: dict[str, str], message: str) -> None:
    with pytest.raises(PluginError, match=message):
        XdpTrigger().with_options(options)


@pytest.mark.parametrize("trigger", [XdpTrigger(), TcTrigger(), SocketFilterTrigger()], ids=lambda trigger: trigger.name)
def test_an_interface_that_is_not_there(trigger: Trigger) -> None:
    with pytest.raises(
        KernelError, match=r"interface 'lo0' not found in this network namespace(; did you mean 'lo'|; there are: )"
    ):
        Session(NETWORK, trigger, "lo0")


def test_a_cgroup_that_is_not_there() -> None:
    with pytest.raises((KernelError, NotSupported), match=r"cgroup 'no-such' not found; |no cgroup2 file system is mounted"):
        Session(NETWORK, CgroupSkbTrigger(), "no-such")
