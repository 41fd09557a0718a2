"""The root that others are made from: a Debian with git, make and ca-certificates alone, as an archive in the cache."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

from scratch import own_directory

PACKAGES = "git,make,ca-certificates"
_DAYS = 30.0
"""After so many, the archive is made again: with newer packages, as installers are."""


def cache() -> Path:
    """Outside of any checkout, so that a new clone finds it too."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "ebpfnn" / "fresh"


def base(suite: str, sources: list[str], settings: str) -> Path:
    """The archive of ``suite``, made if there is none that is young enough. ``settings`` are apt's."""
    archive = cache() / f"{suite}.tar"
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.parent.chmod(0o700)  # roots are made in it, with what apt and pip log in with
    if archive.exists() and time.time() - archive.stat().st_mtime < _DAYS * 86400:
        return archive
    print(f"fresh: debootstrap {suite}", flush=True)
    with own_directory(archive.parent, "base") as scratch:
        _bootstrap(suite, scratch / "root", sources[0].split()[1], settings)
        subprocess.run(["tar", "-C", scratch / "root", "-cf", scratch / "tar", "."], check=True)
        (scratch / "tar").rename(archive)
    return archive


def _bootstrap(suite: str, root: Path, mirror: str, settings: str) -> None:
    """Its mounts are its own, so that none is left here where it fails or is ended."""
    alone = ["unshare", "--mount", "--propagation", "private"]
    command = [*alone, "debootstrap", "--variant=minbase", f"--include={PACKAGES}", suite, root, mirror]
    with (root.parent / "log").open("w+") as log:
        environment = proxies(settings) | os.environ
        ran = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, check=False)
        if ran.returncode:
            log.seek(0)
            tail = "".join(log.readlines()[-15:])
            raise SystemExit(f"{tail}fresh: debootstrap of {suite} from {mirror} failed; see its last lines above")


def proxies(settings: str) -> dict[str, str]:
    """apt's proxies in the variables by which debootstrap fetches."""
    found = re.findall(r'^Acquire::(https?)::Proxy "(.+)";$', settings, re.MULTILINE)
    return {f"{scheme}_proxy": proxy for scheme, proxy in found}
