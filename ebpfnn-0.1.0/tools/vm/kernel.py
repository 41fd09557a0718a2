"""A kernel of another Debian release, unpacked under .cache/vm: nothing is installed, and apt's own lists stay as they are.

The mirror is the one that this machine's apt is set up with; the suite's name is all that differs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

SUITES = {"5.10": "bullseye", "6.1": "bookworm", "6.12": "trixie"}
METAPACKAGE = "linux-image-cloud-amd64"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
CACHE = Path(__file__).parents[2] / ".cache/vm"


def kernel_directory(version: str) -> Path:
    """Where the kernel lies unpacked, fetched if it is not there yet. Raises SystemExit, in one line, if it cannot be had."""
    directory = CACHE / version
    if not directory.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            unpacked = _fetch(SUITES[version], Path(scratch))
            unpacked.chmod(0o755)
            unpacked.rename(directory)
    return directory


def _fetch(suite: str, scratch: Path) -> Path:
    apt = _Apt(scratch, _sources(suite))
    package = apt.newest_image(suite)
    print(f"fetching {package} of {suite}", flush=True)
    unpacked = scratch / "unpacked"
    for needed in [package, *apt.parts(package)]:
        apt.download(needed)
    for archive in scratch.glob("*.deb"):
        subprocess.run(["dpkg", "-x", archive, unpacked], check=True)
    return unpacked


def _sources(suite: str) -> str:
    """One-line sources of the suite, from the mirrors of the release that this machine runs."""
    if not shutil.which("apt-get"):
        raise SystemExit("vm: no apt-get here; the kernels come as packages of Debian: run this on Debian")
    listed = _output(["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(RELEASE)", "Created-By: Packages"])
    mirrors = [line.split() for line in listed.splitlines()]
    mirrors = [words for words in mirrors if len(words) > 2 and words[1] == "Debian"]
    security = [words[0] for words in mirrors if words[2].endswith("-security")]
    main = [words[0] for words in mirrors if "-" not in words[2]]
    if not main or not KEYRING.exists():
        raise SystemExit("vm: apt here is not set up with a mirror of Debian, where the kernels come from: run this on Debian")
    signed = f"deb [signed-by={KEYRING}]"
    return "\n".join(
        [f"{signed} {main[0]} {suite} main", *(f"{signed} {uri} {suite}-security main" for uri in security[:1]), ""]
    )


class _Apt:
    """apt with sources, lists and a cache of its own."""

    def __init__(self, scratch: Path, sources: str) -> None:
        self.scratch = scratch
        (scratch / "lists/partial").mkdir(parents=True)
        (scratch / "cache/archives/partial").mkdir(parents=True)
        (scratch / "sources.list").write_text(sources)
        own = {
            "Dir::Etc::sourcelist": scratch / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::State::lists": scratch / "lists",
            "Dir::State::status": "/dev/null",
            "Dir::Cache": scratch / "cache",
            "APT::Sandbox::User": "root",
        }
        self.options = ["-qq", *(f"-o{name}={value}" for name, value in own.items())]

    def newest_image(self, suite: str) -> str:
        """The package behind the metapackage; the first that the mirror still has, as mirrors drop versions."""
        refreshed = subprocess.run(["apt-get", *self.options, "update"], stdin=subprocess.DEVNULL)
        versions = self._cache("madison", METAPACKAGE).splitlines() if refreshed.returncode == 0 else []
        for version in (line.split("|")[1].strip() for line in versions):
            for image in self._depends(f"{METAPACKAGE}={version}"):
                for package in (image, f"{image}-unsigned"):
                    if image.startswith("linux-image-") and self._has(package):
                        return package
        raise SystemExit(f"vm: {METAPACKAGE} of {suite} is not to be had from this machine's mirror; see apt's messages above")

    def parts(self, package: str) -> list[str]:
        """What newer releases keep in packages beside the image."""
        return [name for name in self._depends(package) if name.startswith(("linux-binary-", "linux-modules-", "linux-base-"))]

    def download(self, package: str) -> None:
        subprocess.run(["apt-get", *self.options, "download", package], cwd=self.scratch, check=True)

    def _has(self, package: str) -> bool:
        return bool(self._cache("show", package)) and self._run("apt-get", "download", package).returncode == 0

    def _depends(self, package: str) -> list[str]:
        shown = self._cache("show", "--no-all-versions", package)
        lists = [line.removeprefix("Depends: ") for line in shown.splitlines() if line.startswith("Depends: ")]
        return [choice.split()[0] for line in lists[:1] for choice in line.replace("|", ",").split(",")]

    def _cache(self, *command: str) -> str:
        return self._run("apt-cache", *command).stdout

    def _run(self, tool: str, *command: str) -> subprocess.CompletedProcess[str]:
        arguments = [tool, *self.options, *command]
        return subprocess.run(arguments, cwd=self.scratch, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
