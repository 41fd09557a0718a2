"""Code that the network triggers share: their options, and how a sample is delivered to them without a packet."""

from __future__ import annotations

import copy
import struct
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from types import MappingProxyType

from ebpfnn import abi
from ebpfnn.errors import Error, InputError, KernelError, NotSupported, PermissionDenied, SessionError, UsageError
from ebpfnn.events import Field
from ebpfnn.kernel import Link, Object, Program, has_program_type, interface_index, lack
from ebpfnn.obj import ObjectSpec, ProgramType
from ebpfnn.plugin import Attachment, InputFormat, Trigger, object_path
from ebpfnn.remote.protocol import LARGEST_SAMPLE, PORT, Reply, payload_bytes, reply, request

from .frames import Address, frame, payload

_MOST_PREFIXES = 16  # EBPFNN_MAX_PREFIXES
_MAPPED = 0xFFFF << 32  # ::ffff:0:0/96, the IPv4-mapped addresses in IPv6
_MOST_SCORES = abi.RESULT["scores"].shape[0]
_LOOPBACK = 1  # LOOPBACK_IFINDEX (include/net/flow.h), the same in every namespace
_HOSTS: Sequence[Address] = tuple(  # documentation networks (RFC 5737, 3849): source and destination of a sample
    map(ip_address, ("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "1.0.0.1"))
)
_ANYBODY = _HOSTS[0]
_OF_EVENTS = ("direction", "mode")
OPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "port": f"the UDP port of requests [default: {PORT}]",
        "allow": "who may ask: prefixes such as 10.0.0.0/8,fd00::/8 [default: everybody]",
    }
)
"""The options that all of these triggers take."""


class PacketAttachment(Attachment):
    """A program that runs on packets. It is given samples by BPF_PROG_RUN, whatever it is attached to."""

    def __init__(self, program: Program, port: int, source: Address, link: Link | None) -> None:
        self.link = link
        self._program, self._ports, self._source = program, (port, port), source
        self._destination = next(host for host in _HOSTS if host.version == source.version and host != source)
        self._size = 0

    def exchange(self, sample: bytes) -> tuple[int, Sequence[int], int | None]:
        """Raises :class:`~ebpfnn.errors.SessionError` if the network does not accept a request with this sample."""
        sizes = [self._size] if self._size else sorted({payload_bytes(len(sample), n + 1) for n in range(_MOST_SCORES)})
        for size in sizes:  # with a small sample, the number of scores is not known
            packet = frame(self._source, self._destination, self._ports, request(sample, size, sequence=self.check))
            found = self.run(packet)
            if found is not None:
                self._size = size
                return found
        raise SessionError(
            f"program '{self._program.name}' did not answer the request; the CPU may have been busy with another, so try again"
        )

    def run(self, packet: bytes) -> tuple[int, Sequence[int], int | None] | None:
        """The packet that the program sends back, as in :meth:`exchange`. None if it passes the packet on."""
        try:
            answer: Reply = reply(payload(self._program.run(data=packet).data, self._source.version))
        except InputError:
            return None
        return answer.label, answer.scores, answer.elapsed_ns


