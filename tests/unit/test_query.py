"""The client, against a server in this process that answers as a kernel would, and as one should not."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from networks import random_network, samples
from tablenets import cascade, table_network

from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.datasets.mnist import read_test
from ebpfnn.errors import InputError, QueryError
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.network.cascades import deciding
from ebpfnn.remote import protocol
from ebpfnn.remote.query import Address, Client

NETWORK = random_network((12, 5, 4), 1)
SAMPLE = np.arange(12, dtype=np.uint8).reshape(NETWORK.input_shape)
HEADER = struct.Struct("!IBBHII")
ELAPSED_NS = 800
Behavior = Callable[[int, bytes], list[bytes]]
"""What goes back for the request of that number."""


def answer(network: QuantizedNetwork, request: bytes, *, sequence: int = 0, name: str | None = None) -> bytes:
    """The reply of ``network``; ``sequence`` is added to the request's."""
    magic, version, _, _, _, asked = HEADER.unpack_from(request)
    scores = reference.scores_of_encoded(network, np.frombuffer(request, np.uint8, network.input.sample_bytes, HEADER.size))
    own = protocol.network_id(name or network.name)
    header = HEADER.pack(magic, version, 1, len(scores), own, asked + sequence & 0xFFFFFFFF)
    return header + struct.pack(f"!II{len(scores)}i", int(scores.argmax()), ELAPSED_NS, *scores.tolist())


@contextmanager
def server(behavior: Behavior, family: int = socket.AF_INET) -> Iterator[Address]:
    """Answers on a port of loopback until it is left."""
    with socket.socket(family, socket.SOCK_DGRAM) as listening:
        listening.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        host, port = listening.getsockname()[:2]
        thread = threading.Thread(target=_serve, args=(listening, behavior))
        thread.start()
        try:
            yield Address(host, port)
        finally:
            with socket.socket(family, socket.SOCK_DGRAM) as last:
                last.sendto(b"", (host, port))
            thread.join()


def _serve(listening: socket.socket, behavior: Behavior) -> None:
    number = 0
    while True:
        request, sender = listening.recvfrom(65535)
        if not request:
            return
        for datagram in behavior(number, request):
            listening.sendto(datagram, sender)
        number += 1


def infer(behavior: Behavior, *, anyone: bool = False, timeout: float = 5, attempts: int = 3) -> list[int]:
    with server(behavior) as address, Client(address, NETWORK, timeout=timeout, attempts=attempts, anyone=anyone) as client:
        return client.infer(SAMPLE).scores.tolist()


EXPECTED = reference.scores(NETWORK, SAMPLE).tolist()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_scores_come_back(family: int) -> None:
    with server(lambda _, request: [answer(NETWORK, request)], family) as address, Client(address, NETWORK) as client:
        for value in range(3):
            sample = np.full(NETWORK.input_shape, value, np.uint8)
            found = client.infer(sample)
            assert found.scores.tolist() == reference.scores(NETWORK, sample).tolist()
            assert found.label == int(found.scores.argmax())
            assert (found.elapsed_ns, found.seconds > 0) == (ELAPSED_NS, True)


def test_what_was_lost_is_asked_again() -> None:
    asked: list[bytes] = []

    def lossy(number: int, request: bytes) -> list[bytes]:
        asked.append(request)
        return [answer(NETWORK, request)] if number == 2 else []

    assert infer(lossy, timeout=0.05, attempts=3) == EXPECTED
    assert len({*asked}) == 1  # the same request, so that any of its answers will do


def test_strange_late_and_foreign_answers_are_passed_over() -> None:
    def noisy(_number: int, request: bytes) -> list[bytes]:
        late, foreign = answer(NETWORK, request, sequence=-1), answer(NETWORK, request, name="another")
        return [b"hello", late, foreign, answer(NETWORK, request)[:-1], answer(NETWORK, request)]

    assert infer(noisy) == EXPECTED


SAMPLES = [np.random.default_rng(seed).integers(0, 256, NETWORK.input_shape, np.uint8) for seed in range(4)]
SCORES = [reference.scores(NETWORK, sample).tolist() for sample in SAMPLES]


