"""``ebpfnn infer``: images in, labels out, the network in the kernel."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from .. import modelfile
from ..errors import Error, InputError
from ..plugin import Plugins, Trigger
from .group import complain, printable
from .inference import Inference, pick
from .reading import STDIN, opened, peek
from .report import Report, as_json, as_label, as_text

PREFERRED = ("tracepoint", "run")
"""The triggers to try, in this order, where ``--trigger`` names none."""


@click.command()
@click.argument("images", nargs=-1, metavar="[IMAGE]...")
@click.option("--trigger", metavar="NAME", help="What makes the kernel run the network. [default: tracepoint, else run]")
@click.option("--target", metavar="EVENT", help="The event to attach to, where the trigger leaves a choice.")
@click.option("--model", metavar="NAME|FILE", default="mnist", show_default=True, help="A bundled network, or a file.")
@click.option("--input", "source", metavar="NAME", help="What reads the images, where more than one could.")
@click.option("--json", "json_lines", is_flag=True, help="Print one JSON object a line.")
@click.option("--check", is_flag=True, help="Compare every score with the reference in numpy, bit for bit.")
@click.option("--twin", is_flag=True, help="Run the network in readable C, not compiled: slower, and the same scores.")
@click.option("--quiet", is_flag=True, help="Print labels alone.")
@click.pass_context
def command(
    context: click.Context,
    images: tuple[str, ...],
    trigger: str | None,
    target: str | None,
    model: str,
    source: str | None,
    json_lines: bool,
    check: bool,
    twin: bool,
    quiet: bool,
) -> None:
    """Name what every IMAGE shows, by a network that runs in the kernel.

    Without IMAGE, or for -, images are read from standard input, one after another.
    """
    useless = "closed" if sys.stdin is None else "a terminal" if sys.stdin.isatty() else None
    if not images and useless:
        raise click.UsageError(f"no IMAGE, and standard input is {useless}", context)
    plugins = Plugins.installed()
    candidates = _candidates(plugins, trigger, target)
    network = modelfile.load(modelfile.resolve(model))
    layout = as_json if json_lines else as_label if quiet else as_text
    uris = images or (STDIN,)
    width = max(len("stdin:10" if uri == STDIN else printable(uri)) for uri in uris)
    failures = 0
    with Inference(network, lambda: pick(candidates, quiet=quiet), target, check=check, twin=twin) as inference:
        for result in _results(uris, inference, plugins, source):
            if isinstance(result, Error):
                failures += complain(str(result))
                continue
            click.echo(layout(result, width))
            if result.check is False:
                failures += complain(f"{result.sample.source}: the kernel's scores are not the reference's; report this")
    context.exit(1 if failures else 0)


def _candidates(plugins: Plugins, name: str | None, target: str | None) -> list[Trigger]:
    """The trigger that is named, or those to try; a target belongs to one trigger, so it leaves no choice."""
    if name is not None or target is not None:
        return [plugins.trigger(name or PREFERRED[0])]
    return [plugins.trigger(known) for known in PREFERRED if known in plugins.offered_triggers.names]


def _results(uris: tuple[str, ...], inference: Inference, plugins: Plugins, source: str | None) -> Iterator[Report | Error]:
    """What every sample of every URI gave; one that cannot be used takes no other with it."""
    for uri in uris:
        try:
            with opened(uri) as raw:
                head, stream = peek(raw)
                reader = plugins.input_for(uri, head, source)
                if head:
                    inference.open()
                for sample in reader.samples(uri, stream, inference.network.input_shape):
                    yield sample if isinstance(sample, Error) else inference.infer(sample)
        except InputError as error:
            yield error
