"""``ebpfnn fields``: what it lists, and what it says of names that are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ebpfnn.cli import main
from ebpfnn.kernel.link import tracefiles

FORMAT = """name: door
ID: 1
format:
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:pid_t pid;\toffset:8;\tsize:4;\tsigned:1;
\tfield:__data_loc char[] who;\toffset:12;\tsize:4;\tsigned:0;

print fmt: "%d", REC->pid
"""


@pytest.fixture(autouse=True)
def tracing_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    event = tmp_path / "events" / "house" / "door"
    event.mkdir(parents=True)
    (event / "format").write_text(FORMAT)
    monkeypatch.setattr(tracefiles, "TRACEFS", (tmp_path,))


def test_a_tracepoints_own_fields_come_first_and_then_the_threads() -> None:
    ran = CliRunner().invoke(main, ["fields", "--target", "house:door"])
    assert (ran.exit_code, ran.stderr) == (0, "")
    rows = [line.split(maxsplit=3) for line in ran.stdout.splitlines()]
    assert rows[:4] == [
        ["name", "type", "unit", "what it is"],
        ["event_pid", "s32", "-", "pid_t"],
        ["who", "-", "-", "__data_loc char[]; not an integer: a string or array of variable length (__data_loc)"],
        ["time", "u64", "ns", "time of the event (CLOCK_MONOTONIC)"],
    ]
    assert [row[0] for row in rows[4:]] == ["cgroup", "comm", "comm_rest", "pid", "tgid", "uid", "gid", "cpu"]


def test_json_has_all_of_it() -> None:
    ran = CliRunner().invoke(main, ["fields", "--target", "house:door", "--json"])
    told = json.loads(ran.stdout)
    assert (told["trigger"], told["target"], len(told["fields"])) == ("tracepoint", "house:door", 11)
    first, second, third = told["fields"][:3]
    assert first == {
        "name": "event_pid",
        "type": "s32",
        "unit": None,
        "help": "pid_t",
        "place": "context",
        "offset": 8,
        "size": 4,
        "refused": None,
    }
    assert (second["type"], second["refused"][:14], third["place"]) == (None, "not an integer", "fields")


@pytest.mark.parametrize(
    ("arguments", "told", "status"),
    [
        (["--target", "house:dor"], "tracepoint 'house:dor' not found; did you mean 'door'?", 1),
        (["--target", "hose:door"], "tracepoint 'hose:door' not found; did you mean 'house'?", 1),
        (
            ["--target", "door"],
            "target 'door' is not CATEGORY:EVENT; give one such as syscalls:sys_enter_getcpu",
            2,
        ),
        (
            ["--trigger", "run"],
            "trigger 'run' has no fields: its shell does not call ebpfnn_observe(); use another trigger",
            1,
        ),
        (
            ["--trigger", "perf", "--target", "cpu-clok"],
            "target 'cpu-clok': no timer or counter 'cpu-clok'; did you mean 'cpu-clock'",
            2,
        ),
    ],
)
def test_what_is_not_there_is_one_line(arguments: list[str], told: str, status: int) -> None:
    ran = CliRunner().invoke(main, ["fields", *arguments])
    assert (ran.exit_code, ran.stdout) == (status, "")
    assert ran.stderr.startswith(f"ebpfnn: {told}")
    assert ran.stderr.count("\n") == 1
