"""docs/plugins.md names every hook and every member that plugins have to do with, and every hook is tried here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from ebpfnn_plugins.columns import Columns
from specs import PACKET, packet, spec_dict

from ebpfnn.bodies import kind_of
from ebpfnn.errors import Error, UsageError
from ebpfnn.events import Options, Reducer, ReducerCode, bind, build, replay
from ebpfnn.events.policy import Policy
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.preparation import Preparation
from ebpfnn.plugin import (
    Action,
    Attachment,
    Body,
    BodyCode,
    BodyKind,
    InputSource,
    Model,
    Plugins,
    PreparationKind,
    Sample,
    Trigger,
    Wanted,
    hookimpl,
    hookspecs,
    make_manager,
    object_path,
)
from ebpfnn.preparation import Bounds, Encoder, Row, columns
from ebpfnn.session.guarding import Guard

PAGE = Path(__file__).parents[2] / "docs" / "plugins.md"
KINDS = [Trigger, Attachment, InputSource, PreparationKind, Reducer, Encoder, BodyKind, Model, Action]
HOOKS = sorted(name for name, value in vars(hookspecs).items() if hasattr(value, "ebpfnn_spec"))


def section(title: str) -> str:
    """What the page says below that heading."""
    [text] = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return str(text)


def told(title: str) -> set[str]:
    """The members that the section's table tells of, without their arguments."""
    cells = re.findall(r"^\| (`.*?) \|", section(title), re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)", cell)}


def members(kind: type[Any]) -> set[str]:
    return {name for name in {*vars(kind), *kind.__annotations__} if not name.startswith("_")}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_member_is_told_and_no_other(kind: type[Any]) -> None:
    assert told(f"`{kind.__name__}`") == members(kind)


def test_every_member_of_the_code_of_a_body_is_told() -> None:
    assert told("`Body` and `BodyCode`") == members(BodyCode) | {"asm"}


def test_every_field_of_a_sample_is_told() -> None:
    [text] = re.findall(r"^A `Sample` has (.*?)\n\n", section("`InputSource`"), re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"`(\w+)`", text)) == {field.name for field in fields(Sample)}


def test_the_arguments_are_those_of_the_code() -> None:
    for kind in (*KINDS, Wanted):
        for name, arguments in re.findall(r"`(\w+)\(([\w, ]*)\)`", section(f"`{kind.__name__}`").split("\n\n| ")[-1]):
            code = vars(kind)[name].__code__
            assert [*filter(None, arguments.split(", "))] == [*code.co_varnames[1 : code.co_argcount]], name


def test_every_hook_is_told_and_no_other() -> None:
    assert told("Hooks") >= set(HOOKS)
    assert set(re.findall(r"\bebpfnn_(?:triggers|inputs|\w+s)\b(?=`)", section("Hooks"))) == set(HOOKS)
    assert all(getattr(hookspecs, name).__doc__ for name in HOOKS)


class Bell(Trigger):
    name = "bell"

    def object_path(self) -> Path:
        raise NotImplementedError

    def program(self) -> str:
        raise NotImplementedError

    def attach(self, loaded: Any, target: str | None) -> Attachment:
        raise NotImplementedError


class Blob(InputSource):
    name = "blob"

    def accepts(self, uri: str, head: bytes) -> bool:
        return head == b"blob"

    def samples(self, uri: str, stream: Any, wanted: Wanted) -> Iterator[Sample | Error]:
        return iter(())


class Bits(PreparationKind):
    name = "bits"

    def bind(self, form: InputFormat, *, split: bool = False) -> Any:
        return lambda item: ()


def try_ebpfnn_preparations(plugins: Plugins, brought: Any) -> None:
    assert plugins.wanted(InputFormat((4,), prepared=Preparation("bits"))).kind is brought


def try_ebpfnn_triggers(plugins: Plugins, brought: Any) -> None:
    assert plugins.trigger("bell") is brought


def try_ebpfnn_inputs(plugins: Plugins, brought: Any) -> None:
    assert plugins.input_for("x", b"blob") is brought


