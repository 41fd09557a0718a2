"""Reads all instances within a time, for one scrape."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.metrics_core import Metric

from ..errors import Error
from ..instance import Instance, Snapshot, Store
from .families import of_exporter, of_instances

_LOG = logging.getLogger(__name__)


@dataclass
class _Scrape:
    """What one scrape found: snapshots, who could be read, and ABI versions, by name; and whether instances could be listed."""

    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    readable: dict[str, bool] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    listed: bool = True


class Instances:
    """A collector of prometheus_client. It reads the instances of ``store`` at every scrape, one scrape at a time.

    After ``seconds``, the instances that are left are told as unreadable. Nothing in the kernel is changed.
    """

    def __init__(self, store: Store, seconds: float) -> None:
        self._store, self._seconds = store, seconds
        self._one = threading.Lock()
        self._told: set[str] = set()

    def collect(self) -> Iterator[Metric]:
        """Every metric, also those without a value."""
        with self._one:
            begun = time.monotonic()
            found = self._scrape(begun + self._seconds)
            taken = time.monotonic() - begun
        yield from of_instances(found.snapshots)
        yield from of_exporter(found.readable, found.versions, found.listed, taken)

    def _scrape(self, until: float) -> _Scrape:
        found, faults = _Scrape(), set[str]()
        try:
            instances = Instance.all(self._store, sweep=False)
        except Error as error:
            found.listed = False
            instances = []
            faults.add(str(error))
        for number, instance in enumerate(instances):
            share = (until - time.monotonic()) / (len(instances) - number)
            fault = _read(found, instance, share)
            if fault and instance.is_loaded():  # else it was unloaded meanwhile
                found.readable[instance.name] = False
                faults.add(f"instance '{instance.name}': {fault}")
        for fault in sorted(faults - self._told):
            _LOG.warning("%s", fault)
        self._told = faults
        return found


def _read(found: _Scrape, instance: Instance, seconds: float) -> str:
    """Returns why it could not be read, or ''."""
    if seconds <= 0:
        return "there was no time left to read it; raise --timeout"
    try:
        other = instance.foreign()
        if other is not None:
            found.versions[instance.name] = other.abi
            return str(other.refusal("it"))
        snapshot = instance.snapshot(seconds)
    except Error as error:
        return str(error)
    found.snapshots[instance.name], found.readable[instance.name] = snapshot, True
    found.versions[instance.name] = snapshot.about.abi
    return ""
