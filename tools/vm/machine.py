"""QEMU with the host's root file system as the guest's, read-only (virtiofs)."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from initrd import initrd

QEMU = "qemu-system-x86_64"
# Where Debian has had it: of qemu-system-common up to bookworm, of a package of its own (in Rust) since.
VIRTIOFSD = (Path("/usr/lib/qemu/virtiofsd"), Path("/usr/libexec/virtiofsd"))
TIME_OUT, NO_ANSWER = 124, 125
_SOCKET_SECONDS = 10.0
_EXIT_PORT = 0xF4
_BOOT_CODE = bytes([0xD9, 0xEB, 0xB0, 16, 0xE6, _EXIT_PORT, 0xF4])  # fldpi; mov al, 16; out port, al; hlt
_BOOT_SECTOR = _BOOT_CODE.ljust(510, b"\0") + b"\x55\xaa"
_EXITED = 16 << 1 | 1
_BOOT_SECONDS = 20.0


@dataclass(frozen=True)
class Machine:
    """What to boot.

    ``kernel`` is a directory with an unpacked package, ``memory`` in QEMU's notation, ``seconds`` the time it gets, and
    ``console`` a file for the kernel's messages.
    """

    kernel: Path
    memory: str = "3G"
    processors: int = 1
    seconds: float = 1800
    console: Path | None = None

    def run(self, command: str) -> int:
        """Runs the shell command in the guest, with its output on ours, and gives its exit status.

        124 if the time was out, 125 if the guest ended without one; the kernel's last words are shown then.
        """
        with tempfile.TemporaryDirectory(prefix="vm-") as scratch, _shared_root(Path(scratch)) as socket:
            directory = Path(scratch)
            (directory / "initrd").write_bytes(initrd(self.kernel, command))
            console = self.console or directory / "console"
            console.unlink(missing_ok=True)  # what an earlier guest said is no answer
            try:
                subprocess.run(self._qemu(directory, socket, console), stdin=subprocess.DEVNULL, timeout=self.seconds)
            except subprocess.TimeoutExpired:
                print(f"vm: no end within {self.seconds:g} s\n{_tail(console)}", flush=True)
                return TIME_OUT
            told = re.findall(r"@@status=(\d+)", console.read_text(errors="replace") if console.exists() else "")
            if not told:
                print(f"vm: the guest ended without an exit status\n{_tail(console)}", flush=True)
            return int(told[-1]) if told else NO_ANSWER

    def _qemu(self, directory: Path, socket: Path, console: Path) -> list[str]:
        image = next(self.kernel.rglob("vmlinuz*"))
        options = {
            "M": "pc,memory-backend=memory",
            "m": self.memory,
            "object": f"memory-backend-memfd,id=memory,size={self.memory},share=on",
            "accel": "kvm" if has_kvm() else "tcg,thread=multi",
            "cpu": "max,la57=off",
            "smp": str(self.processors),
            "display": "none",
            "monitor": "none",
            "kernel": str(image),
            "initrd": str(directory / "initrd"),
            # Emulated on a busy machine, timers come too late for the check of the I/O APIC.
            # Without lsm=, 5.10 has no bpf among its security modules.
            "append": "console=ttyS0 panic=-1 mitigations=off loglevel=4 no_timer_check lsm=lockdown,yama,apparmor,bpf",
        }
        devices = [f"-serial file:{console}", "-chardev stdio,id=output,signal=off", "-serial chardev:output"]
        devices += [f"-chardev socket,id=host,path={socket}", "-device vhost-user-fs-pci,chardev=host,tag=host,queue-size=1024"]
        arguments = [word for name, value in options.items() for word in (f"-{name}", value)]
        return [
            QEMU,
            "-nodefaults",
            "-no-user-config",
            "-no-reboot",
            *arguments,
            *(word for device in devices for word in device.split(" ", 1)),
        ]


def has_kvm() -> bool:
    """Whether a guest runs under KVM: QEMU may come up with it and still not execute anything, under some hypervisors.

    Or KVM interprets instructions until it meets one that it does not know. The guest is a boot sector with such a one, which
    then ends QEMU by a device, with a status that says so.
    """
    devices = ["-nodefaults", "-display", "none", "-device", f"isa-debug-exit,iobase={_EXIT_PORT},iosize=1"]
    with tempfile.NamedTemporaryFile(prefix="vm-boot-") as disk:
        disk.write(_BOOT_SECTOR)
        disk.flush()
        command = [QEMU, "-accel", "kvm", "-cpu", "max,la57=off", *devices, "-drive", f"file={disk.name},format=raw,if=ide"]
        try:
            ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_BOOT_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return False
        return ran.returncode == _EXITED


@contextmanager
def _shared_root(directory: Path) -> Iterator[Path]:
    """The socket of a virtiofsd that serves the root file system.

    It serves a bind mount in a mount namespace of its own: read-only, and without what is mounted on it.
    """
    root, socket = directory / "root", directory / "socket"
    root.mkdir()
    server = next((path for path in VIRTIOFSD if path.exists()), None)
    if server is None:
        raise SystemExit(f"vm: no virtiofsd at {' or '.join(map(str, VIRTIOFSD))}; apt-get install virtiofsd")
    options = f"-o source={root},sandbox=chroot,cache=always"
    if server == VIRTIOFSD[1]:
        options = f"--shared-dir={root} --sandbox=chroot --cache=always"
    binds = "".join(f"mount --bind {path} {root}{path} && mount -o remount,bind,ro {root}{path} && " for path in _mounts())
    script = f"{binds}exec {server} --socket-path={socket} {options}"
    log = directory / "virtiofsd.log"
    with log.open("wb") as messages:
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=messages, stderr=messages)
    try:
        deadline = time.monotonic() + _SOCKET_SECONDS
        while not socket.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"vm: virtiofsd did not come up\n{_tail(log)}")
            time.sleep(0.02)
        yield socket
    finally:
        process.terminate()
        process.wait()


def _mounts() -> list[Path]:
    """The root and, where it is another file system (as in containers), the one that this repository lies on."""
    here = Path(__file__).resolve()
    return [Path("/"), *(path for path in here.parents if path.is_mount() and path != Path("/"))][:2]


def _tail(path: Path, lines: int = 25) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""
