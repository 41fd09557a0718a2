"""``ebpfnn spec``: what it lists, and what it says of specs that do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ebpfnn.cli import main
from ebpfnn.events import build, find, shipped
from ebpfnn.kernel.link import tracefiles

SPEC = """name = "mine"
key = "flow"
where = ["version == 4"]
end = ["tcp_flags & rst"]
[[event]]
trigger = "xdp"
[state]
map = "hash"
entries = 2000
locked = true
idle = "90s"
[at]
count = [4]
every = 1000
after = "250us"
when = ["number > 2"]
[[column]]
name = "a"
reduce = "first"
of = "length"
n = 6
shift = 2
clip = 7
when = ["reply == 1"]
event = "xdp"
[[column]]
name = "b"
reduce = "count"
"""


def run(*arguments: str) -> tuple[int, str, str]:
    ran = CliRunner().invoke(main, ["spec", *arguments])
    return ran.exit_code, ran.stdout, ran.stderr


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(SPEC)
    return path


def test_without_a_name_all_are_listed() -> None:
    status, told, errors = run()
    assert (status, errors) == (0, "")
    rows = [line.split(maxsplit=3) for line in told.splitlines()]
    assert rows[0] == ["name", "key", "columns", "events"]
    assert [row[0] for row in rows[1:]] == shipped()
    assert rows[1:3] == [["bachl", "flow", "12", "xdp"], ["flow", "flow", "25", "xdp"]]
    listed = json.loads(run("--json")[1])["specs"]
    assert [each["name"] for each in listed] == shipped()
    assert listed[3]["key"] == ["tgid"]


def test_a_spec_is_shown(mine: Path) -> None:
    status, told, errors = run(str(mine))
    assert (status, errors) == (0, "")
    assert told.splitlines()[:7] == [
        "mine: 2 columns, 7 results",
        "key: flow, 40 bytes",
        "state: 104 bytes, at most 2,000 (full maps take no new keys), locked, new after 90s without events",
        "only if: version == 4",
        "rows: at number 4; at every 1,000 events; if number > 2; 250us after the last row",
        "deleted: tcp_flags & rst",
        "",
    ]
    rows = [line.split("  ") for line in told.splitlines()[8:]]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows if row != [""]]
    assert cells[0] == ["xdp", "xdp", "-", "-"]
    shown = ["a", "first (n=6)", "length >> 2, at most 7", "7", "-", "a.1, a.2, a.3, a.4, ...", "reply == 1, event xdp"]
    assert cells[2:] == [shown, ["b", "count", "-", "1", "-", "b", "-"]]


def test_json_has_all_of_it(mine: Path) -> None:
    told = json.loads(run(str(mine), "--json")[1])
    assert build(told["spec"]) == find(str(mine))
    assert (told["key_bytes"], told["state_bytes"], told["results"]) == (40, 104, 7)
    assert told["columns"][1] == {"name": "b", "reduce": "count", "options": {}, "words": 1, "results": ["b"]}
    assert told["columns"][0]["options"] == {"n": 6}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('of = "length"', 'of = "lenght"', ":20: column 'a': event 'xdp' has no field 'lenght'; did you mean 'length'"),
        ('reduce = "count"', 'reduce = "cuont"', ":27: column 'b': reducer 'cuont' not found; did you mean 'count'?"),
        ('trigger = "xdp"', 'trigger = "xpd"', ":5: event 'xpd': trigger 'xpd' not found; installed: "),
        ('map = "hash"', 'map = "lru"', ':10: state: locked needs map = "hash", since the kernel'),
    ],
)
def test_what_does_not_fit_is_one_line_with_its_line(old: str, new: str, told: str, mine: Path) -> None:
    mine.write_text(SPEC.replace(old, new).replace('event = "xdp"\n', ""))
    status, shown, errors = run(str(mine))
    assert (status, shown) == (1, "")
    assert errors.startswith(f"ebpfnn: {mine}{told}")
    assert errors.count("\n") == 1


def test_an_event_that_this_kernel_lacks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "events").mkdir()
    monkeypatch.setattr(tracefiles, "TRACEFS", (tmp_path,))
    status, shown, errors = run("process")
    assert (status, shown) == (1, "")
    assert "process.toml:8: event 'openat': tracepoint 'syscalls:sys_enter_openat' not found" in errors


def test_a_name_that_is_none_is_told_with_near_ones() -> None:
    assert run("flw") == (1, "", "ebpfnn: spec 'flw' not found; did you mean 'flow'?\n")
    status, _, errors = run("no/such.toml")
    assert status == 1
    assert errors.startswith("ebpfnn: no/such.toml")
