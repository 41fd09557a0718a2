"""Networks that stay in the kernel: from load to unload, whoever does it, and what is there of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ebpfnn_plugins.run import RunTrigger
from ebpfnn_plugins.tracepoint import TracepointTrigger
from instances import PINS, ROOT, all_names, ebpfnn, environment, names
from netspace import namespace
from networks import random_network, samples

from ebpfnn import Instance
from ebpfnn.bodies import modelfile
from ebpfnn.errors import ModelError, NotSupported, PluginError, SessionError
from ebpfnn.instance import Store
from ebpfnn.instance import store as stores
from ebpfnn.instance.pins import Pins
from ebpfnn.instance.store import LOCKS
from ebpfnn.kernel import Link
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.plugin import Plugins, Trigger
from ebpfnn.session.runner import Result, Runner

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing", "perf_links")]
SMALL = random_network((9, 5, 3), seed=1)
SAMPLES = samples(9, seed=1)
TRIGGERS = {"run": RunTrigger, "tracepoint": TracepointTrigger}
by_trigger = pytest.mark.parametrize("trigger", [pytest.param(made(), id=name) for name, made in TRIGGERS.items()])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    modelfile.save(SMALL, tmp_path / "small.safetensors")
    return tmp_path / "small.safetensors"


def test_what_the_systemd_unit_may_do_is_enough(store: Store, file: Path) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv(1) is not installed")
    unit = (ROOT / "ebpfnn" / "data" / "systemd" / "ebpfnn@.service").read_text()
    (allowed,) = re.findall(r"^CapabilityBoundingSet=(.*)$", unit, re.MULTILINE)
    bounds = ",".join(["-all", *(f"+{name.removeprefix('CAP_').lower()}" for name in allowed.split())])
    mask = ["sh", "-c", 'umask 077; exec "$@"', "sh"]  # the unit's
    confined = [
        *mask,
        "setpriv",
        "--bounding-set",
        bounds,
        "--inh-caps",
        "-all",
        "--no-new-privs",
        sys.executable,
        "-m",
        "ebpfnn",
    ]
    for verb in (["load", str(file), "--trigger", "tracepoint", "--name", "one"], ["unload", "one"]):
        ran = subprocess.run([*confined, *verb], env=environment(store), capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stderr) == (0, "")
    assert stat.S_IMODE(store.directory.stat().st_mode) == 0o755  # so that members of a group come through


@by_trigger
def test_an_instance_answers_after_whoever_loaded_it(trigger: Trigger, store: Store, file: Path) -> None:
    ran = ebpfnn(store, "load", str(file), "--trigger", trigger.name, "--name", "one")
    assert ran.returncode == 0, ran.stderr
    assert f"one: checked by the event itself ({trigger.name})\n" in ran.stdout
    with Instance.open("one").session() as session:
        for sample, scores in zip(SAMPLES, reference.scores(SMALL, SAMPLES), strict=True):
            result = session.infer(sample)
            assert result.scores.tolist() == scores.tolist()
            assert result.label == int(scores.argmax())
        assert session.infer_many(SAMPLES).scores.tolist() == reference.scores(SMALL, SAMPLES).tolist()
    assert Instance.open("one").statistics().answered == 2 * len(SAMPLES)  # and none of the proof's


def test_what_is_pinned(store: Store) -> None:
    instance = Instance.load(SMALL, TracepointTrigger(), name="one")
    assert names(store) == all_names("one")
    assert sorted(path.name for path in instance.path.iterdir()) == sorted([*PINS, "link"])
    for path in (instance.path, *instance.path.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    for exported in ("input", "output", "callers"):
        assert (store.root / f"one_{exported}").samefile(instance.path / exported)
    instance.unload()
    assert names(store) == set()


def test_a_group_may_be_let_in(store: Store) -> None:
    instance = Instance.load(SMALL, RunTrigger(), name="one", group=12345)
    for path in (instance.path, *instance.path.rglob("*")):
        found = path.stat()
        assert (found.st_gid, stat.S_IMODE(found.st_mode)) == (12345, 0o750 if path.is_dir() else 0o660)


def test_about(store: Store, file: Path) -> None:
    about = Instance.load(SMALL, TracepointTrigger(), name="one", file=file).about()
    assert (about.network, about.labels, about.input, about.architecture) == ("test", SMALL.labels, SMALL.input, "9-5-3")
    assert (about.trigger, about.target, about.options) == ("tracepoint", "syscalls:sys_enter_getcpu", {})
    assert (about.file, about.holder) == (str(file), 0)
    with Instance.open("one").session() as session:
        assert session.source().architecture == "9-5-3"


def test_a_source_that_changed_is_not_compared_with(store: Store, file: Path) -> None:
    instance = Instance.load(SMALL, RunTrigger(), name="one", file=file)
    modelfile.save(random_network((9, 5, 3), seed=2), file)
    with instance.session() as session, pytest.raises(ModelError, match="so its scores cannot be compared with"):
        session.source()


def test_list_and_unload(store: Store, file: Path) -> None:
    assert ebpfnn(store, "list").stdout == "no networks are loaded; load one with `ebpfnn load`\n"
    for name in ("first", "second"):
        Instance.load(SMALL, RunTrigger(), name=name)
    listed = json.loads(ebpfnn(store, "list", "--json").stdout)
    assert [(each["instance"], each["trigger"], each["answered"], each["swaps"]) for each in listed] == [
        ("first", "run", 0, 0),
        ("second", "run", 0, 0),
    ]
    assert "first     test     run" in ebpfnn(store, "list").stdout
    ran = ebpfnn(store, "unload", "frist")
    assert (ran.returncode, ran.stderr) == (1, "ebpfnn: instance 'frist' is not loaded; did you mean 'first'?\n")
    assert ebpfnn(store, "unload", "first").stdout == "first: unloaded\n"
    assert names(store) == all_names("second")
    assert ebpfnn(store, "unload", "--all").returncode == 0
    assert ebpfnn(store, "unload", "--all").returncode == 0
    assert names(store) == set()


def test_the_kernel_counts_runs(store: Store) -> None:
    from ebpfnn.kernel import run_statistics

    instance = Instance.load(SMALL, RunTrigger(), name="one")
    with run_statistics(), instance.session() as session:
        for sample in SAMPLES:
            session.infer(sample)
    found = instance.statistics()
    assert found.runs == len(SAMPLES)
    assert (found.mean_ns or 0) > 0


@pytest.mark.parametrize("name", ["a.b", "", "a/b", "..", "a" * 65, "~1-0", "ä", "a b"])
def test_names_that_none_can_have(name: str, store: Store) -> None:
    network = random_network((9, 5, 3), seed=1) if name else QuantizedNetwork("ü", SMALL.input, SMALL.labels, SMALL.layers)
    with pytest.raises(SessionError, match="is not valid: use 1 to 64 characters of A-Z a-z 0-9 _ -; give another with --name"):
        Instance.load(network, RunTrigger(), name=name)
    assert names(store) == set()


def test_a_name_is_given_once(store: Store) -> None:
    Instance.load(SMALL, RunTrigger(), name="one")
    with pytest.raises(SessionError, match="instance 'one' is loaded already; unload or swap it"):
        Instance.load(SMALL, RunTrigger(), name="one")
    (store.root / "two_input").mkdir()
    with pytest.raises(SessionError, match="two_input' exists already and is not ebpfnn's"):
        Instance.load(SMALL, RunTrigger(), name="two")
    assert names(store) == all_names("one")


def test_what_the_trigger_refuses_is_refused_before_anything_is_made(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunTrigger, "refuses", lambda _self, _form, _classes: "it is too large for a frame")
    with pytest.raises(NotSupported, match="network 'test' behind trigger 'run': it is too large for a frame"):
        Instance.load(SMALL, RunTrigger())
    with pytest.raises(PluginError, match="trigger 'tracepoint' has no option 'port'; its options: none at all"):
        Instance.load(SMALL, TracepointTrigger(), options={"port": "1"})
    assert not store.directory.exists()


def test_a_failed_proof_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    infer = Runner.infer

    def wrong(self: Runner, sample: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> Result:
        result = infer(self, sample)
        return Result(result.label, result.scores + 1, result.elapsed_ns)

    monkeypatch.setattr(Runner, "infer", wrong)
    with pytest.raises(SessionError, match="the scores in the kernel differ from the reference"):
        Instance.load(SMALL, TracepointTrigger(), name="one")
    assert names(store) == set()


@by_trigger
def test_a_stub_that_calls_nothing_is_no_proof(trigger: Trigger, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ebpfnn.instance.stub.put_network", lambda *_arguments: None)
    with pytest.raises(SessionError, match="the event did not happen in this thread"):
        Instance.load(SMALL, trigger, name="one")
    assert names(store) == set()


def test_an_event_that_cannot_be_provoked_is_proved_by_the_same_code(store: Store) -> None:
    target = "syscalls:sys_enter_acct"
    proof = Instance.load(SMALL, TracepointTrigger(), target, name="one").proof
    assert proof.startswith(
        f"by BPF_PROG_RUN of the same code, since trigger 'tracepoint', target '{target}': the event did not"
    )


def _refuse(self: Link, path: Path) -> None:
    raise NotSupported(f"pin '{path}': {self.name} is no link on this kernel")


def test_what_the_kernel_cannot_keep_lives_as_long_as_its_holder(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Link, "pin", _refuse)
    with Instance.load(SMALL, TracepointTrigger(), name="one") as instance:
        assert "is no link on this kernel" in instance.holding
        assert store.names() == ["one"]
        with Instance.open("one").session() as session:
            assert session.infer(SAMPLES[0]).scores.tolist() == reference.scores(SMALL, SAMPLES[0]).tolist()
    assert names(store) == set()


HOLDER = """
from pathlib import Path
from ebpfnn.cli import main
from ebpfnn.errors import NotSupported
from ebpfnn.kernel import Link
def refuse(self, path):
    raise NotSupported(f"pin '{path}': {self.name} is no link on this kernel and ends with the process; keep that running")
