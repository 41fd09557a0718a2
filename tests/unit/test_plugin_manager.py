"""Finding plugins, and what is said of those that are broken, clash or are misspelt."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from importlib.metadata import PathDistribution, distributions
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import pytest

from ebpfnn.errors import Error, InputError, PluginError, UsageError
from ebpfnn.plugin import Attachment, InputSource, Plugins, Sample, Trigger, hookimpl, hookspecs, make_manager, why_not


class FakeTrigger(Trigger):
    def __init__(self, name: str, reason: str | None = None) -> None:
        self.name, self.reason = name, reason

    def object_path(self) -> Path:
        return Path("fake.bpf.o")

    def program(self) -> str:
        return "fake"

    def attach(self, loaded: Any, target: str | None) -> Attachment:
        return Attachment()

    def supported(self) -> str | None:
        if self.reason == "breaks":
            raise RuntimeError("no such\nluck")
        return self.reason


class FakeInput(InputSource):
    def __init__(self, name: str, head: bytes) -> None:
        self.name, self.head = name, head

    def accepts(self, uri: str, head: bytes) -> bool:
        if self.head == b"breaks":
            raise RuntimeError("no such luck")
        return head.startswith(self.head)

    def samples(self, uri: str, stream: BinaryIO, shape: tuple[int, ...]) -> Iterator[Sample | Error]:
        return iter(())


def plugin(triggers: Any = (), inputs: Any = ()) -> ModuleType:
    """A plugin, as a module would be: plain functions that carry the mark."""

    @hookimpl
    def ebpfnn_triggers() -> Any:
        return triggers() if callable(triggers) else triggers

    @hookimpl
    def ebpfnn_inputs() -> Any:
        return inputs

    return module(ebpfnn_triggers=ebpfnn_triggers, ebpfnn_inputs=ebpfnn_inputs)


def module(**functions: Any) -> ModuleType:
    made = ModuleType("fake")
    vars(made).update(functions)
    return made


def plugins(**registered: ModuleType) -> Plugins:
    manager = make_manager()
    for name, each in registered.items():
        manager.register(each, name=name)
    return Plugins(manager)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Installs a distribution of the given modules, one entry point each; the real ones stay out of sight."""
    names: list[str] = []

    def install(**modules: str) -> None:
        distribution = tmp_path / f"fake{len(names)}-1.2.dist-info"
        distribution.mkdir()
        points = [f"{name} = fake_{len(names)}_{name}" for name in modules]
        for point, source in zip(points, modules.values(), strict=True):
            (tmp_path / f"{point.split(' = ')[1]}.py").write_text(source)
        (distribution / "METADATA").write_text(f"Metadata-Version: 2.1\nName: fake{len(names)}\nVersion: 1.2\n")
        (distribution / "entry_points.txt").write_text("[ebpfnn]\n" + "\n".join(points) + "\n")
        names.extend(modules)

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("ebpfnn.plugin.discovery.entry_points", lambda group: _points_below(tmp_path, group))
    yield install
    for loaded in [name for name in sys.modules if name.startswith("fake_")]:
        del sys.modules[loaded]


def _points_below(directory: Path, group: str) -> list[Any]:
    importlib.invalidate_caches()
    found = sorted(distributions(path=[str(directory)]), key=lambda distribution: distribution.metadata["Name"])
    return [point for distribution in found for point in distribution.entry_points.select(group=group)]


HOOK = "from ebpfnn.plugin import hookimpl\nEBPFNN_ABI = 2\n@hookimpl"
GOOD = """
from ebpfnn.plugin import InputSource, hookimpl

EBPFNN_ABI = 2

class Good(InputSource):
    name = "good"
    def accepts(self, uri, head):
        return True
    def samples(self, uri, stream, shape):
        return iter(())

@hookimpl
def ebpfnn_inputs():
    return [Good()]
"""


def test_every_hook_is_prefixed_documented_and_collects() -> None:
    manager = make_manager()
    specs = {name: caller for name, caller in vars(manager.hook).items() if not name.startswith("_")}
    assert set(specs) == {
        "ebpfnn_triggers",
        "ebpfnn_inputs",
        "ebpfnn_preparations",
        "ebpfnn_reducers",
        "ebpfnn_encoders",
        "ebpfnn_bodies",
        "ebpfnn_actions",
    }
    for name in specs:
        spec = getattr(hookspecs, name)
        assert spec.__doc__
        assert "return" in spec.__annotations__
        assert not spec.ebpfnn_spec["firstresult"]


