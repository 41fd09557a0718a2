"""``--plugin FILE``, which may stand before a verb and behind it, and the plugins that a verb then has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..plugin import Plugins

_GIVEN = "ebpfnn.plugin_files"


def _remember(context: click.Context, _parameter: click.Parameter, paths: tuple[str, ...]) -> None:
    context.meta[_GIVEN] = (*context.meta.get(_GIVEN, ()), *map(Path, paths))


plugin_option = click.option(
    "--plugin",
    metavar="FILE",
    multiple=True,
    expose_value=False,
    callback=_remember,
    help="Execute this Python file, or package, and use the plugin in it, for this run alone; may be repeated.",
)


def available() -> Plugins:
    """The installed plugins and those of ``--plugin``. Raises as :meth:`Plugins.installed` does."""
    from ..plugin import Plugins

    return Plugins.installed(files=click.get_current_context().meta.get(_GIVEN, ()))
