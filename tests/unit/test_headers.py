"""The headers that authors build with: each stands alone, and defines no name that could be an author's own."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clang import FLAGS, find_clang

from ebpfnn import abi

HEADERS = sorted((Path(__file__).parents[2] / "bpf" / "include" / "ebpfnn").glob("*.h"))
BOTH = {
    "abi.h",
    "packet_wire.h",
    "nn.h",
    "nn_image.h",
    "nn_input.h",
    "nn_network.h",
    "nn_join.h",
    "nn_table.h",
    "nn_verifiable.h",
    "trees.h",
}
"""They build for a host too, so that the types are whoever includes them to give."""
TYPES = "#include <ebpfnn/vmlinux.h>\n"
ACCESSORS = """#define EBPFNN_CONTEXT void
static inline int ebpfnn_load(void *packet, __u32 offset, void *to, __u32 bytes) { return 0; }
static inline int ebpfnn_store(void *packet, __u32 offset, const void *from, __u32 bytes) { return 0; }
"""
READER = """#define EBPFNN_CONTEXT void
static inline int ebpfnn_read(void *packet, __u32 offset, void *to, __u32 bytes) { return 0; }
"""
FIELDS = "struct ebpfnn_fields { int any; };\n"
BEFORE = {
    r"packet(_find|_reply|_state)?\.h": TYPES + ACCESSORS,
    r"fields_(read|parse|ipv4|ipv6|transport)\.h": TYPES + READER,
    r"(fields_observe|guard)\.h": TYPES + FIELDS,
}
"""What must stand before a header, by its name."""
headers = pytest.mark.parametrize("header", [path.name for path in HEADERS])


def clang(source: str, *flags: str) -> subprocess.CompletedProcess[str]:
    program = find_clang()
    if program is None:
        pytest.skip("clang is not installed")
    command = [program, *FLAGS, "-Wno-unused-function", "-Wno-unused-const-variable", *flags, "-x", "c", "-"]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=False)


def including(header: str) -> str:
    before = TYPES if header in BOTH else next((text for name, text in BEFORE.items() if re.match(name, header)), "")
    return f"{before}#include <ebpfnn/{header}>\n"


def declared(source: str) -> Iterator[str]:
    """The names that a file has at its outermost: of variables, functions, types and constants of enums."""
    tree: dict[str, Any] = json.loads(clang(source, "-Xclang", "-ast-dump=json", "-fsyntax-only").stdout)
    for node in tree["inner"]:
        names = node.get("inner", []) if node["kind"] == "EnumDecl" else []
        yield from (each["name"] for each in [node, *names] if each.get("name") and not node.get("isImplicit"))


def macros(source: str) -> set[str]:
    return set(re.findall(r"^#define (\w+)", clang(source, "-E", "-dM").stdout, re.MULTILINE))


@headers
def test_it_needs_no_other_before_it(header: str) -> None:
    ran = clang(including(header), "-fsyntax-only")
    assert ran.returncode == 0, ran.stderr


@headers
def test_what_it_defines_bears_its_prefix(header: str) -> None:
    added = {*declared(including(header))} - {*declared(TYPES)}
    added |= macros(including(header)) - macros(TYPES)
    assert header == "vmlinux.h" or added
    own = {name for name in added if name.lower().startswith(("ebpfnn_", "nn_")) or name.endswith("___ebpfnn")}
    assert added - own == set()


def test_packets_without_accessors_and_behind_a_shell_of_slots_are_refused() -> None:
    bare, behind = (
        clang(TYPES + before + "#include <ebpfnn/packet.h>\n", "-fsyntax-only")
        for before in ("", ACCESSORS + "#include <ebpfnn/shell.h>\n")
    )
    assert '"define EBPFNN_CONTEXT, ebpfnn_load() and ebpfnn_store() before packet.h, or include skb.h"' in bare.stderr
    assert '"include packet.h or skb.h in place of shell.h"' in behind.stderr
    assert bare.returncode
    assert behind.returncode


def test_the_numbers_are_those_of_the_twin() -> None:
    text = clang(TYPES + "#include <ebpfnn/abi.h>\n", "-E", "-dM").stdout
    numbers = {name: int(value) for name, value in re.findall(r"^#define EBPFNN_(\w+) (\d+)$", text, re.MULTILINE)}
    kinds = {f"RESULT_{name.upper()}": number for name, number in abi.RESULT_KINDS.items()}
    assert numbers == {"ABI": abi.VERSION, "MAX_SCORES": abi.MAX_SCORES, "MAX_SLOTS": abi.MAX_SLOTS, **kinds}


def test_a_kernel_shows_the_whole_names_of_maps() -> None:
    names = (abi.SAMPLES, abi.RESULTS, abi.CALLERS, abi.OUTPUTS, abi.WATCH, abi.EVENTS)
    names += (abi.STATES, abi.VERDICTS, abi.ROWS, abi.COUNTS, abi.LABELS, abi.SCRATCH, abi.CLOCK)
    assert all(len(name) <= 15 for name in names)  # BPF_OBJ_NAME_LEN less its end (include/uapi/linux/bpf.h)
