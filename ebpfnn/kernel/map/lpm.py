"""Keys of longest-prefix-match tries."""

from __future__ import annotations

import ipaddress
import struct


def lpm_key(network: str | ipaddress.IPv4Network | ipaddress.IPv6Network) -> bytes:
    """``struct bpf_lpm_trie_key`` of a network such as ``10.0.0.0/8``, or of one address, which is all prefix.

    4 bytes of prefix length in the machine's order, then the address in the network's: key_size is 8 for IPv4, 20 for IPv6.
    Raises :class:`ValueError` for what is no network.
    """
    parsed = ipaddress.ip_network(network)
    return struct.pack("=I", parsed.prefixlen) + parsed.network_address.packed
