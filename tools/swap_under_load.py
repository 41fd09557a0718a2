"""Infers on one instance from several processes at once while its network is swapped, and counts what is lost or mixed.

``python tools/swap_under_load.py --trigger tracepoint`` loads an instance of its own, and removes it. An answer is right where
every score is that of one and the same network, the right one where nothing is swapped; samples differ from process to process,
so that another's answer is seen. Where samples come with events, a CPU that is at one already refuses another, and says so:
these are counted apart.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import count, takewhile
from multiprocessing.context import BaseContext

import numpy as np
from numpy.typing import NDArray

from ebpfnn import Instance, Plugins
from ebpfnn.bodies import modelfile
from ebpfnn.errors import SessionError
from ebpfnn.instance import InstanceSession
from ebpfnn.network import reference
from ebpfnn.network.encoding import encode
from ebpfnn.session.compiling import compile_here

_SAMPLES = 64
_TIMERS = ("perf",)  # what they left in a slot the next tick may change
_Answer = tuple[NDArray[np.int32], "str | None"]


class Together:
    """What the processes that infer and the one that swaps tell each other."""

    def __init__(self, context: BaseContext) -> None:
        self.inferring, self.enough = context.Semaphore(0), context.Event()


_together: Together


def join(together: Together) -> None:
    global _together  # a process of a pool has no other place for it
    _together = together


def work(name: str, models: list[str], seed: int, inferences: int) -> Counter[str]:
    """``inferences`` answers and more until there were enough swaps.

    They are counted: by which network, ``mixed``, ``lost``, and ``misnamed`` by the session; ``asked`` are all.
    """
    os.nice(10)  # or so many processes leave none of the CPU to who swaps
    networks = [modelfile.load(modelfile.resolve(model)) for model in models]
    samples = np.random.default_rng(seed).integers(0, 256, (_SAMPLES, *networks[0].input_shape), np.uint8)
    expected = [reference.scores(network, samples) for network in networks]
    counted: Counter[str] = Counter()
    with Instance.open(name).session() as session:
        one_event = session.has_slots and session.trigger.name not in _TIMERS
        _together.inferring.release()
        for number in takewhile(lambda number: number < inferences or not _together.enough.is_set(), count()):
            counted["asked"] += 1
            which = number % _SAMPLES
            ask = by_slot if one_event and number % 2 else by_session
            try:
                scores, told = ask(session, samples[which])
            except SessionError as fault:
                counted["refused" if "try again" in str(fault) else "lost"] += 1
                continue
            answered = [network.name for network, each in zip(networks, expected, strict=True) if (each[which] == scores).all()]
            counted[answered[0] if answered else "mixed"] += 1
            counted["misnamed"] += told is not None and told not in answered
    return counted


def by_session(session: InstanceSession, sample: NDArray[np.uint8]) -> _Answer:
    """It infers anew where the network was swapped meanwhile, and tells which answered."""
    return session.infer(sample).scores, session.network.name


def by_slot(session: InstanceSession, sample: NDArray[np.uint8]) -> _Answer:
    """One event, whatever happens meanwhile."""
    slot = session.slot()
    slot.memory[:] = encode(session.network.input, sample).tobytes()
    slot.run()
    return slot.scores, None


def wait_for(futures: list[Future[Counter[str]]]) -> None:
    """Returns when each process infers, or has failed: a swap before tells nothing."""
    inferring = 0
    while inferring + sum(each.done() for each in futures) < len(futures):
        inferring += _together.inferring.acquire(timeout=0.01)


def swap_until(done: Callable[[], bool], instance: Instance, models: list[str], rate: float, least: int) -> int:
    """Swaps ``rate`` times a second until ``done``, and returns how often.

    After ``least`` of them there were enough. Less often where that would take more than half of the time, as on an emulated
    machine: those who infer get the rest.
    """
    networks = [modelfile.load(modelfile.resolve(model)) for model in models]
    bodies = [compile_here(network) for network in networks]
    swaps, due = 0, time.monotonic()
    while not done():
        if rate and (begun := time.monotonic()) >= due:
            swaps += 1
            instance.swap(networks[swaps % len(networks)], body=bodies[swaps % len(networks)])
            ended = time.monotonic()
            due = max(due + 1 / rate, ended + (ended - begun))
        if swaps >= least or not rate:
            _together.enough.set()
        time.sleep(0.001)
    return swaps


def measure(arguments: argparse.Namespace, instance: Instance) -> dict[str, object]:
    """The figures of one run, for people and tests."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ebpfnn.instance.instance", "ebpfnn.session.session", "ebpfnn.bodies.modelfile"])
    models = arguments.networks
    join(Together(context))
    with ProcessPoolExecutor(arguments.processes, context, join, (_together,)) as pool:
        begun = time.monotonic()
        futures: list[Future[Counter[str]]] = [
            pool.submit(work, instance.name, models, seed, arguments.inferences) for seed in range(arguments.processes)
        ]
        wait_for(futures)
        swaps = swap_until(lambda: all(each.done() for each in futures), instance, models, arguments.rate, arguments.swaps)
        counted = sum((each.result() for each in futures), Counter[str]())
        seconds = time.monotonic() - begun
    asked = counted.pop("asked")
    fates = {fate: counted.pop(fate, 0) for fate in ("lost", "mixed", "misnamed", "refused")}
    return {
        "trigger": arguments.trigger,
        "processes": arguments.processes,
        "inferences": asked,
        "swaps": swaps,
        **fates,
        "answered": dict(sorted(counted.items())),
        "seconds": round(seconds, 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trigger", default="tracepoint")
    parser.add_argument("--target")
    parser.add_argument(
        "--networks", nargs="+", default=["mnist", "mnist-128"], help="The first is loaded, all are swapped in."
    )
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--inferences", type=int, default=10_000, help="Of each process, at least.")
    parser.add_argument("--rate", type=float, default=10, help="Swaps a second, if there is time for so many; 0 for none.")
    parser.add_argument("--swaps", type=int, default=20, help="At least so many, which prolongs the inferences.")
    arguments = parser.parse_args()
    first = modelfile.load(modelfile.resolve(arguments.networks[0]))
    trigger = Plugins.installed().trigger(arguments.trigger)
    with Instance.load(first, trigger, arguments.target, name=f"under-load-{os.getpid()}") as instance:
        try:
            figures = measure(arguments, instance)
        finally:
            instance.unload()
    print(json.dumps(figures))
    wrong = {"lost", "mixed", "misnamed"} & {fate for fate, count in figures.items() if count}
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
