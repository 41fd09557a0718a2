"""Collects rows to a file, until something ends it. What has come until then is kept."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

from ..errors import InputError, UsageError
from ..events import Spec
from ..plugin import Plugins
from . import recorded, rows
from .collector import Collector
from .command import running as running_command
from .programs import RING_BYTES, Counts
from .recorded import Recorder
from .rooms import NoRoom
from .rows import Rows
from .writing import Writer, writing

_OFTEN = 0.2  # seconds between two reports of progress


@dataclass(frozen=True)
class Progress:
    """How far a collection is, or what came of it.

    ``rows`` were collected to the file, which had ``before``; ``recorded`` are events. ``counts`` are the kernel's. ``skipped``
    says what packets of a capture were left out, ``full`` why the file could not take more, ``signal`` is the one that ended
    it, and ``status`` that of the command if it failed, negative for a signal; each is empty or 0 if nothing did.
    """

    rows: int = 0
    before: int = 0
    recorded: int = 0
    counts: Counts = field(default_factory=Counts)
    skipped: str = ""
    full: str = ""
    signal: int = 0
    status: int = 0


Tell = Callable[[Progress], object]


def collect(
    spec: Spec | str | Path,
    output: str | Path | None,
    *,
    plugins: Plugins | None = None,
    trigger: str | None = None,
    target: str | None = None,
    options: Mapping[str, str] | None = None,
    filters: Sequence[str] = (),
    label: str = "",
    group: str | None = None,
    seconds: float | None = None,
    most_rows: int | None = None,
    append: bool = False,
    record: Path | None = None,
    capture: Path | None = None,
    command: Sequence[str] = (),
    ring_bytes: int = RING_BYTES,
    tell: Tell = lambda progress: None,
    check: Callable[[Collector], object] = lambda collector: None,
) -> Progress:
    """Collects rows of ``spec`` to ``output``, a .npz, .parquet or .csv file. ``filters`` are those of :class:`Collector`.

    It ends after ``seconds`` or ``most_rows``, with the capture, and on SIGINT or SIGTERM. ``command``, if given, is started
    when all is attached; it ends with the collection, or the collection with it. ``append`` adds to the rows that the
    file has. ``record`` is an .npz file for every event; without ``output`` nothing else is written. ``tell`` is called now and
    then, ``check`` before anything is attached. The file appears whole or stays unchanged; if the disk is full, it has what
    there was room for, and ``full`` of the result says so. Raises :class:`InputError` for files, and as :class:`Collector`.
    """
    if output is None and record is None:
        raise UsageError("neither a file of rows nor one of events; give --output, or --record")
    if output is not None and record is not None and Path(output).resolve() == record.resolve():
        raise UsageError(f"{output}: rows and events would be one file; give another name to one of them")
    job = _Job(Path(output) if output is not None else None, record, tell, most_rows)
    collector = Collector(
        spec,
        plugins=plugins,
        trigger=trigger,
        target=target,
        options=options,
        filters=filters,
        label=label,
        group=group,
        capture=capture,
        on_event=job.on_event if record else None,
        ring_bytes=ring_bytes,
    )
    check(collector)
    with _stoppable() as stopped, ExitStack() as files:
        job.open(files, collector, append=append)
        with collector:
            if not command:
                return job.run(collector, seconds, stopped)
            with running_command(command) as process:
                progress = job.run(collector, seconds, stopped, lambda: process.poll() is None)
                return progress if progress.signal else replace(progress, status=process.poll() or 0)


class _Job:
    """The files of one collection, and what was written to them."""

    def __init__(self, output: Path | None, record: Path | None, tell: Tell, most_rows: int | None) -> None:
        self._output, self._record, self._tell, self._most = output, record, tell, most_rows
        self._writer: Writer | None = None
        self._recorder: Recorder | None = None
        self._rows = self._before = 0
        self._full = ""
        self._told = 0.0

    def open(self, files: ExitStack, collector: Collector, *, append: bool) -> None:
        """The new files, which :meth:`run` finishes. Rows to append to are copied."""
        if self._record:
            if self._record.exists():
                raise InputError(f"{self._record}: is there already; give another name to record to")
            self._recorder = files.enter_context(recorded.recording(self._record, collector.events.types, collector.about))
        if self._output is None:
            return
        if append and self._output.exists():
            self._writer = self._continued(files, self._output, collector)
            return
        if self._output.exists():
            raise InputError(f"{self._output}: is there already; add to it with --append, or give another name")
        self._writer = files.enter_context(writing(self._output, collector.names, collector.about))

    def on_event(self, index: int, fields: bytes) -> None:
        if self._recorder is not None and not self._full:
            try:
                self._recorder.add(index, fields)
            except NoRoom as full:
                self._full = f"{self._record}: {full}"

    def run(
        self, collector: Collector, seconds: float | None, stopped: list[int], alive: Callable[[], bool] = lambda: True
    ) -> Progress:
        deadline = None if seconds is None else time.monotonic() + seconds  # not from before the programs were attached

        def running() -> bool:
            self._report(collector)
            over = not alive() or (deadline is not None and time.monotonic() >= deadline)
            return not (over or stopped or self._full or (self._most is not None and self._rows >= self._most))

        for block in collector.blocks(running):
            self._add(block)
        self._finish()
        collector.close()
        progress = self._progress(collector, stopped[0] if stopped else 0)
        self._tell(progress)
        return progress

    def _add(self, block: Rows) -> None:
        if self._most is not None and self._rows + len(block) > self._most:
            block = block.first(self._most - self._rows)
        if not len(block) or self._full:
            return
        try:
            if self._writer is not None:
                self._writer.add(block)
            self._rows += len(block)
        except NoRoom as full:
            self._full = f"{self._output}: {full}"

    def _finish(self) -> None:
        try:
            if self._writer is not None:
                self._writer.finish()
        except NoRoom as full:
            self._full = f"{self._output}: {full}"
        if self._writer is not None:
            self._rows = self._writer.rows - self._before
        if self._recorder is not None:
            self._recorder.finish()

    def _report(self, collector: Collector) -> None:
        if time.monotonic() - self._told >= _OFTEN:
            self._tell(self._progress(collector, 0))
            self._told = time.monotonic()

    def _progress(self, collector: Collector, ended: int) -> Progress:
        events = self._recorder.events if self._recorder else 0
        return Progress(self._rows, self._before, events, collector.counts(), str(collector.skipped), self._full, ended)

    def _continued(self, files: ExitStack, output: Path, collector: Collector) -> Writer:
        with rows.reading(output) as (names, about, blocks):
            check_alike(output, names, about, collector.names, collector.about)
            writer = files.enter_context(writing(output, collector.names, collector.about))
            try:
                for block in blocks:
                    writer.add(block)
                    self._before += len(block)
                writer.flush()
            except NoRoom as full:
                fact = f"{output}: its rows cannot be copied ({full})"
                raise InputError(f"{fact}; free some space, or collect to another file") from None
        return writer


def check_alike(
    path: Path, names: tuple[str, ...], about: Mapping[str, Any], wanted: tuple[str, ...], other: Mapping[str, Any]
) -> None:
    """Raises :class:`InputError` if the rows of ``path`` were not collected by the same spec, trigger and mode.

    CSV carries no spec: its columns must be the same.
    """
    if names != wanted:
        differing = next((pair for pair in zip(names, wanted, strict=False) if pair[0] != pair[1]), None)
        counted = f"{len(names)} columns, not {len(wanted)}"
        fact = f"column '{differing[0]}' where the spec has '{differing[1]}'" if differing else counted
        raise InputError(f"{path}: it was collected by another spec ({fact}); collect to another file")
    for member in ("trigger", "mode", "spec") if about else ():
        if about.get(member) != other.get(member):
            told = f"{member} '{about.get(member)}', and this is '{other.get(member)}'" if member != "spec" else "another spec"
            raise InputError(f"{path}: it was collected with {told}; collect to another file")


@contextmanager
def _stoppable() -> Iterator[list[int]]:
    """Meanwhile, the first SIGINT or SIGTERM is noted in the list, so that no write is cut; a second SIGINT interrupts.

    In other threads than the main one, signals are left alone.
    """
    came: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        if came and number == signal.SIGINT:
            raise KeyboardInterrupt
        came.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