def test_what_all_plugins_bring_is_collected_by_name() -> None:
    run, trace, png = FakeTrigger("run"), FakeTrigger("trace"), FakeInput("png", b"\x89PNG")
    found = plugins(one=plugin([trace], [png]), two=plugin(iter([run])))
    assert found.triggers == {"run": run, "trace": trace}
    assert list(found.triggers) == ["run", "trace"]
    assert found.inputs == {"png": png}
    assert found.trigger("run") is run
    assert found.warnings == []


def test_an_unknown_name_is_answered_with_the_known_ones_and_the_nearest() -> None:
    found = plugins(one=plugin([FakeTrigger("run"), FakeTrigger("tracepoint")]))
    told = "trigger 'tracepiont' not found; installed: run, tracepoint; did you mean 'tracepoint'?"
    with pytest.raises(PluginError) as caught:
        found.trigger("tracepiont")
    assert str(caught.value) == told
    with pytest.raises(PluginError, match=r"^trigger 'xyz' not found; installed: none$"):
        plugins().trigger("xyz")


def test_an_unknown_name_is_answered_with_the_plugins_that_were_left_out() -> None:
    found = plugins(bad=plugin(["door"]), good=plugin([FakeTrigger("run")]))
    with pytest.raises(UsageError, match=r"^trigger 'door' not found; installed: run; plugin 'bad' \(.*\) left out: TypeError"):
        found.trigger("door")
    with pytest.raises(UsageError, match=r"did you mean 'run'\?$"):
        found.trigger("rnu")


def test_a_name_offered_twice_is_an_error_at_look_up_that_names_both() -> None:
    found = plugins(one=plugin([FakeTrigger("run"), FakeTrigger("other")]), two=plugin([FakeTrigger("run")]))
    with pytest.raises(PluginError, match=r"'run' is offered by plugin 'one' .* and by plugin 'two' .*EBPFNN_DISABLE=two$"):
        found.trigger("run")
    assert set(found.triggers) == {"other"}
    assert len(found.warnings) == 1


def test_a_hook_that_raises_makes_one_broken_plugin() -> None:
    def explode() -> Iterator[Trigger]:
        yield FakeTrigger("never seen")
        raise OSError("out of\npaper")

    found = plugins(bad=plugin(explode, [FakeInput("lost", b"")]), good=plugin([FakeTrigger("run")]))
    assert set(found.triggers) == {"run"}
    assert found.inputs == {}
    [broken] = found.broken
    assert (broken.name, broken.reason) == ("bad", "OSError: out of paper")
    assert found.warnings == [str(broken)]


@pytest.mark.parametrize("items", [["run"], [FakeInput("png", b"")], [FakeTrigger(7)]])  # type: ignore[arg-type]
def test_a_hook_that_gives_something_else_makes_a_broken_plugin(items: Any) -> None:
    found = plugins(bad=plugin(items))
    assert [broken.name for broken in found.broken] == ["bad"]


def test_a_misspelt_hook_is_an_error_that_names_the_plugin_and_the_hook() -> None:
    @hookimpl
    def ebpfnn_trigers() -> list[Trigger]:
        return []

    with pytest.raises(
        PluginError, match=r"^plugin 'bad': there is no hook 'ebpfnn_trigers'; did you mean 'ebpfnn_triggers'\?"
    ):
        plugins(bad=module(ebpfnn_trigers=ebpfnn_trigers))


def test_the_input_that_claims_a_stream_reads_it() -> None:
    png, gif = FakeInput("png", b"\x89PNG"), FakeInput("gif", b"GIF")
    found = plugins(one=plugin(inputs=[png, gif]))
    assert found.input_for("a.png", b"\x89PNG...") is png
    assert found.input_for("-", b"GIF8") is gif
    assert found.input_for("a.png", b"\x89PNG...", name="gif") is gif


def test_a_stream_that_none_or_two_claim_is_an_error_that_says_what_settles_it() -> None:
    found = plugins(one=plugin(inputs=[FakeInput("png", b"\x89"), FakeInput("any", b"")]), two=plugin())
    with pytest.raises(PluginError, match=r"^a\.png: claimed by the inputs any and png; choose one with --input NAME$"):
        found.input_for("a.png", b"\x89")
    none = plugins(one=plugin(inputs=[FakeInput("png", b"\x89")]))
    with pytest.raises(
        InputError,
        match=r"^standard input: not in a format that an installed input reads \(png\); give one of these, or see",
    ):
        none.input_for("-", b"text")
    with pytest.raises(PluginError, match=r"^input 'pgn' not found; installed: png; did you mean 'png'\?"):
        none.input_for("-", b"text", "pgn")


def test_two_inputs_of_one_name_that_claim_a_stream_clash() -> None:
    found = plugins(one=plugin(inputs=[FakeInput("png", b"")]), two=plugin(inputs=[FakeInput("png", b"x")]))
    with pytest.raises(PluginError, match=r"input 'png' is offered by plugin 'one'"):
        found.input_for("a.png", b"head")


