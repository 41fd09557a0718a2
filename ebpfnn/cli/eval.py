"""``ebpfnn eval``: the accuracy of a network in floats, in integers and in the kernel."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

from ..bodies import modelfile
from ..errors import NotSupported, PermissionDenied, nearest, printable
from ..network import QuantizedNetwork
from ..network.model import LABEL, Model
from ..quantize import floatfile
from ..quantize.floats import Network
from .complete import networks, targets, triggers
from .measured import HELP, read_aimed, read_measured
from .messages import complain
from .plugin_option import available, plugin_option

if TYPE_CHECKING:
    from ..evaluation.evaluate import Evaluation, KernelRun
    from ..evaluation.values import ValueEvaluation
    from ..plugin import Plugins

_MOST_LISTED = 20


@click.command("eval")
@click.argument("model", metavar="[MODEL]", default="mnist", shell_complete=networks)
@click.option("--data", metavar="DATA", help=f"{HELP} [default: bundled]")
@click.option("--label", metavar="COLUMN", help="Column of a table with the labels. [default: that of the training]")
@click.option("--positive", metavar="CLASS", help="Also measure how CLASS is told from all others: ROC and AUC.")
@click.option(
    "--false-positives",
    type=click.FloatRange(0, 1),
    default=0.001,
    show_default=True,
    help="Rate of false positives to find a margin for, with --positive.",
)
@click.option(
    "--float",
    "float_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Floating-point network. [default: beside MODEL]",
)
@click.option(
    "--trigger",
    metavar="NAME",
    shell_complete=triggers,
    default="run",
    show_default=True,
    help="Trigger that runs the network.",
)
@click.option("--target", metavar="EVENT", shell_complete=targets, help="Event to attach to.")
@click.option("--twin", is_flag=True, help="Run the C implementation instead of compiled code (slower).")
@click.option("--no-kernel", is_flag=True, help="Do not run in the kernel.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--report", type=click.Path(path_type=Path), metavar="DIR", help="Write an HTML report with plots.")
@plugin_option
@click.pass_context
def command(
    context: click.Context,
    model: str,
    data: str | None,
    label: str | None,
    positive: str | None,
    false_positives: float,
    float_file: Path | None,
    trigger: str,
    target: str | None,
    twin: bool,
    no_kernel: bool,
    as_json: bool,
    report: Path | None,
) -> None:
    """Measure the accuracy of MODEL on test samples: in floating point, in integers (numpy) and in the kernel.

    The exit status is 1 unless the last two agree in every score. MODEL is a bundled network or a file.

    Of a model that gives a value or a vector, the errors are measured, against the numbers in the data. Of one that gives
    anomaly scores, how well these tell unusual samples, those with another number than 0.
    """
    from ..evaluation import detection, evaluate

    if report is not None:
        _check_report(report)
    path = modelfile.resolve(model)
    plugins = available()
    network = modelfile.load(path, plugins)
    if float_file is not None and not isinstance(network, QuantizedNetwork):
        raise click.UsageError(f"--float: model '{network.name}' is of kind '{network.kind}', which has no float form", context)
    asked = Asked(plugins, label, float_file, path, false_positives, None if no_kernel else Kernel(trigger, target, twin))
    if network.result != LABEL:
        context.exit(_eval_values(network, data, asked, report, positive=positive, as_json=as_json))
    if positive is not None and positive not in network.labels:
        raise click.UsageError(
            f"--positive: no class {positive!r}{nearest(positive, network.labels) or _known(network)}", context
        )
    measured = read_measured(data, network, plugins, label)
    floats = _load_floats(network, asked)
    # The kernel first: it is the fastest, and without it the user should not wait for the error.
    kernel = _run_kernel(network, measured.samples, asked)
    scores = evaluate.run_reference(network, measured.samples, plugins)
    logits = None if floats is None else evaluate.run_floats(floats, network, measured.samples)
    detected = positive and detection.detect(scores, measured.labels, network.labels.index(positive), false_positives)
    done = evaluate.Evaluation(
        network, measured.name, measured.samples, measured.labels, scores, logits, kernel, detected or None
    )
    _print(done, as_json=as_json)
    if report is not None:
        _write(done, report, quiet=as_json)
    context.exit(_complain_of(done))


@dataclass(frozen=True)
class Kernel:
    """How the kernel runs a model."""

    trigger: str
    target: str | None
    twin: bool


@dataclass(frozen=True)
class Asked:
    """What the options say of any model. ``path`` is its file, and ``kernel`` None if the kernel is not to run it."""

    plugins: Plugins
    label: str | None
    float_file: Path | None
    path: Path
    rate: float
    kernel: Kernel | None


def _eval_values(
    network: Model, data: str | None, asked: Asked, report: Path | None, *, positive: str | None, as_json: bool
) -> int:
    """Measures a model whose results are numbers. Returns the exit status."""
    from ..evaluation import evaluate, values, values_report
    from .value_tables import print_values

    if positive is not None:
        raise click.UsageError(f"--positive: model '{network.name}' gives numbers, and no classes; leave it out")
    measured = read_aimed(data, network, asked.plugins, asked.label)
    floats, kernel = _load_floats(network, asked), _run_kernel(network, measured.samples, asked)
    scores = evaluate.run_reference(network, measured.samples, asked.plugins)
    real = None if floats is None else evaluate.run_floats(floats, network, measured.samples)
    done = values.ValueEvaluation(network, measured.name, measured.samples, measured.targets, scores, real, kernel, asked.rate)
    if as_json:
        click.echo(json.dumps(values.summary(done)))
    else:
        print_values(done)
    if report is not None:
        values_report.write(done, report)
        _tell_report(report, quiet=as_json)
    return _complain_of(done)


def _known(network: Model) -> str:
    return f"; the classes are {', '.join(network.labels[:_MOST_LISTED])}"


def _load_floats(network: Model, asked: Asked) -> Network | None:
    """The float form, which a network alone has."""
    path = asked.float_file or floatfile.beside(asked.path)
    found = isinstance(network, QuantizedNetwork) and (asked.float_file is not None or path.exists())
    return floatfile.load(path) if found else None


def _run_kernel(network: Model, samples: NDArray[np.uint8], asked: Asked) -> KernelRun | None:
    from ..bodies import kind_of
    from ..evaluation import evaluate

    plugins, by = asked.plugins, asked.kernel
    if by is None:
        return None
    body = kind_of(network, plugins).twin(network) if by.twin else None
    try:
        return evaluate.run_kernel(network, plugins.trigger(by.trigger), by.target, samples, _watched, body, plugins)
    except NotSupported as lack:
        raise NotSupported(f"{lack}; or use --no-kernel") from lack
    except PermissionDenied as refusal:
        raise PermissionDenied(f"{refusal}; or use --no-kernel", refusal.errno) from refusal


def _watched(samples: Iterable[Any]) -> Iterator[Any]:
    with click.progressbar(samples, label="in the kernel", file=sys.stderr, hidden=not sys.stderr.isatty()) as each:
        yield from each


def _print(done: Evaluation, *, as_json: bool) -> None:
    if as_json:
        from ..evaluation.summary import summary

        click.echo(json.dumps(summary(done)))
        return
    from .eval_tables import print_tables

    print_tables(done)


def _check_report(directory: Path) -> None:
    from ..evaluation import report

    report.check(directory)


def _write(done: Evaluation, directory: Path, *, quiet: bool) -> None:
    from ..evaluation import report

    report.write(done, directory)
    _tell_report(directory, quiet=quiet)


def _tell_report(directory: Path, *, quiet: bool) -> None:
    from ..evaluation import report

    if not quiet:
        click.echo(f"report: {printable(str(directory / report.PAGE))}")


def _complain_of(done: Evaluation | ValueEvaluation) -> int:
    """Reports samples for which the kernel and the reference differ. Returns 1 if there are any."""
    if done.kernel is None or not len(done.disagreements):
        return 0
    labels = done.network.labels
    for index in done.disagreements[:_MOST_LISTED]:
        ours, theirs = labels[int(done.scores[index].argmax())], labels[done.kernel.labels[index]]
        complain(
            f"sample {index}: the reference gives {ours}, the kernel {theirs}" + (", by other scores" if ours == theirs else "")
        )
    return complain(
        f"the kernel differs from the reference for {len(done.disagreements)} of {len(done.samples)} samples; report this"
    )
