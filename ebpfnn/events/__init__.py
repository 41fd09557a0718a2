"""The fields of events, and specs, which say what is computed from them. docs/events.md is the guide."""

from .arguments import function_fields, probe_fields, raw_tracepoint_fields
from .bind import bind
from .bound import Bound, BoundColumn, BoundCondition, BoundEvent, Derived, Use
from .code import FREE, STATE, VALUE, ReducerCode, Register
from .fields import OBSERVER, Field, Place, beside, fields_of
from .formats import format_fields
from .reducer import Options, Reducer
from .replay import Replay, Result, replay, samples
from .spec import At, ColumnSpec, Condition, EventSpec, Spec, StateSpec
from .specfile import build, describe, find, load, shipped
from .units import HASH_FACTOR, duration, hashed

__all__ = [
    "FREE",
    "HASH_FACTOR",
    "OBSERVER",
    "STATE",
    "VALUE",
    "At",
    "Bound",
    "BoundColumn",
    "BoundCondition",
    "BoundEvent",
    "ColumnSpec",
    "Condition",
    "Derived",
    "EventSpec",
    "Field",
    "Options",
    "Place",
    "Reducer",
    "ReducerCode",
    "Register",
    "Replay",
    "Result",
    "Spec",
    "StateSpec",
    "Use",
    "beside",
    "bind",
    "build",
    "describe",
    "duration",
    "fields_of",
    "find",
    "format_fields",
    "function_fields",
    "hashed",
    "load",
    "probe_fields",
    "raw_tracepoint_fields",
    "replay",
    "samples",
    "shipped",
]
