#!/usr/bin/env python3
"""What large networks take in the kernel, beside onnxruntime and PyTorch: the table "MLPerf Tiny" of docs/performance.md.

    tools/mlperf_tiny.py PATH...       .onnx files, and every one in directories, that are imported
    tools/mlperf_tiny.py --bytes 'ic-*' PATH...

Networks of ``--bytes`` (patterns of file names) were trained on 0..255, not on 0..1.

As root; needs onnx, and onnxruntime and torch for their columns, on one thread each. Samples are drawn: smooth ones, as
pictures and spectrograms are, and noise. The scores of 1,000 of them are compared with the reference. Then all networks are
measured in one run, in turns, over eight smooth ones; the least of 60 rounds is printed. An autoencoder is scored by its error.
A network that is refused has a row that says why.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ebpfnn_plugins.run import RunTrigger
from numpy.typing import NDArray

from ebpfnn import QuantizedNetwork
from ebpfnn.bench.float_rows import float_runners
from ebpfnn.bench.kernel_rows import COMPILED, KernelRunner, code_size
from ebpfnn.bench.rows import CodeSize
from ebpfnn.bench.runner import Runner
from ebpfnn.errors import Error, ModelError
from ebpfnn.importers import Ensemble, ImportOptions, read
from ebpfnn.network import reference
from ebpfnn.network.layers import image_shape
from ebpfnn.network.model import ANOMALY, LABEL
from ebpfnn.quantize import float_reference
from ebpfnn.quantize.floats import Network
from ebpfnn.quantize.quantization import quantize
from ebpfnn.quantize.tabular import Tabular
from ebpfnn.session import Session
from ebpfnn.session.compiling import compile_here

COMPARED, CALIBRATED, TIMED, ROUNDS = 1_000, 200, 8, 60
ROWS = (COMPILED, "ort-iobinding", "torch")
_WAVES = 6
_DECIBELS = (0.7,), (0.01,)
"""The mean and the deviation that make -70 to 30 of samples: autoencoders of sounds are given spectra in decibels."""
_ONE_BYTE = (1 / 255,)
"""The deviation that makes 0..255 of samples."""
Samples = NDArray[np.uint8]


@dataclass(eq=False)
class Entry:
    """A network, what was found of it, and its rows, each with the ns an inference of every round."""

    name: str
    facts: tuple[str, ...]
    code: CodeSize
    smooth: Samples
    rows: dict[str, tuple[Runner, list[float]]]


def main() -> None:
    asked = _arguments()
    random = np.random.default_rng(asked.seed)
    with ExitStack() as held:
        found = [_entry(path, _options(path, asked.bytes), held, random) for path in _files(asked.paths)]
        for _ in range(ROUNDS):
            for entry in found:
                _measure(entry)
    heads = (
        "network",
        "products",
        "kernel, ns",
        "ort, ns",
        "torch, ns",
        "verified",
        "load, ms",
        "tables",
        "as reference",
        "as floats",
    )
    print("| " + " | ".join(heads) + " |")
    print("|---" * len(heads) + "|")
    for entry in found:
        print("| " + " | ".join(_cells(entry)) + " |")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH")
    parser.add_argument("--bytes", action="append", default=[], metavar="PATTERN")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _files(paths: list[Path]) -> list[Path]:
    return [file for path in paths for file in (sorted(path.glob("*.onnx")) if path.is_dir() else [path])]


def _options(path: Path, patterns: list[str]) -> ImportOptions:
    return ImportOptions(std=_ONE_BYTE) if any(map(path.match, patterns)) else ImportOptions()


def _entry(path: Path, options: ImportOptions, held: ExitStack, random: np.random.Generator) -> Entry | str:
    """Imports a network, compares and loads it; or its name, and why it is refused."""
    try:
        floats = _read(path, options)
        if isinstance(floats, Ensemble | Tabular):
            return f"{path.stem}: no network of layers"
        samples = np.concatenate([_smooth(floats, random), _noise(floats, random)])
        few = samples[np.arange(CALIBRATED) * len(samples) // CALIBRATED]
        network = quantize(floats, few) if isinstance(floats, Network) else floats
        same, labels = _compared(network, samples), "integers"
        if isinstance(floats, Network):
            labels = _agreement(floats, network, few)
        body = compile_here(network)
        code = code_size(network, RunTrigger(), body, 1)
        session = held.enter_context(Session(network, RunTrigger(), body=body, batch=TIMED))
    except Error as refusal:
        return f"{path.stem}: {str(refusal).removeprefix(f'{path}: ')}"
    runners = [KernelRunner(COMPILED, session), *float_runners(network, {})]
    facts = f"{network.macs:,}", f"{same:,} of {COMPARED:,}", labels
    return Entry(network.name, facts, code, samples[:TIMED], {each.name: (each, []) for each in runners if each.name in ROWS})


def _read(path: Path, options: ImportOptions) -> Network | QuantizedNetwork | Tabular | Ensemble:
    """A network that gives too many values for labels, as its reconstruction error, if it has one."""
    try:
        return read(path, options)
    except ModelError as refusal:
        for mean, std in (_DECIBELS, ((0.0,), (1.0,))):  # a file that takes bytes says what they stand for
            with suppress(ModelError):
                return read(path, ImportOptions(result=ANOMALY, mean=mean, std=std))
        raise refusal


def _agreement(floats: Network, network: QuantizedNetwork, samples: Samples) -> str:
    """The share of equal labels; of anomaly scores, the correlation of their ranks."""
    wanted, given = float_reference.logits(floats, samples), reference.scores(network, samples)
    if network.result == LABEL:
        return f"{(wanted.argmax(axis=1) == given.argmax(axis=1)).mean():.1%}"
    ranks = [each[:, 0].argsort().argsort() for each in (wanted, given)]
    return f"ranks {np.corrcoef(*ranks)[0, 1]:.4f}"


def _measure(found: Entry | str) -> None:
    if isinstance(found, Entry):
        for runner, rounds in found.rows.values():
            runner.load(found.smooth)
            runner.run(TIMED)
            rounds.append(runner.run(TIMED) / TIMED)


def _smooth(floats: Network | QuantizedNetwork, random: np.random.Generator) -> Samples:
    """Sums of a few waves in every channel, over all bytes."""
    shape = floats.input.shape
    channels, rows, columns = image_shape(shape) if len(shape) > 1 else (1, 1, *shape)
    y, x = np.mgrid[:rows, :columns]
    count = COMPARED // 2
    steps = random.normal(0, 0.15, (2, count, channels, _WAVES, 1, 1))
    phases, heights = (
        random.uniform(0, 2 * np.pi, (count, channels, _WAVES, 1, 1)),
        random.random((count, channels, _WAVES, 1, 1)),
    )
    waves = sum(
        (heights[:, :, n] * np.cos(steps[0, :, :, n] * y + steps[1, :, :, n] * x + phases[:, :, n])) for n in range(_WAVES)
    )
    low, high = (edge(waves, axis=(1, 2, 3), keepdims=True) for edge in (np.min, np.max))
    spread = (255 * (waves - low) / np.maximum(high - low, 1e-9)).astype(np.uint8)
    return spread.reshape(count, *floats.input.shape)


def _noise(floats: Network | QuantizedNetwork, random: np.random.Generator) -> Samples:
    return random.integers(0, 256, (COMPARED - COMPARED // 2, *floats.input.shape), np.uint8)


def _compared(network: QuantizedNetwork, samples: Samples) -> int:
    """How many samples have the scores of the reference."""
    with Session(network, RunTrigger()) as session:
        given = session.infer_many(samples).scores
    return int((given == reference.scores(network, samples)).all(axis=1).sum())


def _cells(found: Entry | str) -> list[str]:
    if isinstance(found, str):
        name, _, why = found.partition(": ")
        return [name, f"refused: {why}"]
    times = [f"{min(found.rows[name][1]):,.0f}" if name in found.rows else "" for name in ROWS]
    code = found.code
    return [
        found.name,
        found.facts[0],
        *times,
        f"{code.verified:,}",
        f"{code.load_ms:,.0f}",
        f"{code.table_bytes:,}",
        *found.facts[1:],
    ]


if __name__ == "__main__":
    main()
