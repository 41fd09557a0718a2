"""Writes the call of the network, and what becomes of its scores."""

from __future__ import annotations

from ..abi import EVENTS, INFER, LABELS, RECORD, RESULT, STATES, VERDICT, VERDICTS, WATCH, WATCHED
from ..obj.asm import R0, R1, R2, R3, R4, R5, Register
from .layout import KEY, LABEL
from .writer import MEMORY, NOW, STATE, Writer, offset_of

_MOST = (1 << 31) - 1


def emit_inference(write: Writer, classes: int, network: int, *, valued: bool = False) -> None:
    """Runs the network on the sample in the memory. A verdict goes to the state and to the maps. No register survives.

    If results are ``valued``, values or anomaly scores, the margin is the score.
    """
    memory, failed, told = write.memory, write.fresh("failed"), write.fresh("told")
    write.note("the network")
    write.load(R1, "u32", STATE, LABEL)
    write.store("u32", MEMORY, memory.blank + LABEL, R1)
    _emit_start(write)
    write.point(R1, memory.sample)
    write.point(R2, memory.result)
    write.call_function(INFER)
    write.store("u32", MEMORY, memory.outcome, R0)
    _find_again(write)
    _emit_elapsed(write)
    _emit_when(write, network)
    write.load(R1, "u32", MEMORY, memory.outcome)
    write.jump_if(R1, "!=", 0, failed)
    write.load(R1, "u32", MEMORY, memory.result + offset_of(RESULT, "label"))
    write.jump_if(R1, ">", classes - 1, failed)
    _emit_verdict(write, classes, valued=valued)
    write.goto(told)
    write.label(failed)
    write.store("u32", MEMORY, _verdict(write, "label"), 0)
    write.store("u32", MEMORY, _verdict(write, "margin"), 0)
    write.count("failed")
    write.label(told)
    _emit_watch(write)


def _find_again(write: Writer) -> None:
    """``STATE`` = the state of the key, or the blank one with the latest label if it has gone.

    While the network ran, another CPU, or the map to make room, may have given the memory of the state to another key.
    """
    found = write.fresh("found")
    write.note("the state, where it is now")
    write.lookup(STATES, KEY)
    write.mov(STATE, R0)
    write.jump_if(STATE, "!=", 0, found)
    write.point(STATE, write.memory.blank)
    write.label(found)


def _emit_start(write: Writer) -> None:
    """Reads the clock if there is a watcher: that takes some 30 ns, more than the rest of a verdict. Else the start is 0."""
    unwatched = write.fresh("unwatched")
    write.map_value(R1, WATCH)
    write.load(R1, "u64", R1, offset_of(WATCHED, "until_ns"))
    write.load_time(R2)
    write.mov(R0, 0)
    write.jump_if(R2, ">=", R1, unwatched)
    write.call(NOW)
    write.label(unwatched)
    write.store("u64", MEMORY, write.memory.start, R0)


def _emit_elapsed(write: Writer) -> None:
    unwatched = write.fresh("unwatched")
    write.mov(R0, 0)
    write.load(R1, "u64", MEMORY, write.memory.start)
    write.jump_if(R1, "==", 0, unwatched)
    write.call(NOW)
    write.load(R1, "u64", MEMORY, write.memory.start)
    write.alu(R0, "-=", R1)
    write.label(unwatched)
    write.store("u64", MEMORY, _verdict(write, "elapsed_ns"), R0)


def _emit_when(write: Writer, network: int) -> None:
    """What a verdict says of its event and its network, also to a watcher of a network that failed."""
    write.load_time(R1)
    write.store("u64", MEMORY, _verdict(write, "time_ns"), R1)
    write.store("u32", MEMORY, _verdict(write, "network"), network)
    write.load(R1, "u32", MEMORY, offset_of(RECORD, "number"))
    write.store("u32", MEMORY, _verdict(write, "number"), R1)


def _index(write: Writer) -> int:
    """Where the index of the label is."""
    return write.memory.outcome + 4


def _verdict(write: Writer, name: str) -> int:
    return write.memory.verdict + offset_of(VERDICT, name)


