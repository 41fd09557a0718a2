"""The fields of events: named integers, from a shell's types, from tracefs, or from the types of a function's arguments."""

from .arguments import function_fields, probe_fields, raw_tracepoint_fields
from .fields import OBSERVER, Field, Place, beside, fields_of
from .formats import format_fields

__all__ = [
    "OBSERVER",
    "Field",
    "Place",
    "beside",
    "fields_of",
    "format_fields",
    "function_fields",
    "probe_fields",
    "raw_tracepoint_fields",
]
