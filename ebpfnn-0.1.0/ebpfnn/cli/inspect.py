"""``ebpfnn inspect``: a network's layers, what they are compiled to, and what the kernel says of that."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from .. import modelfile
from ..errors import NotSupported, PermissionDenied
from .complete import networks
from .group import complain, printable
from .plugin_option import available

if TYPE_CHECKING:
    from ..compiler import Compiled
    from ..inspection import InKernel
    from ..network import QuantizedNetwork


@click.command("inspect")
@click.argument("model", metavar="[MODEL]", default="mnist", shell_complete=networks)
@click.option("--plan", metavar="NAME", help="Use this plan where possible, instead of the cheapest.")
@click.option("--asm", is_flag=True, help="List the instructions.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(model: str, plan: str | None, asm: bool, as_json: bool) -> None:
    """Show the layers of MODEL, their compiled code, and verifier and timing figures from the kernel.

    Only the kernel figures need root. MODEL is a bundled network or a file.
    """
    from .. import inspection

    network = modelfile.load(modelfile.resolve(model))
    compiled, code, reason = inspection.compile_for(network, plan)
    if asm:
        listing = list(inspection.annotated(compiled))
        click.echo(json.dumps(listing) if as_json else "\n".join(map(printable, listing)))
        return
    kernel, left_out = _in_kernel(network, compiled, reason)
    told = inspection.describe(network, compiled, code, kernel, left_out)
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    for line in _text(told):
        click.echo(printable(line))
    if left_out:
        complain(f"kernel figures not available: {left_out}")


def _in_kernel(network: QuantizedNetwork, compiled: Compiled, reason: str) -> tuple[InKernel | None, str]:
    """What the kernel says, or why it was not asked."""
    from .. import inspection

    if reason:
        return None, reason
    try:
        return inspection.run_in_kernel(network, compiled, available().trigger("run")), ""
    except (NotSupported, PermissionDenied) as lack:
        return None, str(lack)


def _text(told: dict[str, Any]) -> Iterable[str]:
    given = told["input"]
    sizes = f"{told['parameters']:,} parameters in {told['bytes']:,} bytes, {told['macs']:,} multiplications"
    yield f"{told['name']}: {told['architecture']}, {sizes}"
    packed = "packed, " if given["packed"] else ""
    yield f"input: {'x'.join(map(str, given['shape']))}, {given['bits']} bits, {packed}{given['sample_bytes']} bytes a sample"
    yield ""
    heads = ("layer", "kind", "takes", "gives", "parameters", "multiplications", "not 0", "largest sum", "outputs")
    yield from _table(heads, (_layer(number, row) for number, row in enumerate(told["layers"])))
    yield ""
    heads = ("layer", "plan", "lanes", "words", "tiles", "flushes", "looped", "instructions", "table bytes")
    yield from _table(heads, map(_plan, told["plans"]))
    yield ""
    yield from _figures(told)


def _layer(number: int, row: dict[str, Any]) -> Sequence[str]:
    share = "" if row["density"] is None else f"{row['density']:.0%}"
    bound = "" if row["bound"] is None else f"{row['bound']:,}"
    sizes = f"{row['parameters']:,}", f"{row['macs']:,}"
    kind = f"{row['kind']} {row['window']}".strip()
    return str(number), kind, row["given"], row["gives"], *sizes, share, bound, row["values"]


def _plan(plan: dict[str, Any]) -> Sequence[str]:
    looped = "yes" if plan["iterated"] else "no"
    sizes = (plan["words"], plan["tiles"], len(plan["segments"]))
    return (
        *map(str, (plan["layer"], plan["shape"], plan["lanes"], *sizes)),
        looped,
        *(f"{plan[name]:,}" for name in ("instructions", "table_bytes")),
    )


def _figures(told: dict[str, Any]) -> Iterable[str]:
    code, kernel = told["code"], told["kernel"]
    memory = f"{code['stack']} bytes of stack, {code['workspace']:,} of workspace, {code['table_bytes']:,} of tables"
    yield f"code: {code['instructions']:,} instructions, {memory}; compiled in {code['compile_ms']:.0f} ms"
    if kernel:
        yield f"kernel: the verifier walked {kernel['verified']:,} instructions; loaded in {kernel['load_ms']:.0f} ms"
        times = f"{kernel['warm_ns']:,.0f} ns with warm caches, {kernel['cold_ns']:,.0f} ns with cold ones"
        yield f"an inference takes {times} ({kernel['samples']} samples, at least)"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    cells = [heads, *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
