"""A forest as the C that one would write by hand, an if for each node, built by clang: what other bodies are compared with."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ..compiler import Body
from ..errors import NotSupported
from ..obj import ObjectSpec
from ..trees import Forest, Tree

INCLUDE = Path(__file__).parents[1] / "data" / "include"
_FLAGS = ("-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Werror", "-fbracket-depth=4096", f"-I{INCLUDE}")
_PLACE = 8  # bytes of workspace for the number of a leaf
_HEAD = """// SPDX-License-Identifier: GPL-2.0
/* {trees} trees as branches, with leaves in tables. Made by ebpfnn/bench/tree_c.py. */
#include <ebpfnn/vmlinux.h>
#include <ebpfnn/abi.h>

struct workspace {{
	volatile __u32 leaf; /* or the verifier walks all that follows a tree once for each leaf */
}};

/* Or clang keeps bytes and leaves of all trees until the end, on a stack that is too small. */
#define NEXT_TREE asm volatile("" ::: "memory")
"""
_BODY = """
int ebpfnn_infer(const void *sample, struct ebpfnn_result *result)
{{
	struct workspace *workspace = (struct workspace *)(result + 1);
	const __u8 *x = sample;
	__u32 leaf, best = 0;

{base}
{trees}
{label}	result->label = best;
	return 0;
}}

char LICENSE[] SEC("license") = "GPL";
"""


def source(forest: Forest) -> str:
    """C that defines ``ebpfnn_infer`` for ``forest``: ``scores`` and the label of equations 1 to 3 of docs/trees.md."""
    labels = range(len(forest.labels))
    firsts = np.cumsum([0, *(_rows(tree) for tree in forest.trees)]).tolist()
    tables = _table(forest)
    trees = "\n".join(_tree(first, tree) for first, tree in zip(firsts, forest.trees, strict=False))
    base = "\n".join(f"\tresult->scores[{label}] = {_number(forest.base[label])};" for label in labels)
    chosen = "".join(
        f"\tif (result->scores[{label}] > most) {{\n\t\tmost = result->scores[{label}];\n\t\tbest = {label};\n\t}}\n"
        for label in labels[1:]
    )
    if chosen:
        chosen = f"\t__s32 most = result->scores[0];\n\n{chosen}"
    return _HEAD.format(trees=len(forest.trees)) + tables + _BODY.format(base=base, trees=trees, label=chosen)


def body(forest: Forest, clang: str | None = None) -> Body:
    """What clang makes of :func:`source`, at -O2 as the shells are built.

    Raises :class:`NotSupported` if there is no clang, or it fails.
    """
    compiler = clang or shutil.which("clang") or _newest()
    if compiler is None:
        raise NotSupported("there is no clang; install clang, or set $CLANG")
    with TemporaryDirectory(prefix="ebpfnn-trees-") as directory:
        text, built = Path(directory, "trees.bpf.c"), Path(directory, "trees.bpf.o")
        text.write_text(source(forest))
        ran = subprocess.run(
            [compiler, *_FLAGS, "-c", str(text), "-o", str(built)], capture_output=True, text=True, check=False
        )
        if ran.returncode:
            reason = next(iter(ran.stderr.splitlines()), f"status {ran.returncode}")
            raise NotSupported(f"model '{forest.name}': clang failed ({reason}); install clang 14 or newer")
        return Body(ObjectSpec.from_bytes(built.read_bytes(), forest.name), _PLACE)


def _newest() -> str | None:
    """The newest of Debian's versioned clangs."""
    found = [path for path in Path("/usr/bin").glob("clang-[0-9]*") if path.name.rpartition("-")[2].isdigit()]
    return str(max(found, key=lambda path: int(path.name.rpartition("-")[2]))) if found else None


def _number(value: int) -> str:
    """The least int32 has no literal of its own."""
    return str(value) if value > -(1 << 31) else f"({value + 1} - 1)"


def _rows(tree: Tree) -> int:
    """As many as there are leaves, and up to a power of two, so that a mask is the check of bounds."""
    return 1 << tree.nodes.bit_length()


def _table(forest: Forest) -> str:
    """The leaves of all trees."""
    padded = [np.pad(tree.leaves, ((0, _rows(tree) - len(tree.leaves)), (0, 0))).tolist() for tree in forest.trees]
    lines = ",\n".join("\t{ " + ", ".join(map(_number, row)) + " }" for rows in padded for row in rows)
    return f"\nstatic const volatile __s32 leaves[][{len(forest.labels)}] = {{\n{lines},\n}};\n"


def _tree(first: int, tree: Tree) -> str:
    added = [f"\tresult->scores[{label}] += leaves[leaf][{label}];" for label in range(tree.outputs)]
    return "\n".join([*_nodes(tree), f"\tleaf = {first} + (workspace->leaf & {_rows(tree) - 1});", *added, "\tNEXT_TREE;\n"])


def _nodes(tree: Tree) -> Iterator[str]:
    """Lines, left before right; a stack, since trees may be deeper than Python's."""
    waiting: list[int | str] = [0 if tree.nodes else -1]
    while waiting:
        here = waiting.pop()
        if isinstance(here, str):
            yield here
        elif here < 0:
            yield f"\tworkspace->leaf = {-1 - here};"
        else:
            left, right = tree.children[here].tolist()
            yield f"\tif (x[{tree.values[here]}] < {tree.thresholds[here]}) {{"
            waiting += ["\t}", right, "\t} else {", left]