def test_the_samples_of_the_next_tests_differ_in_their_scores() -> None:
    assert len({tuple(scores) for scores in (*SCORES, EXPECTED)}) == 5


@pytest.mark.parametrize("offset", [-1, 1, 1 << 31], ids=["late", "early", "guessed"])
def test_scores_of_another_sequence_are_not_taken(offset: int) -> None:
    def late(_number: int, request: bytes) -> list[bytes]:
        other = answer(NETWORK, request[: HEADER.size] + SAMPLES[0].tobytes(), sequence=offset)
        return [other, answer(NETWORK, request)]

    assert infer(late) == EXPECTED


def test_a_late_answer_is_not_the_next_ones() -> None:
    """Each answer comes in front of the next sample's, as where a request was sent again and both are answered."""
    former: list[bytes] = []

    def late(_number: int, request: bytes) -> list[bytes]:
        own = answer(NETWORK, request)
        told = [*former, own]
        former[:] = [own]
        return told

    with server(late) as address, Client(address, NETWORK) as client:
        assert [client.infer(sample).scores.tolist() for sample in SAMPLES] == SCORES


def test_every_answer_twice_and_each_is_its_samples() -> None:
    with server(lambda _, request: [answer(NETWORK, request)] * 2) as address, Client(address, NETWORK) as client:
        assert [client.infer(sample).scores.tolist() for sample in SAMPLES] == SCORES


def test_scores_of_another_network_are_not_taken() -> None:
    def foreign(_number: int, request: bytes) -> list[bytes]:
        return [answer(NETWORK, request[: HEADER.size] + SAMPLES[0].tobytes(), name="another"), answer(NETWORK, request)]

    assert infer(foreign) == EXPECTED


@pytest.mark.parametrize("count", [1, 3, 5, 64])
def test_scores_of_another_number_are_not_taken(count: int) -> None:
    def other(_number: int, request: bytes) -> list[bytes]:
        right = answer(NETWORK, request)
        head = right[:6] + struct.pack("!H", count) + right[8:24]
        return [head + struct.pack(f"!{count}i", *range(count)), right]

    assert infer(other) == EXPECTED


def test_scores_from_another_address_are_not_taken() -> None:
    client: Client

    def forged(_number: int, request: bytes) -> list[bytes]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            wrong = answer(NETWORK, request[: HEADER.size] + SAMPLES[0].tobytes())
            other.sendto(wrong, client._socket.getsockname())
        return [answer(NETWORK, request)]

    with server(forged) as address, Client(address, NETWORK) as client:
        assert client.infer(SAMPLE).scores.tolist() == EXPECTED


def test_twice_the_same_answer_is_taken_once() -> None:
    with server(lambda _, request: [answer(NETWORK, request)] * 2) as address, Client(address, NETWORK) as client:
        for value in range(4):
            sample = np.full(NETWORK.input_shape, value, np.uint8)
            assert client.infer(sample).scores.tolist() == reference.scores(NETWORK, sample).tolist()


def test_any_network_may_answer_who_is_asked_so() -> None:
    asked: list[int] = []

    def other(_number: int, request: bytes) -> list[bytes]:
        asked.append(HEADER.unpack_from(request)[4])
        return [answer(NETWORK, request, name="another")]

    assert infer(other, anyone=True) == EXPECTED
    assert asked == [0]


def test_no_answer() -> None:
    with pytest.raises(
        QueryError, match=r"no answer to 2 requests for network '.*', 0\.01 s apart \(silence\); run `ebpfnn list` there"
    ):
        infer(lambda *_: [], timeout=0.01, attempts=2)
    with server(lambda *_: []) as address:
        pass
    with Client(address, NETWORK, timeout=0.01, attempts=2) as client, pytest.raises(QueryError, match="Connection refused"):
        client.infer(SAMPLE)


