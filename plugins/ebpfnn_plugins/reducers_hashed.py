"""Reducers that hash values: how many there are, and sequences of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ebpfnn.events import FREE, VALUE, Options, Reducer, ReducerCode, hashed

from .reducer_parts import add, hash_value, integer, power_of_two, put

_, R2, R3, R4, R5 = FREE
WORD = (1 << 64) - 1


class Distinct(Reducer):
    """State: how many bits are set, and the bits."""

    name, summary = "distinct", "number of distinct values, by the bits set in a bitmap"
    options = MappingProxyType({"bits": "size of the bitmap: 64, 128, 256, 512 or 1024 [256]"})

    def read_options(self, given: Mapping[str, Any]) -> Options:
        return {"bits": power_of_two(given, "bits", 256, 64, 1024)}

    def words(self, options: Options) -> int:
        return 1 + options["bits"] // 64

    def step(self, state: list[int], value: int, time: int, options: Options) -> None:
        word, bit = divmod(hashed(value, options["bits"].bit_length() - 1), 64)
        if not state[1 + word] >> bit & 1:
            state[1 + word] |= 1 << bit
            state[0] += 1

    def read(self, state: Sequence[int], options: Options) -> tuple[int, ...]:
        return (state[0],)

    def emit_step(self, code: ReducerCode, options: Options) -> None:
        known = code.fresh("known")
        hash_value(code, VALUE, options["bits"].bit_length() - 1)
        code.asm.mov(R2, VALUE)
        code.asm.alu(R2, ">>=", 6)
        code.point(R4, R2)
        code.asm.alu(VALUE, "&=", 63)
        code.asm.mov(R3, 1)
        code.asm.alu(R3, "<<=", VALUE)
        code.load(R5, 1, R4)
        code.asm.mov(R2, R5)
        code.asm.alu(R2, "|=", R3)
        code.asm.jump_if(R2, "==", R5, known)
        code.store(1, R2, R4)
        add(code, 0, 1)
        code.asm.label(known)

    def emit_read(self, code: ReducerCode, options: Options) -> None:
        put(code, 0)


class Ngram(Reducer):
    """State: how many values have come, at most ``n``, the last ones of 16 bits each, and the counts."""

    name, summary = "ngram", "how often sequences of values came, in buckets by their hash"
    options = MappingProxyType(
        {"n": "values of a sequence, 1 to 4 [2]", "buckets": "number of buckets: 2, 4, 8, 16, 32 or 64 [16]"}
    )

    def read_options(self, given: Mapping[str, Any]) -> Options:
        return {"n": integer(given, "n", 2, 1, 4), "buckets": power_of_two(given, "buckets", 16, 2, 64)}

    def words(self, options: Options) -> int:
        return 2 + options["buckets"]

    def results(self, options: Options) -> int:
        return options["buckets"]

    def step(self, state: list[int], value: int, time: int, options: Options) -> None:
        n = options["n"]
        state[:2] = min(state[0] + 1, n), (state[1] << 16 | value & 0xFFFF) & WORD
        if state[0] == n:
            state[2 + hashed(state[1] & (1 << 16 * n) - 1, options["buckets"].bit_length() - 1)] += 1

    def read(self, state: Sequence[int], options: Options) -> tuple[int, ...]:
        return tuple(state[2:])

    def emit_step(self, code: ReducerCode, options: Options) -> None:
        n, early, counted = options["n"], code.fresh("early"), code.fresh("counted")
        code.load(R3, 1)
        code.asm.alu(R3, "<<=", 16)
        code.asm.alu(VALUE, "&=", 0xFFFF)
        code.asm.alu(R3, "|=", VALUE)
        code.store(1, R3)
        code.load(R2, 0)
        code.asm.jump_if(R2, ">", n - 1, counted)
        code.asm.alu(R2, "+=", 1)
        code.store(0, R2)
        code.asm.jump_if(R2, "<", n, early)
        code.asm.label(counted)
        code.asm.alu(R3, "<<=", 64 - 16 * n)
        code.asm.alu(R3, ">>=", 64 - 16 * n)
        hash_value(code, R3, options["buckets"].bit_length() - 1)
        code.point(R4, R3)
        code.load(R5, 2, R4)
        code.asm.alu(R5, "+=", 1)
        code.store(2, R5, R4)
        code.asm.label(early)

    def emit_read(self, code: ReducerCode, options: Options) -> None:
        for place in range(options["buckets"]):
            put(code, 2 + place, place)
