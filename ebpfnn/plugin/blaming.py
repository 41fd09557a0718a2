"""The message for an exception from a plugin: it names the plugin, the exception, the file and the line."""

from __future__ import annotations

from traceback import walk_tb
from typing import Any

from ..errors import PluginError
from .discovery import DISABLE
from .registry import Offer


def modules_of(offer: Offer[Any]) -> set[str]:
    """The names of the modules that what is offered was defined in."""
    model = getattr(offer.item, "model", None)
    return {type(offer.item).__module__, *([model.__module__] if isinstance(model, type) else [])}


def failed(offer: Offer[Any], error: BaseException) -> PluginError:
    """``error`` as one line, with the innermost line of the plugin that was running."""
    modules, where = modules_of(offer), ""
    for frame, line in walk_tb(error.__traceback__):
        if frame.f_globals.get("__name__", "") in modules:
            where = f" ({frame.f_code.co_filename}, line {line})"
    return PluginError(f"{offer} failed: {type(error).__name__}: {error}{where}; {remedy(offer)}")


def remedy(offer: Offer[Any]) -> str:
    """What to do about a plugin that fails."""
    return f"fix it, or leave it out with {DISABLE}={offer.plugin}"
