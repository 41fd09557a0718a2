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


def words(written: str) -> dict[str, int]:
    found = Plugins.installed().action(written)
    assert found.written == written
    return {name: int.from_bytes(value, "little") for name, value in found.variables("tc", None).items()}


ALL = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("value", "mark", "bits"),
    [
        ("0", 0, ALL),
        ("7", 7, ALL),
        ("010", 10, ALL),
        ("0xFFFFFFFF", ALL, ALL),
        ("4294967295", ALL, ALL),
        ("0x10/0xff", 0x10, 0xFF),
        ("0/1", 0, 1),
        ("255/255", 255, 255),
    ],
)
def test_marks(value: str, mark: int, bits: int) -> None:
    assert words(f"mark:{value}") == {"ebpfnn_mark": mark, "ebpfnn_mark_bits": bits}


@pytest.mark.parametrize(
    ("value", "priority"),
    [
        ("0", 0),
        ("6", 6),
        ("0x10001", 0x10001),
        ("1:10", 0x10010),
        ("1:", 0x10000),
        ("ffff:ffff", ALL),
        ("a:B", 0xA000B),
        ("4294967295", ALL),
    ],
)
def test_priorities(value: str, priority: int) -> None:
    assert words(f"priority:{value}") == {"ebpfnn_priority": priority, "ebpfnn_priority_bits": ALL}


@pytest.mark.parametrize(("written", "rate"), [("event", 100), ("event:1", 1), ("event:1000000", 1_000_000)])
def test_rates(written: str, rate: int) -> None:
    assert words(written) == {"ebpfnn_alert_rate": rate}


def test_codes_that_drop() -> None:
    drop, reject = (Plugins.installed().action(name) for name in ("drop", "reject"))
    assert [drop.variables(name, None)["ebpfnn_dropped"][0] for name in ("xdp", "tc", "cgroup_skb")] == [1, 2, 0]
    assert reject.variables("cgroup_skb", None) == {"ebpfnn_dropped": bytes(4), "ebpfnn_ends": bytes(4)}


@pytest.mark.parametrize(
    ("written", "fact"),
    [
        *[(f"mark:{value}", f"action 'mark': '{value}' is no mark; give 32 bits") for value in ("x", "-1", "4294967296", "1/")],
        *[
            (f"mark:{value}", f"action 'mark': '{value}' is no mark")
            for value in ("0x", "0x100000000", "/1", "1/2/3", "٣", "1_0")
        ],
        ("mark", "action 'mark': it takes a mark; give 32 bits"),
        ("mark:", "action 'mark': it takes a mark; give 32 bits"),
        ("mark:0x100/0xff", "action 'mark': 0x100 has bits outside the mask 0xff; give a mask that covers it"),
        ("mark:0/0", "action 'mark': the mask 0 has no bits, so nothing would change; give another"),
        *[
            (f"priority:{value}", f"'{value}' is no priority; give a class")
            for value in ("1:g", "12345:1", ":1", "1:2:3", "-1")
        ],
        ("priority", "action 'priority': it takes a priority; give a class as tc writes it, priority:1:10"),
        *[
            (f"event:{value}", f"action 'event': '{value}' is no rate; give 1 to 1000000")
            for value in ("0", "-1", "1000001", "x")
        ],
        ("redirect", "action 'redirect': it takes an interface; give redirect:INTERFACE"),
        ("redirect:", "action 'redirect': it takes an interface; give redirect:INTERFACE"),
        ("pass:1", "action 'pass' takes no value; leave out ':1'"),
        ("reject:1", "action 'reject' takes no value; leave out ':1'"),
    ],
)
def test_values_of_the_wrong_form(written: str, fact: str) -> None:
    with pytest.raises(UsageError) as refused:
        Plugins.installed().action(written)
    assert fact in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
