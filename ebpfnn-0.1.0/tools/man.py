#!/usr/bin/env python3
"""Writes a man page for ebpfnn and for each of its verbs, from what --help says: tools/man.py DIRECTORY."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import click

from ebpfnn.cli import VERBS, main
from ebpfnn.cli.examples import EXAMPLES


def pages() -> Iterator[tuple[str, str]]:
    """The name and the text of each page, of section 1."""
    top = click.Context(main, info_name="ebpfnn")
    verbs = [(".TP", f".BR ebpfnn\\-{_escaped(verb)} (1)", _escaped(summary)) for verb, summary in VERBS.items()]
    yield "ebpfnn.1", _page(main, top, "run neural networks in the Linux kernel", [".SH COMMANDS", *chain(*verbs)])
    for verb, summary in VERBS.items():
        command = main.get_command(top, verb)
        if command is None:
            raise LookupError(verb)
        context = click.Context(command, info_name=verb, parent=top)
        yield f"ebpfnn-{verb}.1", _page(command, context, summary.rstrip("."), _examples(verb))


def _page(command: click.Command, context: click.Context, summary: str, rest: list[str]) -> str:
    name = context.command_path
    described = (command.help or "").replace("`", '"').split("\n\n")
    lines = [
        f'.TH "{name.replace(" ", "-").upper()}" 1 "" "ebpfnn" "User Commands"',
        *(".SH NAME", f"{_escaped(name.replace(' ', '-'))} \\- {_escaped(summary[0].lower() + summary[1:])}"),
        *(".SH SYNOPSIS", f".B {_escaped(name)}", _escaped(" ".join(command.collect_usage_pieces(context)))),
        *(".SH DESCRIPTION", "\n.PP\n".join(_escaped(" ".join(part.split())) for part in described)),
        *(".SH OPTIONS", *_options(command, context), *rest),
    ]
    return "\n".join(lines) + "\n"


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record:
            yield from (".TP", f".B {_escaped(record[0])}", _escaped(record[1]))


def _examples(verb: str) -> list[str]:
    return [".SH EXAMPLES", ".nf", *map(_escaped, EXAMPLES[verb]), ".fi", ".SH SEE ALSO", ".BR ebpfnn (1)"]


def _escaped(text: str) -> str:
    """``text`` as roff takes it literally."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text.startswith((".", "'")) else text


if __name__ == "__main__":
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    for file, text in pages():
        (directory / file).write_text(text)
