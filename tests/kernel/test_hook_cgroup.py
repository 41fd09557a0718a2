"""Programs on a cgroup that the test makes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fixtures import loaded

from ebpfnn.errors import KernelError
from ebpfnn.kernel import Link, LinkType, attach_cgroup
from ebpfnn.kernel.link import HeldLink
from ebpfnn.kernel.syscall import refusal
from ebpfnn.obj import ObjectSpec
from ebpfnn.obj.uapi import AttachType

pytestmark = pytest.mark.root
DENY = """
struct bpf_sock;
SEC("cgroup/sock_create") int deny(struct bpf_sock *context)
{
	HIT(1);
	return 0;
}
SEC("cgroup/sock_create") int allow(struct bpf_sock *context)
{
	HIT(2);
	return 1;
}
"""
SOCKET = "import socket, sys\ntry:\n socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nexcept PermissionError:\n sys.exit(9)"


@pytest.fixture
def cgroup() -> Iterator[Path]:
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    root = next((Path(entry[1]) for entry in mounts if entry[2] == "cgroup2"), None)
    if root is None:
        pytest.skip("no cgroup2 file system is mounted")
    directory = root / f"ebpfnn-test-{os.getpid()}"
    directory.mkdir()
    yield directory
    directory.rmdir()


def may_open_sockets(cgroup: Path) -> bool:
    """Whether a process in the cgroup may."""
    enter = f"echo $$ > {cgroup}/cgroup.procs && exec {sys.executable} -S -c '{SOCKET}'"
    status = subprocess.run(["sh", "-c", enter], check=False).returncode
    assert status in (0, 9)
    return status == 0


def test_a_link_denies_until_it_is_closed(build_spec: Callable[[str], ObjectSpec], cgroup: Path) -> None:
    with loaded(build_spec, DENY) as held:
        assert may_open_sockets(cgroup)
        link = attach_cgroup(held.held.programs["deny"], cgroup, AttachType.CGROUP_INET_SOCK_CREATE)
        assert not may_open_sockets(cgroup)
        info = link.info()
        assert (info.type, info.attach_type) == (LinkType.CGROUP, AttachType.CGROUP_INET_SOCK_CREATE)
        assert info.target == {"cgroup_id": cgroup.stat().st_ino}
        link.update(held.held.programs["allow"])
        assert may_open_sockets(cgroup)
        assert held.last == 2
        link.close()
        assert may_open_sockets(cgroup)


def test_a_kernel_without_cgroup_links(
    build_spec: Callable[[str], ObjectSpec], cgroup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Link:
        raise refusal("link", errno.EINVAL)

    monkeypatch.setattr(Link, "create", refuse)
    with loaded(build_spec, DENY) as held:
        link = attach_cgroup(held.held.programs["deny"], cgroup, AttachType.CGROUP_INET_SOCK_CREATE)
        assert isinstance(link, HeldLink)
        assert not may_open_sockets(cgroup)
        link.close()
        link.close()
        assert may_open_sockets(cgroup)


def test_what_is_no_cgroup(build_spec: Callable[[str], ObjectSpec], tmp_path: Path) -> None:
    with (
        loaded(build_spec, DENY) as held,
        pytest.raises(KernelError, match="this is not a cgroup of version 2; give a directory"),
    ):
        attach_cgroup(held.held.programs["deny"], tmp_path, AttachType.CGROUP_INET_SOCK_CREATE)


def test_an_attach_type_that_the_program_was_not_made_for(build_spec: Callable[[str], ObjectSpec], cgroup: Path) -> None:
    with (
        loaded(build_spec, DENY) as held,
        pytest.raises(KernelError, match=r"cgroup_sysctl of cgroup .* refused with EINVAL"),
    ):
        attach_cgroup(held.held.programs["deny"], cgroup, AttachType.CGROUP_SYSCTL)
