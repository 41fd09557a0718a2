"""Holds every way that a network runs to the arithmetic: each score and label with ``==``, and each byte of a reply."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import wire

from ebpfnn import QuantizedNetwork
from ebpfnn.compiler import Body, Compiled
from ebpfnn.errors import Error, ModelError, NotSupported, VerifierError
from ebpfnn.network import reference
from ebpfnn.session import Session
from ebpfnn.trees.compile import CompiledForest

from . import arithmetic, corners, graphs
from .dirty import Dirt
from .formats import pick
from .packets import reply_to, request
from .report import Difference, Tally, describe, one_line, reason, sparse, unequal
from .ways import ANSWERING, OTHERS, RUN, TRIGGERS, Way, likeness, ways

_OTHERS = 2
_PACKETS = 16
"""Samples that come by packet: each takes a system call or three."""


class Judge:
    """Judges the network of one ``seed`` into ``tally``."""

    def __init__(self, seed: int, tally: Tally, network: QuantizedNetwork | None = None) -> None:
        self.seed, self.tally = seed, tally
        self.network = network or graphs.drawn(seed)
        self.random = np.random.default_rng([seed, 1])
        self.samples = corners.samples(self.network.input, self.random)  # as corners.judged()
        self.given = arithmetic.given_bytes(self.network.input, self.samples)
        self.scores = arithmetic.scores(self.network, self.samples)
        self.labels = [arithmetic.label(scores) for scores in self.scores.tolist()]

    def judge(self) -> None:
        """Every distinct body by BPF_PROG_RUN, and one of them behind each of a few other triggers."""
        self.tally.networks += 1
        self._hold("reference", self._reference(), None)
        bodies = self._bodies()
        for name, body in bodies.items():
            self._run(name, RUN, body)
        for trigger in self.random.permutation(OTHERS)[:_OTHERS].tolist() if bodies else ():
            name = pick(self.random, list(bodies))
            self._run(name, trigger, bodies[name])

    def _reference(self) -> list[list[int]]:
        found: list[list[int]] = reference.scores(self.network, self.samples).tolist()
        return found

    def _ways(self) -> Iterator[Way]:
        return ways(self.network, self.random)

    def _described(self) -> str:
        return describe(self.network)

    def _bodies(self) -> dict[str, Body]:
        """By the name of the first way that makes each."""
        found: dict[bytes, tuple[str, Body]] = {}
        for way in self._ways():
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
            if isinstance(body, Compiled | CompiledForest) or refusal.errno != errno.E2BIG:
                self._differs(way, f"the verifier refused it: {one_line(refusal)}")
            else:
                self._refused(refusal)
        except Error as fault:
            self._differs(way, f"{type(fault).__name__}: {one_line(fault)}")

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
        for number in chosen:
            scores, label = self.scores[number].tolist(), self.labels[number]
            asked = request(self.given[number].tobytes(), len(scores), number, self.random)
            dirt.spread()
            told = wire.read(program.run(data=wire.build(asked)).data)
            whole = reply_to(asked, label, scores, told.payload)
            if told.payload[16:] != whole or not told.intact:
                fact = f"is {told.payload[16:].hex()}, and must be {whole.hex()}" if told.intact else "has a wrong checksum"
                self._differs(way, f"the reply to {self._describe(number)} {fact}")
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
                self._differs(way, f"{self._describe(number)}: {unequal(scores[at], wanted)}{told}")
                return

    def _describe(self, number: int) -> str:
        before = f", after {sparse(self.samples[number - 1])}" if number else ""
        return f"sample {number} ({sparse(self.samples[number])}{before})"

    def _refused(self, refusal: Error) -> None:
        self.tally.refused[reason(refusal)] += 1

    def _differs(self, way: str, fact: str) -> None:
        self.tally.differences.append(Difference(self.seed, way, fact, self._described()))


Report = Callable[[Difference], None]


def judge_many(seeds: Iterator[int], tally: Tally, report: Report) -> None:
    """Judges one network a seed; tells ``report`` of the first difference of each. An exception without a type is one too."""
    for seed in seeds:
        known = len(tally.differences)
        try:
            Judge(seed, tally).judge()
        except Exception:
            tally.differences.append(Difference(seed, "on the way", traceback.format_exc(), describe(graphs.drawn(seed))))
        for difference in tally.differences[known : known + 1]:
            report(difference)
