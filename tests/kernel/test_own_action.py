"""An action of a third party: that of docs/plugins.md, built, linked behind a shell, and called for what is acted on alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from flooding import FOREVER, POLICY, Senders, network

from ebpfnn import Observation, Plugins
from ebpfnn.errors import PluginError
from ebpfnn.plugin import Action
from ebpfnn.session.guarding import Guard

pytestmark = pytest.mark.root
PAGE = Path(__file__).parents[2] / "docs" / "plugins.md"
Build = Callable[..., bytes]


class Measure(Action):
    name, triggers = "measure", ("tc",)

    def __init__(self, path: Path) -> None:
        self.path = path

    def object_path(self, trigger: str) -> Path:
        return self.path


def source() -> str:
    blocks = re.findall(r"^```c\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    [code] = [block for block in blocks if "int ebpfnn_act(" in block]
    return str(code)


def test_it_is_called_for_what_is_acted_on_and_nothing_else(build_object: Build, senders: Senders, tmp_path: Path) -> None:
    path = tmp_path / "measure.bpf.o"
    path.write_bytes(build_object(source()))
    guard = Guard(POLICY, Measure(path))
    with Observation(network("tc"), Plugins.installed().trigger("tc"), "here", guard=guard) as found:
        assert senders.send(0, *[500] * 4) == 4
        found.brakes.enforce(FOREVER)
        assert senders.send(0, 500, 500) == 2  # it passes what it measures
        assert senders.send(1, 50, 50) == 2
        assert found.brakes.counts(found.network.labels)["flood"]["acted"] == 2


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        (("ebpfnn_act(", "another("), "does not define ebpfnn_act()"),
        (("<ebpfnn/built_for.h>", "<ebpfnn/abi.h>"), "carries no ABI version"),
    ],
)
def test_an_object_that_is_no_action(
    build_object: Build, senders: Senders, tmp_path: Path, change: tuple[str, str], fact: str
) -> None:
    del senders
    path = tmp_path / "measure.bpf.o"
    path.write_bytes(build_object(source().replace(*change)))
    with pytest.raises(PluginError, match=r"action 'measure'.*" + re.escape(fact)):
        Observation(network("tc"), Plugins.installed().trigger("tc"), "here", guard=Guard(POLICY, Measure(path)))
