"""What ``pip install`` of a built wheel or sdist gets: the BPF objects too, so that nobody needs clang for it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OBJECTS = {f"ebpfnn/data/bpf/{source.name.removesuffix('.c')}.o" for source in (ROOT / "bpf").glob("*.bpf.c")}
SHIPPED = OBJECTS | {
    "ebpfnn/data/bpf/network.bpf.c",
    "ebpfnn/data/include/ebpfnn/abi.h",
    "ebpfnn/data/mnist.safetensors",
    "ebpfnn/data/mnist-table-128.safetensors",
    "ebpfnn/data/mnist-cascade.safetensors",
    "ebpfnn/data/digits/t10k-images-idx3-ubyte.gz",
    "ebpfnn/plugin/skeletons/trigger/Makefile.in",
    "ebpfnn/py.typed",
}
pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="packages are built from a git checkout")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an sdist of this checkout, and a wheel that was built from that sdist alone."""
    directory = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", directory, ROOT], check=True, capture_output=True
    )
    return directory


def test_the_wheel_ships_what_runs(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    assert names >= SHIPPED | {"ebpfnn_plugins/tracepoint.py"}
    assert not any(name.startswith(("tests/", "tools/", "bpf/")) for name in names)


def test_the_sdist_ships_the_sources_of_the_objects(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert names >= SHIPPED | {"bpf/network.bpf.c", "bpf/include/ebpfnn/nn.h", "LICENSE", "Makefile", "tests/conftest.py"}


@pytest.mark.root
def test_an_installed_wheel_recognizes_a_digit_without_clang(built: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    environment = {"PATH": str(python.parent), "HOME": str(tmp_path)}
    install = [python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", next(built.glob("*.whl"))]
    subprocess.run(install, check=True, env=environment)
    # What ebpfnn depends on is borrowed from where the tests run; ebpfnn itself comes from the wheel.
    environment["PYTHONPATH"] = os.pathsep.join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    digit = ROOT / "tests" / "data" / "digits" / "7.png"
    command = [python, "-c", "import ebpfnn, sys; print(ebpfnn.__file__); from ebpfnn.cli import main; main(sys.argv[1:])"]
    ran = subprocess.run(
        [*command, "infer", "--trigger", "run", "--json", digit], env=environment, capture_output=True, text=True, cwd=tmp_path
    )
    assert ran.stderr == ""
    where, result = ran.stdout.splitlines()
    assert where.startswith(str(tmp_path))
    assert '"label": "7"' in result
