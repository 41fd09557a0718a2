"""The unit that loads a network when a machine starts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

import ebpfnn
from ebpfnn.cli import main

UNIT = Path(ebpfnn.__file__).parent / "data" / "systemd" / "ebpfnn@.service"


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


def test_systemd_takes_it() -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    ran = subprocess.run(["systemd-analyze", "verify", UNIT], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_it_stays_after_loading_and_unloads_when_stopped() -> None:
    found = settings()
    assert (found["Service.Type"], found["Service.RemainAfterExit"]) == ("oneshot", "yes")
    assert found["Service.ExecStart"] == "/usr/bin/env ebpfnn load $MODEL --name %i $ARGUMENTS"
    assert found["Service.ExecStop"] == "/usr/bin/env ebpfnn unload %i"
    for verb in ("load", "unload"):
        assert CliRunner().invoke(main, [verb, "--help"]).exit_code == 0


def test_it_may_do_no_more_than_loading_takes() -> None:
    found = settings()
    allowed = {"CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN", "CAP_DAC_READ_SEARCH"}
    assert set(found["Service.CapabilityBoundingSet"].split()) == allowed
    assert (found["Service.AmbientCapabilities"], found["Service.NoNewPrivileges"]) == ("", "yes")
    assert "Service.ProtectKernelTunables" not in found, "it makes /sys/fs/bpf read-only"
