"""Shells whose fields are any that are given: of every width and sign, and at other places than those of hooks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from clang import compile_bpf, find_clang

from ebpfnn.events import Field
from ebpfnn.obj import ObjectSpec

_SHELL = """
#include <ebpfnn/fields.h>
struct ebpfnn_fields {
%s};
#include <ebpfnn/fields_observe.h>
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ebpfnn_fields);
} given SEC(".maps");

SEC("tc") int mine(struct __sk_buff *packet)
{
	struct ebpfnn_observed *own = ebpfnn_enter();
	struct ebpfnn_fields *from;
	__u32 only = 0;
	int verdict = -1;

	if (!own)
		return verdict;
	from = bpf_map_lookup_elem(&given, &only);
	if (from) {
		own->fields = *from;
		verdict = ebpfnn_observe(&own->fields, packet);
	}
	ebpfnn_leave(own);
	return verdict;
}
"""
_CAPTURE = """
#include <ebpfnn/abi.h>
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} captured SEC(".maps");
const volatile __u32 bytes = 1;

int ebpfnn_infer(const void *sample, struct ebpfnn_result *result)
{
	__u32 only = 0;
	void *to = bpf_map_lookup_elem(&captured, &only);

	if (!to)
		return -1;
	bpf_probe_read_kernel(to, bytes, sample);
	result->label = 1;
	result->scores[0] = -3;
	result->scores[1] = 4;
	return 0;
}
"""


def own_shell(types: Mapping[str, str], directory: Path) -> ObjectSpec:
    """One with these fields in this order."""
    members = "".join(f'\tEBPFNN_FIELD(__{type_}, {name}, "number", "any");\n' for name, type_ in types.items())
    return _built(_SHELL % members, directory, "own")


def capture(size: int, directory: Path) -> ObjectSpec:
    """A network that keeps the ``size`` bytes of the latest sample; its answer is label 1 of two, by 7."""
    made = _built(_CAPTURE, directory, "capture")
    made.resize_map("captured", value_size=size)
    made.set_variable("bytes", size.to_bytes(4, "little"))
    return made


def packed(fields: list[Field], values: Mapping[str, int], size: int) -> bytes:
    """``values`` where ``fields`` are, in ``size`` bytes."""
    made = bytearray(size)
    for field in fields:
        made[field.offset : field.offset + field.size] = (values[field.name] % 2 ** (8 * field.size)).to_bytes(
            field.size, "little"
        )
    return bytes(made)


def _built(source: str, directory: Path, name: str) -> ObjectSpec:
    clang = find_clang()
    assert clang, "clang is not installed"
    return ObjectSpec.from_bytes(compile_bpf(clang, source, directory), name)
