"""The command line with a kernel that is played: what is printed where, and with which status it ends."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from ebpfnn_plugins import glyph, image_file, image_stream
from ebpfnn_plugins import picture as picture_kind
from numpy.typing import NDArray
from PIL import Image

from ebpfnn.bodies import modelfile
from ebpfnn.cli import VERBS, main
from ebpfnn.cli.group import LazyGroup
from ebpfnn.cli.report import Report, as_text
from ebpfnn.compiler import Body
from ebpfnn.errors import InputError, KernelError, PermissionDenied, VerifierError
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import Dense, Requantization
from ebpfnn.plugin import Plugins, Sample, Trigger, hookimpl, make_manager
from ebpfnn.plugin.reading import opened, peek

ROOT = Path(__file__).parents[2]
LABELS = ("left", "right")


class PlayedTrigger(Trigger):
    __module__ = "played"  # or all that this file raises would be a plugin's

    def __init__(self, name: str) -> None:
        self.name = name
        self.reason: str | None = None

    def object_path(self) -> Path:
        raise NotImplementedError

    def program(self) -> str:
        raise NotImplementedError

    def attach(self, loaded: Any, target: str | None) -> Any:
        raise NotImplementedError

    def supported(self) -> str | None:
        return self.reason


class PlayedSession:
    """Computes in numpy what the kernel would; counts how often it was opened and closed."""

    opened, closed, off_by = 0, 0, 0
    elapsed_ns: int | None = 820
    refusal: KernelError | None = None
    body: Body | None

    def __init__(
        self, network: QuantizedNetwork, trigger: Trigger, target: str | None, body: Body | None, *, plugins: object
    ) -> None:
        if self.refusal:
            raise self.refusal
        type(self).opened += 1
        type(self).body = body
        self.network, self.trigger, self.target = network, trigger, target

    def __enter__(self) -> PlayedSession:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        type(self).closed += 1

    def source(self) -> QuantizedNetwork:
        return self.network

    def infer(self, sample: NDArray[np.uint8]) -> Any:
        scores = reference.scores(self.network, sample) + self.off_by
        return SimpleNamespace(label=int(scores.argmax()), scores=scores, elapsed_ns=self.elapsed_ns)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A network that tells which half of a 4 x 4 picture is lighter, two triggers, and the sessions that were opened."""
    weights = np.zeros((2, 16), np.int8)
    weights[0].reshape(4, 4)[:, :2] = weights[1].reshape(4, 4)[:, 2:] = 1
    unit = np.full(2, 2, np.int32)
    layer = Dense(weights, np.zeros(2, np.int32), Requantization(unit, unit, 1, -(2**31), 2**31 - 1))
    network = QuantizedNetwork("halves", InputFormat((4, 4)), LABELS, (layer,), score_scale=0.01)
    modelfile.save(network, tmp_path / "halves.safetensors")

    triggers = {name: PlayedTrigger(name) for name in ("tracepoint", "run")}
    manager = make_manager()
    for number, module in enumerate((image_file, image_stream, glyph, picture_kind, _plugin_of(list(triggers.values())))):
        manager.register(module, name=f"plugin{number}")
    session = type("Session", (PlayedSession,), {})
    monkeypatch.setattr("ebpfnn.cli.inference.Session", session)
    monkeypatch.setattr("ebpfnn.doctor.run_once", lambda trigger: None)
    monkeypatch.setattr(Plugins, "installed", classmethod(lambda cls, **_files: cls(manager)))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "left.png").write_bytes(picture("left"))
    (tmp_path / "right.png").write_bytes(picture("right"))
    (tmp_path / "bad.png").write_bytes(b"no image")
    return SimpleNamespace(session=session, **triggers)


def _plugin_of(triggers: list[Trigger]) -> type:
    class Module:
        @staticmethod
        @hookimpl
        def ebpfnn_triggers() -> list[Trigger]:
            return triggers

    return Module


