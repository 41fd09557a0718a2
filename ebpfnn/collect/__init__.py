"""Collects rows of events to files, live or from captures, and labels them. docs/events.md, *Collect*, is the guide."""

from .collecting import Progress, collect
from .collector import Collector
from .labelling import Labelled, label
from .programs import Counts
from .recorded import read_events
from .rows import Rows
from .rules import Rule

__all__ = ["Collector", "Counts", "Labelled", "Progress", "Rows", "Rule", "collect", "label", "read_events"]
