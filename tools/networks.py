"""The shipped networks, each by its recipe: trains one, or all its seeds, and tells how every seed did.

    tools/networks.py train mnist      the chosen seed, into ebpfnn/data; a cascade from the networks that are there
    tools/networks.py seeds mnist      every seed, into the cache; what each reached goes into tools/seeds.json
    tools/networks.py cards            docs/networks.md, from these figures, the shipped files, and the kernel here

A network's teacher is trained into the cache before it, where it is not there.

Data is downloaded, or read from the directories in $EBPFNN_DATA (MNIST) and $EBPFNN_FASHION_DATA (Fashion-MNIST).
The seed is chosen by the integer accuracy on the 5,000 training images that are held out, never by the test images.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ebpfnn import files
from ebpfnn.bodies import modelfile
from ebpfnn.network import QuantizedNetwork
from ebpfnn.network.layers import Conv2d, Dense, Table
from ebpfnn.quantize.floatfile import beside

CACHE = Path(".cache/networks")
DOWNLOADED = Path("~/.cache/ebpfnn")
"""Where training leaves the data that it downloads."""
NOTED, CARDS = Path("tools/seeds.json"), Path("docs/networks.md")
SEEDS = (1, 2, 3, 4, 5)
_INTRODUCTION = """# The bundled networks

`ebpfnn infer --model NAME` runs one of these networks. Each was trained from five seeds, table networks from three. The bundled
one did best on the 5,000 held-out training images, which also selected its epoch. The test images selected nothing, so the mean
over the seeds shows what the recipe achieves, and the bundled seed need not be the best one on the test images.
`tools/networks.py` contains the recipes, and generated this page.
"""
_BY_HAND = "# Cascades\n"
_ACCURACY = re.compile(r"([\d.]+)% of the test samples, ([\d.]+)% of those held out")


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: ``arguments`` of ``ebpfnn train``, the seed that was chosen, and its teacher's name."""

    dataset: str
    arguments: str
    seed: int = 1
    teacher: str | None = None
    seeds: tuple[int, ...] = SEEDS


@dataclass(frozen=True)
class Cascade:
    """Two bundled networks, and the ``share`` of held-out samples that ``first`` leaves to ``second``."""

    dataset: str
    first: str
    second: str
    share: float


_TEACHER = (
    "--arch conv32x5s2p2-conv64x3p1-pool2-conv64x3p1-pool2-128-10 --optimizer adamw --weight-decay 0.01 --schedule onecycle "
    "--dropout 0.3 --epochs 20 --threads 1"
)
_TAUGHT = f"--schedule onecycle --views 24 --cache {CACHE / 'views'} --threads 1"
_DENSE = f"{_TAUGHT} --batch-size 512 --learning-rate 0.006 --trim-idle 0.002 --shared-steps"
_TABLES = (
    "--bits 1 --threshold 100 --packed --tiles 2x4 --batch-size 1024 --learning-rate 0.02 --rotation 10 "
    f"--views 24 --cache {CACHE / 'views'} --threads 1"
)
_IMAGE = f"{_TAUGHT} --batch-size 256 --learning-rate 0.01 --temperature 2"

