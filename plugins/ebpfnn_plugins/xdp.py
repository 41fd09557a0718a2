"""The ``xdp`` trigger: a network interface answers requests before the network stack sees them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ebpfnn.kernel import Link, Program, XdpMode, attach_xdp
from ebpfnn.obj import ProgramType
from ebpfnn.plugin import Trigger, hookimpl

from .packets import AnsweringTrigger

_MODES = {"native": XdpMode.DRIVER, "generic": XdpMode.SKB}


class XdpTrigger(AnsweringTrigger):
    """XDP in the driver, or in the generic code, which every interface has (``mode=generic``)."""

    name = "xdp"
    summary = "UDP requests that come in at an interface, answered by XDP"
    program_type = ProgramType.XDP
    choices = MappingProxyType({**AnsweringTrigger.choices, "mode": tuple(_MODES)})
    options = MappingProxyType(
        {**AnsweringTrigger.options, "mode": "native (the default): in the driver; generic: slower, anywhere"}
    )

    def link(self, program: Program, target: str) -> Link:
        return attach_xdp(program, target, _MODES[self.chosen["mode"]])

    def switches(self) -> Mapping[str, int]:
        """A socket buffer, which generic XDP has, stays one whose checksum is to be completed; a driver's frame does not."""
        return {**super().switches(), "keeps_partial": int(self.chosen["mode"] == "generic")}


@hookimpl
def ebpfnn_triggers() -> Iterable[Trigger]:
    return [XdpTrigger()]
