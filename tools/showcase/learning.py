"""Networks and trees that learn from the columns of a table: what every showcase compares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ebpfnn.bodies import modelfile
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.network.model import Model
from ebpfnn.plugin import Plugins
from ebpfnn.preparation import Row
from ebpfnn.preparation.columns import preparer, read
from ebpfnn.quantize import float_reference, floatfile
from ebpfnn.quantize.floats import Network
from ebpfnn.training import Options, Precision, train
from ebpfnn.trees import Forest
from ebpfnn.trees import reference as tree_reference

THERMOMETER = "thermometer"
GROUP, LABEL = "group", "label"


@dataclass(frozen=True, eq=False)
class Table:
    """``columns``, integers [n] by name, the name of each row's class, text [n], and of its session, text [n]."""

    columns: Mapping[str, NDArray[Any]]
    labels: NDArray[np.str_]
    groups: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, chosen: NDArray[Any]) -> Table:
        """Those rows, in that order."""
        columns = {name: values[chosen] for name, values in self.columns.items()}
        return Table(columns, self.labels[chosen], self.groups[chosen])


@dataclass(frozen=True, eq=False)
class Learned:
    """A network in integers, as it runs in the kernel, and the same in floats, before quantization."""

    network: QuantizedNetwork
    floats: Network

    def samples(self, table: Table) -> NDArray[np.uint8]:
        """The bytes of each row, uint8 [n, inputs]."""
        return samples_of(self.network, table)

    def predict(self, samples: NDArray[np.uint8]) -> NDArray[np.str_]:
        """The class of each sample, by the arithmetic that the kernel has."""
        named: NDArray[np.str_] = np.array(self.network.labels)[reference.labels(self.network, samples)]
        return named

    def predict_in_floats(self, samples: NDArray[np.uint8]) -> NDArray[np.str_]:
        named: NDArray[np.str_] = np.array(self.network.labels)[float_reference.logits(self.floats, samples).argmax(axis=1)]
        return named


def samples_of(model: Model, table: Table) -> NDArray[np.uint8]:
    """The bytes that ``model`` gets of each row, uint8 [n, inputs]."""
    columns = read(model.input.preparation.options, Plugins.installed().encoders)
    sample = preparer(columns)
    used = [table.columns[column.name].tolist() for column in columns]
    names = [column.name for column in columns]
    return np.stack([sample(Row(dict(zip(names, row, strict=True)))) for row in zip(*used, strict=True)])


@dataclass(frozen=True, eq=False)
class Grown:
    """Trees in integers, as they run in the kernel."""

    forest: Forest

    def samples(self, table: Table) -> NDArray[np.uint8]:
        return samples_of(self.forest, table)

    def predict(self, samples: NDArray[np.uint8]) -> NDArray[np.str_]:
        """The class of each sample, by the arithmetic that the kernel has."""
        named: NDArray[np.str_] = np.array(self.forest.labels)[tree_reference.labels(self.forest, samples)]
        return named


def learn_file(rows: Path, output: Path, encode: str, hidden: str, seed: int = 1) -> QuantizedNetwork:
    """A network of all sessions in a collected file but those set aside, as ``ebpfnn train`` makes it. It carries the spec."""
    with np.load(rows) as arrays:
        classes = len(np.unique(arrays[LABEL]))
    precision = Precision(_bits(encode))
    architecture = f"in-{hidden}-{classes}"
    options = Options(
        output,
        rows,
        label=LABEL,
        split_by=GROUP,
        encode=encode,
        architecture=architecture,
        precision=precision,
        seed=seed,
        threads=1,
    )
    return modelfile.load(train(options))


def _bits(encode: str) -> int:
    return 1 if encode.partition(":")[0] == THERMOMETER else 8


def learn(table: Table, encode: str, hidden: str, seed: int = 1, *, by_session: bool = True, weights: str = "") -> Learned:
    """What ``ebpfnn train`` makes of ``table`` with this encoder of columns, ``hidden`` layers such as ``32-32`` and ``seed``.

    The rows that choose the epoch are of sessions of their own, if ``by_session``. ``weights`` are those of the classes.
    """
    architecture = f"in-{hidden}-{len(np.unique(table.labels))}"
    network, floats = _trained(table, architecture, encode, seed, by_session=by_session, weights=weights)
    if floats is None:
        raise SystemExit(f"{architecture}: no floats were kept")
    return Learned(network, floats)


def learn_trees(table: Table, architecture: str, seed: int = 1, *, by_session: bool = True) -> Grown:
    """Trees, such as ``forest:16x8``, that ``ebpfnn train`` makes of ``table``, with the columns that it chooses for trees."""
    return Grown(_trained(table, architecture, "", seed, by_session=by_session)[0])


def _trained(
    table: Table, architecture: str, encode: str, seed: int, *, by_session: bool, weights: str = ""
) -> tuple[Any, Network | None]:
    """The model in integers, and its floats if there are some."""
    with TemporaryDirectory() as directory:
        data = Path(directory) / "train.npz"
        # Every row is one of both parts: what is measured on rows not seen is not measured here.
        for part in (data, data.with_name("test.npz")):
            arrays: dict[str, Any] = {LABEL: table.labels, GROUP: table.groups, **table.columns}
            np.savez(part, **arrays)
        made = Path(directory) / "made.safetensors"
        options = Options(
            made,
            data.parent,
            label=LABEL,
            ignore=(GROUP,) if not by_session else (),
            split_by=GROUP if by_session else "",
            encode=encode,
            architecture=architecture,
            class_weights=weights,
            precision=Precision(_bits(encode)),
            seed=seed,
            threads=1,
        )
        train(options)
        floats = floatfile.beside(made)
        return modelfile.load(made), floatfile.load(floats) if floats.exists() else None
