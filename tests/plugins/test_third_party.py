"""The plugins of docs/plugins.md, taken from the page itself: built, tried, installed as somebody else's, and used."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from agreement import agree
from ebpfnn_plugins.packets import PacketTrigger
from ebpfnn_plugins.tc import TcTrigger
from ebpfnn_plugins.xdp import XdpTrigger
from networks import random_network, samples

from ebpfnn import abi
from ebpfnn.errors import SessionError
from ebpfnn.session import Session

Run = Callable[..., "subprocess.CompletedProcess[str]"]
sys.path.append(str(Path(__file__).parents[1] / "kernel"))

from instances import mounted  # noqa: E402

PAGE = Path(__file__).parents[2] / "docs" / "plugins.md"
FILES = re.findall(r"^`([\w/.]+)`[^\n]*(?:\n[^`\n]+)*:?\n\n```\w+\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
COMMANDS, _ = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder as the page has it at its end."""
    folder = tmp_path_factory.mktemp("mine")
    for name, text in FILES:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def walked(folder: Path, elsewhere: Run) -> list[str]:
    """What the page's commands printed, on standard output and error."""
    ran = elsewhere(folder, COMMANDS)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return (ran.stdout + ran.stderr).splitlines()


def test_the_files_are_few_and_short() -> None:
    assert [name for name, _ in FILES] == ["pyproject.toml", "mine/mine.bpf.c", "mine/__init__.py"]
    assert sum(text.count("\n") for _, text in FILES) < 60


@pytest.mark.root
@pytest.mark.usefixtures("tracing")
def test_the_commands_infer_before_and_after_they_install(walked: list[str]) -> None:
    inferred = [line for line in walked if line.startswith("seven.noise:")]
    assert len(inferred) == 2
    assert len({re.split(r"\s+", line)[1] for line in inferred}) == 1


@pytest.mark.root
@pytest.mark.usefixtures("walked", "tracing")
def test_its_trigger_and_its_input_work_together_from_anywhere(tmp_path: Path, elsewhere: Run) -> None:
    (tmp_path / "eight.noise").write_text("8")
    ran = elsewhere(tmp_path, "ebpfnn infer --trigger mine --json --check eight.noise")
    assert (ran.returncode, ran.stderr) == (0, "")
    result = json.loads(ran.stdout)
    assert (result["source"], result["trigger"], result["check"]) == ("eight.noise", "mine", True)


@pytest.mark.root
@pytest.mark.usefixtures("walked", "tracing")
def test_it_can_be_loaded_and_asked(tmp_path: Path, elsewhere: Run) -> None:
    (tmp_path / "eight.noise").write_text("8")
    place = tmp_path / "bpf"
    place.mkdir()
    commands = """
        ebpfnn load mnist --trigger mine
        ebpfnn infer --check eight.noise
        ebpfnn unload"""
    with mounted(place):
        ran = elsewhere(tmp_path, commands, EBPFNN_BPFFS=str(place))
    assert ran.returncode == 0, ran.stderr
    assert "mnist: checked by the event itself (mine)" in ran.stdout
    assert "matches the reference" in ran.stdout


@pytest.mark.root
@pytest.mark.usefixtures("tracing")
def test_without_attached_it_can_be_loaded_and_tells_why_it_is_not_asked(folder: Path, tmp_path: Path, elsewhere: Run) -> None:
    module = folder / "mine" / "__init__.py"
    text = module.read_text()
    module.write_text(text.replace("def attached", "def other"))
    place = tmp_path / "bpf"
    place.mkdir()
    try:
        with mounted(place):
            ran = elsewhere(folder, "ebpfnn load --plugin ./mine --trigger mine", EBPFNN_BPFFS=str(place))
            asked = elsewhere(folder, "ebpfnn infer --plugin ./mine seven.noise", EBPFNN_BPFFS=str(place))
            elsewhere(folder, "ebpfnn unload", EBPFNN_BPFFS=str(place))
    finally:
        module.write_text(text)
    assert (ran.returncode, ran.stderr) == (0, "")
    told = "trigger 'mine': its plugin does not tell how another process provokes the event"
    assert f"checked by BPF_PROG_RUN of the same code, since {told}" in ran.stdout
    assert asked.stderr.splitlines()[-1] == f"ebpfnn: {told}; define Trigger.attached, or wait for the event"


def test_what_it_raises_names_it(folder: Path, elsewhere: Run) -> None:
    module = folder / "mine" / "__init__.py"
    text = module.read_text()
    seed = "random = np.random.default_rng(list(stream.read(64)))"
    line = text.splitlines().index(f"        {seed}") + 1
    module.write_text(text.replace(seed, "random = {}[uri]"))
    try:
        command = "ebpfnn {} infer --plugin ./mine --trigger run seven.noise"
        ran, told = (elsewhere(folder, command.format(option)) for option in ("", "-v"))
    finally:
        module.write_text(text)
    where = f"(./mine) failed: KeyError: 'seven.noise' ({module}, line {line})".replace("./mine", "mine")
    assert ran.stderr == f"ebpfnn: plugin 'mine' {where}; fix it, or leave it out with EBPFNN_DISABLE=mine\n"
    assert ran.returncode == 1
    assert "Traceback (most recent call last)" in told.stderr
    assert told.stderr.endswith(ran.stderr)


