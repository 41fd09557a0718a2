"""Code that the triggers share that may only read packets."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from .packets import PacketAttachment, PacketTrigger

_CONTEXT = struct.Struct("=48x5I")  # struct __sk_buff up to cb
_OUTCOME = struct.Struct("=48xI4i")
_RAN = 1 << 31  # EBPFNN_RAN


class WatchingAttachment(PacketAttachment):
    """The program leaves its result in the context, four scores at a time."""

    def run(self, packet: bytes) -> tuple[int, Sequence[int], int | None] | None:
        label, scores, count = 0, list[int](), 1  # the context has no room for the time
        while len(scores) < count:
            context = _CONTEXT.pack(len(scores), 0, 0, 0, 0)
            mark, *four = _OUTCOME.unpack_from(self._program.run(context=context, data=packet).context)
            if not mark & _RAN:
                return None
            label, count = mark & 0xFFFF, mark >> 16 & 0x7FFF
            scores += four
        return label, scores[:count], None


class WatchingTrigger(PacketTrigger):
    """A trigger whose packets are passed on, whatever the result. It counts inferences and reports them to watchers."""

    attachment = WatchingAttachment
