"""What several reducers do: instructions, and checks of options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ebpfnn.errors import ModelError
from ebpfnn.events import FREE, HASH_FACTOR, ReducerCode, Register

R0, R2, R3, _, R5 = FREE


def add(code: ReducerCode, word: int, value: Register | int, total: Register = R5) -> None:
    """``total`` = word number ``word`` += ``value``."""
    code.load(total, word)
    code.asm.alu(total, "+=", value)
    code.store(word, total)


def keep_greater(code: ReducerCode, word: int, value: Register) -> None:
    """Word number ``word`` = ``value`` if that is greater."""
    kept = code.fresh("kept")
    code.load(R5, word)
    code.asm.jump_if(R5, ">=", value, kept)
    code.store(word, value)
    code.asm.label(kept)


def hash_value(code: ReducerCode, value: Register, bits: int) -> None:
    """``value`` = the highest ``bits`` bits of its product."""
    code.asm.wide(R0, HASH_FACTOR)
    code.asm.alu(value, "*=", R0)
    code.asm.alu(value, ">>=", 64 - bits)


def put(code: ReducerCode, word: int, result: int = 0) -> None:
    """Result number ``result`` = word number ``word``."""
    code.load(R2, word)
    code.put(result, R2)


def put_quotient(code: ReducerCode, word: int) -> None:
    """The result = word number ``word`` divided by word 0; a quotient by 0 is 0 (RFC 9669, 4.1)."""
    code.load(R2, word)
    code.load(R3, 0)
    code.asm.alu(R2, "/=", R3)
    code.put(0, R2)


def integer(given: Mapping[str, Any], key: str, default: int, low: int, high: int) -> int:
    value = given.get(key, default)
    if type(value) is not int or not low <= value <= high:
        raise ModelError(f"{key} is {value!r}; give an integer of {low} to {high}")
    return value


def power_of_two(given: Mapping[str, Any], key: str, default: int, low: int, high: int) -> int:
    value = integer(given, key, default, low, high)
    if value & value - 1:
        raise ModelError(f"{key} is {value}; give a power of two of {low} to {high}")
    return value
