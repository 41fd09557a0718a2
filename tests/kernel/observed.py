"""An observer that keeps the fields of the last event, behind each of the shells that extract them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from ebpfnn.built import object_path
from ebpfnn.events import Field, fields_of
from ebpfnn.kernel import Object
from ebpfnn.obj import ObjectSpec, link
from ebpfnn.plugin import Attachment

OBSERVER = """
#include <ebpfnn/fields_%(struct)s.h>
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ebpfnn_fields);
} seen SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} count SEC(".maps");
int ebpfnn_observe(struct ebpfnn_fields *fields, void *context)
{
	__u32 only = 0;
	struct ebpfnn_fields *to = bpf_map_lookup_elem(&seen, &only);
	__u64 *counted = bpf_map_lookup_elem(&count, &only);

	if (!to || !counted || !(%(condition)s))
		return 1;
	*to = *fields;
	*counted += 1;
	return 1; /* XDP_DROP, if anybody took it for one */
}
"""
ONLY = bytes(4)


class Observed:
    """What the observer behind ``program`` saw."""

    attachment: Attachment

    def __init__(self, loaded: Object, program: str, fields: tuple[Field, ...]) -> None:
        self.loaded, self.program, self.described = loaded, loaded.programs[program], fields

    @property
    def count(self) -> int:
        return int.from_bytes(self.loaded.maps["count"].lookup(ONLY) or b"", "little")

    @property
    def fields(self) -> dict[str, int]:
        data = self.loaded.maps["seen"].lookup(ONLY)
        assert data is not None
        return {each.name: int.from_bytes(data[each.offset :][: each.size], "little") for each in self.described}


@contextmanager
def observing(
    build: Callable[..., ObjectSpec], shell: str, program: str, condition: str = "1", function: str = ""
) -> Iterator[Observed]:
    """``program`` of ``shell`` with the observer, which keeps events for which ``condition`` holds. Nothing is attached.

    ``function`` is what a program of fentry or fexit is for.
    """
    spec = ObjectSpec.from_file(object_path(shell))
    fields = fields_of(spec)
    spec.keep_programs(program)
    if function:
        spec.programs[program] = replace(spec.programs[program], attach_to=function)
    struct = "task" if shell == "task_events" else "packet"
    observer = build(OBSERVER % {"struct": struct, "condition": condition}, "observer")
    with Object.load(link(spec, observer)) as loaded:
        yield Observed(loaded, program, fields)
