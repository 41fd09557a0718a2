#!/usr/bin/env python3
"""A guard of connections beside rules and user space: who keeps a server usable that attackers overload.

    tools/showcase/guard.py OUTPUT [--rounds 3]

The attackers have the address of the clients. This collects rows of overloads with ebpfnn, trains and calibrates a network
and a tree, and then runs overloads that are new to both, with one guard after another in front of the server: nothing, rules
of nft, the models in the kernel, and the network in user space. It prints the tables of docs/showcase.md. OUTPUT is a
directory: rows and models stay in it; with --evaluate, those that are there are used. As root, with nft and hping3, a C
compiler, clang, and `pip install 'ebpfnn[train,showcase]'`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from guard_arms import Arm, connlimit, in_kernel, in_user_space, nothing, syn_rate
from guard_lab import NONE, Strength, drawn, inside, overload, place
from guard_models import NETWORK, TREE, collect, make
from guard_tables import Run, recall_table, table
from guard_user import RING, SOCKET
from lab import LabError, program
from reporting import interruptible, say

RUN_SECONDS = 8.0
ALL, SLOW = "floods, scans and slow connections", "slow connections alone"
ATTACKS: Mapping[str, Strength] = {ALL: Strength(), SLOW: replace(Strength(), syn=0, ack=0, scan=0)}
SLOW_ROUNDS = 2
CONNECTIONS, A_SECOND = (30, 60, 90), (60, 150, 400)
_LEARN, _CALIBRATE, _EVALUATE = 1, 1001, 2001  # the first seeds of each: no session is in two of them

Arms = Mapping[str, Arm]


def ruled() -> tuple[dict[str, Arm], dict[str, Arm]]:
    """Rules by address, each with its thresholds."""
    limits: dict[str, Arm] = {f"nft: {most} connections an address": connlimit(most) for most in CONNECTIONS}
    rates: dict[str, Arm] = {f"nft: {most} new connections a second and address": syn_rate(most) for most in A_SECOND}
    return limits, rates


def guarded(files: Mapping[str, Path]) -> dict[str, Arm]:
    return {
        "the tree in the kernel": in_kernel(files[TREE]),
        "the network in the kernel": in_kernel(files[NETWORK]),
        "the network in user space, by ring buffer": in_user_space(files[NETWORK], RING),
        "the network in user space, by AF_PACKET": in_user_space(files[NETWORK], SOCKET),
    }


def best(arms: Arms, runs: list[Run]) -> str:
    """The one with the most honest connections."""
    return max(arms, key=lambda name: sum(run.outcome.done for run in runs if run.arm == name))


def evaluate(files: Mapping[str, Path], rounds: int, seconds: float, *, sweep: bool = True) -> list[Run]:
    """Runs of every arm in turn, round after round. After the first round, of each rule the best threshold alone is run."""
    runs: list[Run] = []
    for number in range(rounds):
        for attack, strength in ATTACKS.items():
            if attack == SLOW and number >= SLOW_ROUNDS:
                continue
            arms: dict[str, Arm] = {"no attack": nothing} if attack == ALL else {}
            arms["nothing"] = nothing
            for rule in ruled() if sweep else ():
                known = [run for run in runs if run.attack == attack]
                arms |= {best(rule, known): rule[best(rule, known)]} if known else rule
            arms |= guarded(files)
            for name, arm in arms.items():
                runs.append(one(name, arm, attack, strength if name != "no attack" else NONE, _EVALUATE + number, seconds))
    return runs


def one(name: str, arm: Arm, attack: str, strength: Strength, seed: int, seconds: float) -> Run:
    with place(seed) as at, inside(at), arm(at) as acted:
        outcome = overload(at, seed, seconds, strength)
    say(f"{seed}, {attack}: {name}: {outcome.done} of {len(outcome.counted)}")
    return Run(name, attack, outcome, acted.ports, acted.cpu, seconds)


def told(runs: list[Run]) -> Iterator[str]:
    for attack in ATTACKS:
        mine = [run for run in runs if run.attack == attack]
        if mine:
            yield f"{attack}:\n\n{table(mine, [run for run in runs if run.arm == 'no attack'])}"
            yield recall_table(mine)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=RUN_SECONDS, help="of each run; the first two do not count")
    parser.add_argument("--learn", type=int, default=12, help="sessions to learn from")
    parser.add_argument("--calibrate", type=int, default=5, help="sessions to calibrate on")
    parser.add_argument("--evaluate", action="store_true", help="use the rows and models that OUTPUT has")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    lacking = [name for name in ("nft", "hping3", "ip", "cc") if program(name) is None]
    if lacking:
        raise SystemExit(f"guard.py: {', '.join(lacking)} not installed; apt-get install nftables hping3 iproute2 gcc")
    files = {name: given.output / f"{name}.safetensors" for name in (NETWORK, TREE)}
    with interruptible():
        try:
            if not given.evaluate:
                learnt, calibrated = given.output / "learnt.npz", given.output / "calibrated.npz"
                collect(learnt, range(_LEARN, _LEARN + given.learn), drawn, say)
                collect(calibrated, range(_CALIBRATE, _CALIBRATE + given.calibrate), drawn, say)
                make(given.output, learnt, calibrated)
            for shown in told(evaluate(files, given.rounds, given.seconds)):
                print(f"{shown}\n", flush=True)
            from guard_rate import measured

            print(measured(files[NETWORK], files[TREE]))
        except LabError as error:
            raise SystemExit(f"guard.py: {error}") from None
    return 0


if __name__ == "__main__":
    sys.exit(main())
