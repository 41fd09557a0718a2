"""An instance is maps that anybody can use: bpftool alone registers a thread, writes a sample and reads the scores."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ebpfnn_plugins.tracepoint import TracepointTrigger
from networks import random_network, samples

from ebpfnn import Instance, abi
from ebpfnn.bodies import modelfile
from ebpfnn.instance import Store
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.network.encoding import encode

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]
SLOT = 5
NETWORKS = {"small": lambda: random_network((9, 5, 3), seed=1), "mnist": lambda: modelfile.load(modelfile.resolve("mnist"))}


@pytest.fixture(scope="module")
def bpftool() -> Callable[..., str]:
    """Runs it, and returns what it printed."""
    found = shutil.which("bpftool", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))
    if found is None:
        pytest.skip("bpftool is not installed")

    def run(*arguments: str) -> str:
        ran = subprocess.run([str(found), *arguments], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    return run


def in_bytes(data: bytes) -> list[str]:
    """As bpftool takes keys and values: each byte a number."""
    return [str(byte) for byte in data]


def word(number: int) -> list[str]:
    return in_bytes(number.to_bytes(4, "little"))


@pytest.mark.parametrize("made", NETWORKS.values(), ids=NETWORKS.keys())
def test_bpftool_infers(made: Callable[[], QuantizedNetwork], store: Store, bpftool: Callable[..., str]) -> None:
    network = made()
    Instance.load(network, TracepointTrigger(), "syscalls:sys_enter_getppid", name="one", store=store)
    pins = {name: str(store.root / f"one_{name}") for name in ("input", "output", "callers")}
    sample = samples(network.input_shape, seed=3)[0]
    given = encode(network.input, sample).tobytes().ljust(abi.padded(network.input.sample_bytes), b"\0")
    thread = word(threading.get_native_id())

    bpftool("map", "update", "pinned", pins["input"], "key", *word(SLOT), "value", *in_bytes(given))
    bpftool("map", "update", "pinned", pins["callers"], "key", *thread, "value", *word(SLOT), "noexist")
    before = read(bpftool, pins["output"])
    os.getppid()
    after = read(bpftool, pins["output"])
    bpftool("map", "delete", "pinned", pins["callers"], "key", *thread)
    os.getppid()

    expected = reference.scores(network, sample)
    assert (int(before["sequence"]), int(after["sequence"]), int(after["status"])) == (0, 1, 0)
    assert after["scores"][: len(expected)].tolist() == expected.tolist()
    assert int(after["label"]) == int(expected.argmax())
    assert int(read(bpftool, pins["output"])["sequence"]) == 1


def read(bpftool: Callable[..., str], path: str) -> np.void:
    """The result in the slot: what lies in front of the network's workspace."""
    found = json.loads(bpftool("--json", "map", "lookup", "pinned", path, "key", *word(SLOT)))
    data = bytes(int(byte, 16) for byte in found["value"])
    result: np.void = np.frombuffer(data, abi.RESULT, 1)[0]
    return result


def test_bpftool_names_what_is_pinned(store: Store, bpftool: Callable[..., str]) -> None:
    instance = Instance.load(NETWORKS["small"](), TracepointTrigger(), name="one", store=store)
    maps = {path.name: json.loads(bpftool("--json", "map", "show", "pinned", str(path))) for path in pinned(instance.path)}
    assert {name: found["type"] for name, found in maps.items()} == {"input": "array", "output": "array", "callers": "hash"}
    assert (maps["callers"]["bytes_key"], maps["callers"]["bytes_value"]) == (4, 4)
    assert maps["input"]["max_entries"] == maps["output"]["max_entries"] == abi.MAX_SLOTS


def pinned(directory: Path) -> list[Path]:
    return [directory / name for name in ("input", "output", "callers")]
