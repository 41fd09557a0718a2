"""The ``drop`` action: packets go no further."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

from ebpfnn.plugin import Action, hookimpl, object_path

_CODES = {"xdp": (1, 2), "tc": (2, -1), "cgroup_skb": (0, 1)}
"""What drops and what passes a packet: XDP_DROP and XDP_PASS, TC_ACT_SHOT and TC_ACT_UNSPEC (include/uapi/linux/bpf.h and
pkt_cls.h), and 0 and 1 at a cgroup.
"""


class Drop(Action):
    name = "drop"
    summary = "drop packets, but FIN and RST of at most 100 a second on each CPU"
    triggers = tuple(_CODES)

    def object_path(self) -> Path:
        return object_path("drop")

    def variables(self, trigger: str, target: str | None) -> Mapping[str, bytes]:
        del target
        dropped, passed = _CODES[trigger]
        return {"ebpfnn_dropped": struct.pack("<i", dropped), "ebpfnn_passed": struct.pack("<i", passed)}


@hookimpl
def ebpfnn_actions() -> Iterable[Action]:
    return [Drop()]