def picture(side: str) -> bytes:
    pixels = np.zeros((4, 4), np.uint8)
    pixels[1:3, 1 if side == "left" else 2] = 200
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def infer(*arguments: str, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(main, ["infer", "--model", "halves.safetensors", *arguments], input=stdin, prog_name="ebpfnn")


def test_a_line_an_image_in_the_order_given(world: Any) -> None:
    ran = infer("left.png", "right.png")
    assert ran.stdout.splitlines() == [
        "left.png:   left    98.2%    0.82 µs in the kernel",
        "right.png:  right   98.2%    0.82 µs in the kernel",
    ]
    assert (ran.stderr, ran.exit_code) == ("", 0)
    assert (world.session.opened, world.session.closed) == (1, 1)


@pytest.mark.parametrize("arguments", [(), ("-",)])
def test_images_on_standard_input_are_named_by_their_number(world: Any, arguments: tuple[str, ...]) -> None:
    ran = infer("--quiet", *arguments, stdin=picture("right") + picture("left"))
    assert ran.stdout.split() == ["right", "left"]
    ran = infer("--json", *arguments, stdin=picture("right") + picture("left"))
    assert [json.loads(line)["source"] for line in ran.stdout.splitlines()] == ["stdin:1", "stdin:2"]


def test_files_and_standard_input_may_be_mixed(world: Any) -> None:
    ran = infer("--quiet", "left.png", "-", "left.png", stdin=picture("right"))
    assert ran.stdout.split() == ["left", "right", "left"]


def test_json_has_one_object_a_line(world: Any) -> None:
    ran = infer("--json", "--check", "left.png")
    assert json.loads(ran.stdout) == {
        "source": "left.png",
        "label": "left",
        "scores": [400, 0],
        "confidence": 0.982,
        "elapsed_ns": 820,
        "trigger": "tracepoint",
        "target": None,
        "model": "halves",
        "notes": [],
        "check": True,
    }
    assert "check" not in json.loads(infer("--json", "left.png").stdout)


def test_a_time_that_the_trigger_does_not_measure_is_no_time(world: Any) -> None:
    world.session.elapsed_ns = None
    told = infer("left.png", "right.png").stdout.splitlines()
    assert told[0] == "left.png:   left    98.2%  time not measured by trigger tracepoint"
    assert json.loads(infer("--json", "left.png").stdout)["elapsed_ns"] is None


def test_check_ends_with_1_where_scores_are_not_the_references(world: Any) -> None:
    assert "matches the reference" in infer("--check", "left.png").stdout
    world.session.off_by = 1
    ran = infer("--json", "--check", "left.png", "right.png")
    assert [json.loads(line)["check"] for line in ran.stdout.splitlines()] == [False, False]
    assert ran.stderr.splitlines()[0] == "ebpfnn: left.png: the scores differ from the reference; report this"
    assert ran.exit_code == 1


def test_a_bad_image_takes_no_other_with_it(world: Any) -> None:
    ran = infer("--quiet", "absent.png", "bad.png", "left.png", ".")
    assert ran.stdout.split() == ["left", "left", "right"]
    told = [line.split(";")[0].partition(" (gl")[0] for line in ran.stderr.splitlines()]
    assert told[:3] == [
        "ebpfnn: absent.png: cannot be opened (No such file or directory)",
        "ebpfnn: bad.png: not an image of a known format",
        "ebpfnn: ./bad.png: not an image of a known format",
    ]
    assert ran.exit_code == 1


def test_a_bad_image_in_a_stream_takes_no_other_with_it(world: Any) -> None:
    ran = infer("--quiet", stdin=picture("left")[:50] + picture("right"))
    assert ran.stdout == "right\n"
    assert ran.stderr.startswith("ebpfnn: stdin:1: PNG, cut short")
    assert ran.exit_code == 1


def test_an_empty_standard_input_is_told_without_touching_the_kernel(world: Any) -> None:
    ran = infer()
    assert ran.stderr == "ebpfnn: standard input: empty; give an image, e.g. ebpfnn infer < digit.png\n"
    assert (ran.exit_code, world.session.opened) == (1, 0)


def test_the_first_preferred_trigger_that_works_is_used_and_the_fall_back_is_told(world: Any) -> None:
    assert json.loads(infer("--json", "left.png").stdout)["trigger"] == "tracepoint"
    world.tracepoint.reason = "tracefs is not mounted"
    ran = infer("--json", "left.png")
    assert json.loads(ran.stdout)["trigger"] == "run"
    assert ran.stderr == "ebpfnn: using trigger 'run': trigger 'tracepoint' cannot run here: tracefs is not mounted\n"
    assert infer("--quiet", "left.png").stderr == ""


def test_a_target_leaves_no_choice_of_trigger(world: Any) -> None:
    world.tracepoint.reason = "tracefs is not mounted"
    ran = infer("--target", "a:b", "left.png")
    assert ran.stderr == "ebpfnn: trigger 'tracepoint' cannot run here: tracefs is not mounted\n"
    assert ran.exit_code == 1


def test_the_twin_runs_where_it_is_asked_for(world: Any) -> None:
    assert infer("left.png").exit_code == 0
    assert world.session.body is None
    assert infer("--twin", "left.png").stdout.startswith("left.png:  left")
    assert "nn_hidden_weights" in world.session.body.spec.maps


def test_a_refusal_of_the_verifier_tells_where_its_log_is(world: Any) -> None:
    world.session.refusal = VerifierError("program 'p': R0 is no pointer; mend it", 13, "the whole log\n")
    assert infer("left.png").stderr.endswith("(the verifier's whole log: ebpfnn --debug ...)\n")
    ran = CliRunner().invoke(main, ["--debug", "infer", "--model", "halves.safetensors", "left.png"])
    assert ran.stderr.startswith("the whole log\nTraceback")


def test_names_cannot_move_the_cursor(world: Any) -> None:
    Path("a\n\x1b[31m.png").write_bytes(picture("left"))
    ran = infer("a\n\x1b[31m.png", "no\n\x1b.png", "left.png")
    assert [line.partition("  ")[0] for line in ran.stdout.splitlines()] == ["a\\n\\x1b[31m.png:", "left.png:"]
    assert len({line.index("in the kernel") for line in ran.stdout.splitlines()}) == 1
    assert "no \\x1b.png" in ran.stderr


def test_what_plugins_say_cannot_move_the_cursor(world: Any) -> None:
    world.tracepoint.reason = "no\x1b[2J"
    assert infer("left.png").stderr == "ebpfnn: using trigger 'run': trigger 'tracepoint' cannot run here: no\\x1b[2J\n"
    sample = Sample(np.zeros((4, 4), np.uint8), "a", ("\x1b[2J",))
    report = Report(sample, modelfile.load("halves.safetensors"), "run", 0, (1, 0), 1)
    assert as_text(report, 1).endswith("in the kernel  \\x1b[2J")


def test_a_file_that_cannot_be_read_takes_no_other_with_it(world: Any) -> None:
    ran = infer("--quiet", "/proc/self/mem", "left.png")
    assert (ran.stdout, ran.exit_code) == ("left\n", 1)
    assert ran.stderr.startswith("ebpfnn: /proc/self/mem: cannot be read (Input/output error)")


def test_a_trigger_that_was_named_is_used_or_nothing(world: Any) -> None:
    assert json.loads(infer("--json", "--trigger", "run", "left.png").stdout)["trigger"] == "run"
    world.run.reason = "no CAP_BPF"
    ran = infer("--trigger", "run", "left.png")
    assert (ran.stdout, ran.stderr) == ("", "ebpfnn: trigger 'run' cannot run here: no CAP_BPF\n")
    assert ran.exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "told", "status"),
    [
        (
            ("--trigger", "tracepiont"),
            "trigger 'tracepiont' not found; installed: run, tracepoint; did you mean 'tracepoint'?",
            2,
        ),
        (
            ("--input", "imag-file"),
            "input 'imag-file' not found; installed: image-file, image-stream; did you mean 'image-file'?",
            2,
        ),
        (("--option", "x"), "--option 'x': not of the form KEY=VALUE; give one such as --option x=VALUE\n", 2),
        (("--option", "=1"), "--option '=1': not of the form KEY=VALUE; give one such as --option KEY=VALUE\n", 2),
        (("--option", "x=1", "--option", "x=2"), "--option 'x=2': 'x' was given as '1' already; give each key once\n", 2),
        (("--instance", "one"), "--instance and --model exclude each other: an instance has a network, trigger and target ", 2),
        (("--option", "x=1"), "trigger 'tracepoint' has no option 'x'; its options: none at all", 2),
        (("--model", "absent"), "network 'absent' not found", 1),
    ],
)
def test_unknown_names_end_with_one_line(world: Any, arguments: tuple[str, ...], told: str, status: int) -> None:
    ran = infer(*arguments, "left.png")
    assert ran.stderr.startswith(f"ebpfnn: {told}")
    assert ran.stderr.count("\n") == 1
    assert ran.exit_code == status


