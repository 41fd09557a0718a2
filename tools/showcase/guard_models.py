"""Models of the showcase of a guard: trained and calibrated by ebpfnn on sessions of overload of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from collecting import keeping
from guard_lab import HERE, HONEST_PORTS, PORTS, Strength, inside, overload, place
from numpy.typing import NDArray

SPEC = Path(__file__).with_name("connection.toml")
BENIGN, ATTACK = "benign", "attack"
NETWORK, TREE = "network", "tree"
HIDDEN, DEPTH = "16", 8
RUNS_SECONDS = 5.0
_MOST_OF_A_KIND = 400
"""Rows of a kind of attack in a session that are learned from: all packets of a flood are alike."""
_SLOW_FROM = 4
_NEVER = [(1 << 62) + n for n in range(15)]
_LENGTHS = [60, 66, 67, 70, 76, 84, 94, 110, 140, 180, 240, 400, 800, 1200, 1500]
_SIZES = [60, 100, 150, 200, 300, 400, 600, 800, 1200, 2000, 4000, 8000, 16_000, 32_000, 64_000]
_COUNTS = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 24, 32, 64, 128]
_PAYLOADS = [1, 5, 10, 20, 30, 40, 60, 80, 120, 160, 240, 400, 800, 1200, 1448]
_SHARES = [1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 150, 250, 400, 600]
_TIMES = [
    50,
    500,
    2_000,
    5_000,
    10_000,
    20_000,
    40_000,
    70_000,
    100_000,
    150_000,
    200_000,
    300_000,
    500_000,
    900_000,
    2_000_000,
]
BOUNDS: Mapping[str, list[int]] = {
    "length": _LENGTHS,
    "packets": _COUNTS,
    "bytes": _SIZES,
    "least_length": _LENGTHS,
    "length_deviation": _SHARES,
    "lengths": _COUNTS,
    "longest_payload": _PAYLOADS,
    "replies": _NEVER,
    "pushes": _COUNTS,
    "window": _NEVER,
    "port": _NEVER,
    "hops": _NEVER,
    "longest_gap": _TIMES,
    "mean_gap": _TIMES,
    "smooth_gap": _TIMES,
    "age": _TIMES,
    "peak": _SIZES,
}
"""15 bounds of each column, as flow.h wants them; times in units of 1,024 ns."""
HIDDEN_COLUMNS = tuple(name for name, bounds in BOUNDS.items() if bounds is _NEVER)


def ebpfnn(*arguments: str | Path) -> str:
    """What the command printed. Ends the showcase if it fails."""
    ran = subprocess.run([sys.executable, "-m", "ebpfnn", *map(str, arguments)], capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"ebpfnn {' '.join(map(str, arguments))}: {ran.stderr.strip()}")
    return ran.stdout


def collect(path: Path, seeds: range, strength: Callable[[Random], Strength], tell: Callable[[str], object]) -> None:
    """Rows of one session a seed, each of an overload of its own, to ``path``; labelled by who sent the packets."""
    with keeping(SPEC, path, {"mode": "native"}, "lo") as keeper:
        for seed in seeds:
            of = strength(Random(seed))
            with place(seed) as at, inside(at), keeper.watching("", f"session-{seed}", HERE):
                overload(at, seed, RUNS_SECONDS, of)
            tell(f"session {seed} of {seeds.stop - 1}: {of}, {keeper.rows[f'session-{seed}']} rows")
        if keeper.lost:
            raise SystemExit(f"{path}: {keeper.lost} rows were lost; run on a machine with less to do")
    ebpfnn("label", path, "--rule", f"port >= {HONEST_PORTS.start} -> {BENIGN}", "--rule", f"any -> {ATTACK}")


def thinned(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a collected file, with a few rows of each flood in a session, and none of the first packets of slow ones.

    Until it is slow, a slow connection is like any other, so that its first packets would teach that those of all are attacks.
    """
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    ports = np.array([_port(key) for key in arrays["key"].tolist()])
    random = np.random.default_rng(0)
    kept = ~(np.isin(ports, PORTS["slow"]) & (arrays["number"] < _SLOW_FROM))
    for kind in ("ack", "syn", "scan"):
        of_kind = np.isin(ports, PORTS[kind])
        for group in np.unique(arrays["group"]):
            mine = random.permutation(np.flatnonzero(of_kind & (arrays["group"] == group)))
            kept[mine[_MOST_OF_A_KIND:]] = False
    return {name: values[kept] if len(values) == len(kept) else values for name, values in arrays.items()}


def _port(key: str) -> int:
    """The client's, of a key such as 10.77.0.1:40000-10.77.0.2:8080/tcp."""
    return int(key.partition("-")[0].rpartition(":")[2])


def with_bounds(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The same rows with a spec that gives its columns :data:`BOUNDS`."""
    about = json.loads(arrays["spec"].tobytes())
    for column in about["spec"]["column"]:
        column["encode"] = {"kind": "bins", "bounds": BOUNDS[column["name"]], "step": 17}
    return {**arrays, "spec": np.frombuffer(json.dumps(about).encode(), np.uint8)}


FALSE_POSITIVES = {NETWORK: 0.0, TREE: 0.001}
"""Of rows. The leaves of a tree have few margins, so that one that may hit none does nothing at all."""


def make(directory: Path, learnt: Path, calibrated: Path, seed: int = 1) -> dict[str, Path]:
    """The files of a network and a tree that learned from the first file and were calibrated on the second."""
    rows, files = thinned(learnt), {}
    np.savez(directory / "network-rows.npz", **with_bounds(rows))
    np.savez(directory / "tree-rows.npz", **rows)
    ignored = ",".join(name for name in rows if name.partition(".")[0] in HIDDEN_COLUMNS)
    for name, options in (
        (NETWORK, ("--arch", f"in-{HIDDEN}-2")),
        (TREE, ("--arch", f"tree:{DEPTH}", "--leaf-rows", "5", "--ignore", ignored)),
    ):
        files[name] = directory / f"{name}.safetensors"
        train = ("train", "--data", directory / f"{name}-rows.npz", "--name", name, "--output", files[name])
        ebpfnn(*train, "--threads", "1", "--seed", str(seed), *options)
        ebpfnn("calibrate", files[name], "--data", calibrated, "--false-positives", str(FALSE_POSITIVES[name]))
    return files
