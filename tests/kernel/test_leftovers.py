"""However a process ends, the kernel keeps nothing of its session: were anything pinned, it would live on."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ebpfnn.kernel.syscall import _numbers

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.usefixtures("tracing")]
ROOT = Path(__file__).parents[2]
CHILD = """
import signal, sys, time
import numpy as np
from ebpfnn_plugins.{module} import {trigger}
from networks import random_network
from ebpfnn.session import Session
signal.signal(signal.SIGINT, signal.default_int_handler)
with Session(random_network((9, 5, 3), seed=1), {trigger}()) as session:
    session.infer(np.zeros(9, np.uint8))
    print("running", flush=True)
    while True:
        session.infer(np.zeros(9, np.uint8))
        time.sleep(0.001)
"""
_libc = ctypes.CDLL(None, use_errno=True)
FD_BY_ID = {"prog": 13, "map": 14, "link": 30}  # BPF_*_GET_FD_BY_ID


def exists(kind: str, number: int) -> bool:
    """Whether the kernel holds a program, map or link of that id."""
    attributes = (ctypes.c_uint32 * 3)(number)
    fd = _libc.syscall(_numbers()[0], FD_BY_ID[kind], ctypes.byref(attributes), ctypes.sizeof(attributes))
    if fd < 0:
        assert ctypes.get_errno() in (errno.ENOENT, errno.EAGAIN)
        return ctypes.get_errno() == errno.EAGAIN  # a link on its way out
    os.close(fd)
    return True


def held_by(process: int) -> set[tuple[str, int]]:
    """The (kind, id) of every BPF object that a process has a descriptor of."""
    texts = [path.read_text() for path in Path(f"/proc/{process}/fdinfo").iterdir()]
    return {(kind, int(number)) for text in texts for kind, number in re.findall(r"^(prog|map|link)_id:\s*(\d+)", text, re.M)}


def still_there(held: set[tuple[str, int]]) -> set[tuple[str, int]]:
    """What is left of ``held`` once the kernel, which frees such things when it comes to it, had ten seconds."""
    for _ in range(1000):
        held = {entry for entry in held if exists(*entry)}
        if not held:
            break
        time.sleep(0.01)
    return held


@pytest.mark.parametrize(("module", "trigger"), [("tracepoint", "TracepointTrigger"), ("run", "RunTrigger")])
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda ending: ending.name)
def test_a_signal_leaves_nothing(module: str, trigger: str, ending: signal.Signals) -> None:
    path = os.pathsep.join(map(str, (ROOT, ROOT / "plugins", ROOT / "tests" / "support")))
    command = [sys.executable, "-c", CHILD.format(module=module, trigger=trigger)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    ) as child:
        assert child.stdout is not None
        said = child.stdout.readline()
        held = held_by(child.pid)
        child.send_signal(ending)
        _, errors = child.communicate()
    assert said == "running\n", errors
    assert child.returncode == -ending
    kinds = {kind for kind, _ in held}
    assert kinds == ({"prog", "map", "link"} if module == "tracepoint" else {"prog", "map"})
    assert not still_there(held)