def test_a_blank_image_is_warned_of_where_only_labels_are_printed(world: Any) -> None:
    blank = b"P5 4 4 255\n" + bytes(16)
    ran = infer("--quiet", stdin=blank + picture("right"))
    assert ran.stdout.split() == ["left", "right"]
    assert (ran.stderr, ran.exit_code) == ("ebpfnn: stdin:1: warning: blank\n", 0)
    ran = infer(stdin=blank)
    assert (ran.stdout.endswith("  blank\n"), ran.stderr) == (True, "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), ""),
        (("--target", "no:such"), "; the target 'no:such' was not checked"),
        (("--option", "port=1"), "; also, none of them has an option 'port'"),
    ],
)
def test_what_else_is_wrong_is_told_where_two_plugins_offer_a_trigger(
    arguments: tuple[str, ...], told: str, world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = make_manager()
    for number in range(2):
        manager.register(_plugin_of([PlayedTrigger("tracepoint")]), name=f"plugin{number}")
    monkeypatch.setattr(Plugins, "installed", classmethod(lambda cls, **_files: cls(manager)))
    ran = infer(*arguments, "left.png")
    assert ran.stderr.startswith("ebpfnn: trigger 'tracepoint' is offered by plugin 'plugin0' ")
    assert ran.stderr.endswith(f"; leave one out with EBPFNN_DISABLE=plugin1{told}\n")


def test_two_triggers_of_one_name_that_need_a_target_say_so(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PlayedTrigger, "needs_target", True)
    manager = make_manager()
    for number in range(2):
        manager.register(_plugin_of([PlayedTrigger("run")]), name=f"plugin{number}")
    monkeypatch.setattr(Plugins, "installed", classmethod(lambda cls, **_files: cls(manager)))
    ran = CliRunner().invoke(main, ["load", "halves.safetensors", "--trigger", "run"])
    assert ran.stderr.endswith("; also, trigger 'run' requires a target: give --target\n")


def test_a_forgotten_sudo_is_one_short_line(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    remedy = "run as root (sudo), or grant CAP_BPF and CAP_PERFMON"
    for where in ("ebpfnn.cli.inference.lack", "ebpfnn.kernel.privilege.lack"):
        monkeypatch.setattr(where, lambda: remedy)
    assert infer("--quiet", "left.png").stdout == "left\n"
    world.tracepoint.reason = world.run.reason = f"program 'probe': BPF_PROG_LOAD refused with EPERM; {remedy}"
    ran = infer("left.png")
    assert (ran.stdout, ran.stderr) == ("", f"ebpfnn: loading a network is not permitted; {remedy}\n")
    assert ran.exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["bpf"], "Missing command"),
        (["bpf", "nope"], "no verb 'nope'"),
        (["load", "mnist", "--trigger", "nope"], "trigger 'nope' not found"),
        (["load", "mnist", "--trigger", "xdp"], "trigger 'xdp' requires a target"),
        (["query", "192.0.2.1:0", "left.png"], "address '192.0.2.1:0': not HOST, HOST:PORT or [IPV6]:PORT"),
        (["train", "--data", "x.npz", "--hidden-bits", "4"], "fewer than 8 must be trained for"),
        (["unload", "--all", "one"], "give names of instances or --all, not both"),
        (["swap", "one", "mnist", "two"], "too many arguments; give at most INSTANCE and NAME|FILE"),
    ],
)
def test_wrong_usage_ends_with_2_and_one_line(arguments: list[str], told: str) -> None:
    ran = CliRunner().invoke(main, arguments, prog_name="ebpfnn")
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert told in ran.stderr
    assert ran.stderr.startswith("ebpfnn: ")
    assert ran.stderr.count("\n") == 1


