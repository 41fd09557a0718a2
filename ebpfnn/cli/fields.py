"""``ebpfnn fields``: the fields of a trigger's events that a network can use."""

from __future__ import annotations

import json

import click

from ..events import Field
from .complete import targets, triggers
from .plugin_option import available, plugin_option
from .tables import print_table
from .trigger_option import PREFERRED


@click.command()
@click.option(
    "--trigger", metavar="NAME", default=PREFERRED[0], show_default=True, shell_complete=triggers, help="Trigger of the events."
)
@click.option("--target", metavar="EVENT", shell_complete=targets, help="Event. [default: that of the trigger]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@plugin_option
def command(trigger: str, target: str | None, as_json: bool) -> None:
    """List the fields of an event: integers that a network can see."""
    chosen = available().trigger(trigger)
    found = chosen.fields(target)
    if as_json:
        rows = [_row(field) for field in found]
        click.echo(json.dumps({"trigger": chosen.name, "target": target or chosen.default_target, "fields": rows}, indent=2))
        return
    print_table(("name", "type", "unit", "what it is"), map(_cells, found))


def _row(field: Field) -> dict[str, str | int | None]:
    return {
        "name": field.name,
        "type": field.type or None,
        "unit": field.unit or None,
        "help": field.help or None,
        "place": field.place.value,
        "offset": field.offset,
        "size": field.size,
        "refused": field.refused or None,
    }


def _cells(field: Field) -> tuple[str, ...]:
    return field.name, field.type, field.unit, "; ".join(filter(None, (field.help, field.refused)))