Link.pin = refuse
main()
"""


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, None])
def test_a_holder_in_the_foreground(end: signal.Signals | None, store: Store, file: Path) -> None:
    command = [sys.executable, "-u", "-c", HOLDER, "load", str(file), "--trigger", "tracepoint", "--name", "one"]
    holder = subprocess.Popen(command, env=environment(store), stderr=subprocess.PIPE, text=True)
    try:
        assert holder.stderr is not None
        assert "it stays loaded until this command is stopped with Ctrl-C" in holder.stderr.readline()
        assert Instance.open("one").about().holder == holder.pid
        if end is None:
            Instance.open("one").unload()
        else:
            holder.send_signal(end)
        assert holder.wait(30) == {signal.SIGINT: 0, signal.SIGTERM: 143, signal.SIGKILL: -9, None: 0}[end]
        assert holder.stderr.read() == ""
    finally:
        holder.kill()
        holder.communicate()
    assert names(store) == (all_names("one") if end is signal.SIGKILL else set())
    assert store.names() == []
    assert names(store) == set()


def test_infer_takes_the_only_instance(store: Store) -> None:
    """The bundled digits are what both networks take."""
    digit = np.zeros((28, 28), np.uint8)
    digit[4:24, 13:15] = 255
    picture = b"P5 28 28 255\n" + digit.tobytes()
    network = modelfile.load(modelfile.resolve("mnist"))
    instance = Instance.load(network, RunTrigger(), name="one", file=modelfile.resolve("mnist"))
    ran = ebpfnn(store, "infer", "--json", "--check", stdin=picture)
    assert ran.stderr == "ebpfnn: using instance 'one', which is loaded; --private loads a separate network\n"
    told = json.loads(ran.stdout)
    assert (told["trigger"], told["check"]) == ("run", True)
    assert instance.statistics().answered == 1
    for arguments in (["--private"], ["--model", "mnist"], ["--trigger", "run"]):
        assert ebpfnn(store, "infer", *arguments, stdin=picture).returncode == 0
    assert instance.statistics().answered == 1
    ran = ebpfnn(store, "infer", "--instance", "one", "--model", "mnist", stdin=picture)
    assert ran.returncode == 2
    assert "--instance and --model exclude each other: an instance has" in ran.stderr


def test_who_may_not_look_infers_alone(store: Store) -> None:
    Instance.load(SMALL, RunTrigger(), name="one")
    store.root.chmod(0o700)
    store.directory.chmod(0o777)
    ran = ebpfnn(store, "infer", "--quiet", stdin=b"P5 28 28 255\n" + bytes(28 * 28))
    assert ran.returncode == 0
    assert "find out who made it, and remove it; loading a network for this command only" in ran.stderr
    store.directory.chmod(0o755)


def test_a_file_system_that_is_closed_does_not_pass_for_an_empty_one(store: Store) -> None:
    Instance.load(SMALL, RunTrigger(), name="one")
    store.root.chmod(0o700)
    program = "import os; from ebpfnn import Instance; os.setuid(65534); print(Instance.all())"
    ran = subprocess.run([sys.executable, "-c", program], env=environment(store), capture_output=True, text=True, check=False)
    assert ran.stdout == ""
    assert "closed to this user; run as root (sudo), or " in ran.stderr
    assert "PermissionDenied: " in ran.stderr


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757])
def test_a_directory_of_somebody_elses_is_not_trusted(store: Store, mode: int) -> None:
    store.directory.mkdir()
    store.directory.chmod(mode)
    with pytest.raises(SessionError, match="others may write to it; find out who made it"):
        Instance.load(SMALL, RunTrigger())


def test_what_is_being_made_is_not_swept_away(store: Store) -> None:
    with store.staging() as staged:
        Store(store.root).sweep()
        assert (staged / LOCKS).is_dir()
    assert names(store) == set()


def test_what_goes_during_a_sweep_is_not_missed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others may remove links in the file system meanwhile, and processes what they staged: under no lock of a sweep's."""
    Instance.load(SMALL, RunTrigger(), name="one")
    is_symlink, is_locked = Path.is_symlink, stores.is_locked

    def gone_once_asked(path: Path) -> bool:
        found = is_symlink(path)
        if path.name == "a_input":
            path.unlink(missing_ok=True)
        return found

    def gone_when_asked(path: Path) -> bool:
        if path.name == "~a":
            path.rmdir()
        return is_locked(path)

    for who, what, how in ((Path, "is_symlink", gone_once_asked), (stores, "is_locked", gone_when_asked)):
        for name in ("a", "b"):
            (store.root / f"{name}_input").symlink_to(f"ebpfnn/{name}/input")
            (store.directory / f"~{name}").mkdir()
        with monkeypatch.context() as patched:
            patched.setattr(who, what, how)
            assert store.names() == ["one"]
        assert names(store) == all_names("one")