def test_what_the_kernel_refuses_ends_it_all_with_one_line(world: Any) -> None:
    world.session.refusal = KernelError("the kernel refused;\nsee there")
    ran = infer("left.png", "right.png")
    assert (ran.stdout, ran.stderr, ran.exit_code) == ("", "ebpfnn: the kernel refused; see there\n", 1)


def test_a_refusal_that_privilege_does_not_explain_points_at_doctor(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ebpfnn.kernel.privilege.lack", lambda: "")
    world.session.refusal = PermissionDenied("program 'run': refused; a security module may forbid it", errno.EPERM)
    told = "program 'run': refused; a security module may forbid it (`ebpfnn doctor` checks this machine)"
    assert infer("left.png").stderr == f"ebpfnn: {told}\n"
    world.session.refusal = PermissionDenied("'/sys/fs/bpf/x': closed; ask who loaded it", errno.EACCES)
    assert infer("left.png").stderr == "ebpfnn: '/sys/fs/bpf/x': closed; ask who loaded it\n"
    monkeypatch.setattr("ebpfnn.kernel.privilege.lack", lambda: "run as root (sudo)")
    world.session.refusal = PermissionDenied("program 'run': refused; run as root (sudo)", errno.EPERM)
    assert infer("left.png").stderr == "ebpfnn: program 'run': refused; run as root (sudo)\n"


def test_an_internal_error_is_one_line_and_with_debug_a_traceback(world: Any) -> None:
    world.session.refusal = ZeroDivisionError("oops")
    ran = infer("left.png")
    assert ran.stderr == "ebpfnn: internal error: ZeroDivisionError: oops; run again as ebpfnn --debug ... and report it\n"
    ran = CliRunner().invoke(main, ["--debug", "infer", "--model", "halves.safetensors", "left.png"])
    assert ran.stderr.startswith("Traceback (most recent call last)")
    assert ran.exit_code == 1


def test_an_interrupt_leaves_nothing_open(world: Any) -> None:
    world.session.infer = _interrupted
    ran = infer("left.png")
    assert (ran.stderr, ran.exit_code) == ("ebpfnn: interrupted\n", 130)
    assert (world.session.opened, world.session.closed) == (1, 1)


def _interrupted(_session: Any, _sample: Any) -> Any:
    raise KeyboardInterrupt


def test_sigterm_leaves_nothing_open(world: Any) -> None:
    world.session.infer = lambda _session, _sample: os.kill(os.getpid(), signal.SIGTERM)
    before = signal.getsignal(signal.SIGTERM)
    ran = infer("left.png")
    assert ran.exit_code == 143
    assert (world.session.opened, world.session.closed) == (1, 1)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_verb_that_is_not_there_is_a_usage_error() -> None:
    ran = CliRunner().invoke(main, ["infre"], prog_name="ebpfnn")
    assert (ran.exit_code, ran.stderr) == (2, "ebpfnn: no verb 'infre'; did you mean 'infer', 'enforce'?\n")


def test_an_option_that_is_not_there_is_a_usage_error() -> None:
    ran = CliRunner().invoke(main, ["infer", "--xyz", "x"], prog_name="ebpfnn")
    assert (ran.exit_code, ran.stderr) == (2, "ebpfnn: no option '--xyz'; see 'ebpfnn infer --help'\n")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_every_verb(arguments: list[str]) -> None:
    ran = CliRunner().invoke(main, arguments)
    assert ran.exit_code == 0
    assert all(f"  {verb} " in ran.stdout for verb in VERBS)


def test_a_terminal_without_an_image_is_a_usage_error() -> None:
    master, terminal = os.openpty()
    try:
        ran = run("infer", stdin=terminal)
    finally:
        os.close(master)
        os.close(terminal)
    assert ran.returncode == 2
    assert ran.stderr == "ebpfnn: no IMAGE, and standard input is a terminal; see 'ebpfnn infer --help'\n"


def test_a_closed_standard_input_without_an_image_is_a_usage_error() -> None:
    ran = run("infer", preexec_fn=lambda: os.close(0))
    assert ran.returncode == 2
    assert ran.stderr == "ebpfnn: no IMAGE, and standard input is closed; see 'ebpfnn infer --help'\n"


def test_a_closed_standard_input_that_is_named_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match=r"^standard input: closed; give"), opened("-"):
        pass


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    ends = os.pipe()
    os.close(ends[0])
    try:
        ran = run("plugins", "--json", stdout=ends[1])
    finally:
        os.close(ends[1])
    assert (ran.returncode, ran.stderr) == (141, "")


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins")])}
    program = "from ebpfnn.cli import main; main(prog_name='ebpfnn')"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run([sys.executable, "-c", program, *arguments], env=environ, text=True, check=False, **pipes)