class PacketTrigger(Trigger):
    """A trigger whose shell includes ``packet.h``. The shell and its program are named after the trigger.

    ``choices`` are the options with few values: each option with its values, the default first. Without a target nothing is
    attached, and the program runs only by BPF_PROG_RUN. ``observes`` says whether this is an :meth:`observer`,
    and ``guards`` whether it is that of a :meth:`guard`.
    """

    program_type: ProgramType
    attachment: type[PacketAttachment] = PacketAttachment
    choices: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    capabilities = ("CAP_PERFMON", "CAP_NET_ADMIN")
    needs_target = True
    takes = "an interface, such as eth0"
    options: Mapping[str, str] = OPTIONS
    observes = guards = False

    def __init__(self) -> None:
        self._port = PORT
        self._allowed: list[IPv4Network | IPv6Network] = []
        self.chosen = {name: values[0] for name, values in self.choices.items()}

    def object_path(self) -> Path:
        return self.events_path() if self.observes else object_path(self.name)

    def program(self) -> str:
        return self.guarded_entry() if self.guards else self.observing_entry() if self.observes else self.entry()

    def entry(self) -> str:
        """The program in the shell that answers requests."""
        return f"ebpfnn_{self.name}"

    def observing_entry(self) -> str:
        """The program in the event shell."""
        return f"ebpfnn_{self.name}_events"

    def observer(self) -> Trigger:
        """It observes every packet, so it takes only the options that say which packets it sees: ``direction`` and ``mode``."""
        observing = copy.copy(self)
        observing.observes, observing.guards = True, False
        observing.options = {name: line for name, line in self.options.items() if name in _OF_EVENTS}
        return observing

    def guard(self) -> Trigger:
        if not self.guarded_entry():
            return super().guard()
        guarding = copy.copy(self)
        guarding.observes = guarding.guards = True
        guarding.options = {name: line for name, line in self.options.items() if name in _OF_EVENTS}
        return guarding

    def guarded_entry(self) -> str:
        """The program in the shell of a guard, "" if the trigger has none."""
        return ""

    def events_path(self) -> Path:
        return object_path(f"{self.name}_{'guard' if self.guards else 'events'}")

    def fields(self, target: str | None) -> Sequence[Field]:
        if target is not None:
            self.find(target)
        return super().fields(target)

    def find(self, target: str) -> object:
        """Looks up ``target``. Raises :class:`~ebpfnn.errors.KernelError` if it does not exist."""
        return interface_index(target)

    def attach(self, loaded: Object, target: str | None) -> Attachment:
        program = loaded.programs[self.program()]
        return self.attached(program, target, None if target is None else self._link(program, target))

    def attached(self, program: Program, target: str | None, link: Link | None = None) -> Attachment:
        if self.observes:
            return Attachment(link)
        return self.attachment(program, self._port, self._source(target), link)

    def _link(self, program: Program, target: str) -> Link:
        try:
            return self.link(program, target)
        except PermissionDenied as refused:
            remedy = lack(needed=("CAP_BPF", *self.capabilities))
            if not remedy:
                raise
            fact = str(refused).partition("; ")[0]
            raise PermissionDenied(f"{fact}; {remedy}", refused.errno) from None

    @abstractmethod
    def link(self, program: Program, target: str) -> Link:
        """Attaches ``program``. Raises as :meth:`attach`."""

    def with_options(self, options: Mapping[str, str]) -> Trigger:
        changed = copy.copy(self)
        changed.chosen = {
            name: _choice(name, options.get(name, self.chosen[name]), self.choices[name]) for name in self.choices
        }
        if "port" in options:
            changed._port = _port(options["port"])
        if "allow" in options:
            changed._allowed = _prefixes(options["allow"])
        return changed

    def is_own(self, target: str | None) -> bool:
        """Whether requests may come from 127/8 and ::1, this machine itself. A trigger that answers nobody always allows it."""
        del target
        return True

    def prepare(self, shell: ObjectSpec, target: str | None) -> None:
        """Raises :class:`UsageError` if no allowed address can send a request at ``target``."""
        if self.observes:
            return
        self._source(target)
        shell.set_variable("ebpfnn_loopback", struct.pack("<I", self.is_own(target)))

    def _source(self, target: str | None) -> Address:
        """An address that may send requests at ``target``."""
        if not self._allowed:
            return _ANYBODY
        found = next((host for each in self._allowed for host in _hosts(each, self.is_own(target))), None)
        if found is None:
            fact = f"option allow={','.join(map(str, self._allowed))}: no request comes from these addresses"
            raise UsageError(f"{fact}{f' at {target}' if target else ''}; give prefixes such as 10.0.0.0/8")
        return found

    def refuses(self, form: InputFormat, classes: int) -> str | None:
        del classes
        if form.sample_bytes <= LARGEST_SAMPLE:
            return None
        remedy = f"a packet holds {LARGEST_SAMPLE}; use fewer inputs, or pack them at fewer bits"
        return f"a sample takes {form.sample_bytes} bytes, and {remedy}"

    def variables(self) -> Mapping[str, bytes]:
        if self.observes:
            return {}
        prefixes = b"".join(prefix.network_address.packed + prefix.netmask.packed for prefix in map(_mapped, self._allowed))
        values = {"port": self._port, "prefixes": len(self._allowed), "takes_partial": 1, **self.switches()}
        return {
            "ebpfnn_allowed": prefixes.ljust(_MOST_PREFIXES * 32, b"\0"),
            **{f"ebpfnn_{name}": struct.pack("<I", value) for name, value in values.items()},
        }

    def switches(self) -> Mapping[str, int]:
        """Values of ``answering`` and ``keeps_partial``, variables ``ebpfnn_...`` of ``packet.h``, if they are not 0."""
        return {}

    def supported(self) -> str | None:
        try:
            object_path(self.name)
            if has_program_type(self.program_type):
                return None
        except PermissionDenied as refused:
            remedy = lack(needed=("CAP_BPF", *self.capabilities))
            return f"this process may not load its programs; {remedy}" if remedy else str(refused)
        except Error as error:
            return str(error)
        kind = f"BPF_PROG_TYPE_{self.program_type.name}"
        return f"this kernel was built without programs of the network ({kind}); use trigger run or tracepoint"