def test_a_name_beside_that_leads_nowhere_is_taken_too(store: Store) -> None:
    taken = store.root / "one_output"
    taken.symlink_to("elsewhere")
    with pytest.raises(SessionError, match="one_output' exists already and is not ebpfnn's; give another name"):
        Instance.load(SMALL, RunTrigger(), name="one")
    assert os.readlink(taken) == "elsewhere"  # noqa: PTH115
    taken.unlink()


def test_a_link_to_somebody_elses_directory_is_not_followed(store: Store, tmp_path: Path) -> None:
    precious = tmp_path / "elsewhere" / "~1-0"
    precious.mkdir(parents=True)
    store.directory.symlink_to(tmp_path / "elsewhere")
    for work in (store.names, lambda: Instance.load(SMALL, RunTrigger(), name="one")):
        with pytest.raises(SessionError, match="is a link, belongs to user 0, or others may write to it"):
            work()
    assert precious.is_dir()
    store.directory.unlink()


def test_what_is_gone_is_told_as_such(store: Store) -> None:
    instance = Instance.load(SMALL, RunTrigger(), name="one")
    Instance.open("one").unload()
    for work in (instance.about, lambda: Pins(instance.path), instance.watch):
        with pytest.raises(SessionError, match="is gone, its instance was unloaded"):
            work()


