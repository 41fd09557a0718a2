"""Reducers that keep single values: the first ones and the last ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ebpfnn.events import FREE, VALUE, Options, Reducer, ReducerCode

from .reducer_parts import integer, put

_, R2, R3, R4, _ = FREE


class Last(Reducer):
    name, summary = "last", "last value"

    def step(self, state: list[int], value: int, time: int, options: Options) -> None:
        state[0] = value

    def read(self, state: Sequence[int], options: Options) -> tuple[int, ...]:
        return (state[0],)

    def emit_step(self, code: ReducerCode, options: Options) -> None:
        code.store(0, VALUE)

    def emit_read(self, code: ReducerCode, options: Options) -> None:
        put(code, 0)


class First(Reducer):
    """State: how many have come, at most ``n``, and these."""

    name, summary = "first", "first values"
    options = MappingProxyType({"n": "how many values, 1 to 64 [1]"})

    def read_options(self, given: Mapping[str, Any]) -> Options:
        return {"n": integer(given, "n", 1, 1, 64)}

    def words(self, options: Options) -> int:
        return options["n"] + 1

    def results(self, options: Options) -> int:
        return options["n"]

    def numbered(self, options: Options) -> bool:
        return True

    def step(self, state: list[int], value: int, time: int, options: Options) -> None:
        if state[0] < options["n"]:
            state[0] += 1
            state[state[0]] = value

    def read(self, state: Sequence[int], options: Options) -> tuple[int, ...]:
        return tuple(state[1:])

    def emit_step(self, code: ReducerCode, options: Options) -> None:
        full = code.fresh("full")
        code.load(R2, 0)
        code.asm.jump_if(R2, ">", options["n"] - 1, full)
        code.asm.mov(R3, R2)
        code.point(R4, R3)
        code.store(1, VALUE, R4)
        code.asm.alu(R2, "+=", 1)
        code.store(0, R2)
        code.asm.label(full)

    def emit_read(self, code: ReducerCode, options: Options) -> None:
        for place in range(options["n"]):
            put(code, 1 + place, place)


class Recent(Reducer):
    """State: the last values, the newest first."""

    name, summary = "recent", "last values, the newest first"
    options = MappingProxyType({"n": "how many values, 1 to 16 [1]"})

    def read_options(self, given: Mapping[str, Any]) -> Options:
        return {"n": integer(given, "n", 1, 1, 16)}

    def words(self, options: Options) -> int:
        return options["n"]

    def results(self, options: Options) -> int:
        return options["n"]

    def numbered(self, options: Options) -> bool:
        return True

    def step(self, state: list[int], value: int, time: int, options: Options) -> None:
        state[:] = value, *state[:-1]

    def read(self, state: Sequence[int], options: Options) -> tuple[int, ...]:
        return tuple(state)

    def emit_step(self, code: ReducerCode, options: Options) -> None:
        for place in reversed(range(1, options["n"])):
            code.load(R2, place - 1)
            code.store(place, R2)
        code.store(0, VALUE)

    def emit_read(self, code: ReducerCode, options: Options) -> None:
        for place in range(options["n"]):
            put(code, place, place)
