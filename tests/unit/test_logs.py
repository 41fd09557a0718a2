"""Messages as JSON: each line of standard error is an object, whatever a command says."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ebpfnn.cli import main, trail


def run(*words: str, env: dict[str, str | None] | None = None) -> tuple[int, str, list[dict[str, Any]]]:
    ran = CliRunner(env=env or {}).invoke(main, [*words], prog_name="ebpfnn")
    return ran.exit_code, ran.stdout, [json.loads(line) for line in ran.stderr.splitlines()]


@pytest.mark.parametrize(
    ("words", "status", "verb", "fact"),
    [
        (("inspect", "nope"), 1, "inspect", "network 'nope' not found"),
        (("inspect", "--nope"), 2, None, "no option '--nope'"),
        (("nope",), 2, None, "no verb 'nope'"),
        (("load", "mnist", "--enforce"), 2, "load", "--enforce is for guards; give --action too"),
    ],
)
def test_errors_are_objects(words: Sequence[str], status: int, verb: str | None, fact: str) -> None:
    found, output, (told,) = run("--log-format", "json", *words)
    assert (found, output) == (status, "")
    assert (told["level"], told["logger"]) == ("error", "ebpfnn")
    assert fact in told["message"]
    assert verb is None or told["verb"] == verb
    made = datetime.fromisoformat(told["time"])
    assert abs((datetime.now(timezone.utc) - made).total_seconds()) < 600
    assert list(told)[:4] == ["time", "level", "logger", "message"]


def test_the_environment_asks_for_it_too_and_is_checked() -> None:
    assert run("nope", env={"EBPFNN_LOG": "json"})[0] == 2
    ran = CliRunner(env={"EBPFNN_LOG": "xml"}).invoke(main, ["models"], prog_name="ebpfnn")
    assert (ran.exit_code, "'xml' is not one of 'text', 'json'" in ran.stderr) == (2, True)
    ran = CliRunner().invoke(main, ["nope"], prog_name="ebpfnn")
    assert ran.stderr.startswith("ebpfnn: no verb"), "JSON was asked for by an earlier command alone"


def test_steps_are_told_with_v_alone(tmp_path: Path) -> None:
    words = ("export", "mnist", "--raw")
    assert run("--log-format", "json", *words, str(tmp_path / "a"))[2] == []
    status, _, told = run("--log-format", "json", "-v", *words, str(tmp_path / "b"))
    assert status == 0
    assert [each["message"].partition(" read from")[0] for each in told] == ["network 'mnist' (784-32-10)"]
    assert all((each["level"], each["logger"]) == ("info", "ebpfnn.bodies.modelfile") for each in told)
    assert logging.getLogger("ebpfnn").handlers == []


def test_the_trail_tells_who(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", 'mallory\n{"level": "error"}')
    monkeypatch.setattr(trail, "_login", lambda: "1000")
    records: list[logging.LogRecord] = []
    logger, handler = logging.getLogger(trail.LOGGER), logging.Handler()
    monkeypatch.setattr(handler, "emit", records.append)
    logger.addHandler(handler)
    before = logger.level
    logger.setLevel(logging.INFO)
    try:
        trail.told("enforce", "guard", seconds=None, file="/a")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
    (record,) = records
    fields = vars(record)["fields"]
    assert {name: fields[name] for name in ("verb", "instance", "file", "login_uid")} == {
        "verb": "enforce",
        "instance": "guard",
        "file": "/a",
        "login_uid": 1000,
    }
    assert "seconds" not in fields
    assert fields["sudo_user"].startswith("mallory\n")  # JSON escapes it
    assert record.getMessage() == "instance 'guard': enforce, file /a"


def test_a_name_cannot_make_a_line_of_its_own(tmp_path: Path) -> None:
    name = 'x\n{"level": "info"}\x1b[2J.safetensors'
    (tmp_path / name).write_bytes(b"nothing")
    status, _, told = run("--log-format", "json", "inspect", str(tmp_path / name))
    assert (status, len(told)) == (1, 1)
    assert told[0]["level"] == "error"