RECIPES = {
    "mnist-teacher": Recipe("MNIST", _TEACHER),
    "mnist": Recipe("MNIST", f"--arch 784-32-10 {_DENSE} --epochs 300", 1, "mnist-teacher"),
    "mnist-1bit": Recipe("MNIST", f"--arch 784-32-10 --bits 1 --threshold 100 {_DENSE} --epochs 300", 2, "mnist-teacher"),
    "mnist-1bit-64": Recipe("MNIST", f"--arch 784-64-10 --bits 1 --threshold 100 {_DENSE} --epochs 200", 4, "mnist-teacher"),
    "mnist-128": Recipe("MNIST", f"--arch 784-128-10 {_DENSE} --epochs 200", 3, "mnist-teacher"),
    **{
        f"mnist-table-{hidden}": Recipe(
            "MNIST", f"--arch table{hidden}-10 {_TABLES} --epochs {epochs}", seed, "mnist-cnn", (1, 2, 3)
        )
        for hidden, epochs, seed in ((16, 80, 1), (32, 80, 3), (64, 80, 3), (128, 120, 1))
    },
    "mnist-cnn": Recipe("MNIST", f"--arch conv16x5s2p2-pool2-conv24x3-48-10 {_IMAGE} --epochs 40", 1, "mnist-teacher"),
    "fashion": Recipe(
        "FashionMNIST",
        "--arch conv16x5s2p2-pool2-conv32x3-64-10 --schedule onecycle --batch-size 256 --learning-rate 0.01 --epochs 24 "
        "--threads 1 --mirror --rotation 2 --shift 0.6 --scale 0.03 --shear 0.03",
        3,
    ),
}
CASCADES = {"mnist-cascade": Cascade("MNIST", "mnist-table-16", "mnist-table-128", 0.1)}
_DATA = {"MNIST": "EBPFNN_DATA", "FashionMNIST": "EBPFNN_FASHION_DATA"}


def train(name: str, seed: int, output: Path) -> None:
    """Trains network ``name`` from ``seed`` into ``output``, and its teacher before it where the cache lacks it."""
    recipe = RECIPES[name]
    arguments = [*recipe.arguments.split(), "--dataset", recipe.dataset, "--name", name, "--seed", str(seed)]
    if recipe.teacher:
        bundled = modelfile.BUNDLED / (recipe.teacher + modelfile.SUFFIX)
        teacher = bundled if bundled.exists() else kept(recipe.teacher, RECIPES[recipe.teacher].seed, CACHE / recipe.teacher)
        arguments += ["--teacher", str(beside(teacher))]
    output.parent.mkdir(parents=True, exist_ok=True)
    arguments += [*_data(recipe.dataset), "--output", str(output)]
    subprocess.run([sys.executable, "-m", "ebpfnn", "train", *arguments], check=True)


def join(name: str, output: Path) -> None:
    """Makes cascade ``name`` of the bundled networks, into ``output``."""
    made = CASCADES[name]
    data = _data(made.dataset) or ["--data", str(DOWNLOADED.expanduser() / made.dataset)]
    arguments = [made.first, made.second, "--share", str(made.share), "--name", name, *data, "--output", str(output)]
    subprocess.run([sys.executable, "-m", "ebpfnn", "cascade", *arguments], check=True)


def kept(name: str, seed: int, stem: Path) -> Path:
    """The file of ``name`` and ``seed``, trained where it is not there."""
    output = stem.with_name(stem.name + modelfile.SUFFIX)
    if not output.exists():
        train(name, seed, output)
    return output


def accuracies(network: QuantizedNetwork) -> tuple[float, ...]:
    """In percent: float on test and held-out samples, unless it is a table network, then integers on both."""
    cards = (network.card.get(f"{form} accuracy", "") for form in ("float", "integer"))
    return tuple(float(figure) for card in cards if card for figure in _ACCURACY.match(card).groups())


def try_seeds(name: str) -> None:
    """Trains every seed of ``name`` that the cache lacks, and notes what each reached."""
    found = {str(seed): accuracies(modelfile.load(kept(name, seed, CACHE / f"{name}-{seed}"))) for seed in RECIPES[name].seeds}
    noted = json.loads(NOTED.read_text()) if NOTED.exists() else {}
    files.replace(NOTED, json.dumps({**noted, name: found}, indent=1, sort_keys=True).encode() + b"\n")
    print(f"{name}: the best seed by held-out samples is {best(found)}")


def best(found: Mapping[str, Sequence[float]]) -> str:
    """The seed of the highest integer accuracy on held-out samples; of equal ones, of the first."""
    return max(found, key=lambda seed: found[seed][-1])


