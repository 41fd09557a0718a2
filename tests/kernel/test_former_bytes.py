"""No byte that is handed out is an earlier sample's: everything it could lie in is filled with something else before."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from zlib import crc32

import numpy as np
import pytest
import wire
from ebpfnn_plugins.run import RunTrigger
from networks import random_network, samples
from packetnets import ANSWERING, NETWORK, WATCHING, Loaded, ask

from ebpfnn import abi
from ebpfnn.compiler import Body
from ebpfnn.kernel import Map, Object, RingBuffer
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.network.encoding import encode
from ebpfnn.obj import MapType, ObjectSpec
from ebpfnn.plugin import Plugins, why_not
from ebpfnn.session import Session

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]
POISON = 0x2A  # of a sequence that is no check's
BLANK, DENSE = np.zeros(60, np.uint8), np.full(60, 255, np.uint8)
SECOND = 1_000_000_000
BUSY = slice(32, 40)  # of struct ebpfnn_packets: whether this CPU is at a request
TASK = ["run", "tracepoint", "raw_tracepoint", "kprobe", "uprobe", "fentry", "fexit", "perf"]
CONTEXT = struct.Struct("=48x5I")


def poison(loaded: Object) -> None:
    """Fills the memory of samples, results and packets, on all CPUs and in all slots."""
    for name in (abi.SAMPLES, abi.RESULTS, abi.OUTPUTS, "ebpfnn_packets"):
        if name in loaded.maps:
            (_fill_each_cpu if loaded.maps[name].type == MapType.PERCPU_ARRAY else _fill)(loaded.maps[name])


def _fill(held: Map) -> None:
    with held.mmap() as memory:
        memory[:] = bytes([POISON]) * len(memory)


def _fill_each_cpu(held: Map) -> None:
    found = np.array(held.lookup_percpu(bytes(4), np.uint8))
    found[:] = POISON
    if held.name == "ebpfnn_packets":
        found[:, BUSY] = 0
    held.update_percpu(bytes(4), found)


@pytest.fixture(params=ANSWERING)
def answering(request: pytest.FixtureRequest) -> Iterator[Loaded]:
    trigger, passes, answers = ANSWERING[request.param]
    with Session(NETWORK, trigger) as session:
        yield Loaded(session, passes, answers, has_buffers=request.param != "xdp")


def reply_to(frame: bytes, network: QuantizedNetwork, sample: np.ndarray, elapsed_ns: int) -> bytes:
    """The whole frame that is to come back, from the words of docs/triggers.md, both checksums left out."""
    at = wire.udp_at(frame)
    wide = frame[at - 40] >> 4 == 6 and at >= 54
    size, scores = 16 if wide else 4, reference.scores(network, sample).tolist()
    head = frame[6:12] + frame[:6] + frame[12 : at - 2 * size]
    hops = at - 33 if wide else at - 12
    head = head[:hops] + b"\x40" + head[hops + 1 :]
    addresses, ports = frame[at - size : at] + frame[at - 2 * size : at - size], frame[at + 2 : at + 4] + frame[at : at + 2]
    payload = frame[at + 8 : at + 13] + struct.pack("!BHI", 1, len(scores), crc32(b"test")) + frame[at + 20 : at + 24]
    payload += struct.pack(f"!II{len(scores)}i", int(np.argmax(scores)), elapsed_ns, *scores)
    return head + addresses + ports + frame[at + 4 : at + 8] + payload + frame[at + 8 + len(payload) :]


def elapsed_in_the_kernel(results: Map) -> int:
    """Of the CPU that ran since the results were filled."""
    each = np.array(results.lookup_percpu(bytes(4), np.uint64))[:, 1]
    (elapsed,) = each[each != int.from_bytes([POISON] * 8, "little")]
    assert elapsed < SECOND
    return int(elapsed)


def without_checksums(frame: bytes) -> bytes:
    at = wire.udp_at(frame)
    bare = bytearray(frame)
    bare[at + 6 : at + 8] = bytes(2)
    if frame[at - 20] == 0x45:
        bare[at - 10 : at - 8] = bytes(2)
    return bytes(bare)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("vlans", [0, 2])
def test_every_byte_of_a_reply(answering: Loaded, version: int, vlans: int) -> None:
    for sample in (DENSE, BLANK, *samples(60, seed=6), BLANK):
        poison(answering.session.loaded)
        asked = wire.build(ask(sample.tobytes()), version, vlans)
        verdict, answer = answering.run(asked)
        assert verdict == answering.answers
        elapsed = int.from_bytes(answer[(at := wire.udp_at(answer) + 28) : at + 4], "big")
        assert 0 < elapsed == elapsed_in_the_kernel(answering.session.loaded.maps[abi.RESULTS])
        assert without_checksums(answer) == without_checksums(reply_to(asked, NETWORK, sample, elapsed))
        assert wire.read(answer).intact


def test_the_same_request_has_the_same_answer_whatever_was_before(answering: Loaded) -> None:
    blank, told = wire.build(ask(BLANK.tobytes())), set()
    for sample in samples(60, seed=7):
        assert answering.run(wire.build(ask(sample.tobytes())))[0] == answering.answers
        answer = answering.run(blank)[1]
        told.add(answer[:40] + answer[42:62] + answer[66:])  # but for the nanoseconds, and the checksum over them
    assert len(told) == 1


@pytest.mark.parametrize("name", WATCHING)
def test_every_word_of_a_context(name: str) -> None:
    """Those who only look leave a mark, the label and four scores, and 0 where there is no score."""
    with Session(NETWORK, WATCHING[name]) as session:
        program = session.loaded.programs[session.trigger.program()]
        for sample in (DENSE, BLANK, *samples(60, seed=8)):
            scores = reference.scores(NETWORK, sample).tolist()
            padded = scores + [0] * 59
            for first in range(61):
                poison(session.loaded)
                context = CONTEXT.pack(first, *[0x55555555] * 4)
                left = program.run(context=context, data=wire.build(ask(sample.tobytes()))).context
                mark, *four = struct.unpack_from("=48xI4i", left)
                assert mark == 1 << 31 | 5 << 16 | int(np.argmax(scores))
                assert four == padded[first : first + 4]


@pytest.mark.parametrize("name", TASK)
def test_every_word_of_a_result(name: str) -> None:
    trigger = Plugins.installed().trigger(name)
    if lack := why_not(trigger):
        pytest.skip(lack)
    with Session(NETWORK, trigger) as session:
        number, held = session.slot().number, session.loaded.maps[abi.RESULTS]
        results = np.ndarray(abi.MAX_SLOTS, abi.RESULT, held.mmap(), strides=held.element_stride)
        for sample in (DENSE, BLANK, *samples(60, seed=9), BLANK)[: 4 if name == "perf" else None]:
            poison(session.loaded)
            expected = reference.scores(NETWORK, sample)
            given, found = session.infer(sample), results[number]
            ran = int(found["sequence"]) - int.from_bytes([POISON] * 8, "little")
            assert ran == 1 or (name == "perf" and 1 < ran < 1000)
            assert (int(found["status"]), int(found["label"])) == (0, int(expected.argmax()))
            assert int(found["elapsed_ns"]) < SECOND
            assert found["scores"][:5].tolist() == given.scores.tolist() == expected.tolist()
            assert set(found["scores"][5:].tobytes()) == {POISON}  # nobody writes there, so nothing of a sample gets there


def test_every_word_of_a_batch() -> None:
    with Session(NETWORK, RunTrigger()) as session:
        for given in (np.stack([DENSE, BLANK]), samples(60, seed=10), np.stack([BLANK] * 3)):
            poison(session.loaded)
            expected = reference.scores(NETWORK, given)
            found = session.infer_many(given)
            assert found.scores.tolist() == expected.tolist()
            assert found.labels.tolist() == expected.argmax(axis=1).tolist()


FAILS = """
#include <ebpfnn/abi.h>
int ebpfnn_infer(const void *sample, struct ebpfnn_result *result)
{
	return -5;
}
"""


@pytest.mark.parametrize("name", ["run", "tracepoint", "xdp", "cgroup_skb"])
def test_an_event_of_a_failure_tells_no_label(name: str, build_spec: Callable[[str], ObjectSpec]) -> None:
    """Its label and score would be those of the sample before."""
    trigger = Plugins.installed().trigger(name)
    with Session(NETWORK, trigger, body=Body(build_spec(FAILS), 0)) as session:
        poison(session.loaded)
        session.loaded.maps[abi.WATCH].update(bytes(4), struct.pack("=QQ", 1 << 63, 0))
        with RingBuffer(session.loaded.maps[abi.EVENTS]) as ring:
            with pytest.raises(Exception, match=r"status -5|did not answer the request"):
                session.infer(BLANK)
            told = np.frombuffer(b"".join(ring.consume()), abi.EVENT)
    assert len(told) == 1
    assert (int(told["status"][0]), int(told["label"][0]), int(told["score"][0]), int(told["network"][0])) == (-5, 0, 0, 0)
    assert int(told["elapsed_ns"][0]) < SECOND


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("size", [1, 3, 5, 9, 13, 61])
def test_what_fills_a_sample_up_to_whole_words_does_not_count(size: int, bits: int) -> None:
    """A request's own filling, which whoever asks may make anything, and the memory behind it."""
    network = random_network((size, 6, 4), seed=size, bits=bits, packed=bits < 8)
    form = network.input
    with Session(network, Plugins.installed().trigger("xdp")) as session:
        loaded = Loaded(session, 2, 3)
        for sample in samples(size, seed=11):
            poison(session.loaded)
            data = encode(form, sample).tobytes()
            payload = ask(data.ljust((len(data) + 3) // 4 * 4, b"\xff")).ljust(16 + 24, b"\0")
            verdict, answer = loaded.run(wire.build(payload))
            assert verdict == 3
            assert list(struct.unpack_from("!4i", wire.read(answer).payload, 24)) == reference.scores(network, sample).tolist()
