"""The reducers that come with ebpfnn. docs/events.md defines what they compute."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ebpfnn.events import FREE, VALUE, Options, Reducer, ReducerCode
from ebpfnn.plugin import hookimpl

from .reducer_parts import add, keep_greater, put, put_quotient
from .reducers_hashed import Distinct, Ngram
from .reducers_kept import First, Last, Recent
from .reducers_time import Ewma, Peak, Period

_, R2, R3, _, _ = FREE


class Count(Reducer):
    name, summary, takes_value = "count", "number of events", False

    def step(self, state: list[int], value: int, time: int, options: Options) -> None:
        state[0] += 1

    def read(self, state: Sequence[int], options: Options) -> tuple[int, ...]:
        return (state[0],)

    def emit_step(self, code: ReducerCode, options: Options) -> None:
        code.asm.mov(R2, 1)
        code.add(0, R2)

    def emit_read(self, code: ReducerCode, options: Options) -> None:
        put(code, 0)


class Sum(Reducer):
    name, summary = "sum", "sum of the values"

    def most_bits(self, options: Options) -> int:
        return 32

    def step(self, state: list[int], value: int, time: int, options: Options) -> None:
        state[0] += value

    def read(self, state: Sequence[int], options: Options) -> tuple[int, ...]:
        return (state[0],)

    def emit_step(self, code: ReducerCode, options: Options) -> None:
        code.add(0, VALUE)

    def emit_read(self, code: ReducerCode, options: Options) -> None:
        put(code, 0)


class Maximum(Reducer):
    name, summary = "max", "greatest value"

    def step(self, state: list[int], value: int, time: int, options: Options) -> None:
        state[0] = max(state[0], value)

    def read(self, state: Sequence[int], options: Options) -> tuple[int, ...]:
        return (state[0],)

    def emit_step(self, code: ReducerCode, options: Options) -> None:
        keep_greater(code, 0, VALUE)

    def emit_read(self, code: ReducerCode, options: Options) -> None:
        put(code, 0)


class Minimum(Reducer):
    """State: whether there was a value, and the least one."""

    name, summary = "min", "least value"

    def words(self, options: Options) -> int:
        return 2

    def step(self, state: list[int], value: int, time: int, options: Options) -> None:
        state[:] = 1, min(state[1], value) if state[0] else value

    def read(self, state: Sequence[int], options: Options) -> tuple[int, ...]:
        return (state[1],)

    def emit_step(self, code: ReducerCode, options: Options) -> None:
        first, kept = code.fresh("first"), code.fresh("kept")
        code.load(R2, 0)
        code.asm.jump_if(R2, "==", 0, first)
        code.load(R3, 1)
        code.asm.jump_if(R3, "<=", VALUE, kept)
        code.asm.label(first)
        code.store(0, 1)
        code.store(1, VALUE)
        code.asm.label(kept)

    def emit_read(self, code: ReducerCode, options: Options) -> None:
        put(code, 1)


class Mean(Reducer):
    """State: the number of values, and their sum."""

    name, summary = "mean", "mean of the values"

    def words(self, options: Options) -> int:
        return 2

    def most_bits(self, options: Options) -> int:
        return 32

    def step(self, state: list[int], value: int, time: int, options: Options) -> None:
        state[:] = state[0] + 1, state[1] + value

    def read(self, state: Sequence[int], options: Options) -> tuple[int, ...]:
        return (state[1] // state[0] if state[0] else 0,)

    def emit_step(self, code: ReducerCode, options: Options) -> None:
        add(code, 0, 1)
        add(code, 1, VALUE)

    def emit_read(self, code: ReducerCode, options: Options) -> None:
        put_quotient(code, 1)


class Deviation(Reducer):
    """State: the number of values, their sum, and the sum of their distances."""

    name, summary = "deviation", "mean distance of the values from their mean so far"

    def words(self, options: Options) -> int:
        return 3

    def most_bits(self, options: Options) -> int:
        return 32

    def step(self, state: list[int], value: int, time: int, options: Options) -> None:
        count, total = state[0] + 1, state[1] + value
        state[:] = count, total, state[2] + abs(value - total // count)

    def read(self, state: Sequence[int], options: Options) -> tuple[int, ...]:
        return (state[2] // state[0] if state[0] else 0,)

    def emit_step(self, code: ReducerCode, options: Options) -> None:
        add(code, 0, 1, R2)
        add(code, 1, VALUE, R3)
        code.asm.alu(R3, "/=", R2)
        code.asm.alu(VALUE, "-=", R3)
        code.asm.mov(R3, VALUE)
        code.asm.alu(R3, "s>>=", 63)
        code.asm.alu(VALUE, "^=", R3)
        code.asm.alu(VALUE, "-=", R3)
        add(code, 2, VALUE)

    def emit_read(self, code: ReducerCode, options: Options) -> None:
        put_quotient(code, 2)


ALL: tuple[Reducer, ...] = (
    *(Count(), Sum(), Last(), First(), Recent(), Minimum(), Maximum(), Mean(), Deviation(), Ewma(), Period(), Peak()),
    *(Distinct(), Ngram()),
)


@hookimpl
def ebpfnn_reducers() -> Iterable[Reducer]:
    return ALL
