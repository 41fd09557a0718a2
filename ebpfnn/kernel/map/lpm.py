"""Keys of longest-prefix-match tries."""

from __future__ import annotations

import ipaddress
import struct


def lpm_key(network: str | ipaddress.IPv4Network | ipaddress.IPv6Network) -> bytes:
    """Returns ``struct bpf_lpm_trie_key`` for a network such as ``10.0.0.0/8``, or for one address.

    For an address, the prefix is the whole address. The key is the prefix length (4 bytes, host byte order), then the address
    (network byte order). So key_size is 8 for IPv4, and 20 for IPv6. Raises :class:`ValueError` if ``network`` is neither a
    network nor an address.
    """
    parsed = ipaddress.ip_network(network)
    return struct.pack("=I", parsed.prefixlen) + parsed.network_address.packed
