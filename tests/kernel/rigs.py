"""An observer behind a shell whose fields a test gives, held to the twin event by event."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from ebpfnn_plugins.reducers import ALL

from ebpfnn import abi
from ebpfnn.events import fields_of
from ebpfnn.events.bind import bind
from ebpfnn.events.bound import Bound
from ebpfnn.events.replay import Replay, Result
from ebpfnn.events.specfile import build
from ebpfnn.kernel import Map, Object
from ebpfnn.kernel.ring.ringbuf import RingBuffer
from ebpfnn.obj import ObjectSpec, link
from ebpfnn.observer import Mode, compile_observer
from ebpfnn.observer.layout import lay_out

Build = Callable[..., ObjectSpec]
REDUCERS = {each.name: each for each in ALL}
FRAME, ONLY = bytes(64), bytes(4)
SHELL = """
#define EBPFNN_OWN_FIELDS                                                                                              \\
	EBPFNN_FIELD(__s64, s64, "", ""); EBPFNN_FIELD(__u64, u64, "", ""); EBPFNN_FIELD(__s32, s32, "", "");              \\
	EBPFNN_FIELD(__u32, u32, "", ""); EBPFNN_FIELD(__s16, s16, "", ""); EBPFNN_FIELD(__u16, u16, "", "");              \\
	EBPFNN_FIELD(__s8, s8, "", ""); EBPFNN_FIELD(__u8, u8, "", "");                                                    \\
	EBPFNN_FIELD(__u64, comm, "text", ""); EBPFNN_FIELD(__u64, comm_rest, "text", "");
#include <ebpfnn/fields_packet.h>
#include <ebpfnn/fields_observe.h>
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ebpfnn_fields);
} given SEC(".maps");
SEC("%(section)s") int on_event(void *context)
{
	struct ebpfnn_observed *own = ebpfnn_enter();
	struct ebpfnn_fields *fields;
	__u32 only = 0;
	int verdict = -1;

	if (!own)
		return -1;
	fields = bpf_map_lookup_elem(&given, &only);
	if (fields) {
		own->fields = *fields;
		verdict = ebpfnn_observe(&own->fields, context);
	}
	ebpfnn_leave(own);
	return verdict;
}
"""


class Rig:
    """The programs of a spec's events, one for each, which share their maps. All take the fields that are given."""

    def __init__(self, bound: Bound, objects: list[Object], sample_bytes: int) -> None:
        self.bound, self.objects, self.memory = bound, objects, lay_out(bound, (), 0, sample_bytes, 0)
        self.maps: Mapping[str, Map] = objects[0].maps
        self.twin = Replay(bound)
        self.fields = tuple(bound.events[0].fields.values())
        self._given = [each.maps["given"].array(np.uint8).reshape(-1) for each in objects]
        self._programs = [each.programs["on_event"] for each in objects]
        self.ring = RingBuffer(self.maps[abi.ROWS]) if abi.ROWS in self.maps else None

    def run(self, values: Mapping[str, int], event: int = 0) -> int:
        """Has an event observed; fields without a value are 0. Returns what the observer returned."""
        memory = self._given[event]
        memory[:] = 0
        for name, value in values.items():
            field = self.bound.events[event].fields[name]
            raw = (value & (1 << 8 * field.size) - 1).to_bytes(field.size, "little")
            memory[field.offset : field.offset + field.size] = np.frombuffer(raw, np.uint8)
        return self._programs[event].run(data=FRAME).return_value

    def rows(self) -> list[Result]:
        """The rows since the last call."""
        assert self.ring
        return [self._row(each) for each in self.ring.consume()]

    def check(self, values: Mapping[str, int], event: int = 0) -> Result | None:
        """Has an event observed by both: they must give the same row, or none. Returns it."""
        assert self.run(values, event) == 0
        complete = {field.name: values.get(field.name, 0) for field in self.bound.events[event].fields.values()}
        expected = self.twin.observe(event, complete)
        assert self.rows() == ([expected] if expected else []), values
        return expected

    @property
    def counts(self) -> dict[str, int]:
        """``struct ebpfnn_counts``, what is 0 left out."""
        found = [self.maps[abi.COUNTS].lookup_percpu(struct.pack("<I", n), np.uint64) for n in range(len(self.objects))]
        sums = np.sum([each for each in found if each is not None], axis=(0, 1))
        return {name: int(number) for name, number in zip(abi.COUNTED, sums, strict=True) if number}

    def scores(self, count: int) -> npt.NDArray[np.int32]:
        """The scores of the last inference, which lie in the memory of the CPU that it ran on."""
        used = self.objects[0].maps[abi.SCRATCH].lookup_percpu(ONLY, np.uint8)
        assert used is not None
        (cpu,) = os.sched_getaffinity(0)
        mine, at = used.reshape(len(used), -1)[cpu], self.memory.result + abi.offset("scores")
        return mine[at : at + 4 * count].copy().view(np.int32)

    def states(self) -> int:
        return len(list(self.maps[abi.STATES].items()))

    def _row(self, record: bytes) -> Result:
        head, key = abi.RECORD.itemsize, self.bound.key_bytes
        event, number, time = struct.unpack("<IIQ", record[:head])
        assert event < len(self.objects)
        results = struct.unpack(f"<{len(self.bound.names)}Q", record[head + key : head + key + 8 * len(self.bound.names)])
        return Result(record[head : head + key], number, time, results)


@contextmanager
def rig(
    build_spec: Build,
    described: Mapping[str, Any],
    mode: Mode = Mode.ROWS,
    *,
    body: ObjectSpec | None = None,
    section: str = "xdp",
    change: Callable[[ObjectSpec], None] | None = None,
    **options: Any,
) -> Iterator[Rig]:
    """A spec, loaded. ``body`` defines ``ebpfnn_infer``; ``options`` are the compiler's. ``change`` may change an observer.

    With a body, the thread stays on one CPU, in whose memory the scores are.
    """
    spec = build({"name": "test", "event": [{"trigger": "xdp"}], **described})
    shell = build_spec(SHELL % {"section": section}, "shell")
    fields = fields_of(shell)
    bound = bind(spec, {event.name: fields for event in spec.events}, REDUCERS)
    with ExitStack() as held:
        if body:
            cpus = os.sched_getaffinity(0)
            held.callback(os.sched_setaffinity, 0, cpus)
            os.sched_setaffinity(0, {max(cpus)})
        objects = list[Object]()
        for index in range(len(bound.events)):
            observer = compile_observer(bound, index, mode, **options)
            if change:
                change(observer)
            linked = link(shell, observer)
            shared = (abi.STATES, abi.VERDICTS, abi.ROWS, abi.COUNTS, abi.LABELS, abi.WATCH, abi.EVENTS)
            shared += (abi.GUARDED, abi.CONTROL, abi.ACTIONS, abi.CASES, abi.RECORDED)
            maps = {name: objects[0].maps[name] for name in shared if objects and name in objects[0].maps}
            objects.append(held.enter_context(Object.load(link(linked, body) if body else linked, maps=maps)))
        form = options.get("form")
        made = Rig(bound, objects, form.sample_bytes if form else 1)
        if made.ring:
            held.enter_context(made.ring)
        yield made
