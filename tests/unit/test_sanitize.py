"""Types made fit for kernels that do not know all of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from declarations import DECLARATIONS
from rawbtf import BtfWriter

from ebpfnn.obj import Btf, Kind, Linkage, ObjectSpec
from ebpfnn.obj.btf.sanitize import BtfFeature, probe_types, sanitize

Build = Callable[..., ObjectSpec]
SOURCE = """
    enum wide { WIDE = 0x100000000 } wide;
    enum narrow { NARROW = -1 } narrow;
    struct tagged { int __attribute__((btf_type_tag("mark"))) *pointer; } tagged __attribute__((btf_decl_tag("note")));
    float real;
    extern int CONFIG_HZ __kconfig;
    extern const void bpf_prog_put __ksym;
    extern int bpf_unheard(int value) __ksym __weak;
    int optional SEC("?data");
    __attribute__((noinline)) int part(int *x) { return x ? *x : 0; }
    SEC("syscall") int run(int *x) { return part(x) + CONFIG_HZ + bpf_unheard(1) + (&bpf_prog_put == x); }"""
REFUSED = {
    BtfFeature.FUNC: {Kind.FUNC, Kind.FUNC_PROTO},
    BtfFeature.DATASEC: {Kind.VAR, Kind.DATASEC},
    BtfFeature.FUNC_GLOBAL: set(),
    BtfFeature.FLOAT: {Kind.FLOAT},
    BtfFeature.DECL_TAG: {Kind.DECL_TAG},
    BtfFeature.TYPE_TAG: {Kind.TYPE_TAG},
    BtfFeature.ENUM64: {Kind.ENUM64},
    BtfFeature.QMARK_DATASEC: set(),
}


@pytest.fixture
def btf(build_spec: Build) -> Btf:
    found = build_spec(DECLARATIONS + SOURCE).btf
    assert found is not None
    return found


def kinds(btf: Btf) -> set[Kind]:
    return {btf[type_id].kind for type_id in range(1, len(btf))}


def externs(btf: Btf) -> list[str]:
    functions = [btf[i].name for i in range(1, len(btf)) if btf[i].kind is Kind.FUNC and btf[i].vlen == Linkage.EXTERN]
    return functions + [name for name in (".kconfig", ".ksyms") if btf.find(name, Kind.DATASEC)]


def test_externs_are_taken_out_for_every_kernel(btf: Btf) -> None:
    assert externs(btf) == ["bpf_unheard", ".kconfig", ".ksyms"]
    clean = sanitize(btf)
    assert externs(clean) == []
    assert len(clean) == len(btf)
    assert clean.find("CONFIG_HZ", Kind.TYPEDEF)
    assert clean.find("part", Kind.FUNC) == btf.find("part", Kind.FUNC)


def test_types_with_nothing_to_do_are_left_alone(build_spec: Build) -> None:
    btf = build_spec('SEC("syscall") int run(void *context) { return 0; }').btf
    assert btf is not None
    assert sanitize(btf) is btf


@pytest.mark.parametrize("feature", list(BtfFeature))
def test_one_kind_is_replaced_by_another_of_its_size(btf: Btf, feature: BtfFeature) -> None:
    clean = sanitize(btf, frozenset({feature}))
    before = kinds(sanitize(btf))
    if not REFUSED[feature] <= before:
        pytest.skip(f"this clang writes no {feature.name}")
    assert kinds(clean) & REFUSED[feature] == set()
    assert before - kinds(clean) <= REFUSED[feature]
    assert len(clean) == len(btf)
    for name in ("tagged", "wide", "narrow"):
        variable = btf.find(name, Kind.VAR)
        if variable is not None and feature is not BtfFeature.DATASEC:
            assert clean.size_of(variable) == btf.size_of(variable)


def test_linkage_signs_and_names(btf: Btf) -> None:
    clean = sanitize(btf, frozenset({BtfFeature.FUNC_GLOBAL, BtfFeature.ENUM64, BtfFeature.QMARK_DATASEC}))
    assert clean[clean.find("part", Kind.FUNC) or 0].vlen == Linkage.STATIC
    assert not clean[clean.find("narrow", Kind.ENUM) or 0].flag
    assert clean.find("_data", Kind.DATASEC)
    assert clean.find("?data", Kind.DATASEC) is None


def test_sections_get_names_that_structs_may_have(btf: Btf) -> None:
    assert sanitize(btf, frozenset({BtfFeature.DATASEC})).find("_bss", Kind.STRUCT)


@pytest.mark.parametrize("feature", list(BtfFeature))
def test_a_probe_has_what_it_asks_for(feature: BtfFeature) -> None:
    probe = Btf.from_bytes(probe_types(feature))
    assert REFUSED[feature] <= kinds(probe)
    assert sanitize(probe, frozenset({feature})).to_bytes() != probe.to_bytes()


def test_an_enum_that_claims_more_bytes_than_there_are() -> None:
    writer = BtfWriter()
    writer.add(Kind.ENUM64, "wide", 0xFFFFFFFF, 0, 0, 0, vlen=1)
    clean = sanitize(writer.btf(), frozenset({BtfFeature.ENUM64}))
    assert (clean[1].kind, clean.integer(1)) == (Kind.INT, (64, 0, False))