def cards() -> str:
    """docs/networks.md. What is written by hand there, from the section "Cascades" on, is kept."""
    noted = json.loads(NOTED.read_text())
    names = [name for name in RECIPES if name in noted]
    _, heading, by_hand = CARDS.read_text().partition(_BY_HAND)
    found = [*(_card(name, noted[name]) for name in names), *map(_cascade_card, CASCADES)]
    return "\n".join([_INTRODUCTION, *found, heading + by_hand])


def _card(name: str, seeds: Mapping[str, Sequence[float]]) -> str:
    path = modelfile.resolve(name)
    network, recipe = modelfile.load(path), RECIPES[name]
    found = json.loads(_ebpfnn("eval", name, "--json", *_data(recipe.dataset)))
    floats = f"float {found['float']:.2%}, " if "float accuracy" in network.card else ""
    columns = (-1, 0, -2) if floats else (-1, -2)
    rows = [_row(seed, [figures[column] for column in columns]) for seed, figures in sorted(seeds.items())]
    rows.append(_row("mean", [sum(figures[column] for figures in seeds.values()) / len(seeds) for column in columns]))
    return f"""## {name}

{network.card["data"]}; {network.architecture}, {network.input.bits}-bit input, {_content(network)};
the file has {path.stat().st_size:,} bytes.

{_measured(found, floats)}

Recipe: {network.card["recipe"]}. `make train-{name}` trains seed {recipe.seed}.

| seed | integers, held out |{" float, test |" if floats else ""} integers, test |
|---|---|---|{"---|" if floats else ""}
{chr(10).join(rows)}
"""


def _cascade_card(name: str) -> str:
    path, made = modelfile.resolve(name), CASCADES[name]
    network = modelfile.load(path)
    found = json.loads(_ebpfnn("eval", name, "--json", *_data(made.dataset)))
    return f"""## {name}

A [cascade](#cascades) of `{made.first}` and `{made.second}`, made with `--share {made.share:g}`; {network.architecture};
the file has {path.stat().st_size:,} bytes.

{network.card["cascade"].replace("'", "`")}.

{_measured(found)}

`make train-{name}` makes it of the two files again.
"""


def _measured(found: Mapping[str, Any], floats: str = "") -> str:
    return f"""Over the {found["images"]:,} test images: {floats}integers {found["reference"]:.2%}, in the kernel
{found["kernel"]:.2%}; kernel and integers agree on {found["agreement"]:,}."""


def _row(name: str, figures: Sequence[float]) -> str:
    return " | ".join([f"| {name}", *(f"{figure:.2f} %" for figure in figures)]) + " |"


def _content(network: QuantizedNetwork) -> str:
    first = network.layers[0]
    if isinstance(first, Table):
        kept = int(first.tables.any(axis=2).sum())
        sums = f"up to {first.groups} rows of {first.outputs} bytes and {first.outputs} of scores are added for a sample"
        return f"{kept:,} rows that are not 0,\n{sums}"
    weights = sum(layer.weights.size for layer in network.layers if isinstance(layer, (Dense, Conv2d)))
    return f"{weights:,} weights in as many bytes,\n{network.macs:,} multiplications a sample"


def _data(dataset: str) -> list[str]:
    data = os.environ.get(_DATA[dataset])
    return ["--data", data] if data else []


def _ebpfnn(*arguments: str) -> str:
    return subprocess.run([sys.executable, "-m", "ebpfnn", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tasks = parser.add_subparsers(dest="task", required=True)
    for task in ("train", "seeds"):
        choices = [*RECIPES, *(CASCADES if task == "train" else ())]
        tasks.add_parser(task).add_argument("name", choices=choices)
    tasks.add_parser("cards")
    given = parser.parse_args()
    if given.task == "cards":
        files.replace(CARDS, cards().encode())
    elif given.task == "seeds":
        try_seeds(given.name)
    elif given.name in CASCADES:
        join(given.name, modelfile.BUNDLED / (given.name + modelfile.SUFFIX))
    else:
        folder = CACHE if given.name.endswith("-teacher") else modelfile.BUNDLED
        train(given.name, RECIPES[given.name].seed, folder / (given.name + modelfile.SUFFIX))


if __name__ == "__main__":
    main()
