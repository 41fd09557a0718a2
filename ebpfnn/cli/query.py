"""``ebpfnn query``: sends images to a network on another machine, which answers from its kernel."""

from __future__ import annotations

import click
import numpy as np

from ..bodies import kind_of, modelfile
from ..errors import Error, InputError
from ..network.cascades import deciding, one_unit
from ..plugin import Plugins, Sample
from ..plugin.reading import read
from ..remote.query import ATTEMPTS, TIMEOUT, Address, Client
from .complete import networks
from .input_option import given, input_options
from .messages import complain
from .plugin_option import available, plugin_option
from .report import Report, as_json, as_label, as_text, check_margin, warn
from .seconds import Seconds


@click.command()
@click.argument("address", metavar="HOST[:PORT]")
@click.argument("images", nargs=-1, metavar="[IMAGE]...")
@click.option(
    "--model",
    metavar="NAME|FILE",
    shell_complete=networks,
    default="mnist",
    show_default=True,
    help="The expected network.",
)
@click.option("--any", "anyone", is_flag=True, help="Accept any network that takes the same input.")
@click.option("--timeout", type=Seconds(0.001), default=TIMEOUT, show_default=True, help="Seconds to wait for each reply.")
@click.option(
    "--attempts", type=click.IntRange(1), default=ATTEMPTS, show_default=True, help="Number of requests before giving up."
)
@input_options
@click.option("--json", "json_lines", is_flag=True, help="Print one JSON object per line.")
@click.option("--check", is_flag=True, help="Compare every score with the numpy reference.")
@click.option("--quiet", is_flag=True, help="Print only the labels, and warnings, such as of blank images.")
@plugin_option
@click.pass_context
def command(
    context: click.Context,
    address: str,
    images: tuple[str, ...],
    model: str,
    anyone: bool,
    timeout: float,
    attempts: int,
    source: str | None,
    raw: bool,
    paths: bool,
    null: bool,
    split: bool,
    min_margin: float | None,
    json_lines: bool,
    check: bool,
    quiet: bool,
) -> None:
    """Classify every IMAGE, or every row of a table, with a network that answers UDP packets on another machine.

    Load the network there with `ebpfnn load --trigger xdp`. This command needs no privileges and no BPF support. IMAGE is
    whatever `ebpfnn infer` takes.
    """
    read_from = given(context, images, source, raw=raw, paths=paths, null=null)
    plugins = available()
    network = modelfile.load(modelfile.resolve(model), plugins)
    check_margin(network, min_margin)
    layout = as_json if json_lines else as_label if quiet else as_text
    failures = 0
    with Client(_address(address), network, timeout=timeout, attempts=attempts, anyone=anyone) as client:
        for sample in read(read_from.uris, plugins, plugins.wanted(network.input, split=split), read_from.source):
            if isinstance(sample, Error):
                failures += complain(str(sample))
                continue
            report = _ask(client, sample, plugins, check=check)
            report.min_margin = min_margin
            click.echo(layout(report, read_from.width))
            if layout is as_label:
                warn(report)
            if report.check is False:
                failures += complain(
                    f"{sample.source}: scores differ from those of '{network.name}' here; compare the model files"
                )
    context.exit(1 if failures else 0)


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except InputError as error:
        raise click.UsageError(str(error)) from error


def _ask(client: Client, sample: Sample, plugins: Plugins, *, check: bool) -> Report:
    answer, network = client.infer(sample.data), client.network
    scores = tuple(answer.scores.tolist())
    where = str(client.address)
    report = Report(sample, network, "query", answer.label, scores, answer.elapsed_ns, where, round_trip=answer.seconds)
    report.guessed = client.anyone
    report.stage = int(deciding(network, sample.data[None])[0]) if one_unit(network.score_scales) is None else None
    if check:
        expected = kind_of(network, plugins).scores(network, sample.data)
        report.check = scores == tuple(expected.tolist()) and report.label == int(np.argmax(expected))
    return report
