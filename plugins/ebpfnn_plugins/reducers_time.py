"""Reducers that weigh values by their age: the moving average, and sums in periods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ebpfnn.events import FREE, VALUE, Options, Reducer, ReducerCode, duration

from .reducer_parts import add, integer, keep_greater, put

_, R2, R3, R4, R5 = FREE


class Ewma(Reducer):
    """State: whether there was a value, and the average times 2^power."""

    name, summary = "ewma", "exponentially weighted moving average"
    options = MappingProxyType({"power": "p of the weight 1/2^p of a new value, 1 to 16 [3]"})

    def read_options(self, given: Mapping[str, Any]) -> Options:
        return {"power": integer(given, "power", 3, 1, 16)}

    def words(self, options: Options) -> int:
        return 2

    def most_bits(self, options: Options) -> int:
        return 63 - options["power"]

    def step(self, state: list[int], value: int, time: int, options: Options) -> None:
        power = options["power"]
        state[:] = 1, state[1] - (state[1] >> power) + value if state[0] else value << power

    def read(self, state: Sequence[int], options: Options) -> tuple[int, ...]:
        return (state[1] >> options["power"],)

    def emit_step(self, code: ReducerCode, options: Options) -> None:
        later, done, power = code.fresh("later"), code.fresh("done"), options["power"]
        code.load(R2, 0)
        code.asm.jump_if(R2, "!=", 0, later)
        code.store(0, 1)
        code.asm.alu(VALUE, "<<=", power)
        code.store(1, VALUE)
        code.asm.goto(done)
        code.asm.label(later)
        code.load(R2, 1)
        code.asm.mov(R3, R2)
        code.asm.alu(R3, ">>=", power)
        code.asm.alu(R2, "-=", R3)
        code.asm.alu(R2, "+=", VALUE)
        code.store(1, R2)
        code.asm.label(done)

    def emit_read(self, code: ReducerCode, options: Options) -> None:
        code.load(R2, 1)
        code.asm.alu(R2, ">>=", options["power"])
        code.put(0, R2)


class Period(Reducer):
    """State: the period, counted from 1, and its sum so far."""

    name, summary = "period", "sum of the values in the current period"
    options = MappingProxyType({"period": 'length of a period, such as "1s"'})

    def read_options(self, given: Mapping[str, Any]) -> Options:
        return {"period": duration(given.get("period"), "period")}

    def words(self, options: Options) -> int:
        return 2

    def most_bits(self, options: Options) -> int:
        return 32

    def step(self, state: list[int], value: int, time: int, options: Options) -> None:
        now = time // options["period"] + 1
        state[:2] = now, (state[1] if state[0] == now else 0) + value

    def read(self, state: Sequence[int], options: Options) -> tuple[int, ...]:
        return (state[1],)

    def emit_step(self, code: ReducerCode, options: Options) -> None:
        self._emit_sum(code, options)

    def emit_read(self, code: ReducerCode, options: Options) -> None:
        put(code, 1)

    @staticmethod
    def _emit_sum(code: ReducerCode, options: Options) -> None:
        """Divides only if the time is not in the period that it was in: a division takes as long as several columns."""
        other, same, added = code.fresh("other"), code.fresh("same"), code.fresh("added")
        code.load_time(R2)
        code.asm.mov(R3, options["period"])
        code.load(R4, 0)
        code.asm.jump_if(R4, "==", 0, other)
        code.asm.alu(R4, "-=", 1)
        code.asm.alu(R4, "*=", R3)
        code.asm.jump_if(R2, "<", R4, other)
        code.asm.mov(R5, R2)
        code.asm.alu(R5, "-=", R4)
        code.asm.jump_if(R5, "<", R3, same)
        code.asm.label(other)
        code.asm.alu(R2, "/=", R3)
        code.asm.alu(R2, "+=", 1)
        code.load(R4, 0)
        code.asm.jump_if(R4, "==", R2, same)  # number 2^64, which is 0 here
        code.store(0, R2)
        code.store(1, VALUE)
        code.asm.goto(added)
        code.asm.label(same)
        add(code, 1, VALUE)
        code.asm.label(added)


class Peak(Period):
    """State: as :class:`Period`, and the greatest sum."""

    name, summary = "peak", "greatest sum of the values in a period"

    def words(self, options: Options) -> int:
        return 3

    def step(self, state: list[int], value: int, time: int, options: Options) -> None:
        super().step(state, value, time, options)
        state[2] = max(state[2], state[1])

    def read(self, state: Sequence[int], options: Options) -> tuple[int, ...]:
        return (state[2],)

    def emit_step(self, code: ReducerCode, options: Options) -> None:
        self._emit_sum(code, options)
        code.load(R4, 1)
        keep_greater(code, 2, R4)

    def emit_read(self, code: ReducerCode, options: Options) -> None:
        put(code, 2)
