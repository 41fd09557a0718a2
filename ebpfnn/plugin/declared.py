"""The ABI version that a plugin declares."""

from __future__ import annotations

import sys

from .. import abi

NAME = "EBPFNN_ABI"
"""The name of this version in a plugin: in its module, or in the package of the module."""


def why_another(plugin: object, module: str) -> str | None:
    """None for a plugin of this ebpfnn's ABI version, else the error. ``module`` is the module that it came from."""
    places = (plugin, sys.modules.get(module), sys.modules.get(module.partition(".")[0]))
    number = next((vars(place)[NAME] for place in places if hasattr(place, "__dict__") and NAME in vars(place)), None)
    if number == abi.VERSION and type(number) is int:
        return None
    written = f"declares no ABI version ({NAME})" if number is None else f"was written for ABI version {number!r}"
    remedy = f"adapt it as docs/plugins.md says, and write {NAME} = {abi.VERSION} into it"
    return f"{written}, and this ebpfnn has {abi.VERSION}; {remedy}, or install the ebpfnn that it was written for"
