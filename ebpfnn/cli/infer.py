"""``ebpfnn infer``: labels images with a network that runs in the kernel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ..errors import Error
from ..instance import Store
from ..instance.place import is_closed
from ..plugin import Plugins, configured
from ..plugin.reading import read
from .complete import instances, networks
from .inference import Inference, pick, private, shared
from .input_option import Given, given, input_options
from .messages import complain
from .only import listed
from .plugin_option import available, plugin_option
from .report import Report, as_json, as_label, as_text, check_margin, warn
from .trigger_option import candidates, pairs, trigger_options

if TYPE_CHECKING:
    from ..instance import Instance
    from ..session.runner import Served


@click.command()
@click.argument("images", nargs=-1, metavar="[IMAGE]...")
@trigger_options
@click.option("--model", metavar="NAME|FILE", shell_complete=networks, help="Bundled network or file. [default: mnist]")
@click.option(
    "--instance",
    metavar="NAME",
    shell_complete=instances,
    help="Loaded network to use. [default: the only one]",
)
@click.option("--private", "alone", is_flag=True, help="Ignore loaded networks; load one for this command only.")
@input_options
@click.option(
    "--top",
    type=click.IntRange(1),
    metavar="K",
    default=1,
    help="Show the K best labels, of as many as there are. [default: 1]",
)
@click.option("--json", "json_lines", is_flag=True, help="Print one JSON object per line.")
@click.option("--check", is_flag=True, help="Compare every score with the numpy reference.")
@click.option("--twin", is_flag=True, help="Run the C implementation instead of compiled code (slower).")
@click.option("--quiet", is_flag=True, help="Print only the labels, and warnings, such as of blank images.")
@plugin_option
@click.pass_context
def command(
    context: click.Context,
    images: tuple[str, ...],
    trigger: str | None,
    target: str | None,
    options: tuple[str, ...],
    model: str | None,
    instance: str | None,
    alone: bool,
    source: str | None,
    raw: bool,
    paths: bool,
    null: bool,
    split: bool,
    min_margin: float | None,
    top: int,
    json_lines: bool,
    check: bool,
    twin: bool,
    quiet: bool,
) -> None:
    """Classify every IMAGE, or every row of a table, with a network that runs in the kernel.

    IMAGE is a file, a directory, of which all files below are read but for hidden ones, or a pattern such as '*.png'. Without
    IMAGE, or when IMAGE is -, read standard input. Every image and every frame in a file or a stream is answered, in order:
    several images one after another, animations, pages, the files in tar and zip archives, the rows of .npy, .npz and idx
    files, a camera's multipart MJPEG, all of it gzipped or not. A table is a .csv, .jsonl, .npz, .npy or .parquet file, for a
    network that was trained on one.
    """
    read_from = given(context, images, source, raw=raw, paths=paths, null=null)
    plugins = available()
    own = {"--model": model, "--trigger": trigger, "--target": target, "--option": options or None}
    chosen = [name for name, given in {**own, "--twin": twin or None, "--private": alone or None}.items() if given is not None]
    if instance is not None and chosen:
        fact = f"--instance and {chosen[0]} exclude each other: an instance has a network, trigger and target already"
        raise click.UsageError(f"{fact}; leave one out", context)
    found = _instance(instance) if instance is not None else None if chosen else _only_instance(quiet)
    known = candidates(plugins, trigger, target, options)
    triggers = [configured(each, pairs(options)) for each in known]
    layout = as_json if json_lines else as_label if quiet else as_text
    failures, answering = 0, None
    with (
        shared(found, plugins, check=check)
        if found
        else private(model or "mnist", target, lambda: pick(triggers, quiet=quiet), plugins, check=check, twin=twin)
    ) as inference:
        check_margin(inference.network, min_margin)
        for result in _results(read_from, inference, plugins, split=split):
            if isinstance(result, Error):
                failures += complain(str(result))
                continue
            result.top, result.min_margin = top, min_margin
            if found and not quiet:
                _tell_swap(found.name, answering or inference.network, result.network)
            answering = result.network
            click.echo(layout(result, read_from.width))
            if layout is as_label:
                warn(result)
            if result.check is False:
                failures += complain(f"{result.sample.source}: the scores differ from the reference; report this")
    context.exit(1 if failures else 0)


def _instance(name: str) -> Instance:
    from ..instance import Instance
    from ..instance.session import check_takes_samples

    found = Instance.open(name)
    if found.foreign() is None:
        check_takes_samples(name, found.about())
    return found


def _only_instance(quiet: bool) -> Instance | None:
    """The only instance, if there is one. Unless ``quiet``, reports whether it is used, and why an instance is inaccessible."""
    try:
        store = Store()
        if is_closed(store.root) or not store.names():
            return None
        from ..instance import Instance  # imported late: usually no instance is loaded, and this is not needed

        found = Instance.all()
        if len(found) == 1 and found[0].about().observes:
            if not quiet:
                fact = f"instance '{found[0].name}' observes events and takes no samples"
                complain(f"{fact}; loading a network for this command only")
            return None
    except Error as reason:
        complain(f"{reason}; loading a network for this command only")
        return None
    if len(found) > 1 and not quiet:
        alone = "loading a network for this command only; --instance NAME uses one"
        complain(f"several instances are loaded: {listed(found)}; {alone}")
    if len(found) != 1:
        return None
    if not quiet:
        complain(f"using instance '{found[0].name}', which is loaded; --private loads a separate network")
    return found[0]


def _tell_swap(instance: str, former: Served, answering: Served) -> None:
    if answering != former:
        complain(f"instance '{instance}' was swapped: network '{answering.name}' answers from here on, not '{former.name}'")


def _results(read_from: Given, inference: Inference, plugins: Plugins, *, split: bool) -> Iterator[Report | Error]:
    """The result of every sample. An error in one sample does not affect the others."""
    wanted = plugins.wanted(inference.network.input, split=split)
    for sample in read(read_from.uris, plugins, wanted, read_from.source, inference.open):
        yield sample if isinstance(sample, Error) else inference.infer(sample)
