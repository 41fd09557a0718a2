"""Two objects as one."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
from elves import SHIPPED, shipped
from rawbtf import BtfWriter

from ebpfnn.errors import LinkerError, ObjectError
from ebpfnn.obj import Btf, Function, Kind, Linkage, ObjectSpec, RelocationKind, build_image, link

Build = Callable[..., ObjectSpec]

CALLER = """
extern int answer(const void *from, int to);
const volatile int knob = 3;
static __noinline int helper(int x) { return x + knob; }
SEC("syscall") int entry(void *context) { return answer(context, helper(1)); }
"""
DEFINER = """
const volatile int knob = 4;
const volatile int other = 5;
static __noinline int helper(int x) { return x * knob; }
int answer(const void *from, int to) { return helper(to) + helper(to + 1) + other; }
"""


@pytest.fixture
def caller(build_spec: Build) -> ObjectSpec:
    return build_spec(CALLER, "caller.o")


@pytest.fixture
def definer(build_spec: Build) -> ObjectSpec:
    return build_spec(DEFINER, "definer.o")


def calls(spec: ObjectSpec, function: str) -> list[str]:
    return [each.symbol for each in spec.functions[function].relocations if each.kind is RelocationKind.CALL]


def test_an_extern_is_resolved(caller: ObjectSpec, definer: ObjectSpec) -> None:
    assert caller.externs == {"answer"}
    joined = link(caller, definer)
    assert joined.externs == frozenset()
    assert (joined.name, joined.license, list(joined.programs)) == ("caller.o", "GPL", ["entry"])
    assert [name for _, name in build_image(joined, "entry").names] == ["entry", "helper", "answer", "definer.o:helper"]


def test_the_order_does_not_matter(caller: ObjectSpec, definer: ObjectSpec) -> None:
    joined = link(definer, caller)
    assert joined.externs == frozenset()
    assert [name for _, name in build_image(joined, "entry").names] == ["entry", "caller.o:helper", "answer", "helper"]


def test_static_functions_and_data_of_one_name_stay_apart(caller: ObjectSpec, definer: ObjectSpec) -> None:
    joined = link(caller, definer)
    assert calls(joined, "entry") == ["helper", "answer"]
    assert calls(joined, "answer") == ["definer.o:helper"] * 2
    assert {name: spec.name for name, spec in joined.maps.items()} == {
        ".rodata": ".rodata",
        "definer.o:.rodata": "definer.o:.rodata",
    }
    for name, data in (("helper", ".rodata"), ("definer.o:helper", "definer.o:.rodata"), ("answer", "definer.o:.rodata")):
        found = {each.symbol for each in joined.functions[name].relocations if each.kind is RelocationKind.DATA}
        assert found == {data}
    assert (joined.variables["knob"].map, joined.variables["other"].map) == (".rodata", "definer.o:.rodata")


def test_neither_object_is_changed(caller: ObjectSpec, definer: ObjectSpec) -> None:
    before = [(copy.deepcopy(vars(spec)), btf_bytes(spec)) for spec in (caller, definer)]
    joined = link(caller, definer)
    joined.set_variable("knob", bytes(4))
    for spec, (fields, btf) in zip((caller, definer), before, strict=True):
        fields.pop("btf")
        assert {name: getattr(spec, name) for name in fields} == fields
        assert btf_bytes(spec) == btf


def btf_bytes(spec: ObjectSpec) -> bytes:
    assert spec.btf is not None
    return spec.btf.to_bytes()


def test_no_extern_is_left_in_btf_and_ids_move_along(caller: ObjectSpec, definer: ObjectSpec) -> None:
    joined = link(caller, definer)
    btf = Btf.from_bytes(btf_bytes(joined))
    functions = [btf[type_id] for type_id in range(1, len(btf)) if btf[type_id].kind is Kind.FUNC]
    assert all(function.vlen != Linkage.EXTERN for function in functions)
    assert {function.vlen for function in functions if function.name == "answer"} == {Linkage.STATIC}
    for name, function in joined.functions.items():
        assert btf[function.type_id].name == name.removeprefix("definer.o:")
        assert btf.string(function.lines[0].file).endswith(".c")
    for spec in joined.maps.values():
        assert btf[spec.value_type_id].name == spec.name.removeprefix("definer.o:")


def test_every_shell_takes_every_network() -> None:
    specs = {name: ObjectSpec.from_bytes(shipped(name), name) for name in SHIPPED}
    for shell in ("run", "tracepoint"):
        for body in ("network", "naive"):
            joined = link(specs[shell], specs[body])
            assert joined.externs == frozenset()
            for program in joined.programs:
                assert build_image(joined, program).functions


def test_several_objects_of_one_name(build_spec: Build) -> None:
    template = "static __noinline int helper(int x) { return x * N; } int fN(int x) { return helper(x) + 1; }"
    first, second, third = (build_spec(template.replace("N", number), "same.o") for number in "789")
    joined = link(link(first, second), third)
    assert len(joined.functions) == 6
    helpers = {calls(joined, name)[0] for name in ("f7", "f8", "f9")}
    assert len({joined.functions[helper].code for helper in helpers}) == 3


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("int f(int x) { return 1; }", "int f(int x) { return 2; }", "function 'f' is defined in first.o and in second.o"),
        (
            'extern int f(int); SEC("syscall") int p(void *c) { return f(1); }',
            "int f(const char *x) { return 1; }",
            "function 'f' is (int -> int) in first.o but (char * -> int) in second.o; build both against the same header",
        ),
        (
            'extern int f(int); SEC("syscall") int p(void *c) { return f(1); }',
            "static __noinline int f(int x) { return x * x; } int g(int x) { return f(x); }",
            "function 'f', which first.o calls, is static in second.o; make it global",
        ),
        (
            'struct { __uint(type, 2); __uint(max_entries, 1); __uint(key_size, 4); __uint(value_size, 4); } m SEC(".maps");',
            'struct { __uint(type, 2); __uint(max_entries, 2); __uint(key_size, 4); __uint(value_size, 4); } m SEC(".maps");',
            "map 'm' is defined in first.o and in second.o; rename one",
        ),
    ],
)
def test_what_does_not_fit_together(build_spec: Build, first: str, second: str, words: str) -> None:
    one, other = build_spec(first, "first.o"), build_spec(second, "second.o")
    with pytest.raises(LinkerError) as caught:
        link(one, other)
    assert words in str(caught.value)


def test_licenses_that_differ(caller: ObjectSpec, definer: ObjectSpec) -> None:
    definer.license = "Proprietary"
    with pytest.raises(LinkerError, match=r"caller\.o and definer\.o: licenses 'GPL' and 'Proprietary' differ"):
        link(caller, definer)


def test_prototypes_that_make_no_sense(caller: ObjectSpec) -> None:
    """An extern whose BTF says it is of its own type."""
    assert caller.btf is not None
    broken = ObjectSpec("broken.o", "GPL", Btf(*pointing_to_itself()), {"answer": Function("answer", b"", exported=True)})
    with pytest.raises(ObjectError):
        link(caller, broken)


def pointing_to_itself() -> tuple[bytes, bytes]:
    writer = BtfWriter()
    loop = writer.pointer(1)
    writer.add(Kind.FUNC, "answer", writer.prototype(loop, loop), vlen=Linkage.GLOBAL)
    return writer.types, writer.strings
