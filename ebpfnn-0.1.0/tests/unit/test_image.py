"""A program laid out with all it reaches."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from ebpfnn.errors import ObjectError
from ebpfnn.obj import Function, Line, ObjectSpec, ProgramSpec, Relocation, RelocationKind, build_image, insn
from ebpfnn.obj.insn import Instruction

CALL = Instruction(insn.CALL, src=insn.PSEUDO_CALL, imm=-1)
EXIT = Instruction(insn.EXIT)


def function(name: str, *code: Instruction, calls: dict[int, str] | None = None, type_id: int = 1) -> Function:
    relocations = tuple(Relocation(index, RelocationKind.CALL, target) for index, target in (calls or {}).items())
    return Function(name, b"".join(each.encode() for each in code), relocations, type_id, (Line(0, 1, 2, 3, 4),))


def spec(*functions: Function) -> ObjectSpec:
    return ObjectSpec(
        "test.o", functions={each.name: each for each in functions}, programs={"main": ProgramSpec("main", "", 1)}
    )


def test_the_program_comes_first_and_calls_count_from_behind_themselves() -> None:
    image = build_image(
        spec(
            function("last", EXIT),
            function("unused", EXIT),
            function("middle", CALL, CALL, EXIT, calls={0: "last", 1: "middle"}),
            function("main", EXIT, CALL, CALL, EXIT, calls={1: "middle", 2: "last"}),
        ),
        "main",
    )
    assert image.names == ((0, "main"), (4, "middle"), (7, "last"))
    code = list(insn.decode_all(image.code))
    assert [(index, index + 1 + each.imm) for index, each in enumerate(code) if each.opcode == insn.CALL] == [
        (1, 4),
        (2, 7),
        (4, 7),
        (5, 4),
    ]
    assert image.functions == ((0, 1), (4, 1), (7, 1))
    assert [line.index for line in image.lines] == [0, 4, 7]
    assert image.pending == ()


def test_a_callback_is_an_address() -> None:
    load = (Instruction(insn.LD_IMM64, dst=2), Instruction(0))
    main = replace(function("main", *load, EXIT), relocations=(Relocation(0, RelocationKind.FUNCTION, "step"),))
    image = build_image(spec(main, function("step", EXIT)), "main")
    assert insn.decode(image.code, 0) == Instruction(insn.LD_IMM64, 2, insn.PSEUDO_FUNC, 0, 2)


def test_addresses_of_maps_stay_pending_where_they_are_placed() -> None:
    load = (Instruction(insn.LD_IMM64), Instruction(0))
    leaf = replace(function("leaf", *load, EXIT), relocations=(Relocation(0, RelocationKind.DATA, ".rodata", 16),))
    image = build_image(spec(function("main", CALL, EXIT, calls={0: "leaf"}), leaf), "main")
    assert image.pending == (Relocation(2, RelocationKind.DATA, ".rodata", 16),)


def test_debug_information_is_for_every_function_or_for_none() -> None:
    main = function("main", CALL, EXIT, calls={0: "leaf"})
    untyped = build_image(spec(main, function("leaf", EXIT, type_id=0)), "main")
    assert (untyped.functions, untyped.lines) == ((), ())
    unlined = build_image(spec(main, replace(function("leaf", EXIT), lines=())), "main")
    assert (unlined.functions, unlined.lines) == (((0, 1), (2, 1)), ())


def test_a_call_that_leads_nowhere() -> None:
    with pytest.raises(ObjectError, match=r"test.o: 'main' calls 'absent', which no object defines; link one that does"):
        build_image(spec(function("main", CALL, EXIT, calls={0: "absent"})), "main")


def test_the_specs_code_is_left_alone() -> None:
    main = function("main", CALL, EXIT, calls={0: "leaf"})
    build_image(spec(main, function("leaf", EXIT)), "main")
    assert struct.unpack_from("<i", main.code, 4) == (-1,)