def test_an_input_that_breaks_is_named_with_its_plugin() -> None:
    found = plugins(one=plugin(inputs=[FakeInput("bad", b"breaks")]))
    with pytest.raises(
        PluginError, match=r"^input 'bad' of plugin 'one' .* failed: RuntimeError: no such luck; .*DISABLE=one$"
    ):
        found.input_for("a.png", b"head")


@pytest.mark.parametrize(
    ("reason", "told"), [(None, None), ("no tracefs", "no tracefs"), ("breaks", "RuntimeError: no such luck")]
)
def test_a_trigger_that_breaks_while_it_is_asked_cannot_run(reason: str | None, told: str | None) -> None:
    assert why_not(FakeTrigger("x", reason)) == told


def test_installed_plugins_come_by_entry_point_with_their_distribution(installed: Any) -> None:
    installed(mine=GOOD)
    found = Plugins.installed({})
    [offer] = found.offered_inputs.offers
    assert (offer.item.name, offer.plugin, offer.distribution) == ("good", "mine", "fake0 1.2")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def broken(:", "SyntaxError: invalid syntax"),
        (
            "EBPFNN_ABI = 2\ndef ebpfnn_inputs():\n    return []",
            "implements no hook; mark its functions with @ebpfnn.plugin.hookimpl",
        ),
        (HOOK + "\ndef ebpfnn_inputs(surplus):\n    return []", "PluginValidationError"),
    ],
)
def test_a_plugin_that_fails_to_import_takes_no_other_with_it(installed: Any, source: str, reason: str) -> None:
    installed(bad=source, good=GOOD)
    found = Plugins.installed({})
    assert set(found.inputs) == {"good"}
    [broken] = found.broken
    assert (broken.name, broken.distribution) == ("bad", "fake0 1.2")
    assert broken.reason.startswith(reason)
    assert found.warnings == [
        f"plugin 'bad' (fake0 1.2) left out: {broken.reason}; fix it, or leave it out with EBPFNN_DISABLE=bad"
    ]


def test_what_a_distribution_tells_of_itself_is_not_read_for_each_of_its_plugins(
    installed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(one=GOOD, two="1 / 0", three="1 / 0", four="1 / 0")
    read, files = PathDistribution.read_text, []

    def counted(self: PathDistribution, filename: Any) -> str | None:
        files.append(filename)
        return read(self, filename)

    monkeypatch.setattr(PathDistribution, "read_text", counted)
    found = Plugins.installed({})
    assert {broken.distribution for broken in found.broken} == {"fake0 1.2"}
    assert files.count("METADATA") <= 3  # to sort them here, its name and its version


@pytest.mark.parametrize(
    ("number", "fact"),
    [
        ("", "declares no ABI version (EBPFNN_ABI)"),
        ("EBPFNN_ABI = 1", "was written for ABI version 1"),
        ("EBPFNN_ABI = 3", "was written for ABI version 3"),
        ("EBPFNN_ABI = '2'", "was written for ABI version '2'"),
        ("EBPFNN_ABI = 2.0", "was written for ABI version 2.0"),
    ],
)
def test_a_plugin_of_another_abi_version_takes_no_other_with_it(installed: Any, number: str, fact: str) -> None:
    installed(other=GOOD.replace("EBPFNN_ABI = 2", number).replace('"good"', '"late"'), good=GOOD)
    found = Plugins.installed({})
    assert set(found.inputs) == {"good"}
    [broken] = found.broken
    assert broken.reason.startswith(f"{fact}, and this ebpfnn has 2; adapt it as docs/plugins.md says")


def test_disabled_plugins_are_not_even_imported(installed: Any) -> None:
    installed(bad="1 / 0", other="1 / 0", good=GOOD)
    found = Plugins.installed({"EBPFNN_DISABLE": "bad, other"})
    assert set(found.inputs) == {"good"}
    assert found.broken == []


def test_the_second_plugin_of_one_name_is_broken(installed: Any) -> None:
    installed(mine=GOOD)
    installed(mine=GOOD)
    found = Plugins.installed({})
    assert [(broken.name, broken.distribution) for broken in found.broken] == [("mine", "fake1 1.2")]
    assert set(found.inputs) == {"good"}


def test_an_installed_plugin_with_a_misspelt_hook_is_an_error(installed: Any) -> None:
    installed(bad=HOOK + "\ndef ebpfnn_input():\n    return []")
    with pytest.raises(PluginError, match=r"^plugin 'bad': there is no hook 'ebpfnn_input'; did you mean 'ebpfnn_inputs'\?"):
        Plugins.installed({})
