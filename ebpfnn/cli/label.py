"""``ebpfnn label``: gives collected rows labels and groups by rules."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from ..collect import label
from ..collect.rules import Rule, load, parse
from ..errors import printable

_PATH = click.Path(path_type=Path)
_SHOWN = 20


@click.command()
@click.argument("file", type=_PATH, metavar="FILE")
@click.option("--rule", "labels", multiple=True, metavar="RULE", help="As 'source in 10.0.0.0/24 -> scan'. Can be repeated.")
@click.option("--group-rule", "groups", multiple=True, metavar="RULE", help="The same for groups. Can be repeated.")
@click.option("--rules", "file_of_rules", type=_PATH, metavar="RULES.toml", help="File of rules, which come after the others.")
@click.option("--output", type=_PATH, metavar="FILE", help="File to write. [default: FILE itself]")
def command(
    file: Path, labels: tuple[str, ...], groups: tuple[str, ...], file_of_rules: Path | None, output: Path | None
) -> None:
    """Give the rows of FILE labels and groups by their keys.

    FILE was written by `ebpfnn collect`. A rule is CONDITION and CONDITION ... -> NAME; the first rule that holds gives the
    name, and rows for which none holds keep what they have. `any` always holds. A condition compares a part of the key:
    address, port and protocol, of either end of a connection; source and destination, if the key has a direction; or a field,
    such as uid.
    """
    rules: list[Rule] = [*map(parse, labels), *(parse(text, of_groups=True) for text in groups)]
    if file_of_rules is not None:
        rules += load(file_of_rules)
    found = label(file, rules, output)
    click.echo(printable(f"{output or file}: {found.rows:,} rows"))
    _tell("labels", found.labels)
    _tell("groups", found.groups)
    for index, count in enumerate(found.by_rule):
        if not count:
            click.echo(f"  rule {index + 1} gave no row anything")


def _tell(what: str, counts: Counter[str]) -> None:
    shown = ", ".join(f"{name or 'none'} {count:,}" for name, count in counts.most_common(_SHOWN))
    more = f", and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else ""
    click.echo(printable(f"  {what}: {shown or 'none'}{more}"))
