"""A root file system that is there for one command, with mounts of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote

from cgroup import own_cgroup
from scratch import own_directory
from settings import Settings

HOME = Path("/root")
CHECKOUT = HOME / "ebpfnn"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# As root of the shell's mount namespace, which is private. make mounts bpffs and tracefs, as on any fresh machine.
_MOUNTS = """
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
"""
# The cgroup is entered before its namespace is made, which has it as its root.
_ENTER = 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"'


@dataclass(frozen=True)
class Root:
    """Where it lies, and ``shown``: what of this machine is seen in it, (from here, to there, whether it may be written)."""

    path: Path
    shown: list[tuple[Path, Path, bool]] = field(default_factory=list)

    def furnish(self, settings: Settings, sources: list[str], apt: str) -> None:
        """Sets up apt, pip, TLS and the resolver as they are here."""
        self._write("etc/apt/sources.list", "".join(f"{line}\n" for line in sources))
        self._write("etc/apt/apt.conf.d/99this-machine", apt)
        self._write("etc/dpkg/dpkg.cfg.d/unsafe-io", "force-unsafe-io\n")  # no root outlives a crash anyway
        names = [(path, path) for path in (Path("/etc/resolv.conf"), Path("/etc/hosts")) if path.exists()]
        for source, target in [*names, *settings.copied]:
            self._copy(source, target)
        self.shown.extend((path, path, False) for path in settings.shown)

    def clone(self, checkout: Path) -> None:
        """What is committed in ``checkout``, in root's home; ``shared`` beside it where there is one here."""
        subprocess.run(["git", "clone", "-q", "--no-hardlinks", checkout, self._inside(CHECKOUT)], check=True)
        shared = checkout.parent / "shared"
        if shared.is_dir():
            self.shown.append((shared.resolve(), HOME / "shared", False))

    def run(self, command: str, variables: Mapping[str, str]) -> int:
        """Runs the shell command in the clone, with nothing of this environment but ``variables``; gives its exit status."""
        environment = {"HOME": str(HOME), "PATH": _PATH, "LANG": "C.UTF-8", "TERM": "dumb", **variables}
        inner = ["chroot", str(self.path), "/bin/bash", "-c", f"cd {CHECKOUT} && {command}"]
        with own_cgroup(f"ebpfnn-{self.path.name}") as group:
            outer = ["unshare", "--mount", "--cgroup", "--propagation", "private", "sh", "-euc", self.script(), "sh"]
            arguments = ["sh", "-euc", _ENTER, "sh", str(group), *outer, *inner]
            return subprocess.run(arguments, stdin=subprocess.DEVNULL, env=environment, check=False).returncode

    def script(self) -> str:
        """Mounts all, and becomes the command that the arguments are."""
        lines = [f"root={quote(str(self.path))}", _MOUNTS.strip()]
        for source, target, writable in self.shown:
            there = self._inside(target)
            make = f"mkdir -p {quote(str(there))}" if source.is_dir() else f"install -D /dev/null {quote(str(there))}"
            lines += [make, f"mount --bind {quote(str(source))} {quote(str(there))}"]
            if not writable:
                lines.append(f"mount -o remount,bind,ro {quote(str(there))}")
        return "\n".join([*lines, 'exec "$@"', ""])

    def _inside(self, path: Path) -> Path:
        return self.path / path.relative_to("/")

    def _write(self, name: str, text: str) -> None:
        (self.path / name).write_text(text)

    def _copy(self, source: Path, target: Path) -> None:
        there = self._inside(target)
        there.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-LrT", "--remove-destination", "--preserve=mode", source, there], check=True)


@contextmanager
def new_root(archive: Path) -> Iterator[Root]:
    """Unpacked beside the archive, and removed: mounts are in the command's namespace alone and gone with it."""
    with own_directory(archive.parent, "root") as path:
        path.chmod(0o755)
        subprocess.run(["tar", "-C", path, "-xf", archive], check=True)
        yield Root(path)
