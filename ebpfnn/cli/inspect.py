"""``ebpfnn inspect``: a network's layers, their compiled code, and the kernel's figures for it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from ..bodies import modelfile
from ..errors import NotSupported, PermissionDenied, printable
from .complete import networks
from .forecast_text import for_option
from .layer_text import cascade, columns, layers, wraps
from .messages import complain
from .plugin_option import available, plugin_option
from .spec_text import lines_of

if TYPE_CHECKING:
    from ..compiler import Body
    from ..evaluation.inspection import InKernel
    from ..network.model import Model
    from ..plugin import Plugins

_CANDIDATES = 4
"""Of a layer that are printed; all are in the JSON."""


@click.command("inspect")
@click.argument("model", metavar="[MODEL]", default="mnist", shell_complete=networks)
@click.option("--plan", metavar="NAME", help="Use this plan where possible, instead of the cheapest.")
@click.option("--asm", is_flag=True, help="List the instructions.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@for_option
@plugin_option
def command(model: str, plan: str | None, asm: bool, as_json: bool, kernel: str | None) -> None:
    """Show the layers of MODEL, their compiled code, and verifier and timing figures from the kernel.

    Also the plan of each layer and the plans that were rejected. Only the kernel figures need root. MODEL is a bundled network
    or a file. Of a model of another kind, such as trees, show what its kind tells.

    Layers: density is the share of a layer's inputs that are not 0, over the calibration samples. The largest sum is the
    largest accumulator that any sample can cause. The range is that of a layer's outputs.

    Tables: each group of inputs selects a row of its table. Rows that are all 0 are not stored. Blank is the share of the
    groups of calibration samples that selected row 0. Sums that become bytes lie side by side in a word; where it is not
    proven that they stay within -128 to 127, they wrap, and carry into the next one, everywhere alike.

    Cascade: goes on is the share of the calibration samples that the next network decides.

    Plans: "straight" reads all inputs, "listed" those that are not 0, "rows" adds partial sums from a table, "windows" is a
    convolution, which may skip blank rows, "listed values of windows" one that reads values that are not 0, and "tables" adds
    rows, which may skip those of blank groups. Several sums share a 64-bit word: 3x21 means three lanes of 21 bits. A tile is
    as many outputs as the registers hold at a time, in so many words. A segment is a run of inputs after which the lanes are
    flushed. The verifier goes through every turn of a loop, unless the loop is one of those not walked; "walked" and "branches"
    estimate how many instructions it goes through, and how many branches it has to come back to. The cost estimates how many
    instructions one inference runs (for windows: one position).
    """
    from ..evaluation import inspection

    plugins = available()
    network = modelfile.load(modelfile.resolve(model), plugins)
    compiled, code, reason = inspection.compile_for(network, plan, plugins, kernel)
    if asm:
        listing = list(inspection.annotated(compiled))
        click.echo(json.dumps(listing) if as_json else "\n".join(map(printable, listing)))
        return
    figures, left_out = _in_kernel(network, compiled, reason, plugins)
    told = inspection.describe(network, compiled, code, figures, left_out, plugins)
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    for line in _text(told, plugins.describe(network.input.preparation)):
        click.echo(printable(line))
    if left_out:
        complain(f"kernel figures not available: {left_out}")


def _in_kernel(network: Model, compiled: Body, reason: str, plugins: Plugins) -> tuple[InKernel | None, str]:
    """The figures from the kernel, or the reason why there are none."""
    from ..evaluation import inspection

    if reason:
        return None, reason
    try:
        return inspection.run_in_kernel(network, compiled, plugins.trigger("run")), ""
    except (NotSupported, PermissionDenied) as lack:
        return None, str(lack)


def _text(told: dict[str, Any], preparation: str) -> Iterable[str]:
    given = told["input"]
    yield f"{told['name']}: {told['architecture']}, {_sizes(told)}"
    order = f" in {given['order_name']}" if given["packed"] and given.get("order") else ""
    packed = f"packed{order}, " if given["packed"] else ""
    yield f"input: {'x'.join(map(str, given['shape']))}, {given['bits']} bits, {packed}{given['sample_bytes']} bytes a sample"
    yield f"preparation: {preparation}"
    if told["events"]:
        yield from lines_of(told["events"])
    if given.get("value_thresholds"):
        yield _own_thresholds(given.get("value_thresholds"))
    yield from (f"{name}: {text}" for name, text in told["facts"].items())
    yield from _network(told) if "layers" in told else ()
    yield ""
    yield from _figures(told)


def _sizes(told: dict[str, Any]) -> str:
    if "layers" not in told:
        return f"of kind {told['kind']}, {len(told['labels'])} labels"
    return f"{told['parameters']:,} parameters in {told['bytes']:,} bytes, {told['macs']:,} multiplications"


def _network(told: dict[str, Any]) -> Iterable[str]:
    """The layers and the plan of each network of a cascade."""
    if told["stages"]:
        yield ""
        yield from cascade(told["stages"])
    yield ""
    for number, stage in enumerate(told["stages"] or [told]):
        if number:
            yield f"network {number + 1}, {stage['name']}: {stage['architecture']}, {stage['macs']:,} multiplications"
        yield from layers(stage["layers"])
        yield from wraps(told["wraps"] or (), told["wraps_on"]) if not number else ()
        yield ""
    yield from _plans(told)


def _own_thresholds(own: Sequence[Sequence[int]]) -> str:
    """How many levels values have by thresholds of their own: equal ones skip a level, and 256 is never reached."""
    counts = [1 + len(set(each) - {256}) for each in own]
    levels = f"{min(counts)} to {max(counts)}" if min(counts) < max(counts) else f"{counts[0]}"
    return f"thresholds: each value has its own, {levels} levels"


def _plans(told: dict[str, Any]) -> Iterable[str]:
    """The plan of each network of a cascade."""
    plan, number = told["plan"], 0
    while plan:
        if number:
            yield ""
        name = f"network {number + 1}, " if told["stages"] else ""
        yield from _plan(name, plan, [code for code in told["plans"] if code["stage"] == number])
        plan, number = plan["then"], number + 1


def _plan(name: str, plan: dict[str, Any], codes: Sequence[dict[str, Any]]) -> Iterable[str]:
    """The plan of each layer, its cost, and the alternatives."""
    both = list(zip(plan["layers"], codes, strict=True))
    yield f"{name}plan: the first layer reads {plan['sample']}"
    heads = ["layer", "plan", "lanes", "words", "tiles", "segments", "loops not walked"]
    yield from columns(heads, (_decision(layer, code) for layer, code in both))
    yield ""
    heads = ["layer", "outputs as", "instructions", "walked", "branches", "table bytes"]
    yield from columns(heads, (_size(layer, code) for layer, code in both))
    yield ""
    yield "candidates, the best first; cost: instructions per inference, estimated"
    heads = ["layer", "plan", "inputs", "lanes", "words", "tiles", "segments", "cost", ""]
    yield from columns(heads, (row for layer in plan["layers"] for row in _candidates(layer)))
    for layer in plan["layers"]:
        if layer["branches"]:
            yield f"layer {layer['layer']}: {layer['branches']} branches skip groups that are blank"
        costs = [candidate["cost"] for candidate in layer["candidates"]]
        if costs and costs[0] > min(costs):
            yield f"layer {layer['layer']}: not the cheapest: --plan named another, or the verifier takes no list this long"


def _decision(layer: dict[str, Any], code: dict[str, Any]) -> Sequence[str]:
    sizes = (code["words"], code["tiles"], len(code["segments"])) if code["lanes"] else ("", "", "")
    return (*map(str, (layer["layer"], layer["shape"], code["lanes"], *sizes)), ", ".join(layer["unwalked_loops"]))


def _size(layer: dict[str, Any], code: dict[str, Any]) -> Sequence[str]:
    guess = layer["estimate"]
    sizes = (code["instructions"], guess["walked"], guess["forks"], code["table_bytes"])
    return (str(layer["layer"]), layer["outputs"]["text"], *(f"{size:,}" for size in sizes))


def _candidates(layer: dict[str, Any]) -> Iterable[Sequence[str]]:
    for place, found in enumerate(layer["candidates"][:_CANDIDATES]):
        shape = f"{found['bits']}-bit rows" if found["bits"] else found["shape"]
        sizes = (found["inputs"], found["lanes"], found["words"], found["tiles"], found["flushes"])
        taken = ("", "used")[place == 0]
        yield (str(layer["layer"]) if place == 0 else "", shape, *map(str, sizes), f"{found['cost']:,.0f}", taken)


def _figures(told: dict[str, Any]) -> Iterable[str]:
    code, kernel = told["code"], told["kernel"]
    yield f"code: {code['instructions']:,} instructions, compiled in {code['compile_ms']:.0f} ms"
    stack = "" if code["stack"] is None else f"{code['stack']} bytes of stack, "
    yield f"memory: {stack}{code['workspace']:,} bytes of workspace, {code['table_bytes']:,} of tables"
    if kernel:
        verified = f"verified instructions, with the program of trigger '{kernel['trigger']}': {kernel['verified']:,}"
        yield f"kernel: loaded in {kernel['load_ms']:.0f} ms; {verified}"
        times = f"{kernel['warm_ns']:,.0f} ns with warm caches, {kernel['cold_ns']:,.0f} with cold ones"
        yield f"time: {times} ({kernel['samples']} samples, at least)"
    if "layers" in told:
        yield "`ebpfnn inspect --help` explains the columns"
