"""How apt, pip and TLS are set up on this machine, for a root that shall reach the same registries in the same way.

Nothing is known here of any registry: what this machine's files and variables say is carried over, and what they name.
"""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

CERTIFICATES = Path("/etc/ssl/certs")
AUTHORITIES = Path("/usr/local/share/ca-certificates")
APT_SECRETS = (Path("/etc/apt/auth.conf"), Path("/etc/apt/auth.conf.d"))
# By the home directory of the user; root's in the new root.
PIP_OF_USER = (".config/pip/pip.conf", ".pip/pip.conf", ".netrc")
PIP_OF_MACHINE = (Path("/etc/pip.conf"), Path("/etc/xdg/pip/pip.conf"))

_TRUST = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO")
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
_NOT_CARRIED = ("PIP_CONFIG_FILE", "PIP_CACHE_DIR", "PIP_NO_CACHE_DIR")
# What says how apt reaches its sources; lists and the names of programs mean something on this machine alone.
_APT = re.compile(r"Acquire::(?!IndexTargets|CompressionTypes|Changelogs|cdrom|[^ ]*(?:::|Auto-?Detect) )[^ ]+ \"[^\"]+\";")


@dataclass(frozen=True)
class Settings:
    """``variables`` of the environment, what is ``copied`` (from here, to there), and what is ``shown``, at the same path."""

    variables: dict[str, str]
    copied: tuple[tuple[Path, Path], ...]
    shown: tuple[Path, ...]


def settings_here(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this machine and of the user who asks."""
    variables = carried(environment)
    files = dict(_pip_files(environment))
    named = [*named_paths(variables.values()), *(path for file in files for path in named_paths(pip_values(file.read_text())))]
    copied = [(path, path) for path in (CERTIFICATES, AUTHORITIES, *APT_SECRETS) if path.exists()]
    copied += files.items()
    shown = [path for path in named if path.exists() and not any(path.is_relative_to(source) for source, _ in copied)]
    return Settings(variables, tuple(copied), outermost(shown))


def carried(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that pip and TLS go by, and CI."""

    def wanted(name: str) -> bool:
        pip = name.startswith("PIP_") and name not in _NOT_CARRIED
        return pip or name in _TRUST or name.lower() in _PROXIES or name == "CI"

    return {name: value for name, value in environment.items() if wanted(name)}


def _pip_files(environment: Mapping[str, str]) -> Iterator[tuple[Path, Path]]:
    """pip's files here, and where each belongs there."""
    home, root = Path(environment.get("HOME", "/root")), Path("/root")
    pairs = [(path, path) for path in PIP_OF_MACHINE] + [(home / name, root / name) for name in PIP_OF_USER]
    if environment.get("PIP_CONFIG_FILE"):  # it is read last, as the user's own is where there is none
        pairs.append((Path(environment["PIP_CONFIG_FILE"]), root / PIP_OF_USER[0]))
    return ((source, target) for source, target in pairs if source.is_file())


def pip_values(text: str) -> list[str]:
    """All values of a pip.conf; none where it is no such file (pip will say so)."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return []
    return [value for section in parser.sections() for _, value in parser.items(section)]


def named_paths(values: Iterable[str]) -> list[Path]:
    """The absolute paths and file: addresses in the values; of an index, also the folder above, where its files lie."""
    found: list[Path] = []
    for word in (word for value in values for word in value.split()):
        path = Path(unquote(urlsplit(word).path) if word.startswith("file:") else word)
        if not path.is_absolute() or path == Path("/"):
            continue
        is_index = word.startswith("file:") and len(path.parts) > 2
        found.append(path.parent if is_index else path)
    return found


def outermost(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The paths without those below another of them."""
    kept: list[Path] = []
    for path in sorted(set(paths)):
        if not any(path.is_relative_to(above) for above in kept):
            kept.append(path)
    return tuple(kept)


def apt_settings(dump: str) -> str:
    """Of what ``apt-config dump`` prints, how sources are reached: proxies, certificates, retries, checks."""
    return "".join(f"{line}\n" for line in dump.splitlines() if _APT.fullmatch(line))
