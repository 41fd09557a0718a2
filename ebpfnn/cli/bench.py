"""``ebpfnn bench``: inference times in the kernel, compared with the same networks in user space."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import printable
from .complete import networks
from .messages import complain
from .plugin_option import available, plugin_option

if TYPE_CHECKING:
    from ..bench.measure import Bench
    from ..bench.rows import Row
    from ..network.model import Model
    from ..plugin import Plugins, Trigger
    from .bench_inputs import BenchInputs

_MOST_IMAGES = 6144  # of ebpfnn.bench.measure; a branch is pending for each, and the verifier keeps 8,192
_ROUNDS = 15
_OF_FRONT = (
    *("empty", "compiled", "compiled:packed", "compiled:u8", "numpy", "onnxruntime", "ort-iobinding"),
    *("avx2-autovec", "avx2-intrinsics", "avx2-maddubs", "avx512-vnni", "avx2-tables", "avx512-tables"),
    *("clang", "scikit-learn", "tl2cgen"),
)
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables that libraries read once, when they are loaded. numpy is imported below."""


@click.command()
@click.option(
    "--model",
    "models",
    metavar="NAME|FILE",
    multiple=True,
    shell_complete=networks,
    help="Bundled network or file. [default: mnist]",
)
@click.option(
    "--data",
    metavar="DATA",
    help="Samples, as `ebpfnn eval` takes them. [default: the bundled digits; drawn ones for networks of other samples]",
)
@click.option("--label", metavar="COLUMN", help="Column of a table with the labels. [default: that of the training]")
@click.option(
    "--images",
    type=click.IntRange(1, _MOST_IMAGES),
    default=_MOST_IMAGES,
    show_default=True,
    help="Number of different samples, where the data has as many.",
)
@click.option("--spec", metavar="NAME|FILE", help="Measure what an event of this spec costs. flow-24 is there in C too.")
@click.option("--events", is_flag=True, help="Measure what an event costs by the spec that the network carries.")
@click.option("--rounds", type=click.IntRange(1), default=_ROUNDS, show_default=True, help="Number of interleaved rounds.")
@click.option("--row", "only", metavar="NAME", multiple=True, help="Measure only this row. Can be repeated.")
@click.option("--cold", is_flag=True, help="Also measure with cold caches.")
@click.option("--noise", is_flag=True, help="Also measure random samples, which no branch predictor learns.")
@click.option(
    "--front", is_flag=True, help="Print one table of all networks and their peers, with --cold and --noise: accuracy and time."
)
@click.option("--net", is_flag=True, help="Subtract the row `empty`, the harness, from rows in the kernel.")
@click.option("--process", is_flag=True, help="Measure time and memory of a whole `ebpfnn infer` instead.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help="Plot accuracy over time (.svg or .png).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@plugin_option
@click.pass_context
def command(
    context: click.Context,
    models: tuple[str, ...],
    data: str | None,
    label: str | None,
    images: int,
    spec: str | None,
    events: bool,
    rounds: int,
    only: tuple[str, ...],
    cold: bool,
    noise: bool,
    front: bool,
    net: bool,
    process: bool,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Measure inference time in the kernel, and compare with a plain triple loop and installed user-space runtimes.

    Every row runs 6,144 different samples, and the first 512 of them again, which a branch predictor learns. Sparse samples
    are MNIST test digits, of which 512 are bundled: give all of them with --data DIR. Dense samples are uniform in 1..255. For
    a network of other samples, give DATA; else they are drawn: blank, sparse (one value in eight is not 0), dense, and noise.
    The exit status is 1 if a row that must equal the reference does not.

    With --front, the networks are the bundled ones of digits that have no convolutions, if no --model is given. Trees, and
    several models, are measured in turns in one run.

    With --spec or --events, packets go through the event shell, the compiled spec and a network (one of random weights without
    --model), by BPF_PROG_RUN.
    """
    for variable in _ONE_THREAD:
        os.environ.setdefault(variable, "1")
    if spec is not None and events:
        raise click.UsageError("--events takes the spec that the network carries; give it or --spec")
    if spec is not None or events:
        _refuse_beside_events(data=data, label=label, process=process, plot=plot, noise=noise, front=front, net=net)
        context.exit(_measure_events(spec, models, rounds, only, cold=cold, as_json=as_json))
    models = models or (_of_digits() if front else ("mnist",))
    if process:
        _print_process(models[0], as_json=as_json)
        return
    from ..bench.rows import net as without_harness
    from .bench_inputs import check_labels, read

    if plot:
        from ..bench.plot import check

        check(plot)
    plugins = available()
    networks = _load(models, plugins)
    noise, cold, only = noise or front, cold or front, _rows(only, front=front, net=net)
    inputs = {network.name: read(network, data, label, images, plugins, dense=not front, noise=noise) for network in networks}
    if plot or front:
        check_labels(inputs, "--plot" if plot else "--front")
    rows = _measure(networks, inputs, rounds, only, plugins, cold=cold, known=not front)
    accuracy = _accuracy(networks, inputs, plugins) if plot or front else {}
    _print(without_harness(rows) if net else rows, accuracy, front=front, as_json=as_json)
    if plot:
        _plot(rows, accuracy, plot)
    context.exit(1 if any(row.exact is False for row in rows) else 0)


def _rows(only: tuple[str, ...], *, front: bool, net: bool) -> tuple[str, ...]:
    """The rows to measure; none for all. Of trees, those of --front have every plan."""
    from ..bodies import BUILT_IN

    if front and not only:
        return (*_OF_FRONT, *(f"compiled:{plan}" for plan in BUILT_IN["trees"].plans))
    return ("empty", *only) if net and only else only


def _refuse_beside_events(**given: object) -> None:
    for name, value in given.items():
        if value:
            raise click.UsageError(f"--{name} does not go with --spec and --events, which measure packets; leave it out")


def _measure_events(
    spec: str | None, models: tuple[str, ...], rounds: int, only: tuple[str, ...], *, cold: bool, as_json: bool
) -> int:
    from .bench_events import Wanted, measure

    if len(models) > 1:
        raise click.UsageError("events are measured with one network; give one --model")
    plugins = available()
    network = next(iter(_load(models, plugins)), None)
    return measure(spec, network, plugins, Wanted(rounds, only, cold, as_json), _watched)


def _of_digits() -> tuple[str, ...]:
    """The bundled networks of digits whose layers are dense or tables."""
    from ..bodies import modelfile
    from ..network import QuantizedNetwork
    from ..network.layers import Conv2d

    found = {name: modelfile.load(modelfile.resolve(name)) for name in modelfile.bundled()}
    digits = tuple(map(str, range(10)))
    return tuple(
        name
        for name, network in found.items()
        if isinstance(network, QuantizedNetwork)
        and network.labels == digits
        and not any(isinstance(layer, Conv2d) for layer in network.layers)
    )


def _load(models: tuple[str, ...], plugins: Plugins) -> list[Model]:
    """The models. Raises if two have the same name."""
    from ..bodies import modelfile

    networks = [modelfile.load(modelfile.resolve(model), plugins) for model in models]
    names = [network.name for network in networks]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise click.UsageError(f"two networks have the name '{twice}'; give networks with different names")
    return networks


def _measure(
    networks: list[Model],
    inputs: dict[str, BenchInputs],
    rounds: int,
    only: tuple[str, ...],
    plugins: Plugins,
    *,
    cold: bool,
    known: bool,
) -> list[Row]:
    """The rows. With ``known``, ``only`` must name rows that exist."""
    from ..bench.measure import Bench

    with Bench(plugins.trigger("run"), only, _event(plugins), plugins) as bench:
        for network in networks:
            bench.add(network, inputs[network.name].kinds)
        if known:
            _known(bench, only)
        _tell_left_out(bench.left_out, only)
        bench.warm(_watched(rounds, "warm"))
        if cold:
            bench.cold(_watched(rounds, "cold"))
        return bench.rows


def _event(plugins: Plugins) -> tuple[Trigger, str] | None:
    """The fastest event that Python can cause, if available: a system call that has a function in os."""
    from ..plugin import why_not

    trigger = plugins.triggers.get("tracepoint")
    return (trigger, "syscalls:sys_enter_getppid") if trigger and why_not(trigger) is None else None


def _known(bench: Bench, only: tuple[str, ...]) -> None:
    unknown = sorted(set(only) - set(bench.names))
    if unknown:
        reason = next((reason for (_, name), reason in bench.left_out.items() if name == unknown[0]), None)
        if reason:
            raise click.UsageError(f"row '{unknown[0]}' is left out: {printable(reason)}")
        raise click.UsageError(f"row '{unknown[0]}' does not exist; there are {', '.join(bench.names)}")


def _tell_left_out(left_out: dict[tuple[str, str], str], only: tuple[str, ...]) -> None:
    """A line for the rows, of those that are asked for, that are missing for one reason."""
    told: dict[str, list[tuple[str, str]]] = {}
    for (network, name), reason in left_out.items():
        if not only or name in only:
            told.setdefault(reason.removeprefix(f"'{network}' "), []).append((network, name))
    for reason, missing in told.items():
        networks, names = (", ".join(dict.fromkeys(each)) for each in zip(*missing, strict=True))
        complain(f"left out of {printable(networks)}: {names}: {printable(reason)}")


def _watched(rounds: int, label: str) -> Iterable[int]:
    with click.progressbar(range(rounds), label=label, file=sys.stderr, hidden=not sys.stderr.isatty()) as turns:
        yield from turns


def _accuracy(networks: list[Model], inputs: dict[str, BenchInputs], plugins: Plugins) -> dict[str, float]:
    """Of each network, 0..1, over all samples of the data, not only those used in the measurement."""
    from ..bodies import kind_of

    found = {}
    for network in networks:
        given = inputs[network.name]
        labels = kind_of(network, plugins).scores(network, given.samples).argmax(axis=1)
        found[network.name] = float((labels == given.labels).mean())
    return found


def _print(rows: list[Row], accuracy: dict[str, float], *, front: bool, as_json: bool) -> None:
    from .bench_tables import print_front, print_tables

    if as_json:
        click.echo(json.dumps([row.record() for row in rows], indent=2))
    elif front:
        print_front(rows, accuracy)
    else:
        print_tables(rows)


def _plot(rows: list[Row], accuracy: dict[str, float], path: Path) -> None:
    from ..bench.plot import plot

    plot(rows, accuracy, path)
    click.echo(f"plot: {path}", err=True)


def _print_process(model: str, *, as_json: bool) -> None:
    from ..bench.process import measure_process

    (preparation,) = (network.input.preparation for network in _load((model,), available()))
    cost = measure_process(model, columns=len(preparation.options.get("columns", ())))
    if as_json:
        click.echo(json.dumps(asdict(cost)))
    else:
        click.echo(f"ebpfnn infer, whole process: minimum {cost.seconds_min:.2f} s, median {cost.seconds_median:.2f} s")
        click.echo(f"peak memory: {cost.peak_mib:.1f} MiB")
