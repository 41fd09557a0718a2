#!/usr/bin/env python3
"""How many packets a second one CPU takes through a network whose samples are made of events at XDP.

    tools/showcase/rate.py MODEL

MODEL was trained on rows that ebpfnn collected at XDP in native mode. Frames are sent over a veth pair of this tool's own by
BPF_PROG_RUN with live frames (Linux 5.18): sending, the program, and what the kernel does with a packet that is passed, are all
on one CPU. Beside it stands a program that passes every packet at once. The table is that of docs/showcase.md. As root.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from figures import markdown
from lab import HERE, THERE, entered, run

from ebpfnn import abi
from ebpfnn.bodies import modelfile
from ebpfnn.kernel import Map, Object, Program, XdpMode, attach_xdp
from ebpfnn.kernel.link.interface import interface_index
from ebpfnn.kernel.syscall import Command, ProgRun, bpf
from ebpfnn.network import QuantizedNetwork
from ebpfnn.obj import ObjectSpec
from ebpfnn.plugin import Plugins
from ebpfnn.session.compiling import compile_here
from ebpfnn.session.observed import observe
from ebpfnn.session.observing import load_observed

ROOT = Path(__file__).resolve().parents[2]
FRAMES, ROUNDS, LENGTH = 50_000, 15, 128
LIVE_FRAMES = 1 << 1
FEW, MANY = 64, 1 << 24
# Frames come from as many addresses as the variable says, one after another. They are for a hardware address that is nobody's,
# so that the kernel drops what is passed soon.
SOURCE = """
#include <ebpfnn/vmlinux.h>
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} sent SEC(".maps");

const volatile __u32 sources = 1;

SEC("xdp") int ask(struct xdp_md *context)
{
	unsigned char *data = (void *)(long)context->data;
	__u32 only = 0, *count = bpf_map_lookup_elem(&sent, &only);

	if (!count || data + 42 > (unsigned char *)(long)context->data_end)
		return XDP_ABORTED;
	*(__u32 *)(data + 26) = __builtin_bswap32(0x0a000000 | (*count & (sources - 1)));
	(*count)++;
	return XDP_TX;
}

SEC("xdp") int pass(struct xdp_md *context)
{
	return XDP_PASS;
}
char LICENSE[] SEC("license") = "GPL";
"""


def build() -> ObjectSpec:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "rate.bpf.c"
        path.write_text(SOURCE)
        newest = max(Path("/usr/bin").glob("clang-[0-9]*"), key=lambda path: int(path.name[6:]), default="clang")
        clang = os.environ.get("CLANG") or newest
        flags = ["-target", "bpf", "-mcpu=v3", "-O2", "-g", f"-I{ROOT}/bpf/include"]
        subprocess.run([clang, *flags, "-c", path, "-o", path.with_suffix(".o")], check=True)
        return ObjectSpec.from_file(path.with_suffix(".o"))


def frame() -> bytes:
    """A TCP segment with data, but for the address that it comes from."""
    link = bytes.fromhex("02000000aaaa 02000000bbbb 0800".replace(" ", ""))
    size = LENGTH - len(link)
    network = bytes.fromhex(f"4500{size:04x}000040004006000000000000") + bytes([10, 77, 0, 2])
    transport = bytes.fromhex("9c401f90 00000001 00000001 5018 ffff 00000000".replace(" ", ""))
    return (link + network + transport).ljust(LENGTH, b"\0")


def send(program: Program, data: bytes, interface: str, frames: int = FRAMES) -> int:
    """Nanoseconds of the CPU that the frames took, with all that follows from each before more are sent."""
    held = ctypes.create_string_buffer(data, len(data))
    context = (ctypes.c_uint32 * 6)(0, len(data), 0, interface_index(interface))
    attributes = ProgRun(prog_fd=program.fileno(), repeat=frames, data_size_in=len(data), flags=LIVE_FRAMES)
    attributes.data_in, attributes.ctx_in, attributes.ctx_size_in = ctypes.addressof(held), ctypes.addressof(context), 24
    began = time.thread_time_ns()
    bpf(Command.PROG_RUN, attributes, "live frames")
    return time.thread_time_ns() - began


@contextmanager
def behind(network: QuantizedNetwork, at: Mapping[str, object] | None) -> Iterator[Map]:
    """The network at XDP, with its spec's ``at`` or another. Yields its counts."""
    plugins = Plugins.installed()
    if at is not None:
        spec = {**network.events["spec"], "at": dict(at)}
        network = replace(network, events={**network.events, "spec": spec})
    trigger = plugins.trigger("xdp")
    observed = observe(network, trigger, HERE, {"mode": "native"}, plugins=plugins)
    with ExitStack() as held:
        objects = load_observed(observed, compile_here(network))
        for loaded, own in zip(objects, observed.triggers, strict=True):
            held.enter_context(loaded)
            held.enter_context(own.attach(loaded, HERE))
        yield objects[0].maps[abi.COUNTS]