def test_samples_that_no_datagram_has_room_for() -> None:
    with pytest.raises(InputError, match="a sample has 1,401 bytes, and a datagram room for 1,400; use one with"):
        Client(Address("127.0.0.1"), random_network((1401, 4), 1))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("a.example", Address("a.example")),
        ("a.example:1", Address("a.example", 1)),
        ("192.0.2.1:65535", Address("192.0.2.1", 65535)),
        ("[2001:db8::1]:99", Address("2001:db8::1", 99)),
        ("[2001:db8::1]", Address("2001:db8::1")),
        ("2001:db8::1", Address("2001:db8::1")),
        ("fe80::1%eth0", Address("fe80::1%eth0")),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize("text", ["", ":1", "a:", "a:0", "a:65536", "a:-1", "a:b", "a:1234567", "[]:1", "a:²"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(InputError, match=r"not HOST, HOST:PORT or \[IPV6\]:PORT; give one such as"):
        Address.parse(text)


def test_a_name_that_nobody_knows() -> None:
    with pytest.raises(InputError, match=r"address 'no\.such\.invalid:4242': .*; give the name or the address of the machine"):
        Client(Address("no.such.invalid"), NETWORK)


@pytest.fixture
def digit(tmp_path: Path) -> Path:
    from PIL import Image

    Image.fromarray(read_test()[0][0].reshape(28, 28)).save(tmp_path / "seven.png")
    return tmp_path / "seven.png"


def query(*arguments: str) -> tuple[int, str, str]:
    ran = CliRunner().invoke(main, ["query", *arguments])
    return ran.exit_code, ran.stdout, ran.stderr


def test_the_command(digit: Path) -> None:
    mnist = modelfile.load(modelfile.resolve("mnist"))
    with server(lambda _, request: [answer(mnist, request)]) as address:
        status, told, _ = query(str(address), str(digit), "--check")
        assert status == 0
        assert "seven.png:  7" in told
        assert "0.80 µs in the kernel, " in told
        assert "there and back  matches the reference" in told
        assert query(str(address), str(digit), "--quiet") == (0, "7\n", "")
        found = json.loads(query(str(address), str(digit), "--json")[1])
        assert (found["label"], found["trigger"], found["target"]) == ("7", "query", str(address))
        assert found["round_trip_ns"] > 0
        status, told, complaint = query(str(address), str(digit.parent / "absent.png"), str(digit), "--quiet")
        assert (status, told) == (1, "7\n")
        assert "absent.png" in complaint


def test_the_command_tells_scores_that_are_not_the_networks(digit: Path) -> None:
    mnist = modelfile.load(modelfile.resolve("mnist"))

    def wrong(_number: int, request: bytes) -> list[bytes]:
        right = answer(mnist, request)
        return [right[:-1] + bytes([right[-1] ^ 1])]

    with server(wrong) as address:
        status, told, complaint = query(str(address), str(digit), "--check")
    assert status == 1
    assert "DIFFERS FROM THE REFERENCE" in told
    assert "scores differ from those of 'mnist' here; compare the model files" in complaint


def test_the_command_without_a_network_there(digit: Path) -> None:
    with server(lambda *_: []) as address:
        status, _, complaint = query(str(address), str(digit), "--timeout", "0.01", "--attempts", "1")
    assert status == 1
    assert "no answer to 1 requests for network 'mnist'" in complaint


def test_a_cascade_whose_samples_are_packed_in_tiles(tmp_path: Path) -> None:
    made = cascade(table_network(1, score_scale=0.5), table_network(3, score_scale=0.25), margin=60)
    modelfile.save(made, tmp_path / "made.safetensors")
    given = np.concatenate([samples((8, 8), seed) for seed in range(4)])
    np.save(tmp_path / "x.npy", given)
    with server(lambda _count, request: [answer(made, request)]) as address:
        arguments = [str(address), str(tmp_path / "x.npy"), "--model", str(tmp_path / "made.safetensors"), "--json", "--check"]
        done = CliRunner().invoke(main, ["query", *arguments])
    assert done.exit_code == 0, done.output
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["scores"] for each in told] == reference.scores(made, given).tolist()
    assert [each["stage"] for each in told] == deciding(made, given).tolist()
    assert {each["stage"] for each in told} == {0, 1}
