"""Rows of sessions, collected by ebpfnn in the kernel, and kept in a file."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from learning import GROUP, LABEL, Table

from ebpfnn.collect import Collector
from ebpfnn.collect.writing import Writer, writing
from ebpfnn.plugin import Plugins
from ebpfnn.preparation.tables.collected import OWN


class Keeper:
    """Writes the rows of many sessions, which may run side by side, to one file. ``rows`` and ``lost`` count them by group."""

    def __init__(self, spec: Path, writer: Writer, plugins: Plugins, options: Mapping[str, str]) -> None:
        self._spec, self._writer, self._plugins, self._options = spec, writer, plugins, options
        self._one = threading.Lock()
        self.rows: Counter[str] = Counter()
        self.lost = 0

    @contextmanager
    def watching(self, label: str, group: str, target: str | None) -> Iterator[None]:
        """Collects for as long as it is open; every row gets the label and the group. States begin anew each time."""
        given = {"target": target, "options": self._options, "label": label, "group": group}
        with Collector(self._spec, plugins=self._plugins, **given) as collector:  # type: ignore[arg-type]
            yield
            blocks = [block for block in collector.blocks(lambda: False) if len(block)]
            with self._one:
                for block in blocks:
                    self._writer.add(block)
                self.rows[group] += sum(map(len, blocks))
                self.lost += collector.counts().lost


@contextmanager
def keeping(spec: Path, path: Path, options: Mapping[str, str], target: str | None) -> Iterator[Keeper]:
    """A keeper of rows of ``spec`` in ``path``, which is written at the end. ``target`` is any that has the spec's fields."""
    plugins = Plugins.installed()
    about = Collector(spec, plugins=plugins, target=target, options=options)
    with writing(path, about.names, about.about) as writer:
        yield Keeper(spec, writer, plugins, options)
        writer.finish()


def read(path: Path) -> Table:
    """The rows of a file that :func:`keeping` wrote."""
    with np.load(path) as arrays:
        columns = {name: arrays[name] for name in arrays.files if name not in OWN and arrays[name].dtype == np.uint64}
        return Table(columns, arrays[LABEL], arrays[GROUP])