class AnsweringTrigger(PacketTrigger):
    """A trigger that can send packets back. With ``answer=no`` it passes them on unchanged."""

    choices = MappingProxyType({"answer": ("yes", "no")})
    options = MappingProxyType(
        {
            **OPTIONS,
            "answer": "yes: requests are sent back with the scores; no: they are counted and passed on [default: yes]",
        }
    )

    def attached(self, program: Program, target: str | None, link: Link | None = None) -> Attachment:
        attachment = super().attached(program, target, link)
        return attachment if self.observes or self.chosen["answer"] == "yes" else _Silent(attachment)

    def is_own(self, target: str | None) -> bool:
        """On the loopback interface, requests come from this machine. On others, such addresses are forged."""
        return target is not None and _is_loopback(target)

    def switches(self) -> Mapping[str, int]:
        return {"answering": int(self.chosen["answer"] == "yes")}


class _Silent(Attachment):
    """An attachment whose program answers no packet, not even by BPF_PROG_RUN."""

    def __init__(self, attachment: Attachment) -> None:
        self.link = attachment.link

    def exchange(self, sample: bytes) -> tuple[int, Sequence[int], int | None]:
        raise NotSupported(
            "with answer=no the program sends no reply, only watchers get its results; leave that option out to infer"
        )


def _is_loopback(interface: str) -> bool:
    try:
        return interface_index(interface) == _LOOPBACK
    except KernelError:
        return False  # reported to the user who attaches there


def _choice(name: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise UsageError(f"option {name}={value}: not a value of it; give one of {', '.join(known)}")
    return value


def _port(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 5 and 0 < int(value) < 1 << 16):
        raise UsageError(f"option port={value}: not a UDP port; give a number from 1 to 65535")
    return int(value)


def _prefixes(value: str) -> list[IPv4Network | IPv6Network]:
    try:
        networks = [ip_network(each.strip()) for each in value.split(",")]
    except ValueError as fault:
        raise UsageError(f"option allow={value}: {fault}; give prefixes such as 10.0.0.0/8,fd00::/8") from None
    if len(networks) > _MOST_PREFIXES:
        raise UsageError(f"option allow: {len(networks)} prefixes, of {_MOST_PREFIXES} that fit; join some of them")
    return networks


def _mapped(network: IPv4Network | IPv6Network) -> IPv6Network:
    if isinstance(network, IPv6Network):
        return network
    return IPv6Network((_MAPPED | int(network.network_address), 96 + network.prefixlen))


def _hosts(network: IPv4Network | IPv6Network, own: bool) -> list[Address]:
    """Addresses in ``network`` that can send a request, by the rule of ebpfnn_is_host() in packet_find.h. May be empty."""
    lowest = [network[min(number, network.num_addresses - 1)] for number in range(3)]
    found = [host for host in (*lowest, *_HOSTS) if host.version == network.version and host in network]
    return [host for host in found if _can_ask(host, own)]


def _can_ask(address: Address, own: bool) -> bool:
    if address.is_loopback:
        return own
    if isinstance(address, IPv6Address):
        return int(address) > 0 and not address.is_multicast and address.ipv4_mapped is None
    return 0 < address.packed[0] < 224
