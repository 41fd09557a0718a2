"""``ebpfnn cascade``: puts a network in front of another, which decides what the first is not sure of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..bodies import modelfile
from ..errors import ModelError, printable
from ..network import QuantizedNetwork, cascades, reference
from ..network.architecture import architecture
from ..quantize import floatfile
from .cascade_tables import print_choice, print_result
from .complete import networks
from .only_networks import load_network
from .plugin_option import available, plugin_option

if TYPE_CHECKING:
    from ..evaluation.cascades import Measured, Outcome, Pair

_PATH = click.Path(path_type=Path)
_SHARE = 0.05
_OF_ONE = ("architecture", "recipe", "seed", "float accuracy", "integer accuracy", "calibration")
"""Entries of a card that are about one network."""


@click.command("cascade")
@click.argument("first", shell_complete=networks)
@click.argument("second", shell_complete=networks)
@click.option(
    "--data", type=_PATH, required=True, help="Data of both networks: idx files, .npz, a table, or folders of images."
)
@click.option("--label", metavar="COLUMN", help="Column of a table with the labels. [default: that of the training]")
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True),
    help=f"Share of samples that go on to SECOND. [default: {_SHARE}]",
)
@click.option("--margin", type=click.IntRange(1), help="Let go on where the best score leads by less, instead of --share.")
@click.option("--unpacked", is_flag=True, help="Take pixels, also if FIRST takes packed samples.")
@click.option("--name", metavar="NAME", help="Name of the network. [default: FIRST-SECOND]")
@click.option("--output", "-o", type=_PATH, metavar="FILE", help="Output file. [default: NAME.safetensors]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@plugin_option
@click.pass_context
def command(
    context: click.Context,
    first: str,
    second: str,
    data: Path,
    label: str | None,
    share: float | None,
    margin: int | None,
    unpacked: bool,
    name: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Make one network of two: FIRST decides where its best score leads the second best by a margin, and SECOND elsewhere.

    FIRST should be fast and SECOND accurate. Both must take the same samples and have the same labels; SECOND may be a cascade.
    The margin is such that a share of the samples goes on that `ebpfnn train` holds out; for data without a test part, these
    are the same that it held out when it trained on them. The table shows what other margins would give on these samples. Then
    the result is measured on the test samples.

    If FIRST takes packed samples, SECOND must see the same levels, and then takes them packed alike. With --unpacked both take
    pixels, a byte each.
    """
    if share is not None and margin is not None:
        raise click.UsageError("--share and --margin exclude each other; leave out one", context)
    ours, theirs = (_load(each, unpacked=unpacked) for each in (first, second))
    # Before the scores: whether they can be one network at all.
    made = cascades.join(ours, theirs, margin or 1, 1.0, name=name or f"{ours.name}-{theirs.name}")
    output = output or _usual_output(made.name)
    _check_output(output, first, second)
    held_out, test = _scores(data, label, ours, theirs)
    margin = margin or cascades.margin_for(held_out.first, share or _SHARE)
    made, measured, choice = _made(made, margin, held_out, test)
    made = replace(made, card=_card(ours, theirs, made, measured, choice))
    modelfile.save(made, output)
    floatfile.beside(output).unlink(missing_ok=True)  # of a network that was there before
    if as_json:
        click.echo(json.dumps(_told(made, output, measured, choice), indent=2))
        return
    print_choice(choice, margin, ours.score_scale, len(held_out.truth))
    print_result(made, (ours.name, theirs.name), measured, len(test.truth))
    click.echo(f"\n{printable(str(output))}: {printable(made.name)}, {made.architecture}, {output.stat().st_size:,} bytes")


def _load(name: str, *, unpacked: bool) -> QuantizedNetwork:
    network = load_network(name, "cascade", available())
    return cascades.unpacked(network) if unpacked else network


def _usual_output(name: str) -> Path:
    """In this directory: the names of networks are those in their files, which can be anybody's."""
    if "/" in name:
        raise click.UsageError(f"name '{printable(name)}' is not that of a file in this directory; give --output or --name")
    return Path(name + modelfile.SUFFIX)


def _check_output(output: Path, *given: str) -> None:
    for each in given:
        path = modelfile.resolve(each)
        if output.exists() and path.exists() and output.samefile(path):
            raise click.UsageError(f"output file '{output}' is also an input file; give another --output")


def _scores(data: Path, label: str | None, first: QuantizedNetwork, second: QuantizedNetwork) -> tuple[Pair, Pair]:
    """The scores of both on the samples held out, and on the test samples."""
    from ..evaluation.cascades import Pair
    from ..training.aside import held_out_and_test

    parts = held_out_and_test(data, first, available(), label)
    held_out, test = (
        Pair(reference.scores(first, part.samples), reference.scores(second, part.samples), part.labels) for part in parts
    )
    return held_out, test


def _made(
    joined: QuantizedNetwork, margin: int, held_out: Pair, test: Pair
) -> tuple[QuantizedNetwork, Measured, list[Outcome]]:
    """The cascade with its margin, what it gives on test samples, and what others would give on those held out."""
    from ..evaluation.cascades import Measured, outcome, outcomes

    if joined.then is None:
        raise ModelError(f"'{joined.name}' is no cascade")
    share = outcome(held_out, margin).goes_on
    made = replace(joined, then=replace(joined.then, margin=margin, share=share))
    every = cascades.margin_for(test.first, 1)
    measured = Measured(*(outcome(test, each) for each in (0, margin, every)))
    return made, measured, outcomes(held_out, margin)


def _card(
    first: QuantizedNetwork, second: QuantizedNetwork, made: QuantizedNetwork, measured: Measured, choice: list[Outcome]
) -> Mapping[str, str]:
    margin = made.then.margin if made.then else 0
    chosen = next(each for each in choice if each.margin == margin)
    whole = {key: value for key, value in first.card.items() if key not in _OF_ONE}
    leads = f"where the best score of '{first.name}' leads by less than {margin:,} ({margin * first.score_scale:.3g} logits)"
    on = f"{measured.cascade.goes_on:.2%} of the test samples, {chosen.goes_on:.2%} of those held out"
    return {
        **whole,
        "cascade": f"'{second.name}' decides {leads}: {on}",
        "first network": _one(first, measured.first.accuracy),
        "second network": _one(second, measured.second.accuracy),
        "integer accuracy": f"{measured.cascade.accuracy:.2%} of the test samples, {chosen.accuracy:.2%} of those held out",
    }


def _one(network: QuantizedNetwork, accuracy: float) -> str:
    layers = " then ".join(architecture(each.layers) for each in network.stages)
    recipe = f"; {network.card['recipe']}" if "recipe" in network.card else ""
    return f"{network.name}, {layers}, {accuracy:.2%} of the test samples{recipe}"


def _told(made: QuantizedNetwork, output: Path, measured: Measured, choice: list[Outcome]) -> dict[str, Any]:
    return {
        "file": str(output),
        "name": made.name,
        "architecture": made.architecture,
        "margin": made.then.margin if made.then else None,
        "share": made.then.share if made.then else None,
        "held_out": [asdict(each) for each in choice],
        "test": asdict(measured),
        "card": dict(made.card),
    }