class Twice(Reducer):
    name = "twice"

    def step(self, state: list[int], value: int, time: int, options: Options) -> None:
        state[0] = 2 * value

    def read(self, state: Sequence[int], options: Options) -> tuple[int, ...]:
        return (state[0],)

    def emit_step(self, code: ReducerCode, options: Options) -> None:
        raise NotImplementedError

    def emit_read(self, code: ReducerCode, options: Options) -> None:
        raise NotImplementedError


class Halves(Encoder):
    name = "halves"

    def bounds(self, described: Mapping[str, Any], kind: str) -> Bounds:
        return (1, 2, 4)


def try_ebpfnn_reducers(plugins: Plugins, brought: Any) -> None:
    spec = build(spec_dict([{"name": "n", "reduce": "twice", "of": "length"}]))
    bound = bind(spec, {"xdp": PACKET}, plugins.reducers)
    assert bound.columns[0].reducer is brought
    assert [row.results for row in replay(bound, [(0, packet(length=4))])] == [(8,)]


def try_ebpfnn_encoders(plugins: Plugins, brought: Any) -> None:
    described = {"columns": [{"name": "n", "type": "integer", "encode": "halves"}]}
    assert plugins.encoders == {"halves": brought}
    assert [column.bounds for column in columns.read(described, plugins.encoders)] == [(1, 2, 4)]
    plugins.offered_preparations.extend([Columns()], "columns", "here")
    form = InputFormat((1,), prepared=Preparation("columns", described))
    assert plugins.wanted(form).one(Row({"n": 3})).tolist() == [2]
    assert plugins.describe(form.preparation) == "columns: n (halves 3)"


@dataclass(frozen=True)
class One(Model):
    kind: ClassVar[str] = "one"
    name: str = "it"
    input: InputFormat = field(default_factory=lambda: InputFormat((4,)))
    labels: tuple[str, ...] = ("one",)
    score_scale: float = 1.0
    card: Mapping[str, str] = field(default_factory=dict)
    events: Mapping[str, Any] = field(default_factory=dict)
    result: str = "value"

    @property
    def architecture(self) -> str:
        return "1"


class Ones(BodyKind[One]):
    name, model = "one", One

    def describe(self, model: One) -> dict[str, Any]:
        return {}

    def tensors(self, model: One) -> dict[str, Any]:
        return {}

    def build(self, described: Mapping[str, Any], tensors: Mapping[str, Any]) -> One:
        return One()

    def scores(self, model: One, samples: Any) -> Any:
        return np.ones((*samples.shape[:-1], 1), np.int32)

    def compile(self, model: One, features: Any, plan: str | None = None) -> Body:
        return BodyCode().finish("it", 1)


def try_ebpfnn_bodies(plugins: Plugins, brought: Any) -> None:
    assert plugins.bodies == {"one": brought}
    assert kind_of(One(), plugins).scores(One(), np.zeros((3, 4), np.uint8)).tolist() == [[1], [1], [1]]


class Ring(Action):
    name, triggers = "ring", ("bell",)

    def object_path(self, trigger: str) -> Path:
        return object_path("pass")


def try_ebpfnn_actions(plugins: Plugins, brought: Any) -> None:
    assert plugins.action("ring") is brought
    guard = Guard(Policy(0, 1), brought)
    guard.check(Bell())
    with pytest.raises(UsageError, match="action 'ring' acts on no events of trigger 'xdp'"):
        guard.check(type("Xdp", (Bell,), {"name": "xdp"})())


BROUGHT = {
    "ebpfnn_triggers": Bell(),
    "ebpfnn_inputs": Blob(),
    "ebpfnn_preparations": Bits(),
    "ebpfnn_reducers": Twice(),
    "ebpfnn_encoders": Halves(),
    "ebpfnn_bodies": Ones(),
    "ebpfnn_actions": Ring(),
}


@pytest.mark.parametrize("hook", HOOKS)
def test_what_a_plugin_brings_by_a_hook_is_used(hook: str) -> None:
    brought = BROUGHT[hook]  # a new hook needs one here, and a function try_HOOK

    def implementation() -> Any:
        return [brought]

    implementation.__name__ = hook
    manager = make_manager()
    manager.register(type("Module", (), {hook: staticmethod(hookimpl(implementation))}), name="mine")
    globals()[f"try_{hook}"](Plugins(manager), brought)
