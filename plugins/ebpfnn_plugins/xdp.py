"""The ``xdp`` trigger: a network interface answers requests before they reach the network stack."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from collections.abc import Iterable
from types import MappingProxyType

from ebpfnn.errors import NotSupported
from ebpfnn.kernel import Link, Program, XdpMode, attach_xdp, interface_index
from ebpfnn.obj import ObjectSpec, ProgramType
from ebpfnn.plugin import Trigger, hookimpl

from .packets import AnsweringTrigger

_MODES = {"native": XdpMode.DRIVER, "generic": XdpMode.SKB}
_SIOCETHTOOL, _ETHTOOL_GDRVINFO = 0x8946, 3  # include/uapi/linux/sockios.h and ethtool.h
_DRIVER_INFO = struct.Struct("=I32s160x")  # struct ethtool_drvinfo
_NAME_BYTES = 16  # IFNAMSIZ


class XdpTrigger(AnsweringTrigger):
    """XDP in the driver, or generic XDP, which every interface supports."""

    name = "xdp"
    summary = "answer UDP requests at an interface, by XDP"
    program_type = ProgramType.XDP
    choices = MappingProxyType({**AnsweringTrigger.choices, "mode": ("auto", *_MODES)})
    options = MappingProxyType(
        {
            **AnsweringTrigger.options,
            "mode": "native: in the driver; generic: slower, works with every driver [default: native, generic on veth]",
        }
    )

    def guarded_entry(self) -> str:
        return "ebpfnn_xdp_guard"

    def link(self, program: Program, target: str) -> Link:
        mode = self.mode(target)
        try:
            return attach_xdp(program, target, _MODES[mode])
        except NotSupported as lack:
            if mode == "generic":
                raise
            fact = f"interface '{target}': its driver has no XDP"
            raise NotSupported(f"{fact}; give --option mode=generic, which every interface has") from lack

    def prepare(self, shell: ObjectSpec, target: str | None) -> None:
        """Partial checksums stay partial in generic XDP, which has a socket buffer, but not in a driver's frame."""
        super().prepare(shell, target)
        if self.observes:
            return
        shell.set_variable("ebpfnn_keeps_partial", struct.pack("<I", self.mode(target) == "generic"))

    def mode(self, target: str | None) -> str:
        """``native`` or ``generic``. veth sends from XDP only to a peer that also has XDP (veth_xdp_xmit, Linux 6.18).

        Raises :class:`~ebpfnn.errors.KernelError` (ENODEV) if the interface does not exist.
        """
        mode = self.chosen["mode"]
        if mode != "auto" or target is None:
            return "native" if mode == "auto" else mode
        interface_index(target)  # an interface that does not exist has no driver
        return "generic" if _driver(target) == "veth" else "native"


def _driver(interface: str) -> str:
    """The driver name of an interface. Empty if there is no such interface, or its driver is not known."""
    told = bytearray(_DRIVER_INFO.pack(_ETHTOOL_GDRVINFO, b""))
    address = (ctypes.c_char * len(told)).from_buffer(told)
    name = interface.encode()[: _NAME_BYTES - 1]
    asked = struct.pack("@16sP16x", name, ctypes.addressof(address))
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, _SIOCETHTOOL, asked)
    except OSError:
        return ""
    driver: bytes = _DRIVER_INFO.unpack(told)[1]
    return driver.rstrip(b"\0").decode()


@hookimpl
def ebpfnn_triggers() -> Iterable[Trigger]:
    return [XdpTrigger()]
