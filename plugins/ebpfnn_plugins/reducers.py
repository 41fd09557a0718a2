"""The reducers that come with ebpfnn. docs/events.md defines what they compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ebpfnn.errors import ModelError
from ebpfnn.events import HASH_FACTOR, VALUE, Options, Reducer, ReducerCode, duration, hashed
from ebpfnn.obj.asm import R0, R2, R3, R4, R5, Register

WORD = (1 << 64) - 1


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
        _put(code, 0)


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
        _put(code, 0)


class Last(Reducer):
    name, summary = "last", "last value"

    def step(self, state: list[int], value: int, time: int, options: Options) -> None:
        state[0] = value

    def read(self, state: Sequence[int], options: Options) -> tuple[int, ...]:
        return (state[0],)

    def emit_step(self, code: ReducerCode, options: Options) -> None:
        code.store(0, VALUE)

    def emit_read(self, code: ReducerCode, options: Options) -> None:
        _put(code, 0)


class Maximum(Reducer):
    name, summary = "max", "greatest value"

    def step(self, state: list[int], value: int, time: int, options: Options) -> None:
        state[0] = max(state[0], value)

    def read(self, state: Sequence[int], options: Options) -> tuple[int, ...]:
        return (state[0],)

    def emit_step(self, code: ReducerCode, options: Options) -> None:
        _keep_greater(code, 0, VALUE)

    def emit_read(self, code: ReducerCode, options: Options) -> None:
        _put(code, 0)


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
        _put(code, 1)


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
        _add(code, 0, 1)
        _add(code, 1, VALUE)

    def emit_read(self, code: ReducerCode, options: Options) -> None:
        _put_quotient(code, 1)


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
        _add(code, 0, 1, R2)
        _add(code, 1, VALUE, R3)
        code.asm.alu(R3, "/=", R2)
        code.asm.alu(VALUE, "-=", R3)
        code.asm.mov(R3, VALUE)
        code.asm.alu(R3, "s>>=", 63)
        code.asm.alu(VALUE, "^=", R3)
        code.asm.alu(VALUE, "-=", R3)
        _add(code, 2, VALUE)

    def emit_read(self, code: ReducerCode, options: Options) -> None:
        _put_quotient(code, 2)


class First(Reducer):
    """State: how many have come, at most ``n``, and these."""

    name, summary = "first", "first values"
    options = {"n": "how many values, 1 to 64 [1]"}

    def read_options(self, given: Mapping[str, Any]) -> Options:
        return {"n": _integer(given, "n", 1, 1, 64)}

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
            _put(code, 1 + place, place)


class Recent(Reducer):
    """State: the last values, the newest first."""

    name, summary = "recent", "last values, the newest first"
    options = {"n": "how many values, 1 to 16 [1]"}

    def read_options(self, given: Mapping[str, Any]) -> Options:
        return {"n": _integer(given, "n", 1, 1, 16)}

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
            _put(code, place, place)


class Ewma(Reducer):
    """State: whether there was a value, and the average times 2^power."""

    name, summary = "ewma", "exponentially weighted moving average"
    options = {"power": "p of the weight 1/2^p of a new value, 1 to 16 [3]"}

    def read_options(self, given: Mapping[str, Any]) -> Options:
        return {"power": _integer(given, "power", 3, 1, 16)}

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
    options = {"period": 'length of a period, such as "1s"'}

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
        _put(code, 1)

    @staticmethod
    def _emit_sum(code: ReducerCode, options: Options) -> None:
        """R4 = the sum of the current period, stored."""
        same, added = code.fresh("same"), code.fresh("added")
        code.load_time(R2)
        code.asm.mov(R3, options["period"])
        code.asm.alu(R2, "/=", R3)
        code.asm.alu(R2, "+=", 1)
        code.load(R3, 0)
        code.asm.jump_if(R3, "==", R2, same)
        code.store(0, R2)
        code.store(1, VALUE)
        code.asm.goto(added)
        code.asm.label(same)
        _add(code, 1, VALUE)
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
        _keep_greater(code, 2, R4)

    def emit_read(self, code: ReducerCode, options: Options) -> None:
        _put(code, 2)


class Distinct(Reducer):
    """State: how many bits are set, and the bits."""

    name, summary = "distinct", "number of distinct values, by the bits set in a bitmap"
    options = {"bits": "size of the bitmap: 64, 128, 256, 512 or 1024 [256]"}

    def read_options(self, given: Mapping[str, Any]) -> Options:
        return {"bits": _power_of_two(given, "bits", 256, 64, 1024)}

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
        _hash(code, VALUE, options["bits"].bit_length() - 1)
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
        _add(code, 0, 1)
        code.asm.label(known)

    def emit_read(self, code: ReducerCode, options: Options) -> None:
        _put(code, 0)


class Ngram(Reducer):
    """State: how many values have come, at most ``n``, the last ones of 16 bits each, and the counts."""

    name, summary = "ngram", "how often sequences of values came, in buckets by their hash"
    options = {"n": "values of a sequence, 1 to 4 [2]", "buckets": "number of buckets: 2, 4, 8, 16, 32 or 64 [16]"}

    def read_options(self, given: Mapping[str, Any]) -> Options:
        return {"n": _integer(given, "n", 2, 1, 4), "buckets": _power_of_two(given, "buckets", 16, 2, 64)}

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
        _hash(code, R3, options["buckets"].bit_length() - 1)
        code.point(R4, R3)
        code.load(R5, 2, R4)
        code.asm.alu(R5, "+=", 1)
        code.store(2, R5, R4)
        code.asm.label(early)

    def emit_read(self, code: ReducerCode, options: Options) -> None:
        for place in range(options["buckets"]):
            _put(code, 2 + place, place)


ALL: tuple[Reducer, ...] = (
    *(Count(), Sum(), Last(), First(), Recent(), Minimum(), Maximum(), Mean(), Deviation(), Ewma(), Period(), Peak()),
    *(Distinct(), Ngram()),
)


def _add(code: ReducerCode, word: int, value: Register | int, total: Register = R5) -> None:
    """``total`` = word number ``word`` += ``value``."""
    code.load(total, word)
    code.asm.alu(total, "+=", value)
    code.store(word, total)


def _keep_greater(code: ReducerCode, word: int, value: Register) -> None:
    """Word number ``word`` = ``value`` if that is greater."""
    kept = code.fresh("kept")
    code.load(R5, word)
    code.asm.jump_if(R5, ">=", value, kept)
    code.store(word, value)
    code.asm.label(kept)


def _hash(code: ReducerCode, value: Register, bits: int) -> None:
    """``value`` = the highest ``bits`` bits of its product."""
    code.asm.wide(R0, HASH_FACTOR)
    code.asm.alu(value, "*=", R0)
    code.asm.alu(value, ">>=", 64 - bits)


def _put(code: ReducerCode, word: int, result: int = 0) -> None:
    """Result number ``result`` = word number ``word``."""
    code.load(R2, word)
    code.put(result, R2)


def _put_quotient(code: ReducerCode, word: int) -> None:
    """The result = word number ``word`` divided by word 0; a quotient by 0 is 0 (RFC 9669, 4.1)."""
    code.load(R2, word)
    code.load(R3, 0)
    code.asm.alu(R2, "/=", R3)
    code.put(0, R2)


def _integer(given: Mapping[str, Any], key: str, default: int, low: int, high: int) -> int:
    value = given.get(key, default)
    if type(value) is not int or not low <= value <= high:
        raise ModelError(f"{key} is {value!r}; give an integer of {low} to {high}")
    return value


def _power_of_two(given: Mapping[str, Any], key: str, default: int, low: int, high: int) -> int:
    value = _integer(given, key, default, low, high)
    if value & value - 1:
        raise ModelError(f"{key} is {value}; give a power of two of {low} to {high}")
    return value
