"""The unit that loads a network when a machine starts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

import ebpfnn
from ebpfnn.cli import main

ROOT = Path(__file__).parents[2]
UNIT = Path(ebpfnn.__file__).parent / "data" / "systemd" / "ebpfnn@.service"
COMMAND = "/usr/local/bin/ebpfnn"


def settings() -> dict[str, str]:
    """What the unit says, by section and key; a key is there once."""
    found: dict[str, str] = {}
    section = ""
    for line in UNIT.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            assert f"{section}.{key}" not in found
            found[f"{section}.{key}"] = value
    return found


def test_systemd_takes_it(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(COMMAND, "/bin/true"))  # which need not be installed here
    ran = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_it_stays_after_loading_and_unloads_when_stopped() -> None:
    found = settings()
    assert (found["Service.Type"], found["Service.RemainAfterExit"]) == ("oneshot", "yes")
    assert found["Service.ExecStart"] == f"{COMMAND} load $MODEL --name %i $ARGUMENTS"
    assert found["Service.ExecStop"] == f"{COMMAND} unload %i"
    for verb in ("load", "unload"):
        assert CliRunner().invoke(main, [verb, "--help"]).exit_code == 0


def test_make_installs_what_the_unit_starts() -> None:
    planned = subprocess.run(["make", "-n", "install"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert f"ln -sfn /opt/ebpfnn/bin/ebpfnn {COMMAND}\n" in planned
    assert "install -D -m 644 ebpfnn/data/systemd/ebpfnn@.service /usr/local/lib/systemd/system/ebpfnn@.service\n" in planned


def test_make_installs_the_man_pages() -> None:
    """In the package, so they are written before it is built, and where man(1) looks."""
    planned = subprocess.run(["make", "-n", "install"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    steps = ["man.py ebpfnn/data/man\n", "/opt/ebpfnn/bin/pip install ", "install -D -m 644 -t /usr/local/share/man/man1 "]
    places = [planned.find(step) for step in steps]
    assert -1 not in places
    assert places == sorted(places)


def test_make_uninstall_removes_what_was_installed_and_no_more(tmp_path: Path) -> None:
    names = ["opt/bin/python", "bin/ebpfnn", "unit", "man/ebpfnn.1", "man/ebpfnn-load.1", "man/ebpfnnd.1", "man/other.1"]
    for path in (tmp_path / name for name in names):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    places = {"INSTALLED": "opt", "COMMAND": "bin/ebpfnn", "UNIT": "unit", "MANUAL": "man"}
    given = [f"{variable}={tmp_path / place}" for variable, place in places.items()]
    subprocess.run(["make", "uninstall", *given], cwd=ROOT, check=True, capture_output=True)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["ebpfnnd.1", "other.1"]


def test_it_may_do_no_more_than_loading_takes() -> None:
    found = settings()
    allowed = {"CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN", "CAP_DAC_READ_SEARCH"}
    assert set(found["Service.CapabilityBoundingSet"].split()) == allowed
    assert (found["Service.AmbientCapabilities"], found["Service.NoNewPrivileges"]) == ("", "yes")
    assert "Service.ProtectKernelTunables" not in found, "it makes /sys/fs/bpf read-only"
