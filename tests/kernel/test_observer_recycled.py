"""While a network runs, the state that it was called for can become another key's: what it found is not written there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rigs import Rig, rig

from ebpfnn import abi
from ebpfnn.obj import ObjectSpec
from ebpfnn.observer import Mode
from ebpfnn.observer.layout import LABEL, WORDS
from ebpfnn.preparation.columns import read

pytestmark = pytest.mark.root
Build = Callable[..., ObjectSpec]
MINE, OTHERS, FOREIGN = (1).to_bytes(8, "little"), (2).to_bytes(8, "little"), 7
# It does itself, in the middle of an inference, what another CPU may do. A label of 7 is one that the other key already has.
BODY = """
#include <ebpfnn/vmlinux.h>
struct ebpfnn_result;
#include <ebpfnn/abi.h>
static long (*const update)(void *map, const void *key, const void *value, __u64 flags) = (void *)2;
static long (*const delete)(void *map, const void *key) = (void *)3;
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(key_size, 8);
	__uint(value_size, 8);
} states SEC(".maps");
int ebpfnn_infer(const void *sample, struct ebpfnn_result *result)
{
	__u64 mine = 1, others = 2, state[%(words)d] = {};
	__u8 what = *(const __u8 *)sample;

	result->label = 1;
	if (what >= 1) {
		delete(&states, &mine);
		((__u32 *)state)[%(label)d] = %(foreign)d;
		if (what >= 2)
			update(&states, &others, state, 0);
	}
	return what == 3 ? -5 : 0;
}
"""


def body(build_spec: Build) -> ObjectSpec:
    """The body, whose map is the observer's one of states."""
    numbers = {"words": (WORDS + 8) // 8, "label": LABEL // 4, "foreign": FOREIGN}
    built = build_spec(BODY % numbers, "recycling")
    code = built.functions[abi.INFER]
    moved = tuple(replace(each, symbol=abi.STATES) if each.symbol == "states" else each for each in code.relocations)
    built.functions[abi.INFER] = replace(code, relocations=moved)
    del built.maps["states"]
    return built


def label_of(made: Rig, key: bytes) -> int | None:
    found = made.maps[abi.STATES].lookup(key)
    return None if found is None else int.from_bytes(found[LABEL : LABEL + 4], "little")


@pytest.mark.parametrize("kind", ["hash", "lru"])
@pytest.mark.parametrize(
    ("what", "returned", "others"),
    [(0, 2, None), (1, 2, None), (2, 2, FOREIGN), (3, 2, FOREIGN)],
    ids=["it stays", "it goes", "it is another's", "it is another's, and the network fails"],
)
def test_the_state_of_another_key(build_spec: Build, what: int, returned: int, others: int | None, kind: str) -> None:
    spec: dict[str, Any] = {"key": ["u8"], "state": {"entries": 1, "map": kind}}
    spec["column"] = [{"name": "kept", "reduce": "last", "of": "u64"}]
    columns = read({"columns": [{"name": "kept", "type": "integer", "encode": "bins", "bounds": [1, 2, 3]}]})
    with rig(build_spec, spec, columns=columns, classes=2, body=body(build_spec), mode=Mode.VERDICTS) as made:
        assert made.run({"u8": 1, "u64": 0}) == 2
        assert made.run({"u8": 1, "u64": what}) == returned
        assert label_of(made, MINE) == (2 if what == 0 else None)
        assert label_of(made, OTHERS) == others
        assert made.run({"u8": 1, "u64": 0}) == 2
