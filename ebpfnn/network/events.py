"""The spec that a network carries: from which events its samples are made. docs/events.md defines specs.

Here it is plain JSON, so that a network can be read, stored and compared without knowing events. What its members mean is
checked by :mod:`ebpfnn.events.specfile` when the network is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..errors import ModelError

SPEC, TRIGGER, MODE = "spec", "trigger", "mode"
MODES = ("", "native", "generic")
"""How a trigger was attached while the data were collected. ``""`` for triggers that have just one way."""
MOST_BYTES = 48 << 10
"""A spec as JSON. The largest one of docs/events.md has a few thousand bytes."""
Events = Mapping[str, Any]


def carried(spec: Mapping[str, Any], trigger: str, mode: str = "") -> dict[str, Any]:
    """What a network carries that was trained on rows of ``spec``, collected at ``trigger`` in ``mode``."""
    return {SPEC: dict(spec), TRIGGER: trigger, MODE: mode}


def check(events: Events) -> None:
    """Raises :class:`ModelError` if ``events`` is neither empty nor what :func:`carried` makes, or over 48 KiB of JSON."""
    if not events:
        return
    try:
        size = len(json.dumps(events, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"'events' is no JSON ({error}); train the network again") from None
    spec, trigger, mode = (events.get(name) for name in (SPEC, TRIGGER, MODE))
    if set(events) != {SPEC, TRIGGER, MODE} or not isinstance(spec, dict) or not spec:
        raise ModelError("'events' must hold a spec, a trigger and a mode; train the network again")
    if not isinstance(trigger, str) or not trigger or not trigger.isprintable():
        raise ModelError(f"'events': trigger {trigger!r} is no name; train the network again")
    if mode not in MODES:
        raise ModelError(f"'events': mode {mode!r} is not known; it is one of {', '.join(map(repr, MODES))}")
    if size > MOST_BYTES:
        raise ModelError(f"'events': {size} bytes of JSON, over {MOST_BYTES}; use fewer columns")
