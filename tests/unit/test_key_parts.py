"""What instances that observe events need without a kernel: keys as text, what a swap compares, made-up events, lists."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address
from typing import Any

import pytest
from guards import FLOW, guard

from ebpfnn.cli.spec_text import lines_of, spec_of
from ebpfnn.cli.watch_tables import Tally, as_line
from ebpfnn.errors import SessionError
from ebpfnn.events import bind, build, fields_of
from ebpfnn.events.keyparts import Part, decode, is_type, parts, shown
from ebpfnn.instance.about import About, describe
from ebpfnn.instance.session import check_takes_samples
from ebpfnn.instance.swap_observing import difference
from ebpfnn.obj import ObjectSpec
from ebpfnn.plugin import Plugins, object_path
from ebpfnn.session import Verdict
from ebpfnn.session.observed import observes
from ebpfnn.session.provoked import provoked


def address(text: str) -> bytes:
    return int(IPv6Address(text if ":" in text else f"::ffff:{text}")).to_bytes(16, "little")


def text(key: tuple[Part, ...], data: bytes) -> str:
    return shown(key, decode(key, data))


def test_keys_as_collected_data_have_them() -> None:
    ends = address("10.0.0.1") + address("10.0.0.2") + struct.pack("<HHB3x", 443, 50000, 6)
    assert text(parts("flow"), ends) == "10.0.0.1:443-10.0.0.2:50000/tcp"
    assert text(parts("flow.directed"), ends) == "10.0.0.1:443>10.0.0.2:50000/tcp"
    six = address("2001:db8::1") + address("2001:db8::2") + struct.pack("<HHB3x", 1, 2, 99)
    assert text(parts("flow"), six) == "[2001:db8::1]:1-[2001:db8::2]:2/99"
    assert text(parts("source"), address("10.0.0.1")) == "source=10.0.0.1"
    assert decode(parts("destination"), bytes(16)) == {"destination": "::"}
    listed = (Part("tgid", "u32"), Part("comm", "text"), Part("comm_rest", "text"), Part("error", "s16"), Part("from", "ipv4"))
    data = struct.pack("<I8s8shI", 7, b'a"long-n', b"ame", -3, 0x0A000001)
    assert decode(listed, data) == {"tgid": 7, "comm": 'a"long-name', "error": -3, "from": "10.0.0.1"}
    assert text(listed, data) == 'tgid=7 comm="a\\"long-name" error=-3 from=10.0.0.1'
    assert all(is_type(part.type) for part in listed)
    assert not is_type("u7")


def test_a_description_keeps_spec_filters_and_key() -> None:
    network = guard()
    plain = describe(network, None, "run", None, {})
    assert not plain.observes
    assert "events" not in plain.encode().decode()
    about = About(**{**vars(plain), "events": network.events, "filters": ("uid == 1",), "key": (("low", "address"),)})
    found = About.decode(about.encode())
    assert found == about
    assert found.parts == (Part("low", "address"),)
    with pytest.raises(SessionError, match=r"observes events of run itself, and takes no samples; `ebpfnn watch guard`"):
        check_takes_samples("guard", found)
    check_takes_samples("guard", plain)
    bent = about.encode().replace(b'["low","address"]', b'["low","longword"]')
    with pytest.raises(SessionError, match="'key' must hold names and types"):
        About.decode(bent)


NORMAL: dict[str, Any] = {**FLOW, "event": [{"trigger": "xdp", "name": "xdp"}]}


def test_what_may_differ_between_two_specs() -> None:
    for name, value in {"at": {}, "where": [], "end": ["protocol == 6"], "name": "other"}.items():
        assert difference(NORMAL, {**NORMAL, name: value}) == ""
    first, *rest = NORMAL["column"]
    assert difference(NORMAL, {**NORMAL, "column": [{**first, "encode": {"kind": "bins", "bounds": [1]}}, *rest]}) == ""
    assert difference(NORMAL, {**NORMAL, "column": [{**first, "name": "renamed"}, *rest]}) == ""
    assert "clip = 7 in column 1 'length', and the instance's None" in difference(
        NORMAL, {**NORMAL, "column": [{**first, "clip": 7}, *rest]}
    )
    assert "5 columns" in difference(NORMAL, {**NORMAL, "column": [*NORMAL["column"], first]})


def test_networks_observe_behind_triggers_with_event_shells() -> None:
    plugins = Plugins.installed()
    assert observes(guard(), plugins.trigger("xdp"))
    assert not observes(guard(), plugins.trigger("run"))


@pytest.mark.parametrize(
    "where",
    [
        ["protocol == 17", "destination_port == 4242"],
        ["source in 192.168.7.0/24", "version == 4"],
        ["tcp_flags & fin|rst", "tcp_flags !& syn", "source_port >= 6000"],
        ["source_port > 6000", "destination_port < 10", "hops <= 3"],
    ],
)
def test_made_up_frames_meet_the_conditions(where: list[str]) -> None:
    fields = fields_of(ObjectSpec.from_file(object_path("xdp_events")))
    bound = bind(build({**FLOW, "where": where}), {"xdp": fields}, Plugins.installed().reducers)
    events = list(provoked(bound, [True]))
    assert events == list(provoked(bound, [True]))
    assert len(events) >= 256
    assert [each.time for each in events] == sorted(each.time for each in events)
    frames = [each.data for each in events if each.data[12:14] == b"\x08\x00"]
    read = {
        "protocol == 17": lambda frame: frame[23] == 17,
        "destination_port == 4242": lambda frame: frame[36:38] == struct.pack(">H", 4242),
        "source in 192.168.7.0/24": lambda frame: frame[26:29] == bytes((192, 168, 7)),
        "version == 4": lambda frame: frame[14] == 0x45,
        "tcp_flags & fin|rst": lambda frame: frame[23] != 6 or frame[47] & 5,
        "tcp_flags !& syn": lambda frame: frame[23] != 6 or not frame[47] & 2,
        "source_port >= 6000": lambda frame: frame[23] == 1 or struct.unpack_from(">H", frame, 34)[0] >= 6000,
        "source_port > 6000": lambda frame: frame[23] == 1 or struct.unpack_from(">H", frame, 34)[0] > 6000,
        "destination_port < 10": lambda frame: frame[23] == 1 or struct.unpack_from(">H", frame, 36)[0] < 10,
        "hops <= 3": lambda frame: frame[22] <= 3,
    }
    for condition in where:
        assert all(read[condition](frame) for frame in frames), condition


def test_a_spec_for_people() -> None:
    events = {"spec": {**FLOW, "where": ["version == 4"]}, "trigger": "xdp", "mode": "native"}
    assert spec_of(events) == "flow: xdp, native"
    assert spec_of({}) == ""
    lines = list(lines_of(events))
    assert "key: flow" in lines
    assert "infers at: count 1, 2, 4, 8, 16" in lines
    assert "column length: first of=length n=3" in lines
    first, *_ = lines_of({"spec": {"column": 7, "event": [3]}, "trigger": "t", "mode": ""})
    assert first == "events: spec without a name: t"


def test_lines_of_verdicts() -> None:
    verdict = Verdict({"uid": 7}, "uid=7", "scan", 1, 1234, 5, 2, 10**9, 1500)
    assert as_line(verdict).split("  ")[1:] == ["scan", "1,234", "1.50 µs", "uid=7", "number 5", "swaps 2"]
    failed = Verdict({"uid": 7}, "uid=7", "", -1, 0, 5, 2, 10**9, 1500)
    assert "failed" in as_line(failed)
    tally = Tally(["scan"])
    tally.add(verdict)
    tally.add(failed)
    assert tally.counts == {"scan": 1, "(failed)": 1}
