"""``--plugin FILE``, which may stand before or after a verb, and the plugins that the verb can use."""

from __future__ import annotations

from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING

import click

from ..errors import PluginError

if TYPE_CHECKING:
    from ..plugin import InputSource, Plugins, PreparationKind, Trigger
    from ..plugin.registry import Offer

_GIVEN, _IN_USE = "ebpfnn.plugin_files", "ebpfnn.plugins"


def _remember(context: click.Context, _parameter: click.Parameter, paths: tuple[str, ...]) -> None:
    context.meta[_GIVEN] = (*context.meta.get(_GIVEN, ()), *map(Path, paths))


plugin_option = click.option(
    "--plugin",
    metavar="FILE",
    multiple=True,
    expose_value=False,
    callback=_remember,
    help="Execute this Python file or package, and use the plugin in it. Can be repeated.",
)


def available() -> Plugins:
    """The installed plugins and those of ``--plugin``. Raises as :meth:`Plugins.installed` does."""
    from ..plugin import Plugins

    meta = click.get_current_context().meta
    meta[_IN_USE] = Plugins.installed(files=meta.get(_GIVEN, ()))
    found: Plugins = meta[_IN_USE]
    return found


def blame(context: click.Context, error: BaseException) -> PluginError | None:
    """The message for an exception from a plugin in use. None for other exceptions.

    The innermost plugin that was running is named. Plugins that ship with ebpfnn do not count.
    """
    plugins: Plugins | None = context.meta.get(_IN_USE)
    modules: dict[str, Offer[Trigger] | Offer[InputSource] | Offer[PreparationKind]] = {}
    if plugins:
        modules |= {type(offer.item).__module__: offer for offer in plugins.offered_triggers.offers}
        modules |= {type(offer.item).__module__: offer for offer in plugins.offered_inputs.offers}
        modules |= {type(offer.item).__module__: offer for offer in plugins.offered_preparations.offers}
    for frame, line in reversed(list(walk_tb(error.__traceback__))):
        offer = modules.get(frame.f_globals.get("__name__", ""))
        if offer and not offer.distribution.startswith("ebpfnn "):
            where = f"{frame.f_code.co_filename}, line {line}"
            fact = f"{offer} failed: {type(error).__name__}: {error} ({where})"
            return PluginError(f"{fact}; fix it, or leave it out with EBPFNN_DISABLE={offer.plugin}")
    return None
