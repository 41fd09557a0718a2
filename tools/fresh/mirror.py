"""Where apt on this machine gets Debian from, for another release of it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable

_INDEXES = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(ORIGIN)", "Created-By: Packages"]


def sources_here(suite: str) -> list[str]:
    """The lines of a sources.list for ``suite``, the main archive first. Raises SystemExit if there is no mirror."""
    for refresh in (False, True):  # where apt never fetched a list, it does not know whose a mirror is
        if refresh:
            subprocess.run(["apt-get", "update", "-qq"], stdin=subprocess.DEVNULL, check=False)
        listed = subprocess.run(_INDEXES, check=True, capture_output=True, text=True).stdout
        lines = sources(suite, listed.splitlines())
        if lines:
            return lines
    raise SystemExit("fresh: apt here has no mirror of Debian, which roots are made of: run this on Debian")


def sources(suite: str, indexes: Iterable[str]) -> list[str]:
    """What takes the place of the indexes (address, release, origin) in ``suite``: the archive, its updates, security."""
    found: dict[str, str] = {}
    for words in map(str.split, indexes):
        if len(words) == 3 and words[2] == "Debian":
            kind = words[1].partition("-")[2]
            found.setdefault(kind, words[0])
    if "" not in found:
        return []
    kept = [(kind, found[kind]) for kind in ("", "updates", "security") if kind in found]
    return [f"deb {address} {suite}{kind and '-' + kind} main" for kind, address in kept]
