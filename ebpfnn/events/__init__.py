"""The fields of events, and specs, which say what is computed from them. docs/events.md is the guide."""

from .arguments import function_fields, probe_fields, raw_tracepoint_fields
from .code import FREE, STATE, VALUE, ReducerCode, Register
from .fields import OBSERVER, Field, Place, beside, fields_of
from .formats import format_fields
from .reducer import Options, Reducer
from .spec import At, ColumnSpec, Condition, EventSpec, Spec, StateSpec
from .units import HASH_FACTOR, duration, hashed

__all__ = [
    "FREE",
    "HASH_FACTOR",
    "OBSERVER",
    "STATE",
    "VALUE",
    "At",
    "ColumnSpec",
    "Condition",
    "EventSpec",
    "Field",
    "Options",
    "Place",
    "Reducer",
    "ReducerCode",
    "Register",
    "Spec",
    "StateSpec",
    "beside",
    "duration",
    "fields_of",
    "format_fields",
    "function_fields",
    "hashed",
    "probe_fields",
    "raw_tracepoint_fields",
]