@pytest.mark.root
@pytest.mark.usefixtures("tracing")
def test_a_shell_with_a_full_vmlinux_h_is_built_and_runs(folder: Path, tmp_path: Path, elsewhere: Run) -> None:
    if shutil.which("bpftool") is None or not Path("/sys/kernel/btf/vmlinux").exists():
        pytest.skip("needs bpftool and a kernel that tells its types")
    full = tmp_path / "full"
    shutil.copytree(folder, full)
    [dump] = re.findall(r"^bpftool .*$", PAGE.read_text(), re.MULTILINE)
    shell = full / "mine" / "mine.bpf.c"
    shell.write_text('#include "vmlinux.h"\n' + shell.read_text().replace("{\n", "{\n\tstruct task_struct *unused = 0;\n", 1))
    ran = elsewhere(full, dump + "\n" + COMMANDS.partition("pip")[0])
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("seven.noise:")


@pytest.mark.root
@pytest.mark.usefixtures("walked")
def test_it_is_listed_with_where_it_comes_from_and_can_be_left_out(tmp_path: Path, elsewhere: Run) -> None:
    listed = json.loads(elsewhere(tmp_path, "ebpfnn plugins --json").stdout)["plugins"]
    assert {(row["kind"], row["name"]) for row in listed if row["distribution"] == "mine 1.0"} == {
        ("trigger", "mine"),
        ("input", "noise"),
    }
    assert '"mine' not in elsewhere(tmp_path, "ebpfnn plugins --json", EBPFNN_DISABLE="mine").stdout


def test_those_that_come_with_ebpfnn_are_left_out_alike(tmp_path: Path, elsewhere: Run) -> None:
    listed = json.loads(elsewhere(tmp_path, "ebpfnn plugins --json", EBPFNN_DISABLE="run,image-stream,mine").stdout)
    names = {row["name"] for row in listed["plugins"]}
    assert not names & {"run", "image-stream"}
    assert names >= {"tracepoint", "image-file"}
    assert listed["warnings"] == []


def test_from_a_file_it_is_left_out_alike(folder: Path, elsewhere: Run) -> None:
    command = "ebpfnn plugins --json --plugin ./mine"
    assert json.loads(elsewhere(folder, command, EBPFNN_DISABLE="mine").stdout)["plugins"]
    assert '"mine"' not in elsewhere(folder, command, EBPFNN_DISABLE="mine").stdout
    assert '"distribution": "mine"' in elsewhere(folder, command).stdout


@pytest.mark.root
@pytest.mark.usefixtures("walked", "tracing")
def test_doctor_tries_it(tmp_path: Path, elsewhere: Run) -> None:
    checks = json.loads(elsewhere(tmp_path, "ebpfnn doctor --json").stdout)
    [check] = [check for check in checks if check["name"] == "trigger mine"]
    assert check["state"] == "ok"


PACKETS = PAGE.read_text().partition("## A shell whose events are packets\n")[2].partition("\n## ")[0]
SHELLS = dict(zip(("tc", "xdp"), re.findall(r"^```c\n(.*?)^```", PACKETS, re.MULTILINE | re.DOTALL), strict=True))


SMALL = random_network((9, 5, 3), seed=1)


def own(kind: type[PacketTrigger], shell: Path, program: str) -> PacketTrigger:
    """A trigger of the page's shell, which sets what that has."""

    class Own(kind):  # type: ignore[valid-type, misc]
        def object_path(self) -> Path:
            return shell

        def program(self) -> str:
            return program

        def variables(self) -> dict[str, bytes]:
            return {name: value for name, value in super().variables().items() if name.startswith("ebpfnn_")}

    made: PacketTrigger = Own()
    return made


def built(kind: str, folder: Path, elsewhere: Run) -> Path:
    (folder / "shell.bpf.c").write_text(SHELLS[kind])
    [command] = re.findall(r"^clang .*$", PAGE.read_text(), re.MULTILINE)
    ran = elsewhere(folder, command.replace("mine/mine", "shell").replace("-c ", "-Wall -Werror -c "))
    assert ran.returncode == 0, ran.stderr
    return folder / "shell.bpf.o"


@pytest.mark.root
def test_the_shell_of_socket_buffers_answers(tmp_path: Path, elsewhere: Run) -> None:
    path = built("tc", tmp_path, elsewhere)
    with Session(SMALL, own(TcTrigger, path, "on_packet")) as session:
        agree(session, samples(9, seed=1)[:20])


@pytest.mark.root
def test_the_shell_with_accessors_of_its_own_counts_what_it_served(tmp_path: Path, elsewhere: Run) -> None:
    path = built("xdp", tmp_path, elsewhere)
    trigger = own(XdpTrigger, path, "on_frame")
    with Session(SMALL, trigger) as session:
        with pytest.raises(SessionError, match="did not answer the request"):  # nobody is answered
            session.infer(samples(9, seed=1)[0])
        answered = session.loaded.maps["ebpfnn_packets"].lookup_percpu(bytes(4), np.uint64)[:, 0].sum()
    assert answered == 1


def test_the_variables_of_packets_are_those_of_the_header() -> None:
    header = (PAGE.parents[1] / "bpf" / "include" / "ebpfnn" / "packet_state.h").read_text()
    known = set(re.findall(r"^const volatile .*?(ebpfnn_\w+)(?:\[\w+\])?;", header, re.MULTILINE))
    told = {name for cell in re.findall(r"^\| (`.*?) \|", PACKETS, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)}
    assert told == known - {abi.CLASSES, abi.SAMPLE_BYTES, abi.NETWORK_ID}
