"""What tests of specs share: fields of packets and threads, the reducers, and events with default fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ebpfnn_plugins import reducers

from ebpfnn.events import Bound, Field, Reducer, bind, build, fields_of
from ebpfnn.obj import ObjectSpec

OBJECTS = Path(__file__).parents[2] / "ebpfnn" / "data" / "bpf"
PACKET: Sequence[Field] = fields_of(ObjectSpec.from_file(OBJECTS / "xdp_events.bpf.o"))
THREAD: Sequence[Field] = fields_of(ObjectSpec.from_file(OBJECTS / "task_events.bpf.o"))
IPV4, IPV6, TCP, UDP = 4, 6, 6, 17


REDUCERS: Mapping[str, Reducer] = {reducer.name: reducer for reducer in reducers.ALL}


def spec_dict(columns: Sequence[Mapping[str, Any]], **members: Any) -> dict[str, Any]:
    """A spec as a dict: packets at xdp by flow, if ``members`` do not say another."""
    return {"name": "test", "key": "flow", "event": [{"trigger": "xdp"}], **members, "column": list(columns)}


def bound(columns: Sequence[Mapping[str, Any]], fields: Sequence[Field] = PACKET, **members: Any) -> Bound:
    """The spec of :func:`spec_dict`, all of whose events have ``fields``."""
    spec = build(spec_dict(columns, **members))
    return bind(spec, {event.name: fields for event in spec.events}, REDUCERS)


def packet(time: int = 0, **values: int) -> dict[str, int]:
    """The fields of a TCP packet over IPv4 from 10.0.0.1:1000 to 10.0.0.2:80."""
    usual = {"version": IPV4, "protocol": TCP, "source": 0x0A000001, "destination": 0x0A000002}
    usual |= {"source_port": 1000, "destination_port": 80, "time": time}
    return {field.name: 0 for field in PACKET} | usual | values


def reply(time: int = 0, **values: int) -> dict[str, int]:
    """The fields of a packet in the other direction."""
    ends = {"source": 0x0A000002, "destination": 0x0A000001, "source_port": 80, "destination_port": 1000}
    return packet(time, **ends) | values


def thread(time: int = 0, **values: int) -> dict[str, int]:
    """The fields of an event of thread 7."""
    return {field.name: 0 for field in THREAD} | {"pid": 7, "tgid": 7, "time": time} | values
