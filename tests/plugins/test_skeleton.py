"""`ebpfnn plugins new`: what it writes works as it is, and it writes all of it or nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ebpfnn.errors import PluginError
from ebpfnn.plugin.skeleton import KINDS, write

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def names(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


@pytest.mark.root
@pytest.mark.usefixtures("tracing")
def test_a_new_trigger_and_a_new_input_build_install_and_run(tmp_path: Path, elsewhere: Run) -> None:
    commands = """
        ebpfnn plugins new trigger bell
        ebpfnn plugins new input blob
        make -s -C bell
        pip install -q ./bell ./blob
        head -c 1600 /dev/zero > two.blob
        ebpfnn infer --trigger bell --json --check two.blob"""
    ran = elsewhere(tmp_path, commands)
    assert ran.returncode == 1
    assert ran.stderr == "ebpfnn: two.blob: 32 bytes are left, and a sample has 784; give whole samples\n"
    *written, one, two = ran.stdout.splitlines()
    assert written == [
        *("bell/pyproject.toml", "bell/Makefile", "bell/bell/__init__.py", "bell/bell/bell.bpf.c"),
        *("blob/pyproject.toml", "blob/blob/__init__.py"),
    ]
    assert one.split('"elapsed_ns"')[0] == two.split('"elapsed_ns"')[0]
    assert json.loads(one)["check"] is True


@pytest.mark.parametrize(
    ("installed", "expected"),
    [((), "clang"), (("clang-9", "clang-22", "clang-14", "clang-cl-22"), "{bin}/clang-22")],
)
def test_the_newest_versioned_clang_builds_a_new_trigger(tmp_path: Path, installed: tuple[str, ...], expected: str) -> None:
    write("trigger", "mine", tmp_path)
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name in installed:
        (bin_ / name).touch()
    makefile = tmp_path / "mine" / "Makefile"
    makefile.write_text(makefile.read_text().replace("/usr/bin/", f"{bin_}/"))
    environment = {name: value for name, value in os.environ.items() if name != "CLANG"}
    ran = subprocess.run(["make", "-n", "-C", makefile.parent], capture_output=True, text=True, check=True, env=environment)
    assert f"\n{expected.format(bin=bin_)} -target bpf" in f"\n{ran.stdout}"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_clean(kind: str, tmp_path: Path) -> None:
    written = write(kind, "mine", tmp_path)
    assert all(path.is_file() for path in written)
    modules = [path for path in written if path.suffix == ".py"]
    subprocess.run([sys.executable, "-m", "ruff", "check", "--isolated", *modules], check=True)
    subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent", *modules], check=True
    )
    assert not any(re.search(r"@\w+@", path.read_text()) for path in written)  # every name was filled in


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(PluginError, match=r"mine: exists already; choose another name, or remove it$"):
        write("input", "mine", tmp_path)
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(PluginError, match=r"dangling: exists already"):
        write("input", "dangling", tmp_path)
    assert names(tmp_path) == {"mine", "dangling"}


@pytest.mark.parametrize("name", ["", "Mine", "9lives", "my-plugin", "a.b", "../up", "class", "x" * 41, "é", "mine\n"])
def test_names_that_no_module_can_have_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"cannot be a plugin's name; use 1 to 40"):
        write("trigger", name, tmp_path)
    assert not names(tmp_path)


@pytest.mark.parametrize("name", ["json", "numpy", "sys", "ebpfnn"])
def test_names_that_a_module_has_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=rf"^'{name}' is a Python module's name already \(.+\); choose another$"):
        write("trigger", name, tmp_path)
    assert not names(tmp_path)


def test_nothing_is_left_where_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, text: str) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(PluginError, match=r"mine: cannot be written \(No space left on device\); choose another directory$"):
        write("trigger", "mine", tmp_path)
    assert not names(tmp_path)
    with pytest.raises(PluginError, match=r"cannot be written \(No such file or directory\)"):
        write("trigger", "mine", tmp_path / "absent")
