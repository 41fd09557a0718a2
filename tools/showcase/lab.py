"""Two network namespaces joined by a veth pair, with services in one of them, and nothing of the machine's in either."""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from random import Random
from tempfile import mkdtemp

from addresses import CLIENT, DNS, HTTP, IPERF, PREFIX, SERVER, SSH, USER

HERE, THERE = "here", "there"
"""The interfaces of the server's namespace and of the client's."""
WORDS = 200
_UID = 65_533  # of nobody: no name of the machine's has it, and none is looked up
_CLONE_NEWNET = 0x40000000
_LISTENS = "0A"  # a state of /proc/net/tcp
_PATIENCE = 10.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_libc = ctypes.CDLL(None, use_errno=True)
_SEEN = "/mnt"
# The user exists only in what this process sees: its own /etc/passwd, which has the password too, over the machine's. The files
# are seen at a path whose directories the user may pass.
_DROPBEAR = """
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1" {seen}
cd {seen}/home
exec setpriv --reuid {uid} --regid {uid} --clear-groups --no-new-privs \
    dropbear -F -E -j -k -p {address}:{port} -r {seen}/host -P {seen}/home/pid
"""


def program(name: str) -> str | None:
    """Where the program is, None if it is absent. Root's own directories are looked at too."""
    return shutil.which(name, path=_PATH)


class LabError(Exception):
    """The lab cannot be set up on this machine; the text says why."""


class Lab:
    """A pair of namespaces with services. ``files`` are what the commands of a plan name in braces."""

    def __init__(self, name: str, directory: Path) -> None:
        self.client, self.server = f"{name}-client", f"{name}-server"
        self.files = {"keys": str(directory / "key"), "words": str(directory / "words")}
        self.directory = directory

    def inside(self, namespace: str, command: Sequence[str], output: Path) -> subprocess.Popen[bytes]:
        """Starts ``command`` in one of the two namespaces, in a process group of its own. Its output goes to the file."""
        with open(output, "ab") as shown:
            return subprocess.Popen(
                ["ip", "netns", "exec", namespace, *command],
                stdin=subprocess.DEVNULL,
                stdout=shown,
                stderr=shown,
                cwd=self.directory,
                start_new_session=True,
            )


@contextmanager
def lab(number: int) -> Iterator[Lab]:
    """A lab with a number of its own; whatever it made goes again at the end. Raises :class:`LabError`.

    Services whose programs are absent are left out.
    """
    name = f"showcase-{os.getpid()}-{number}"
    with ExitStack() as held:
        directory = Path(held.enter_context(_directory()))
        made = Lab(name, directory)
        _make_files(directory, number)
        for namespace in (made.client, made.server):
            held.enter_context(_namespace(namespace))
        _join(made)
        _serve(made, held)
        yield made


@contextmanager
def _directory() -> Iterator[str]:
    """A directory that goes again. Its own mode lets the SSH server's user pass through."""
    path = mkdtemp(prefix="showcase-")
    try:
        Path(path).chmod(0o711)
        yield path
    finally:
        # Processes that were ended may have it as their directory, and none writes any more.
        subprocess.run(["rm", "-rf", "--one-file-system", path], check=False)


@contextmanager
def _namespace(name: str) -> Iterator[None]:
    run("ip", "netns", "add", name)
    try:
        run("ip", "-n", name, "link", "set", "lo", "up")
        yield
    finally:
        end_all(name)
        run("ip", "netns", "del", name)


