"""What the triggers share that may only look at packets."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from .packets import PacketAttachment, PacketTrigger

_CONTEXT = struct.Struct("=48x5I")  # struct __sk_buff as far as cb
_OUTCOME = struct.Struct("=48xI4i")
_RAN = 1 << 31  # EBPFNN_RAN


class WatchingAttachment(PacketAttachment):
    """Its program leaves what it found in the context, four scores at a time."""

    def run(self, packet: bytes) -> tuple[int, Sequence[int], int | None] | None:
        label, scores, count = 0, list[int](), 1  # how long it took, the context has no room for
        while len(scores) < count:
            context = _CONTEXT.pack(len(scores), 0, 0, 0, 0)
            mark, *four = _OUTCOME.unpack_from(self._program.run(context=context, data=packet).context)
            if not mark & _RAN:
                return None
            label, count = mark & 0xFFFF, mark >> 16 & 0x7FFF
            scores += four
        return label, scores[:count], None


class WatchingTrigger(PacketTrigger):
    """One whose packets go on their way, whatever the network says: it counts, and tells watchers."""

    attachment = WatchingAttachment
