"""A virtual environment as somebody else has it: ebpfnn, and what they install themselves."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
from clang import find_clang

ROOT = Path(__file__).parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a shell command in a directory; ``ebpfnn``, ``pip``, ``clang`` and ``make`` are there, and no network.

    What ebpfnn depends on is borrowed from where the tests run, and ebpfnn is this checkout.
    """
    clang = find_clang()
    if clang is None:
        pytest.skip("clang is not installed")
    place = tmp_path_factory.mktemp("elsewhere")
    venv.create(place / "venv", with_pip=True)
    programs = place / "venv" / "bin"
    (programs / "clang").symlink_to(clang)
    (programs / "ebpfnn").write_text(f"#!{programs / 'python'}\nfrom ebpfnn.__main__ import main\nmain()\n")
    (programs / "ebpfnn").chmod(0o755)
    _describe_this_checkout(place / "site" / "ebpfnn-0.dist-info")
    borrowed = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    environment = {
        "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
        "HOME": str(place),
        "PYTHONPATH": os.pathsep.join(map(str, [place / "site", ROOT, ROOT / "plugins", *borrowed])),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip negates the variable of a negative option: this leaves the isolation out
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
    }

    def run(directory: Path, command: str, seconds: int = 120, **more: str) -> subprocess.CompletedProcess[str]:
        ran = ["sh", "-ec", command]
        return subprocess.run(ran, cwd=directory, env={**environment, **more}, capture_output=True, text=True, timeout=seconds)

    return run


def _describe_this_checkout(info: Path) -> None:
    """What pip would write of ebpfnn, whose entry points are in setup.cfg."""
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ebpfnn\nVersion: 0\n")
    points = (ROOT / "setup.cfg").read_text().split("\nebpfnn =\n    ")[-1].split("\n\n")[0]
    (info / "entry_points.txt").write_text("[ebpfnn]\n" + points.replace("    ", "") + "\n")
