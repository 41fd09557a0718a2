"""What the fields of a packet are, from the RFCs and docs/events.md alone; nothing here is shared with the parser in C."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

TAGS = {0x8100, 0x88A8}  # IEEE 802.1Q, 802.1ad
EXTENSIONS = {0, 43, 44, 51, 60, 135, 139, 140}  # IANA: IPv6 Extension Header Types, ESP and experiments left out
MOST_TAGS, MOST_EXTENSIONS, MOST_OPTIONS = 2, 6, 16
NAMES = (
    *("source_high", "source_low", "destination_high", "destination_low", "source", "destination", "interface", "length"),
    *("network_length", "payload", "option_kinds", "ethertype", "vlan", "vlan_inner", "link_header", "network_header"),
    *("transport_header", "source_port", "destination_port", "tcp_window", "version", "protocol", "hops", "service"),
    *("tcp_flags", "icmp_type", "icmp_code", "direction", "tags", "extensions", "options", "fragment", "truncated"),
    *("malformed", "unread"),
)
"""All but the time and the CPU."""


class _End(Exception):
    """Nothing behind this is read."""


class Oracle:
    """Reads ``data``, which begins with Ethernet's header or, where ``ethertype`` is given, behind it."""

    def __init__(self, data: bytes, ethertype: int | None = None, *, direction: int = 1, interface: int = 1) -> None:
        self.data = data
        self.fields = dict.fromkeys(NAMES, 0)
        self.fields |= {"length": len(data), "direction": direction, "interface": interface}
        self.begin = 14 if ethertype is None else 0
        self.kind = int.from_bytes(data[12:14], "big") if ethertype is None else ethertype
        try:
            self._tags()
            self._network()
        except _End:
            pass
        self.fields |= {"ethertype": self.kind, "link_header": self.begin}
        self._lengths()

    def _take(self, at: int, count: int) -> bytes:
        if at + count > len(self.data):
            self.fields["truncated"] = 1
            raise _End
        return self.data[at : at + count]

    def _malformed(self) -> None:
        self.fields["malformed"] = 1
        raise _End

    def _tags(self) -> None:
        found = []
        while self.kind in TAGS and len(found) < MOST_TAGS:
            control, self.kind = struct.unpack("!HH", self._take(self.begin, 4))
            found.append(control % 4096)
            self.begin += 4
            self.fields["tags"] = len(found)
            self.fields.update(zip(("vlan", "vlan_inner"), found, strict=False))
        self.fields["unread"] = int(self.kind in TAGS)

    def _network(self) -> None:
        if self.kind == 0x0800:
            self._ipv4()
        elif self.kind == 0x86DD:
            self._ipv6()

    def _ipv4(self) -> None:
        """RFC 791, 3.1."""
        first, service, total, _, fragment, hops, protocol, _, source, destination = struct.unpack(
            "!BBHHHBBH4s4s", self._take(self.begin, 20)
        )
        version, words = divmod(first, 16)
        if version != 4:
            self._malformed()
        more, offset = fragment >> 13 & 1, fragment % 8192
        self.fields |= {"version": 4, "service": service, "network_length": total, "hops": hops, "protocol": protocol}
        self.fields |= {"source": int(IPv4Address(source)), "destination": int(IPv4Address(destination))}
        self.fields["fragment"] = 2 if offset else more
        if words < 5:
            self._malformed()
        self.fields["network_header"] = words * 4
        self._options(self._take(self.begin + 20, words * 4 - 20))
        self._transport(self.begin + words * 4)

    def _options(self, left: bytes) -> None:
        """RFC 791, 3.1: end of list, no operation, and all others with their length, type and length octets included."""
        kinds = set()
        while left and left[0] != 0:
            if self.fields["options"] == MOST_OPTIONS:
                self.fields["unread"] = 1
                break
            size = 1
            if left[0] != 1:
                size = left[1] if len(left) > 1 else 0
                if not 2 <= size <= len(left):
                    self._malformed()
            self.fields["options"] += 1
            kinds.add(left[0] % 32)
            self.fields["option_kinds"] = sum(1 << kind for kind in kinds)
            left = left[size:]

    def _ipv6(self) -> None:
        """RFC 8200, 3."""
        word, size, following, hops, source, destination = struct.unpack("!IHBB16s16s", self._take(self.begin, 40))
        if word >> 28 != 6:
            self._malformed()
        self.fields |= {"version": 6, "service": word >> 20 & 255, "hops": hops, "protocol": following, "network_header": 40}
        self.fields["network_length"] = 40 + size if size else 0
        for name, packed in (("source", source), ("destination", destination)):
            self.fields[f"{name}_high"], self.fields[f"{name}_low"] = divmod(int(IPv6Address(packed)), 1 << 64)
        at = self.begin + 40
        while self.fields["protocol"] in EXTENSIONS:
            if self.fields["extensions"] == MOST_EXTENSIONS:
                self.fields["unread"] = 1
                raise _End
            at += self._extension(at)
            if self.fields["fragment"] == 2:
                raise _End
        self._transport(at)

    def _extension(self, at: int) -> int:
        """RFC 8200, 4; the lengths of 4302 for authentication."""
        following, length, word = struct.unpack("!BBH", self._take(at, 4))
        kind = self.fields["protocol"]
        size = {44: 8, 51: 4 * length + 8}.get(kind, 8 * length + 8)
        if kind == 44 and (word >> 3 or word & 1):
            self.fields["fragment"] = 2 if word >> 3 else 1
        self.fields |= {"protocol": following, "extensions": self.fields["extensions"] + 1}
        self.fields["network_header"] += size
        return size

    def _transport(self, at: int) -> None:
        protocol = self.fields["protocol"]
        if self.fields["fragment"] == 2:
            return
        if protocol == 6:
            self._tcp(at)
        elif protocol in (17, 136, 132):
            self._ports(at, 12 if protocol == 132 else 8)
        elif protocol in (1, 58):
            kind, code, _ = struct.unpack("!BBH", self._take(at, 4))
            self.fields |= {"icmp_type": kind, "icmp_code": code, "transport_header": 8}

    def _tcp(self, at: int) -> None:
        """RFC 9293, 3.1."""
        source, destination, _, _, words, flags, window, _, _ = struct.unpack("!HHIIBBHHH", self._take(at, 20))
        self.fields |= {"source_port": source, "destination_port": destination, "tcp_flags": flags, "tcp_window": window}
        if words // 16 < 5:
            self._malformed()
        self.fields["transport_header"] = words // 16 * 4

    def _ports(self, at: int, header: int) -> None:
        """RFC 768, 3828, 9260."""
        source, destination = struct.unpack("!HH", self._take(at, 4))
        self.fields |= {"source_port": source, "destination_port": destination, "transport_header": header}

    def _lengths(self) -> None:
        told = self.fields
        headers = told["network_header"] + told["transport_header"]
        told["payload"] = max(0, told["network_length"] - headers)
        if 0 < told["network_length"] < headers:
            told["malformed"] = 1
        if self.begin + headers > len(self.data):
            told["truncated"] = 1
        elif not told["truncated"] and self.begin + told["network_length"] > len(self.data):
            told["truncated"] = 2
