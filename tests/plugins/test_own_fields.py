"""A shell of somebody else's with a field of its own, as docs/events.md has it: built, listed and run."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from eventframes import ethernet, ipv4, udp

from ebpfnn.errors import NotSupported
from ebpfnn.events import fields_of
from ebpfnn.kernel import Object
from ebpfnn.obj import ObjectSpec, link
from ebpfnn.plugin import Plugins

if TYPE_CHECKING:
    import subprocess

sys.path.append(str(Path(__file__).parents[1] / "kernel"))

from observed import OBSERVER, Observed

ROOT = Path(__file__).parents[2]
(SHELL,) = (
    text for text in re.findall(r"^```c\n(.*?)^```", (ROOT / "docs" / "events.md").read_text(), re.M | re.S) if "SEC(" in text
)
OWN = SHELL.partition("\n")[0]
PLUGIN = """
from pathlib import Path
from ebpfnn.plugin import Trigger, hookimpl
EBPFNN_ABI = 2
class Queue(Trigger):
    name = "queue"
    def object_path(self):
        return Path(__file__).with_name("queue.bpf.o")
    def program(self):
        return "on_frame"
    def attach(self, loaded, target):
        raise NotImplementedError
@hookimpl
def ebpfnn_triggers():
    return [Queue()]
"""


@pytest.fixture
def folder(tmp_path: Path, build_object: Callable[..., bytes]) -> Path:
    (tmp_path / "queue.bpf.o").write_bytes(build_object(SHELL.rsplit("char LICENSE", 1)[0]))
    (tmp_path / "queue.py").write_text(PLUGIN)
    return tmp_path


def test_its_fields_are_listed(folder: Path, elsewhere: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    ran = elsewhere(folder, "ebpfnn fields --plugin ./queue.py --trigger queue")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert re.search(r"^queue +u32 +number +receive queue that the frame came in by$", ran.stdout, re.MULTILINE)
    told = json.loads(elsewhere(folder, "ebpfnn fields --plugin ./queue.py --trigger queue --json").stdout)
    shipped = json.loads(elsewhere(folder, "ebpfnn fields --trigger xdp --json").stdout)
    assert told["trigger"] == "queue"
    assert {field["name"] for field in told["fields"]} == {field["name"] for field in shipped["fields"]} | {"queue"}


def test_one_shell_is_its_own_observer_and_two_must_say_which(folder: Path) -> None:
    trigger = Plugins.installed({}, [folder / "queue.py"]).trigger("queue")
    assert trigger.observer() is trigger
    (folder / "other.bpf.o").write_bytes((folder / "queue.bpf.o").read_bytes())
    trigger.events_path = lambda: folder / "other.bpf.o"  # type: ignore[method-assign]
    with pytest.raises(NotSupported, match=r"does not say which program of other.bpf.o observes; define Trigger.observer\(\)"):
        trigger.observer()


@pytest.mark.root
def test_its_observer_is_handed_them(folder: Path, build_spec: Callable[..., ObjectSpec]) -> None:
    shell = ObjectSpec.from_file(folder / "queue.bpf.o")
    observer = build_spec(OWN + OBSERVER % {"struct": "packet", "condition": "fields->queue == 0"}, "observer")
    with Object.load(link(shell, observer)) as loaded:
        seen = Observed(loaded, "on_frame", fields_of(shell))
        seen.program.run(data=ethernet(0x0800, ipv4(17, udp(b"y"))))
        assert (seen.count, seen.fields["queue"], seen.fields["source_port"]) == (1, 0, 40000)