def test_another_of_its_name_is_not_the_instance(store: Store) -> None:
    first = Instance.load(SMALL, RunTrigger(), name="one")
    Instance.open("one").unload()
    second = Instance.load(SMALL, RunTrigger(), name="one")
    assert (first.is_loaded(), second.is_loaded()) == (False, True)


def test_no_bpf_file_system(tmp_path: Path) -> None:
    with pytest.raises(NotSupported, match=f"'{tmp_path}' is not on a BPF file system; mount -t bpf bpf"):
        Instance.load(SMALL, RunTrigger(), store=Store(tmp_path))


@pytest.mark.parametrize("name", ["xdp", "tc", "socket_filter"])
def test_an_instance_on_an_interface(name: str, store: Store) -> None:
    """By BPF_PROG_RUN of the stub in place; a packet socket ends with its process, so that this holds it."""
    with namespace(), Instance.load(SMALL, Plugins.installed().trigger(name), "here", name="one") as instance:
        assert (instance.path / "link").exists() == (not instance.holding)
        assert bool(instance.holding) == (name == "socket_filter")
        assert "BPF_PROG_RUN of " in instance.proof
        attached = instance.path / "link"
        if attached.exists():
            with Link.open(attached) as link:
                assert link.info().target["ifindex"] == socket.if_nametoindex("here")
        instance.unload()
        assert names(store) == set()
