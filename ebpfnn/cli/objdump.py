"""``ebpfnn objdump``: the content of a BPF object, as the loader reads it. It needs no privileges and no kernel."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from ..errors import printable
from ..obj import ObjectSpec
from ..obj.listing import assembly, contents


@click.command()
@click.argument("path", metavar="FILE.o", type=click.Path(path_type=Path))
@click.option("--asm", is_flag=True, help="Show the instructions as the verifier log does.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(path: Path, asm: bool, as_json: bool) -> None:
    """List programs, maps and relocations of a BPF object file."""
    spec = ObjectSpec.from_file(path)
    told = contents(spec)
    if asm:
        for function in told["functions"]:
            function["assembly"] = list(assembly(spec, spec.functions[function["name"]]))
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    for line in _text(told):
        click.echo(printable(line))


def _text(told: dict[str, Any]) -> Iterator[str]:
    yield f"{told['name']}: license '{told['license']}', {told['btf_types']} BTF types"
    yield from _table(
        "programs", ("name", "section", "type", "instructions", "with calls"), map(_program_row, told["programs"])
    )
    yield from _table("maps", ("name", "type", "key", "value", "entries", "flags"), map(_map_row, told["maps"]))
    externs = [(each["name"], each["kind"] + (" (weak)" if each["weak"] else "")) for each in told["kernel_symbols"]]
    yield from _table("externs", ("name", "defined by"), externs + [(each, "another object") for each in told["externs"]])
    for function in told["functions"]:
        yield from _function(function)


def _program_row(program: dict[str, Any]) -> tuple[Any, ...]:
    total = program["total"] if program["total"] is not None else "?"
    return program["name"], program["section"], program["type"], program["instructions"], total


def _map_row(entry: dict[str, Any]) -> tuple[Any, ...]:
    pinned = ", pinned" if entry["pinned"] else ""
    sizes = entry["key_size"], entry["value_size"], entry["max_entries"]
    return entry["name"], entry["type"], *sizes, f"{entry['flags']:#x}{pinned}"


def _function(function: dict[str, Any]) -> Iterator[str]:
    yield ""
    yield f"{function['name']}: {function['instructions']} instructions"
    if "assembly" in function:
        yield from (f"  {line}" for line in function["assembly"])
    else:
        yield from (f"  {each['instruction']:>5}  {each['to']}" for each in function["relocations"])


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Prints nothing if there are no rows."""
    cells = [[str(cell) for cell in row] for row in rows]
    if cells:
        widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
        yield ""
        yield title
        for row in [list(heads), *cells]:
            yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
