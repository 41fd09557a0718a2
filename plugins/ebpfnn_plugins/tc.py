"""The ``tc`` trigger: traffic control answers requests that an interface receives or is about to send."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ebpfnn.errors import NotSupported
from ebpfnn.kernel import Link, Program, attach_clsact, attach_tcx
from ebpfnn.obj import ProgramType
from ebpfnn.plugin import Trigger, hookimpl

from .packets import AnsweringTrigger

_INGRESS = 1  # BPF_F_INGRESS


class TcTrigger(AnsweringTrigger):
    """A tcx link (Linux 6.6), or on older kernels a filter of the clsact qdisc, which exists as long as the process."""

    name = "tc"
    summary = "answer UDP requests that an interface receives or sends, by traffic control"
    program_type = ProgramType.SCHED_CLS
    choices = MappingProxyType({**AnsweringTrigger.choices, "direction": ("ingress", "egress")})
    options = MappingProxyType(
        {**AnsweringTrigger.options, "direction": "ingress (the default): received packets; egress: sent packets"}
    )

    def link(self, program: Program, target: str) -> Link:
        try:
            return attach_tcx(program, target, egress=self._egress)
        except NotSupported:
            return attach_clsact(program, target, egress=self._egress)

    def switches(self) -> Mapping[str, int]:
        """The packet stays in the same socket buffer, so a partial checksum stays partial."""
        return {**super().switches(), "keeps_partial": 1}

    def observing_entry(self) -> str:
        return f"ebpfnn_tc_{self.chosen['direction']}"

    def guarded_entry(self) -> str:
        return f"ebpfnn_tc_guard_{self.chosen['direction']}"

    def variables(self) -> Mapping[str, bytes]:
        if self.observes:
            return {}
        return {**super().variables(), "way_back": struct.pack("<I", _INGRESS if self._egress else 0)}

    @property
    def _egress(self) -> bool:
        return self.chosen["direction"] == "egress"


@hookimpl
def ebpfnn_triggers() -> Iterable[Trigger]:
    return [TcTrigger()]
