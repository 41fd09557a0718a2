"""What stands behind the colon of ``--action NAME:VALUE``."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpfnn.errors import PluginError, UsageError
from ebpfnn.plugin import Action, Plugins, hookimpl, make_manager


class Tag(Action):
    name, triggers = "tag", ("tc",)

    def __init__(self, value: str = "1") -> None:
        self.value = value

    def object_path(self, trigger: str) -> Path:
        return Path("tag.bpf.o")

    def taking(self, value: str) -> Tag:
        return Tag(value) if value else self


class Brings:
    @hookimpl
    def ebpfnn_actions(self) -> list[Action]:
        return [Tag()]


@pytest.fixture
def plugins() -> Plugins:
    manager = make_manager()
    manager.register(Brings(), "brings")
    return Plugins(manager)


@pytest.mark.parametrize(("written", "value"), [("tag", "1"), ("tag:7", "7"), ("tag:1:10", "1:10"), ("tag:", "1")])
def test_the_value_is_all_behind_the_first_colon(plugins: Plugins, written: str, value: str) -> None:
    assert plugins.action(written).value == value


def test_it_is_written_as_it_was_given(plugins: Plugins) -> None:
    assert plugins.action("tag:1:10").written == "tag:1:10"


def test_an_action_that_takes_none_refuses_it() -> None:
    with pytest.raises(UsageError, match=r"action 'drop' takes no value; leave out ':7'"):
        Plugins.installed().action("drop:7")


def test_the_name_alone_is_looked_up(plugins: Plugins) -> None:
    with pytest.raises(PluginError, match="action 'tig' not found"):
        plugins.action("tig:7")
