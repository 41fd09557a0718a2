"""What an observer does with the events that its spec accepts."""

from __future__ import annotations

from enum import Enum


class Mode(Enum):
    """What comes of an event: a record of its fields, at some events the row of its key, or there the verdict of a network."""

    RECORD = "record"
    ROWS = "rows"
    VERDICTS = "verdicts"