def test_plugins_shows_where_everything_comes_from_and_why_it_does_not_run(world: Any) -> None:
    world.tracepoint.reason = "tracefs is not mounted"
    ran = CliRunner().invoke(main, ["plugins"], env={"COLUMNS": "40"})
    [line] = [line for line in ran.stdout.splitlines() if " tracepoint " in line]
    assert line.split()[:2] == ["trigger", "tracepoint"]
    assert line.endswith(" no      unavailable: tracefs is not mounted")
    told = json.loads(CliRunner().invoke(main, ["plugins", "--json"]).stdout)
    assert {row["name"]: row["reason"] for row in told["plugins"]} == {
        "run": None,
        "tracepoint": "tracefs is not mounted",
        "image-file": None,
        "image-stream": None,
        "glyph": None,
        "picture": None,
    }
    assert told["warnings"] == []


def test_doctor_ends_with_0_while_one_trigger_works(world: Any) -> None:
    world.tracepoint.reason = "tracefs is not mounted"
    ran = CliRunner().invoke(main, ["doctor"])
    assert ran.exit_code == 0
    assert "unavailable  trigger tracepoint  tracefs is not mounted" in ran.stdout
    assert ran.stdout.endswith("\nready: 1 of 2 triggers\n")
    assert ran.stderr == ""
    world.run.reason = "no CAP_BPF"
    ran = CliRunner().invoke(main, ["doctor", "--json"])
    assert ran.exit_code == 1
    assert {check["name"]: check["state"] for check in json.loads(ran.stdout)}["trigger run"] == "unavailable"
    assert CliRunner().invoke(main, ["doctor"]).stdout.endswith("\nready: 0 of 2 triggers\n")


def test_peeking_takes_nothing_even_from_a_pipe_that_trickles() -> None:
    reader, writer = os.pipe()
    with open(reader, "rb") as stream:
        child = os.fork()
        if child == 0:
            for at in range(40):
                os.write(writer, bytes([at]))
            os._exit(0)
        os.close(writer)
        head, again = peek(stream)
        assert len(head) >= 16
        assert again.read() == bytes(range(40))
        os.waitpid(child, 0)


def test_every_verb_that_is_there_is_a_command() -> None:
    assert isinstance(main, LazyGroup)
    there = [verb for verb in VERBS if (ROOT / "ebpfnn" / "cli" / f"{verb}.py").exists()]
    assert {"infer", "plugins", "doctor"} <= set(there)
    assert all(isinstance(main.get_command(click.Context(main), verb), click.Command) for verb in there)