def counted(counts: Map) -> tuple[int, int]:
    """Events observed and inferences, of all CPUs."""
    values = counts.lookup_percpu(bytes(4), np.uint64)
    sums = np.zeros(len(abi.COUNTED), np.uint64) if values is None else values.sum(axis=0)
    return int(sums[abi.COUNTED.index("observed")]), int(sums[abi.COUNTED.index("inferences")])


def rate(sources: int, attached: AbstractContextManager[Map | None]) -> tuple[float, float]:
    """Nanoseconds a packet, the median of the rounds, and inferences a packet."""
    spec = build()
    spec.set_variable("sources", sources.to_bytes(4, "little"))
    with Object.load(spec) as sender, attach_xdp(sender.programs["pass"], THERE, XdpMode.DRIVER), attached as counts:
        took = [send(sender.programs["ask"], frame(), THERE) / FRAMES for _ in range(ROUNDS)]
        if counts is None:
            return median(took), 0.0
        seen, inferences = counted(counts)
        if seen < 0.99 * FRAMES * ROUNDS:
            raise SystemExit(f"rate.py: of {FRAMES * ROUNDS} frames {seen} were observed")
        return median(took), inferences / seen


@contextmanager
def passing() -> Iterator[None]:
    with Object.load(build()) as loaded, attach_xdp(loaded.programs["pass"], HERE, XdpMode.DRIVER):
        yield


def table(network: QuantizedNetwork) -> str:
    measured: Sequence[tuple[str, int, AbstractContextManager[Map | None]]] = [
        ("every packet is passed", FEW, passing()),
        (f"{FEW} sources, when the spec says", FEW, behind(network, None)),
        (f"{FEW} sources, at every packet", FEW, behind(network, {})),
        ("a source of its own for every packet, at every packet", MANY, behind(network, {})),
    ]
    rows: list[list[object]] = []
    least = 0.0
    for name, sources, attached in measured:
        took, inferences = rate(sources, attached)
        least = least or took
        rows.append([name, f"{1e9 / took:,.0f}", f"{took:,.0f}", f"{took - least:,.0f}", f"{inferences:.3f}"])
    return markdown(["", "packets/s", "ns a packet", "ns more", "inferences a packet"], rows)


def measured(network: QuantizedNetwork) -> str:
    """:func:`table`, in a namespace that is made for it. This thread stays on one CPU afterwards."""
    name = f"showcase-{os.getpid()}-rate"
    with ExitStack() as held:
        run("ip", "netns", "add", name)
        held.callback(run, "ip", "netns", "del", name)
        run("ip", "-n", name, "link", "add", HERE, "type", "veth", "peer", "name", THERE)
        for interface in (HERE, THERE):
            run("ip", "-n", name, "link", "set", interface, "up")
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        held.enter_context(entered(name))
        return table(network)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    print(measured(modelfile.load(modelfile.resolve(parser.parse_args().model))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
