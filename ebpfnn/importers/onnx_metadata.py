"""What ebpfnn's own ONNX files say of a network beside its graph: labels, the kind of results, spec and preparation.

They are checked as those of a model file are, and sizes before anything is parsed.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from ..network import events, fields, preparation
from ..network.layers import expect
from ..network.model import VECTOR
from ..network.onnxkeys import EVENTS, LABELS, PREPARATION, PRODUCER, RESULT
from .options import ImportOptions

if TYPE_CHECKING:
    from onnx import ModelProto

_MOST_LABELS = 1 << 20  # bytes
_SLACK = 1 << 10  # bytes, for the name of a kind


def given(model: ModelProto, options: ImportOptions) -> tuple[ImportOptions, dict[str, Any]]:
    """``options`` with what the file says where they say nothing, and the spec that the network carries, perhaps empty.

    Files of others say nothing. Raises :class:`ModelError` for what a model file could not hold either.
    """
    if model.producer_name != PRODUCER:
        return options, {}
    found = {each.key: each.value for each in model.metadata_props if each.key in (EVENTS, LABELS, PREPARATION, RESULT)}
    if options.labels is None and LABELS in found:
        options = replace(options, labels=fields.texts({LABELS: _parsed(LABELS, found[LABELS], _MOST_LABELS)}, LABELS))
    if options.result is None and RESULT in found and _parsed(RESULT, found[RESULT], _SLACK) == VECTOR:
        options = replace(options, result=VECTOR)  # others are what the outputs say
    if options.prepared is None and PREPARATION in found:
        described = {"preparation": _parsed(PREPARATION, found[PREPARATION], preparation.MOST_BYTES + _SLACK)}
        options = replace(options, prepared=fields.within(f"'{PREPARATION}'", fields.build_preparation, described))
    if EVENTS not in found:
        return options, {}
    carried = fields.within(f"'{EVENTS}'", fields.events, {"events": _parsed(EVENTS, found[EVENTS], events.MOST_BYTES)})
    events.check(carried)
    return options, carried


def _parsed(name: str, text: object, most: int) -> Any:
    if not isinstance(text, str):  # protobuf gives bytes that are no UTF-8 as they are
        raise ModelError(f"its metadata '{name}' are no text; export it again")
    expect(len(text) <= most, f"its metadata '{name}' have {len(text)} characters, over {most}; export it again")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ModelError(f"its metadata '{name}' are not JSON; export it again") from None
