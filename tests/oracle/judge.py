"""Holds every way that a network runs to the arithmetic: each score and label with ``==``, and each byte of a reply."""

from __future__ import annotations

import errno
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import wire
from numpy.typing import NDArray

from ebpfnn import QuantizedNetwork, reference
from ebpfnn.compiler import Body, Compiled
from ebpfnn.errors import Error, ModelError, NotSupported, VerifierError
from ebpfnn.session import Session

from . import arithmetic, corners, generate
from .dirty import Dirt
from .formats import pick
from .ways import ANSWERING, OTHERS, RUN, TRIGGERS, likeness, ways

_OTHERS = 2
_PACKETS = 16
"""Samples that come by packet: each takes a system call or three."""


@dataclass
class Difference:
    """What was not as it must be: the fewest facts by which it is found again."""

    seed: int
    way: str
    fact: str
    network: str

    def __str__(self) -> str:
        return f"DIFFERENCE seed {self.seed}: {self.way}: {self.fact}\n  {self.network}"


@dataclass
class Tally:
    """What was done, in numbers, and what came of it."""

    networks: int = 0
    loads: int = 0
    samples: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)


class Judge:
    """Judges the network of one ``seed`` into ``tally``."""

    def __init__(self, seed: int, tally: Tally, network: QuantizedNetwork | None = None) -> None:
        self.seed, self.tally = seed, tally
        self.network = network or generate.network(seed)
        self.random = np.random.default_rng([seed, 1])
        self.samples = corners.samples(self.network.input, self.random)
        self.given = arithmetic.given_bytes(self.network.input, self.samples)
        self.scores = arithmetic.scores(self.network, self.samples)
        self.labels = [arithmetic.label(scores) for scores in self.scores.tolist()]

    def judge(self) -> None:
        """Every distinct body by BPF_PROG_RUN, and one of them behind each of a few other triggers."""
        self.tally.networks += 1
        self._hold("reference", reference.scores(self.network, self.samples).tolist(), None)
        bodies = self._bodies()
        for name, body in bodies.items():
            self._run(name, RUN, body)
        for trigger in self.random.permutation(OTHERS)[:_OTHERS].tolist() if bodies else ():
            name = pick(self.random, list(bodies))
            self._run(name, trigger, bodies[name])

    def _bodies(self) -> dict[str, Body]:
        """By the name of the first way that makes each."""
        found: dict[bytes, tuple[str, Body]] = {}
        for way in ways(self.network, self.random):
            try:
                body = way.build()
            except ModelError as refusal:
                self._refused(refusal)
            else:
                found.setdefault(likeness(body), (way.name, body))
        return dict(found.values())

    def _run(self, name: str, trigger: str, body: Body) -> None:
        way = f"{name}, trigger {trigger}"
        try:
            with Session(self.network, TRIGGERS[trigger](), body=body) as session:
                self.tally.loads += 1
                dirt = Dirt(session, self.random)
                if session.has_slots:
                    self._run_slots(way, session, dirt)
                else:
                    self._run_packets(way, session, dirt, answers=trigger in ANSWERING)
        except NotSupported as refusal:
            self._refused(refusal)
        except VerifierError as refusal:
            if isinstance(body, Compiled) or refusal.errno != errno.E2BIG:
                self._differs(way, f"the verifier refused it: {_one_line(refusal)}")
            else:
                self._refused(refusal)
        except Error as fault:
            self._differs(way, f"{type(fault).__name__}: {_one_line(fault)}")

    def _run_slots(self, way: str, session: Session, dirt: Dirt) -> None:
        """In one slot: all of them in a row, as they come; then each again in memory full of dirt."""
        found = session.infer_many(self.samples)
        self._hold(f"{way}, one after the other", found.scores.tolist(), found.labels.tolist())
        slot, scores, labels = session.slot(), [], []
        flat = slot.sample.reshape(-1)
        for sample in self.given:
            dirt.spread()
            flat[:] = sample
            slot.run()
            scores.append(slot.scores.tolist())
            labels.append(slot.label)
        self._hold(f"{way}, over dirt", scores, labels)

    def _run_packets(self, way: str, session: Session, dirt: Dirt, *, answers: bool) -> None:
        some = self.random.integers(0, len(self.samples) - 1, _PACKETS // 2)
        chosen = sorted({int(each) for each in some} | {int(each) + 1 for each in some})
        found = [session.infer(self.samples[number]) for number in chosen]
        self._hold(way, [each.scores.tolist() for each in found], [each.label for each in found], chosen)
        if answers:
            self._hold_replies(way, session, dirt, chosen)

    def _hold_replies(self, way: str, session: Session, dirt: Dirt, chosen: list[int]) -> None:
        """Each byte of a reply but for the time: what is behind the scores is the request's own."""
        program = session.loaded.programs[session.trigger.program()]
        classes = self.scores.shape[1]
        for number in chosen:
            asked = _request(self.given[number].tobytes(), classes, number, self.random)
            dirt.spread()
            told = wire.read(program.run(data=wire.build(asked)).data)
            answer = struct.pack(f"!I4x{classes}i", self.labels[number], *self.scores[number].tolist())
            whole = answer[:4] + told.payload[20:24] + answer[8:] + asked[16 + len(answer) :]
            if told.payload[16:] != whole or not told.intact:
                fact = f"reply to sample {number} is {told.payload[16:].hex()}, and must be {whole.hex()} but for its time"
                self._differs(way, fact if told.intact else f"reply to sample {number} has a wrong checksum")
                return
        self.tally.samples += len(chosen)

    def _hold(self, way: str, scores: Any, labels: Any, chosen: list[int] | None = None) -> None:
        """``labels`` are None of what tells none."""
        numbers = range(len(self.samples)) if chosen is None else chosen
        self.tally.samples += len(numbers)
        for at, number in enumerate(numbers):
            wanted, label = self.scores[number].tolist(), self.labels[number]
            if scores[at] != wanted or (labels is not None and labels[at] != label):
                told = "" if labels is None else f", label {labels[at]}, and must be label {label}"
                self._differs(way, f"{self._describe(number)}: {_unequal(scores[at], wanted)}{told}")
                return

    def _describe(self, number: int) -> str:
        before = f", after {_sparse(self.samples[number - 1])}" if number else ""
        return f"sample {number} ({_sparse(self.samples[number])}{before})"

    def _refused(self, refusal: Error) -> None:
        self.tally.refused[f"{type(refusal).__name__}: {_reason(refusal)}"] += 1

    def _differs(self, way: str, fact: str) -> None:
        self.tally.differences.append(Difference(self.seed, way, fact, describe(self.network)))


def _request(sample: bytes, classes: int, sequence: int, random: np.random.Generator) -> bytes:
    """By docs/triggers.md; what fills it up to its size is any bytes, as anyone on the network may send."""
    header = b"eBNN" + struct.pack("!BBHII", 1, 0, 0, 0, sequence)
    size = max(-(-len(sample) // 4) * 4, 8 + 4 * classes)
    return header + sample + random.bytes(size - len(sample))


def _unequal(found: list[int], wanted: list[int]) -> str:
    places = [at for at, (one, other) in enumerate(zip(found, wanted, strict=True)) if one != other]
    some = ", ".join(f"score {at} is {found[at]}, and must be {wanted[at]}" for at in places[:3])
    return f"{len(places)} of {len(wanted)} scores differ: {some}" if places else "scores are right"


def _sparse(sample: NDArray[np.uint8]) -> str:
    flat = sample.reshape(-1)
    places = np.flatnonzero(flat).tolist()
    if not places:
        return "blank"
    if len(set(flat.tolist())) == 1:
        return f"{flat[0]} everywhere"
    if len(places) <= 4:
        return " ".join(f"[{at}]={flat[at]}" for at in places)
    return f"{len(places)} of {flat.size} not 0"


def _reason(refusal: Error) -> str:
    """Without the numbers, so that the same reasons are counted together."""
    words = _one_line(refusal).partition(": ")[2].split(";")[0]
    return " ".join("N" if any(map(str.isdigit, word)) else word for word in words.split())


def _one_line(fault: Error) -> str:
    return " ".join(str(fault).split())


def describe(network: QuantizedNetwork) -> str:
    form = network.input
    order = f", packed {form.bit_order}" if form.packed else ""
    given = f"{'x'.join(map(str, form.shape))} of {form.bits} bits{order}, thresholds {list(form.thresholds)}"
    layers = "; ".join(_layer(layer) for layer in network.layers)
    return f"{network.architecture}, input {given}, density {[round(share, 2) for share in network.density]}: {layers}"


def _layer(layer: Any) -> str:
    name, window = type(layer).__name__, getattr(layer, "window", None)
    moved = f" {window.kernel} stride {window.stride} padding {window.padding}" if window else ""
    if name == "MaxPool":
        return name + moved
    by = layer.requantization
    groups = f" groups {layer.groups} pad_value {layer.pad_value}" if window else ""
    ends = f"{by.low}..{by.high} shift {by.shift} zero_point {by.zero_point}"
    return f"{name} {list(layer.weights.shape)}{moved}{groups} to {ends}"


Report = Callable[[Difference], None]


def judge_many(seeds: Iterator[int], tally: Tally, report: Report) -> None:
    """Judges one network a seed; tells ``report`` of the first difference of each."""
    for seed in seeds:
        known = len(tally.differences)
        Judge(seed, tally).judge()
        for difference in tally.differences[known : known + 1]:
            report(difference)
