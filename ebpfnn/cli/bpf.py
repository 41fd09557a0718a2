"""``ebpfnn bpf list``: the programs, maps and links in the kernel, and the processes that hold them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from .tables import print_table
from .unknown import Verbs

if TYPE_CHECKING:
    from ..kernel.inspect.listing import LinkEntry, MapEntry, ProgramEntry

_KINDS = ("programs", "maps", "links")
_Rows = list[tuple[object, ...]]
_Table = tuple[tuple[str, ...], _Rows]


@click.group(cls=Verbs, no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Inspect the BPF objects in this kernel."""


@command.command("list")
@click.argument("kinds", nargs=-1, type=click.Choice(_KINDS), metavar="[programs|maps|links]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_(kinds: tuple[str, ...], as_json: bool) -> None:
    """List BPF programs, maps and links, with memory, run statistics and the processes that hold them.

    The kernel counts runs only while run statistics are enabled: `sysctl kernel.bpf_stats_enabled=1`.
    """
    from ..kernel.inspect import listing

    read: dict[str, Callable[[], Iterable[Any]]] = {"programs": listing.programs, "maps": listing.maps, "links": listing.links}
    found = {kind: list(read[kind]()) for kind in _KINDS if kind in (kinds or _KINDS)}
    if as_json:
        click.echo(json.dumps({kind: [asdict(entry) for entry in entries] for kind, entries in found.items()}, indent=2))
        return
    for kind, entries in found.items():
        click.echo(f"{kind}: {len(entries)}")
        print_table(*_TABLES[kind](entries))


def _programs(entries: Iterable[ProgramEntry]) -> _Table:
    rows: _Rows = []
    for each in entries:
        runs = (each.runs or "", f"{each.run_time_ns / each.runs:.0f} ns" if each.runs else "")
        rows.append((each.id, each.type, each.name, _size(each.memory), *runs, _numbers(each.map_ids), _numbers(each.pids)))
    return ("id", "type", "name", "memory", "runs", "time/run", "maps", "pids"), rows


def _maps(entries: Iterable[MapEntry]) -> _Table:
    rows: _Rows = []
    for each in entries:
        sizes = (each.key_size, each.value_size, each.max_entries, _size(each.memory))
        rows.append((each.id, each.type, each.name, *sizes, _numbers(each.pids)))
    return ("id", "type", "name", "key", "value", "entries", "memory", "pids"), rows


def _links(entries: Iterable[LinkEntry]) -> _Table:
    rows: _Rows = []
    for each in entries:
        target = " ".join(f"{name}={value}" for name, value in each.target.items())
        rows.append((each.id, each.type, each.program_id, each.attach_type or "", target, _numbers(each.pids)))
    return ("id", "type", "program", "attach type", "target", "pids"), rows


_TABLES: dict[str, Callable[[Any], _Table]] = {"programs": _programs, "maps": _maps, "links": _links}


def _size(memory: int | None) -> str:
    return "" if memory is None else f"{memory / 1024:.0f} KiB"


def _numbers(numbers: list[int]) -> str:
    return " ".join(map(str, numbers))