def end_all(namespace: str) -> None:
    """Ends what still runs in a namespace of our own: nothing else can be in it."""
    listed = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False).stdout
    for pid in map(int, listed.split()):
        if not _is_own_thread(pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _is_own_thread(pid: int) -> bool:
    """Whether it is this process, one of whose threads is in the namespace."""
    return pid == os.getpid() or Path(f"/proc/self/task/{pid}").exists()


def _join(of: Lab) -> None:
    run("ip", "link", "add", HERE, "netns", of.server, "type", "veth", "peer", "name", THERE, "netns", of.client)
    for namespace, interface, address in ((of.server, HERE, SERVER), (of.client, THERE, CLIENT)):
        run("ip", "-n", namespace, "address", "add", f"{address}/{PREFIX}", "dev", interface)
        run("ip", "-n", namespace, "link", "set", interface, "up")


def _make_files(directory: Path, seed: int) -> None:
    home = directory / "home"
    home.mkdir()
    (home / ".ssh").mkdir(mode=0o700)
    if program("dropbearkey"):
        _make_keys(directory, home)
    # No password hashes to this text, so that every guess is wrong, and takes as long as one.
    locked = f"$6${secrets.token_hex(4)}${secrets.token_urlsafe(64)[:86]}"
    (directory / "passwd").write_text(f"{USER}:{locked}:{_UID}:{_UID}::{_SEEN}/home:/bin/sh\n")
    random = Random(seed)
    (directory / "words").write_text("".join(f"{random.getrandbits(40):x}\n" for _ in range(WORDS)))


def _make_keys(directory: Path, home: Path) -> None:
    for key in ("host", "key"):
        run("dropbearkey", "-t", "ed25519", "-f", str(directory / key))
    public = run("dropbearkey", "-y", "-f", str(directory / "key"))
    line = next(line for line in public.splitlines() if line.startswith("ssh-ed25519"))
    (home / ".ssh" / "authorized_keys").write_text(line + "\n")
    for path in (directory / "host", home, home / ".ssh", home / ".ssh" / "authorized_keys"):
        os.chown(path, _UID, _UID)


def _serve(of: Lab, held: ExitStack) -> None:
    script = _DROPBEAR.format(seen=_SEEN, uid=_UID, address=SERVER, port=SSH)
    shell = ("unshare", "--mount", "--propagation", "private", "sh", "-euc", script, "sh", str(of.directory))
    commands: dict[int, Sequence[str]] = {HTTP: (sys.executable, str(Path(__file__).with_name("server.py")))}
    if program("dropbear"):
        commands[SSH] = shell
    if program("iperf3"):
        commands[IPERF] = ("iperf3", "-s", "-p", str(IPERF), "-B", SERVER)
    output = of.directory / "services"
    for port, command in commands.items():
        process = of.inside(of.server, command, output)
        held.callback(end, process)
        _wait_until(partial(_listens, process, port), f"{command[0]} did not start", output)
        if port == HTTP:
            _wait_until(partial(_listens, process, DNS), "the DNS server did not start", output)


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether something listens at ``port`` in the namespace of ``process``. Raises :class:`LabError` if that has ended."""
    if process.poll() is not None:
        raise LabError(f"{process.args!r} ended with status {process.returncode}")
    lines = Path(f"/proc/{process.pid}/net/tcp").read_text().splitlines()[1:]
    return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == _LISTENS for line in lines)


def _wait_until(holds: Callable[[], bool], fact: str, output: Path) -> None:
    end_of_patience = time.monotonic() + _PATIENCE
    try:
        while not holds():
            if time.monotonic() > end_of_patience:
                raise LabError(fact)
            time.sleep(0.02)
    except LabError as error:
        raise LabError(f"{error}: {output.read_text(errors='replace').strip()[-300:]}") from error


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends the process group of ``process``, which :meth:`Lab.inside` started, and waits for it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(1)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def entered(namespace: str) -> Iterator[None]:
    """The calling thread is in the network namespace, and what it starts and attaches is too."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    other = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        _enter(other)
        try:
            yield
        finally:
            _enter(before)
    finally:
        os.close(other)
        os.close(before)


def _enter(fd: int) -> None:
    if _libc.setns(fd, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def run(*command: str) -> str:
    """What the command printed. Raises :class:`LabError` if it failed."""
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise LabError(f"{' '.join(command)}: {ran.stderr.strip()}")
    return ran.stdout
