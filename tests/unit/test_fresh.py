"""What tools/fresh carries of this machine into a root, and that nothing stays of one."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "tools" / "fresh"))
base, cgroup, mirror, root, settings = map(import_module, ("base", "cgroup", "mirror", "root", "settings"))

INDEXES = """http://one.example/debian/ bookworm Debian
http://one.example/debian/ bookworm-updates Debian
http://one.example/debian/ bookworm-backports Debian
http://two.example/security/ bookworm-security Debian
http://three.example/tools nodistro Others
"""


def test_a_suite_comes_from_where_this_machines_does() -> None:
    assert mirror.sources("trixie", INDEXES.splitlines()) == [
        "deb http://one.example/debian/ trixie main",
        "deb http://one.example/debian/ trixie-updates main",
        "deb http://two.example/security/ trixie-security main",
    ]


@pytest.mark.parametrize(
    "indexes", ["", "http://one.example/ubuntu/ noble Ubuntu", "http://one.example/ bookworm-security Debian"]
)
def test_without_an_archive_of_debian_there_are_no_sources(indexes: str) -> None:
    assert mirror.sources("trixie", indexes.splitlines()) == []


def test_of_apt_what_says_how_sources_are_reached() -> None:
    kept = [
        'Acquire::http::Proxy "http://proxy.example:3128";',
        'Acquire::http::Proxy::one.example "DIRECT";',
        'Acquire::https::CAInfo "/etc/own.pem";',
        'Acquire::Check-Valid-Until "false";',
    ]
    left = [
        'APT::Architecture "amd64";',
        'Acquire "";',
        'Acquire::Languages:: "none";',
        'Acquire::IndexTargets::deb::Packages::MetaKey "$(COMPONENT)/Packages";',
        'Acquire::http::Proxy-Auto-Detect "/usr/bin/find-proxy";',
        'DPkg::Post-Invoke:: "rm -f /var/cache/apt/*.bin || true";',
    ]
    dump = [line for pair in zip(kept, left, strict=False) for line in pair] + left[len(kept) :]
    assert settings.apt_settings("\n".join(dump)).splitlines() == kept


def test_debootstrap_fetches_by_apts_proxies() -> None:
    told = 'Acquire::http::Proxy "http://p:1";\nAcquire::http::Proxy::one.example "DIRECT";\nAcquire::Retries "3";\n'
    assert base.proxies(told) == {"http_proxy": "http://p:1"}


def test_variables_of_pip_and_certificates_are_carried_and_no_others() -> None:
    carried = {"PIP_INDEX_URL": "a", "SSL_CERT_FILE": "b", "HTTPS_PROXY": "c", "no_proxy": "d", "CI": "true"}
    left = {"PIP_CACHE_DIR": "e", "HOME": "/home/one", "PATH": "/bin", "PYTHONPATH": "f", "A_TOKEN": "g"}
    assert settings.carried(carried | left) == carried


def test_paths_that_pips_settings_name() -> None:
    told = "[global]\nfind-links = /srv/wheels\n  file:///srv/more%20wheels\nextra-index-url = https://one.example/simple\n"
    words = [*settings.pip_values(told), "file:///srv/pypi/simple", "/", "file:///simple", "relative/path"]
    assert settings.named_paths(words) == [Path("/srv/wheels"), Path("/srv"), Path("/srv/pypi"), Path("/simple")]
    assert settings.pip_values("no = section\n") == []


def test_of_nested_folders_the_outermost_is_shown() -> None:
    paths = map(Path, ("/b/c", "/a", "/b", "/a/x/y", "/bc"))
    assert settings.outermost(paths) == (Path("/a"), Path("/b"), Path("/bc"))


def test_what_the_user_set_up_becomes_roots(tmp_path: Path) -> None:
    wheels, own, certificate = tmp_path / "wheels", tmp_path / "home/.config/pip/pip.conf", tmp_path / "own.pem"
    wheels.mkdir()
    own.parent.mkdir(parents=True)
    own.write_text(f"[global]\nfind-links = {wheels} {tmp_path / 'absent'}\n")
    certificate.touch()
    told = settings.settings_here({"HOME": str(tmp_path / "home"), "SSL_CERT_FILE": str(certificate)})
    assert (own, Path("/root/.config/pip/pip.conf")) in told.copied
    assert {wheels, certificate} <= set(told.shown)
    assert tmp_path / "absent" not in told.shown


def test_what_is_shown_is_mounted_read_only_unless_told_otherwise(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    made = root.Root(Path("/r"), [(tmp_path, Path("/a b"), False), (tmp_path / "file", Path("/f"), True)])
    lines = made.script().splitlines()
    assert ["mkdir -p '/r/a b'", f"mount --bind {tmp_path} '/r/a b'", "mount -o remount,bind,ro '/r/a b'"] == lines[-6:-3]
    assert ["install -D /dev/null /r/f", f"mount --bind {tmp_path / 'file'} /r/f", 'exec "$@"'] == lines[-3:]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive of a root, in a cache of its own."""
    (tmp_path / "tree" / "etc").mkdir(parents=True)
    cache = tmp_path / "cache"
    cache.mkdir()
    subprocess.run(["tar", "-C", tmp_path / "tree", "-cf", cache / "one.tar", "."], check=True)
    return cache / "one.tar"


