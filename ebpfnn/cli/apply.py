"""``ebpfnn apply``: loads what a file declares."""

from __future__ import annotations

from pathlib import Path

import click

from ..declared.carry_out import NotTakenBack, carry_out
from ..declared.plan import Plan, plan
from ..errors import Error, SessionError
from ..instance import Store
from .plugin_option import available, plugin_option
from .trail import told

_WOULD_CHANGE = 3


@click.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.toml")
@click.option("--dry-run", is_flag=True, help="Print what would be done, and change nothing.")
@click.option("--unload", is_flag=True, help="Unload all that FILE has declared; FILE need not be there any more.")
@click.option("--quiet", is_flag=True, help="Print nothing on success.")
@plugin_option
@click.pass_context
def command(context: click.Context, file: Path, dry_run: bool, unload: bool, quiet: bool) -> None:
    """Make the loaded instances those that FILE declares.

    FILE has a table [[instance]] for each, with the options of `ebpfnn load` as keys: docs/operations.md lists them. What is
    not loaded is loaded; where only the model differs it is swapped, where only the enforcement differs the guard stays loaded,
    and what differs otherwise is loaded anew. What FILE declared before, and does no longer, is unloaded. Instances that
    something else has loaded are left alone.

    Everything is checked before anything is changed: files, calibration, and made-up events. If a change fails, all changes of
    this run are taken back. A second run prints `nothing to do`.

    With --dry-run, the exit status is 3 if there is something to do.
    """
    store, plugins = Store(), available()
    if dry_run:
        found = plan(file, store, plugins, nothing=unload)
        _print(found, file, unload=unload)
        context.exit(_WOULD_CHANGE if found.steps else 0)
    with store.changing():
        found = plan(file, store, plugins, nothing=unload)
        try:
            carry_out(found, store, plugins)
        except NotTakenBack:
            raise
        except Error as error:
            fact, _, remedy = str(error).partition("; ")
            raise SessionError(
                "; ".join(filter(None, (f"{fact}, and all changes of this run were taken back", remedy)))
            ) from error
        for step in found.steps:
            told(step.verb, step.name, by="apply", file=str(file.resolve()), why=step.why)
    if not quiet:
        _print(found, file, unload=unload)


def _print(found: Plan, file: Path, *, unload: bool) -> None:
    for step in found.steps:
        click.echo(f"{step.name}: {step.verb} ({step.why})")
    if not found.steps:
        click.echo("nothing to do" + (f": nothing that {file.resolve()} declared is loaded" if unload else ""))
