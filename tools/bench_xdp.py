"""Prints what XDP answers a second on one CPU, over a veth pair of this tool's own: the table of docs/triggers.md.

A second program sends requests from the other end, by BPF_PROG_RUN over live frames (Linux 5.18), drops the answers that come
back and counts them. All of it runs on one CPU: sending, the network and its answer, counting. Beside each network stands the
same with a body that returns at once, and what a request takes by BPF_PROG_RUN alone where it is checked and computed, not
answered.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from ebpfnn_plugins.frames import frame
from ebpfnn_plugins.xdp import XdpTrigger

from ebpfnn.bodies import modelfile
from ebpfnn.compiler import Body
from ebpfnn.kernel import Map, Object, Program, XdpMode, attach_xdp
from ebpfnn.kernel.link.interface import interface_index
from ebpfnn.kernel.syscall import Command, ProgRun, bpf
from ebpfnn.network import QuantizedNetwork
from ebpfnn.network.encoding import encode
from ebpfnn.obj import ObjectSpec
from ebpfnn.plugin import Plugins, Sample
from ebpfnn.remote.protocol import payload_bytes, request
from ebpfnn.session import Session

ROOT = Path(__file__).resolve().parents[1]
NAMESPACE, ROUNDS, FRAMES = f"bench-{os.getpid()}", 21, 50_000
LIVE_FRAMES = 1 << 1
NOTHING = """
#include <ebpfnn/vmlinux.h>
#include <ebpfnn/abi.h>
int ebpfnn_infer(const void *sample, struct ebpfnn_result *result) { return 0; }
char LICENSE[] SEC("license") = "GPL";
"""
PEER = """
#include <ebpfnn/vmlinux.h>
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32[400]);
} packet SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} answers SEC(".maps");

const volatile __u32 words;

SEC("xdp") int ask(struct xdp_md *context)
{
	__u32 only = 0, *from = bpf_map_lookup_elem(&packet, &only), *to = (void *)(long)context->data;

	if (!from || (void *)to + words * 4 > (void *)(long)context->data_end)
		return XDP_ABORTED;
	for (__u32 i = 0; i < words && i < 400; i++)
		to[i] = from[i];
	return XDP_TX;
}

