"""The unit that loads a network when a machine starts."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

import ebpfnn
from ebpfnn.cli import main
from ebpfnn.cli.group import TERMINATED

ROOT = Path(__file__).parents[2]
UNITS = sorted((Path(ebpfnn.__file__).parent / "data" / "systemd").glob("*.service"))
UNIT, APPLY, EXPORTER = (
    next(path for path in UNITS if path.stem == name) for name in ("ebpfnn@", "ebpfnn-apply@", "ebpfnn-exporter")
)
units = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
EXPOSED = 2.5
COMMAND = "/usr/local/bin/ebpfnn"


def settings(unit: Path = UNIT) -> dict[str, str]:
    """What the unit says, by section and key; a key is there once, but for those that add up."""
    found: dict[str, str] = {}
    section = ""
    for line in unit.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            assert f"{section}.{key}" not in found or key == "SystemCallFilter"
            found[f"{section}.{key}"] = value
    return found


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, timeout=60, check=False)


@units
def test_systemd_takes_it(tmp_path: Path, unit: Path) -> None:
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace(COMMAND, "/bin/true"))  # which need not be installed here
    ran = analyze("verify", copy)
    assert (ran.returncode, ran.stderr) == (0, "")


@units
def test_it_exposes_little(unit: Path) -> None:
    """As systemd counts it, from 0 to 10, where a unit that says nothing has 9.6; the figures of docs/operations.md."""
    if "--offline" not in analyze("--help").stdout:
        pytest.skip("systemd-analyze cannot rate units that are not loaded (--offline)")
    ran = analyze("security", "--offline=true", "--no-pager", unit)
    found = re.search(r"exposure level for \S+: ([\d.]+) ", ran.stdout)
    assert found, ran.stdout + ran.stderr
    assert float(found[1]) < EXPOSED


def test_declared_instances_are_applied_and_unloaded_when_stopped() -> None:
    found = settings(APPLY)
    assert (found["Service.Type"], found["Service.RemainAfterExit"]) == ("oneshot", "yes")
    assert found["Service.ExecStart"] == found["Service.ExecReload"] == f"{COMMAND} apply /etc/ebpfnn/%i.toml"
    assert found["Service.ExecStop"] == f"{COMMAND} apply --unload /etc/ebpfnn/%i.toml"


def test_the_exporter_has_no_privilege() -> None:
    found = settings(EXPORTER)
    assert (found["Service.CapabilityBoundingSet"], found["Service.AmbientCapabilities"]) == ("", "")
    assert (found["Service.DynamicUser"], found["Service.SupplementaryGroups"]) == ("yes", "ebpfnn")
    assert "Service.User" not in found
    assert found["Service.SystemCallFilter"] == "bpf", "the last of them: it is one of @privileged, which is taken away before"
    assert int(found["Service.SuccessExitStatus"]) == TERMINATED


@pytest.mark.parametrize("unit", [UNIT, APPLY], ids=lambda unit: unit.stem)
def test_what_is_pinned_can_be_written_and_little_else(unit: Path) -> None:
    found = settings(unit)
    assert (found["Service.ProtectSystem"], found["Service.ReadWritePaths"]) == ("strict", "/sys/fs/bpf")
    assert set(found["Service.CapabilityBoundingSet"].split()) == {"CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"}
    assert (found["Service.AmbientCapabilities"], found["Service.NoNewPrivileges"]) == ("", "yes")
    assert {"bpf", "perf_event_open"} <= set(found["Service.SystemCallFilter"].split())


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
    assert "install -D -m 644 -t /usr/local/lib/systemd/system ebpfnn/data/systemd/*.service\n" in planned
    assert "pip install --quiet --disable-pip-version-check '.[exporter]'\n" in planned


def test_make_installs_the_man_pages() -> None:
    """In the package, so they are written before it is built, and where man(1) looks."""
    planned = subprocess.run(["make", "-n", "install"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    steps = ["man.py ebpfnn/data/man\n", "/opt/ebpfnn/bin/pip install ", "install -D -m 644 -t /usr/local/share/man/man1 "]
    places = [planned.find(step) for step in steps]
    assert -1 not in places
    assert places == sorted(places)


def test_make_uninstall_removes_what_was_installed_and_no_more(tmp_path: Path) -> None:
    names = [
        "opt/bin/python",
        "bin/ebpfnn",
        *(f"units/{unit.name}" for unit in UNITS),
        "units/other.service",
        "man/ebpfnn.1",
        "man/ebpfnn-load.1",
        "man/ebpfnnd.1",
        "man/other.1",
    ]
    for path in (tmp_path / name for name in names):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    places = {"INSTALLED": "opt", "COMMAND": "bin/ebpfnn", "UNITS": "units", "MANUAL": "man"}
    given = [f"{variable}={tmp_path / place}" for variable, place in places.items()]
    subprocess.run(["make", "uninstall", *given], cwd=ROOT, check=True, capture_output=True)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [*("ebpfnnd.1", "other.1", "other.service")]
