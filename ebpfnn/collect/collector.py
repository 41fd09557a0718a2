"""Rows of a spec as they come from the kernel."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import UsageError
from ..events import Spec, specfile
from ..events.replay import Replay
from ..kernel import RingBuffer
from ..network.events import MODE
from ..observer import Mode
from ..plugin import Plugins
from . import sources
from .captures import opened
from .programs import RING_BYTES, Counts, Programs
from .records import Recorded, RowReader
from .replaying import Replaying, Skipped, check_packets
from .rows import BLOCK, Rows
from .rules import check_name

_TIME = "%Y-%m-%dT%H:%M:%SZ"
_PAUSE = 0.01  # seconds to wait for more, so that rows are read many at a time
_AT_ONCE = 256  # packets of a capture between two looks at the ring
_SPACE = 4096 + 64  # bytes of the largest row in the ring

OnEvent = Callable[[int, bytes], None]
"""Is called with the index of an event in the spec, and its fields as :func:`ebpfnn.collect.records.fields_type` has them."""


class Collector(AbstractContextManager["Collector"]):
    """Collects rows of ``spec``, live or from a capture. In a ``with`` block its programs are loaded, and attached if live.

    ``spec`` is a :class:`~ebpfnn.events.Spec`, the path of one, or the name of one that comes with ebpfnn. ``names`` are the
    results of a row, and ``about`` is what a network carries that learns from them.
    """

    def __init__(
        self,
        spec: Spec | str | Path,
        *,
        plugins: Plugins | None = None,
        trigger: str | None = None,
        target: str | None = None,
        options: Mapping[str, str] | None = None,
        filters: Sequence[str] = (),
        label: str = "",
        group: str | None = None,
        capture: Path | None = None,
        on_event: OnEvent | None = None,
        ring_bytes: int = RING_BYTES,
    ) -> None:
        """``label`` and ``group`` are those of every row; the default group is the time of the start.

        ``filters`` are further conditions of the spec for these rows, such as ``"uid == 1000"``; ``about`` is without them.

        With ``on_event``, rows are computed by the twin from every event, which is handed to it too: exact, and slower. Raises
        :class:`UsageError`, :class:`~ebpfnn.errors.ModelError` for a spec that does not fit, and what triggers raise.
        """
        read = spec if isinstance(spec, Spec) else specfile.load(spec) if isinstance(spec, Path) else specfile.find(spec)
        given = plugins or Plugins.installed()
        self.sources = sources.find(
            read, given, trigger=trigger, target=target, options=options, filters=filters, attached=capture is None
        )
        if capture is not None:
            check_packets(self.sources)
        self.capture, self._on_event, self._ring_bytes = capture, on_event, ring_bytes
        self.label = check_name(label, "label") if label else ""
        self.group = check_name(datetime.now(timezone.utc).strftime(_TIME) if group is None else group, "group")
        self.names = self.sources.bound.names
        self.about: Mapping[str, Any] = {**self.sources.about, **({} if capture is None else {MODE: ""})}
        self.skipped = Skipped()
        self.events = Recorded(self.sources.bound)
        self._reader = RowReader(self.sources.bound, self.label, self.group)
        self._twin = Replay(self.sources.bound) if on_event else None
        self._programs: Programs | None = None
        self._last = Counts()

    def __enter__(self) -> Collector:
        """Raises what loading and attaching raise; nothing stays behind then."""
        mode = Mode.RECORD if self._on_event else Mode.ROWS
        with ExitStack() as held:
            programs = held.enter_context(
                Programs(self.sources, mode, replaying=self.capture is not None, ring_bytes=self._ring_bytes)
            )
            self._ring = held.enter_context(RingBuffer(programs.ring))
            if self.capture is None:
                programs.attach()
            self._programs, self._held = programs, held.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def counts(self) -> Counts:
        """What the programs have counted so far."""
        if self._programs is not None:
            self._last = self._programs.counts()
        return self._last

    def read(self, timeout: float = 0.2) -> Rows:
        """The rows that have come, perhaps none. Waits for the first one, at most ``timeout`` seconds."""
        self._loaded()
        waiting = select.poll()
        waiting.register(self._ring, select.POLLIN)
        if waiting.poll(timeout * 1000):
            time.sleep(min(_PAUSE, timeout))
        return self._rows(self._records())

    def blocks(self, running: Callable[[], bool] = lambda: True) -> Iterator[Rows]:
        """Rows until ``running()`` is false, and what is left then; or all of the capture. Some blocks may be empty."""
        programs = self._loaded()
        if self.capture is not None:
            yield from self._replayed(programs, self.capture, running)
            return
        while running():
            yield self.read()
        programs.detach()
        yield from self._rest()

    def close(self) -> None:
        """Detaches and unloads. May be called twice."""
        if self._programs is not None:
            try:
                self.counts()
            finally:
                self._programs = None
                self._held.close()

    def _loaded(self) -> Programs:
        if self._programs is None:
            raise UsageError("the collector is not running; use it in a with block")
        return self._programs

    def _replayed(self, programs: Programs, capture: Path, running: Callable[[], bool]) -> Iterator[Rows]:
        replaying = Replaying(programs)
        self.skipped = replaying.skipped
        with opened(capture) as frames:
            for _ in replaying.run(frames, max(1, min(_AT_ONCE, self._ring_bytes // _SPACE))):
                yield from self._rest()
                if not running():
                    return

    def _rest(self) -> Iterator[Rows]:
        while records := self._records():
            yield self._rows(records)

    def _records(self) -> list[bytes]:
        """At most a block of what is in the ring."""
        return list(islice(self._ring.consume(), BLOCK))

    def _rows(self, records: list[bytes]) -> Rows:
        if self._twin is None or self._on_event is None:
            return self._reader.from_ring(records)
        results = []
        for index, fields in self.events.split(records):
            self._on_event(index, fields.tobytes())
            names = fields.dtype.names or ()
            result = self._twin.observe(index, dict(zip(names, fields[0].tolist(), strict=True)))
            if result is not None:
                results.append(result)
        return self._reader.from_twin(results)