def _emit_verdict(write: Writer, classes: int, *, valued: bool) -> None:
    """R1 has the label."""
    write.note("the verdict")
    write.store("u32", MEMORY, _index(write), R1)
    write.alu(R1, "+=", 1)
    write.store("u32", MEMORY, _verdict(write, "label"), R1)
    write.store("u32", STATE, LABEL, R1)
    if valued:
        _emit_score(write)
    else:
        _emit_margin(write, classes)
    write.count("inferences")
    _emit_label_count(write)
    _keep(write)


def _emit_margin(write: Writer, classes: int) -> None:
    """Without branches, but for the limit: R2 is the highest score so far, R3 the second highest."""
    scores = write.memory.result + offset_of(RESULT, "scores")
    write.load(R2, "u32", MEMORY, scores)
    _extend(write, R2)
    write.mov(R3, -(1 << 31) * 2)
    for number in range(1, classes):
        write.load(R1, "u32", MEMORY, scores + 4 * number)
        _extend(write, R1)
        write.mov(R4, R1)
        write.alu(R4, "-=", R2)
        write.mov(R5, R4)
        write.alu(R5, "s>>=", 63)
        write.alu(R4, "&=", R5)  # how much it is lower than the highest, negative, or 0
        write.alu(R1, "-=", R4)  # the higher one of both
        write.alu(R2, "+=", R4)  # the lower one
        write.alu(R2, "-=", R3)
        write.mov(R5, R2)
        write.alu(R5, "s>>=", 63)
        write.alu(R5, "^=", -1)
        write.alu(R2, "&=", R5)
        write.alu(R3, "+=", R2)
        write.mov(R2, R1)
    write.alu(R2, "-=", R3)
    kept = write.fresh("margin")
    write.jump(R2, "<=", _MOST, kept, R1)
    write.mov(R2, _MOST)
    write.label(kept)
    write.store("u32", MEMORY, _verdict(write, "margin"), R2)


def _emit_score(write: Writer) -> None:
    write.load(R1, "u32", MEMORY, write.memory.result + offset_of(RESULT, "scores"))
    write.store("u32", MEMORY, _verdict(write, "margin"), R1)


def _extend(write: Writer, register: Register) -> None:
    for operator in ("<<=", "s>>="):
        write.alu(register, operator, 32)


def _emit_label_count(write: Writer) -> None:
    missing = write.fresh("missing")
    write.load(R1, "u32", MEMORY, _index(write))
    write.lookup_index(LABELS, R1)
    write.jump_if(R0, "==", 0, missing)
    write.mov(R1, 1)
    write.add_atomically("u64", R0, 0, R1)
    write.label(missing)


def _keep(write: Writer) -> None:
    """In place if the map has the key: to insert takes several times as long."""
    new, kept = write.fresh("new"), write.fresh("kept")
    write.lookup(VERDICTS, KEY)
    write.jump_if(R0, "==", 0, new)
    for word in range(0, VERDICT.itemsize, 8):
        write.load(R1, "u64", MEMORY, write.memory.verdict + word)
        write.store("u64", R0, word, R1)
    write.goto(kept)
    write.label(new)
    write.update(VERDICTS, KEY, write.memory.verdict)
    write.jump_if(R0, "==", 0, kept)
    write.count("unstored")
    write.label(kept)


def _emit_watch(write: Writer) -> None:
    """Tells a watcher, if there is one: the verdict, and behind it the key."""
    write.note("a watcher")
    alone, memory = write.fresh("alone"), write.memory
    write.load(R1, "u64", MEMORY, memory.start)
    write.jump_if(R1, "==", 0, alone)
    told = memory.verdict + VERDICT.itemsize
    for word in range(0, write.bound.key_bytes, 8):
        write.load(R2, "u64", MEMORY, KEY + word)
        write.store("u64", MEMORY, told + word, R2)
    write.output(EVENTS, memory.verdict, VERDICT.itemsize + write.bound.key_bytes)
    write.jump_if(R0, "==", 0, alone)
    write.map_value(R1, WATCH)
    write.mov(R2, 1)
    write.add_atomically("u64", R1, offset_of(WATCHED, "lost"), R2)
    write.label(alone)
