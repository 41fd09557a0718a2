"""``ebpfnn models``: the networks that ship with ebpfnn, and those in the current directory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from ..bodies import modelfile
from ..errors import ModelError
from ..network.layers import Shape
from ..plugin import Plugins
from .messages import complain
from .plugin_option import available, plugin_option
from .spec_text import spec_of
from .tables import on_terminal, print_table

RECORDED_NS: Mapping[str, int] = {
    "mnist": 812,
    "mnist-1bit": 193,
    "mnist-1bit-64": 357,
    "mnist-128": 3182,
    "mnist-cnn": 17948,
}
"""Nanoseconds per inference of a digit, unpacked, from docs/performance.md. The other networks have no recorded time."""
_MACHINE = "AMD EPYC (Zen 4), 3.7 GHz, Linux 6.18"
_MEASURED = "integer accuracy"  # from the card (ebpfnn.training.card)


@dataclass(frozen=True)
class Input:
    """A sample: its shape, bits per value, and whether values are packed."""

    shape: Shape
    bits: int
    packed: bool


@dataclass(frozen=True)
class Model:
    """A network file. ``accuracy`` and ``data`` are from its card, ``ns`` is a recorded time, None if there is none."""

    name: str
    file: str
    bundled: bool
    architecture: str
    input: Input
    labels: int
    data: str | None
    accuracy: str | None
    ns: int | None
    ns_source: str | None
    bytes: int
    events: str | None = None
    kind: str = "network"
    result: str = "label"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@plugin_option
def command(as_json: bool) -> None:
    """List the bundled networks and the .safetensors files in the current directory.

    The input is the shape of a sample, and bits is the number of bits of each of its values. The accuracy is that of the
    quantized network on its test samples, as recorded in the file. The time of an inference, ns, is not measured, but was
    recorded on another machine; `ebpfnn bench` measures it. The events are those that a network observes, with its spec's name.
    """
    found = list(_models(available()))
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found], indent=2))
        return
    heads = ("name", "architecture", "input", "bits", "accuracy", "ns", "size")
    observing = any(each.events for each in found)  # a column that is empty tells nothing
    rows = ((*_row(each), each.events or "-") if observing else _row(each) for each in found)
    print_table((*heads, "events") if observing else heads, rows)
    if on_terminal():
        click.echo(f"\nns: time of one inference on {_MACHINE};\n`ebpfnn bench --model NAME` measures on this machine")


def _models(plugins: Plugins) -> Iterator[Model]:
    for name in modelfile.bundled():
        yield _read(modelfile.resolve(name), plugins, bundled=True)
    for path in sorted(Path().glob("*" + modelfile.SUFFIX)):
        if path.name.endswith(".float" + modelfile.SUFFIX):
            continue
        try:
            yield _read(path, plugins, bundled=False)
        except ModelError as error:
            complain(str(error))


def _read(path: Path, plugins: Plugins, *, bundled: bool) -> Model:
    network = modelfile.load(path, plugins)
    form, card = network.input, network.card
    recorded = RECORDED_NS.get(path.stem) if bundled else None
    return Model(
        name=network.name,
        file=str(path),
        bundled=bundled,
        architecture=network.architecture,
        input=Input(form.shape, form.bits, form.packed),
        labels=len(network.labels),
        data=card.get("data"),
        accuracy=card[_MEASURED].split()[0] if card.get(_MEASURED) else None,
        ns=recorded,
        ns_source=None if recorded is None else "recorded",
        bytes=path.stat().st_size,
        events=spec_of(network.events) or None,
        kind=network.kind,
        result=network.result,
    )


def _row(model: Model) -> tuple[str, ...]:
    shape = "x".join(map(str, model.input.shape))
    time = "-" if model.ns is None else f"{model.ns:,}"
    size = f"{model.bytes / 1024:.0f} KiB"
    name = model.name if model.bundled else model.file
    return name, model.architecture, shape, str(model.input.bits), model.accuracy or "-", time, size
