"""Requests with addresses that no request can have: one answered would be a reply to many, or to nobody."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest
import wire
from ebpfnn_plugins.cgroup_skb import CgroupSkbTrigger
from ebpfnn_plugins.socket_filter import SocketFilterTrigger
from ebpfnn_plugins.tc import TcTrigger
from ebpfnn_plugins.xdp import XdpTrigger
from netspace import namespace
from packetnets import ANSWERING, NETWORK, SAMPLE, Loaded, ask

from ebpfnn.errors import PluginError
from ebpfnn.network import reference
from ebpfnn.plugin import Trigger
from ebpfnn.remote.query import Address, Client
from ebpfnn.session import Session

pytestmark = pytest.mark.root
PASSES_AND_ANSWERS = {name: verdicts for name, (_, *verdicts) in ANSWERING.items()}
VERSIONS = [(version, vlans) for version in (4, 6) for vlans in (0, 1, 2)]
every_way = pytest.mark.parametrize(("version", "vlans"), VERSIONS)
NOWHERE = str(IPv4Address(0))
NO_HOSTS = {
    4: [
        NOWHERE,
        "0.1.2.3",
        "127.0.0.1",
        "127.255.255.254",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
    ],
    6: ["::", "::1", "ff00::1", "ff02::1", "ff0e::1", "::ffff:127.0.0.1", "::ffff:10.1.2.3", "::ffff:255.255.255.255"],
}
ADDRESSES = [(version, address) for version, addresses in NO_HOSTS.items() for address in addresses]


@pytest.fixture(params=ANSWERING, scope="module")
def loaded(request: pytest.FixtureRequest) -> Iterator[Loaded]:
    trigger, passes, answers = ANSWERING[request.param]
    with Session(NETWORK, trigger) as session:
        yield Loaded(session, passes, answers)


def passes_uncounted(loaded: Loaded, frame: bytes) -> bool:
    """Whether it passes as it came, and the network did not run; a request as it should be is answered before."""
    assert loaded.run(wire.build(ask()))[0] == loaded.answers
    before = loaded.count("answered")
    return loaded.passes_on(frame) and loaded.count("answered") == before


@every_way
@pytest.mark.parametrize("first", [0x01, 0x03, 0x33, 0xFF])
@pytest.mark.parametrize("place", ["receiver", "sender"])
def test_groups_on_the_link(loaded: Loaded, version: int, vlans: int, place: str, first: int) -> None:
    """A reply goes to the sender of its request: were that a group, one frame would become many."""
    group = bytes([first] * 6)
    link = group + wire.THERE if place == "receiver" else wire.HERE + group
    assert passes_uncounted(loaded, wire.build(ask(), version, vlans, link=link))


@pytest.mark.parametrize("vlans", [0, 1, 2])
@pytest.mark.parametrize(("version", "address"), ADDRESSES)
def test_addresses_that_are_no_hosts(loaded: Loaded, version: int, address: str, vlans: int) -> None:
    assert passes_uncounted(loaded, wire.build(ask(), version, vlans, source=address))
    assert passes_uncounted(loaded, wire.build(ask(), version, vlans, destination=address))


@every_way
def test_a_request_from_whom_it_is_sent_to(loaded: Loaded, version: int, vlans: int) -> None:
    assert passes_uncounted(loaded, wire.build(ask(), version, vlans, destination=wire.CLIENT[version]))


@pytest.mark.parametrize("address", ["1.0.0.1", "126.255.255.255", "128.0.0.1", "223.255.255.255"])
def test_hosts_that_are_near_to_those(loaded: Loaded, address: str) -> None:
    assert loaded.run(wire.build(ask(), source=address))[0] == loaded.answers
    assert loaded.run(wire.build(ask(), destination=address))[0] == loaded.answers


@pytest.mark.parametrize("address", ["::2", "1::", "feff::1", "::1:0:0:1", "::fffe:10.1.2.3"])
def test_hosts_of_ipv6_that_are_near_to_those(loaded: Loaded, address: str) -> None:
    assert loaded.run(wire.build(ask(), 6, source=address))[0] == loaded.answers
    assert loaded.run(wire.build(ask(), 6, destination=address))[0] == loaded.answers


GENERIC = XdpTrigger().with_options({"mode": "generic"})  # lo has no driver


@pytest.mark.parametrize("trigger", [GENERIC, TcTrigger()], ids=["xdp", "tc"])
def test_the_machine_asks_itself_over_the_loopback_interface(trigger: Trigger) -> None:
    """There alone: 127.0.0.1 is both sender and receiver, and so is every address of its own."""
    with namespace(), Session(NETWORK, trigger, "lo") as session:
        loaded = Loaded(session, *PASSES_AND_ANSWERS[trigger.name])
        for address in ("127.0.0.1", "10.1.2.3", "::1", "fd00:1::1"):
            frame = wire.build(ask(), 6 if ":" in address else 4, source=address, destination=address)
            assert loaded.run(frame)[0] == loaded.answers
        for address in (NOWHERE, "224.0.0.1", "255.255.255.255"):
            assert loaded.passes_on(wire.build(ask(), source=address))
        assert loaded.passes_on(wire.build(ask(), link=wire.HERE + b"\xff" * 6))
        with Client(Address("127.0.0.1"), NETWORK, timeout=5) as client:
            assert client.infer(SAMPLE).scores.tolist() == reference.scores(NETWORK, SAMPLE).tolist()


@pytest.mark.parametrize("trigger", [CgroupSkbTrigger(), SocketFilterTrigger()], ids=["cgroup_skb", "socket_filter"])
def test_who_answers_nobody_counts_this_machines_own(trigger: Trigger) -> None:
    with Session(NETWORK, trigger) as session:
        loaded = Loaded(session, 1, 1)
        for source in ("127.0.0.1", wire.SERVER[4]):
            loaded.run(wire.build(ask(), source=source))
        assert loaded.count("answered") == 2
        for source in (NOWHERE, "224.0.0.1", "255.255.255.255"):
            loaded.run(wire.build(ask(), source=source))
        assert loaded.count("answered") == 2


@pytest.mark.parametrize(
    "allow", ["0.0.0.0/0", "0.0.0.0/7", "1.0.0.0/8", "127.0.0.0/8,10.0.0.7/32", "::/0", "::/64", "::2/127"]
)
def test_a_sample_is_brought_by_hand_from_a_host_that_may_ask(allow: str) -> None:
    with Session(NETWORK, XdpTrigger().with_options({"allow": allow})) as session:
        assert session.infer(SAMPLE).scores.tolist() == reference.scores(NETWORK, SAMPLE).tolist()


NOBODY = ["224.0.0.0/4", "0.0.0.0/8", "::/128", "ff00::/8", "::ffff:0:0/96"]
OWN = ["127.0.0.0/8", "127.0.0.1/32", "::1/128", "::/127"]


@pytest.mark.parametrize("allow", [*NOBODY, *OWN])
def test_prefixes_that_nobody_asks_from(allow: str) -> None:
    refused = pytest.raises(PluginError, match="no request comes from these addresses; give prefixes such as")
    with refused, Session(NETWORK, XdpTrigger().with_options({"allow": allow})):
        pass


@pytest.mark.parametrize("allow", NOBODY)
def test_prefixes_that_nobody_asks_from_even_where_nobody_is_answered(allow: str) -> None:
    refused = pytest.raises(PluginError, match="no request comes from these addresses; give prefixes such as")
    with refused, Session(NETWORK, SocketFilterTrigger().with_options({"allow": allow})):
        pass


@pytest.mark.parametrize("allow", OWN)
@pytest.mark.parametrize(
    ("trigger", "target"),
    [(GENERIC, "lo"), (TcTrigger(), "lo"), (CgroupSkbTrigger(), None), (SocketFilterTrigger(), None)],
    ids=["xdp", "tc", "cgroup_skb", "socket_filter"],
)
def test_this_machine_may_be_allowed_to_ask_itself(trigger: Trigger, target: str | None, allow: str) -> None:
    with namespace(), Session(NETWORK, trigger.with_options({"allow": allow}), target) as session:
        assert session.infer(SAMPLE).scores.tolist() == reference.scores(NETWORK, SAMPLE).tolist()


@pytest.mark.parametrize("allow", OWN)
def test_of_another_interface_they_are_refused(allow: str) -> None:
    with namespace() as _, pytest.raises(PluginError, match="no request comes from these addresses at nowhere; give"):
        Session(NETWORK, TcTrigger().with_options({"allow": allow}), "nowhere")
