"""Iterators over tasks and over the elements of a map."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fixtures import Loaded, loaded
from kernelmaps import u32, u64

from ebpfnn.errors import KernelError, NotSupported
from ebpfnn.kernel import IteratorLink, LinkType, attach_iterator
from ebpfnn.obj import ObjectSpec

pytestmark = pytest.mark.root
TYPES = """
struct seq_file;
struct bpf_iter_meta { struct seq_file *seq; __u64 session_id; __u64 seq_num; };
"""
TASKS = (
    TYPES
    + """
struct context { struct bpf_iter_meta *meta; void *task; };
SEC("iter/task") int walk(struct context *context)
{
	__u64 number = context->meta->seq_num;

	if (context->task)
		bpf_seq_write(context->meta->seq, &number, 8);
	return 0;
}
"""
)
ELEMENTS = (
    TYPES
    + """
struct { __uint(type, 1); __type(key, __u32); __type(value, __u64); __uint(max_entries, 1024); } squares SEC(".maps");
struct context { struct bpf_iter_meta *meta; void *map; __u32 *key; __u64 *value; };
SEC("iter/bpf_map_elem") int walk(struct context *context)
{
	__u64 element[2];

	if (!context->key || !context->value)
		return 0;
	element[0] = *context->key;
	element[1] = *context->value;
	bpf_seq_write(context->meta->seq, element, 16);
	return 0;
}
"""
)


@pytest.fixture
def tasks(build_spec: Callable[[str], ObjectSpec]) -> Iterator[Loaded]:
    with loaded(build_spec, TASKS) as held:
        yield held


def own_task(tasks: Loaded) -> IteratorLink:
    try:
        return attach_iterator(tasks.program, tid=os.getpid())
    except NotSupported as lack:
        pytest.skip(str(lack))


def test_every_task_is_visited(tasks: Loaded) -> None:
    with attach_iterator(tasks.program) as link:
        numbers = [number for (number,) in struct.iter_unpack("=Q", link.read())]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) > 1
        assert link.info().type is LinkType.ITER
        assert link.info().target["target_name"] == "task"


def test_one_process_alone(tasks: Loaded) -> None:
    with own_task(tasks) as link:
        assert link.read() == u64(0)
        assert link.info().target["tid"] == os.getpid()


def test_a_pinned_iterator_reads_like_a_file(tasks: Loaded, bpffs: Path) -> None:
    with own_task(tasks) as link:
        link.pin(bpffs / "task")
    assert (bpffs / "task").read_bytes() == u64(0)
    with IteratorLink.open(bpffs / "task") as again:
        assert again.read() == u64(0)


def test_elements_of_a_map(build_spec: Callable[[str], ObjectSpec]) -> None:
    with loaded(build_spec, ELEMENTS) as held:
        squares = held.map("squares")
        squares.update_batch([(u32(i), u64(i * i)) for i in range(1000)])
        with attach_iterator(held.program, map=squares) as link:
            assert dict(struct.iter_unpack("=QQ", link.read())) == {i: i * i for i in range(1000)}
            assert link.info().target == {"target_name": "bpf_map_elem", "map_id": squares.info().id}
        with pytest.raises(KernelError, match="iterator 'walk'"):
            attach_iterator(held.program)