def test_a_root_of_a_run_that_was_killed_is_removed(archive: Path) -> None:
    """Also of one that had this process's number, as in containers, where numbers are few."""
    (archive.parent / f"root-{os.getpid()}" / "etc").mkdir(parents=True)
    with root.new_root(archive) as one, root.new_root(archive) as another:
        assert (one.path / "etc").is_dir()
        assert (another.path / "etc").is_dir()
        assert one.path.stat().st_mode & 0o777 == 0o755
        assert {path.name for path in archive.parent.iterdir()} == {"one.tar", one.path.name, another.path.name}
    assert [path.name for path in archive.parent.iterdir()] == ["one.tar"]


@pytest.fixture
def debootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A command of that name, which is called as the real one is; and a cache of its own."""
    command = tmp_path / "bin" / "debootstrap"
    command.parent.mkdir()
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    command.write_text("#!/bin/sh\nmkdir -p $4/etc && echo $5 >$4/etc/mirror\n")
    command.chmod(0o755)
    return command


@pytest.mark.root
@pytest.mark.usefixtures("debootstrap")
def test_an_archive_is_made_once_and_its_cache_is_closed_to_others() -> None:
    """Roots have the proxies of apt and pip in them, with what one logs in there with."""
    left = base.cache() / "base-7-killed"
    left.mkdir(parents=True)
    for _ in range(2):
        base.cache().chmod(0o755)
        made = base.base("sid", ["deb http://one.example/debian sid main"], "")
        assert list(base.cache().iterdir()) == [made]
        assert base.cache().stat().st_mode & 0o777 == 0o700
    told = subprocess.run(["tar", "-xOf", made, "./etc/mirror"], check=True, capture_output=True, text=True).stdout
    assert told == "http://one.example/debian\n"


@pytest.mark.root
def test_a_debootstrap_that_fails_leaves_no_mount_and_no_file(debootstrap: Path) -> None:
    debootstrap.write_text("#!/bin/sh\nmkdir -p $4/proc && mount -t tmpfs tmpfs $4/proc && echo no >&2\nexit 1\n")
    try:
        with pytest.raises(SystemExit, match=r"^no\nfresh: debootstrap of sid from http://one.example/debian failed"):
            base.base("sid", ["deb http://one.example/debian sid main"], "")
        mounts = Path("/proc/self/mounts").read_text()
        assert str(base.cache()) not in mounts
        assert list(base.cache().iterdir()) == []
    finally:
        for left in base.cache().glob("base-*/root/proc"):
            subprocess.run(["umount", left], check=False)


def test_the_first_cgroup2_is_taken() -> None:
    others = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw 0 0\n"
    assert cgroup.mounted(f"{others}cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n") == Path("/sys/fs/cgroup/unified")
    assert cgroup.mounted(others) is None


@pytest.mark.root
def test_what_runs_in_a_cgroup_ends_with_it() -> None:
    with cgroup.own_cgroup(f"ebpfnn-test-{os.getpid()}") as group:
        (group / "below").mkdir()
        entering = f"echo $$ > {group}/below/cgroup.procs; echo; exec sleep 600"
        running = subprocess.Popen(["sh", "-c", entering], stdout=subprocess.PIPE)
        assert running.stdout
        assert running.stdout.readline() == b"\n"
    running.communicate(timeout=10)
    assert running.returncode == -9
    assert not group.exists()