SEC("xdp") int count(struct xdp_md *context)
{
	unsigned char *data = (void *)(long)context->data;
	__u32 only = 0;
	__u64 *seen = bpf_map_lookup_elem(&answers, &only);

	if (seen && data + 48 <= (unsigned char *)(long)context->data_end && data[47] == 1)
		(*seen)++;
	return 1; /* XDP_DROP */
}
char LICENSE[] SEC("license") = "GPL";
"""


def build(source: str) -> ObjectSpec:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "bench.bpf.c"
        path.write_text(source)
        clang = os.environ.get("CLANG") or shutil.which("clang") or "clang-16"
        flags = ["-target", "bpf", "-mcpu=v3", "-O2", "-g", f"-I{ROOT}/bpf/include"]
        subprocess.run([clang, *flags, "-c", path, "-o", path.with_suffix(".o")], check=True)
        return ObjectSpec.from_file(path.with_suffix(".o"))


def packet_of(network: QuantizedNetwork, sample: np.ndarray) -> bytes:
    encoded = encode(network.input, sample).tobytes()
    client, server = ip_address("10.9.0.2"), ip_address("10.9.0.1")
    size = payload_bytes(len(encoded), len(network.labels))
    return frame(client, server, (50000, 4242), request(encoded, size, sequence=1))


def send(program: Program, data: bytes, interface: str) -> int:
    """Nanoseconds of the CPU that ``FRAMES`` live frames took, with all that follows from each before more are sent.

    They are this thread's: what others do on the CPU meanwhile does not count, nor does waiting for the kernel to clean up.
    """
    held = ctypes.create_string_buffer(data, len(data))
    context = (ctypes.c_uint32 * 6)(0, len(data), 0, interface_index(interface))
    attributes = ProgRun(prog_fd=program.fileno(), repeat=FRAMES, data_size_in=len(data), flags=LIVE_FRAMES)
    attributes.data_in, attributes.ctx_in, attributes.ctx_size_in = ctypes.addressof(held), ctypes.addressof(context), 24
    began = time.thread_time_ns()
    bpf(Command.PROG_RUN, attributes, "live frames")
    return time.thread_time_ns() - began


def counted(answers: Map) -> int:
    return int.from_bytes(answers.lookup(bytes(4)) or b"", "little")


def over_the_wire(network: QuantizedNetwork, body: Body | None, data: bytes) -> tuple[float, float]:
    """Answers a second, the median of the rounds, and which share of the requests was answered in the worst of them."""
    spec = build(PEER)
    spec.set_variable("words", ((len(data) + 3) // 4).to_bytes(4, "little"))
    whole = data.ljust((len(data) + 3) // 4 * 4, b"\0")  # the kernel's checks allow for a trailer
    with (
        Session(network, XdpTrigger().with_options({"mode": "native"}), "here", body),
        Object.load(spec) as peer,
        attach_xdp(peer.programs["count"], "there", XdpMode.DRIVER),
    ):
        peer.maps["packet"].update(bytes(4), whole.ljust(1600, b"\0"))
        rates, worst = [], 1.0
        for _ in range(ROUNDS):
            before = counted(peer.maps["answers"])
            took = send(peer.programs["ask"], whole, "there")
            got = counted(peer.maps["answers"]) - before
            rates.append(got / took * 1e9)
            worst = min(worst, got / FRAMES)
        return median(rates), worst


def by_itself(network: QuantizedNetwork, body: Body | None, data: bytes) -> int:
    """Nanoseconds of a request that is checked and computed, and passed on without an answer: the least of the rounds."""
    with Session(network, XdpTrigger().with_options({"answer": "no"}), None, body) as session:
        program = session.loaded.programs["ebpfnn_xdp"]
        return min(program.run(data=data, repeat=FRAMES // 4).duration for _ in range(ROUNDS))


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def seven(shape: tuple[int, ...]) -> np.ndarray:
    """A digit, as the input plugin reads it."""
    path = ROOT / "tests" / "data" / "digits" / "7.png"
    with path.open("rb") as stream:
        source = Plugins.installed().input_for(str(path), path.read_bytes()[:64])
        return next(sample.data for sample in source.samples(str(path), stream, shape) if isinstance(sample, Sample))


def measure(names: list[str]) -> None:
    print(f"{'network':<18} {'frame':>5} {'answers/s':>10} {'ns each':>8} {'answered':>8} {'not answered, ns':>16}")
    for name in names:
        network = modelfile.load(modelfile.resolve(name))
        data = packet_of(network, seven(network.input_shape))
        for label, body in ((name, None), ("  returns at once", Body(build(NOTHING), 0))):
            rate, share = over_the_wire(network, body, data)
            alone = by_itself(network, body, data)
            print(f"{label:<18} {len(data):>5} {rate:>10,.0f} {1e9 / rate:>8,.0f} {share:>8.1%} {alone:>16,}", flush=True)


def main() -> None:
    with ExitStack() as held:
        run("ip", "netns", "add", NAMESPACE)
        held.callback(run, "ip", "netns", "del", NAMESPACE)
        run("ip", "-n", NAMESPACE, "link", "add", "here", "type", "veth", "peer", "name", "there")
        for interface in ("here", "there"):
            run("ip", "-n", NAMESPACE, "link", "set", interface, "up")
        inside = os.open(f"/run/netns/{NAMESPACE}", os.O_RDONLY)
        held.callback(os.close, inside)
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        if ctypes.CDLL(None, use_errno=True).setns(inside, 0x40000000):  # CLONE_NEWNET
            raise OSError(ctypes.get_errno(), "setns")
        measure(sys.argv[1:] or ["mnist", "mnist-1bit", "mnist-128"])


if __name__ == "__main__":
    main()
