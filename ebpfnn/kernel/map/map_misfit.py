"""Finds the invalid size of a map that the kernel refused with only EINVAL."""

from __future__ import annotations

import errno

from ...errors import KernelError
from ...obj import MapSpec
from ...obj.uapi import MapType, enum_name

_RINGS = frozenset({MapType.RINGBUF, MapType.USER_RINGBUF})
# Maps with an element for each of their owners, and so without a number of their own (Linux 6.18).
_OF_OWNERS = frozenset({MapType.STRUCT_OPS, MapType.CGROUP_STORAGE, MapType.PERCPU_CGROUP_STORAGE}) | frozenset(
    {MapType.SK_STORAGE, MapType.INODE_STORAGE, MapType.TASK_STORAGE, MapType.CGRP_STORAGE}
)
# Maps whose values are descriptors (fd_array_map_alloc_check, fd_htab_map_alloc_check).
_OF_DESCRIPTORS = frozenset({MapType.PERF_EVENT_ARRAY, MapType.PROG_ARRAY, MapType.CGROUP_ARRAY}) | frozenset(
    {MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS}
)


def told_misfit(spec: MapSpec, refusal: KernelError) -> KernelError:
    """``refusal``, or, if a size of ``spec`` is one that no kernel accepts, the same with that size and the remedy."""
    found = _misfit(spec) if refusal.errno == errno.EINVAL else ""
    return KernelError(f"{str(refusal).partition('; ')[0]}: {found}", errno.EINVAL) if found else refusal


def _misfit(spec: MapSpec) -> str:
    kind = enum_name(MapType, spec.type)
    if spec.type in _RINGS and (spec.key_size or spec.value_size):
        fact = f"a {kind} has neither keys nor values, but here key_size is {spec.key_size} and value_size {spec.value_size}"
        change = f"spec.maps['{spec.name}'] = replace(spec.maps['{spec.name}'], key_size=0, value_size=0)"
        return f"{fact}; {_or_in_source(spec, change, 'no __type(key, ...) or __type(value, ...)')}"
    if spec.type in _OF_DESCRIPTORS and spec.value_size != 4:
        fact = f"value_size is {spec.value_size}, but a {kind} holds descriptors of 4 bytes"
        return f"{fact}; {_resized(spec, 'value_size', '4')}"
    if not spec.max_entries and spec.type not in _OF_OWNERS:
        return f"max_entries is 0, so the map could hold nothing; {_resized(spec, 'max_entries', 'N')}"
    return ""


def _resized(spec: MapSpec, size: str, number: str) -> str:
    return _or_in_source(spec, f"spec.resize_map('{spec.name}', {size}={number})", f"__uint({size}, {number})")


def _or_in_source(spec: MapSpec, change: str, source: str) -> str:
    """What to do: the pattern of a map of maps, ``outer.inner``, is none of the spec's maps."""
    return f"write {source} in its source" if "." in spec.name else f"{change}, or write {source} in its source"
