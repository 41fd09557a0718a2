"""What this machine has of what ebpfnn needs, and what mends the rest.

A check that reads files takes the root of the file system they are in, so that tests can build one; file systems of the
kernel's are where the loader finds them. The check of a trigger is the thing itself: a network is loaded behind it and run. Of
what is not attached then, to leave interfaces and cgroups alone, the capabilities that attaching asks for are looked at.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from .bodies import modelfile
from .errors import Error, KernelError, NotSupported, PermissionDenied
from .instance import Store
from .instance.place import is_read_only
from .kernel import privilege
from .kernel.link import tracefiles
from .plugin import Plugins, Trigger, why_not
from .session import Session

ROOT = Path("/")
SHIPPED = Path(__file__).parent / "data"
_ALWAYS = ("CAP_BPF", "CAP_PERFMON")


class State(str, Enum):
    """``fail`` keeps everything from working, ``warn`` limits it, ``unavailable`` is a trigger that cannot run here."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True)
class Check:
    """What one check found, and the command that mends it, empty where nothing is to be mended."""

    name: str
    state: State
    fact: str
    remedy: str = ""


def machine(plugins: Plugins, root: Path = ROOT) -> Iterator[Check]:
    """Every check, in the order to read them."""
    yield Check("kernel", State.OK, f"Linux {platform.release()} on {platform.machine()}")
    yield from (check(root) for check in (bpf, capabilities, lockdown, btf, jit))
    yield from (tracefs(), bpffs())
    yield objects(SHIPPED)
    yield from triggers(plugins.triggers.values())
    yield from (Check("plugins", State.WARN, warning) for warning in plugins.warnings)


def ready(checks: Iterable[Check]) -> tuple[int, int]:
    """How many triggers work, and how many there are."""
    states = [check.state for check in checks if check.name.startswith("trigger ")]
    return states.count(State.OK), len(states)


def bpf(root: Path) -> Check:
    # kernel/bpf/syscall.c registers this sysctl, so it is there exactly where bpf(2) is compiled in.
    if (root / "proc/sys/kernel/unprivileged_bpf_disabled").exists():
        return Check("bpf(2)", State.OK, "compiled in")
    return Check("bpf(2)", State.FAIL, "not in this kernel", "boot a kernel with CONFIG_BPF_SYSCALL=y")


def capabilities(root: Path) -> Check:
    lines = _read(root / "proc/self/status").splitlines()
    effective = next((line.split()[1] for line in lines if line.startswith("CapEff:")), None)
    if effective is None:
        return Check("capabilities", State.WARN, "unknown: /proc is not mounted", "mount -t proc proc /proc")
    held = [name for name, bit in privilege.CAPABILITIES.items() if int(effective, 16) >> bit & 1]
    fact = f"holds {', '.join(held) or 'none'}"
    missing = privilege.lacking(_ALWAYS, root)
    if not missing:
        return Check("capabilities", State.OK, fact)
    return Check("capabilities", State.FAIL, f"{fact}; needs CAP_BPF and CAP_PERFMON", _granting(_ALWAYS, missing))


def lockdown(root: Path) -> Check:
    mode = _read(root / "sys/kernel/security/lockdown").partition("[")[2].partition("]")[0]
    if mode == "confidentiality":
        return Check("lockdown", State.WARN, "confidentiality: no tracepoints or probes", "boot with lockdown=integrity")
    return Check("lockdown", State.OK, mode or "this kernel has none")


def btf(root: Path) -> Check:
    if (root / "sys/kernel/btf/vmlinux").exists():
        return Check("BTF", State.OK, "/sys/kernel/btf/vmlinux")
    return Check("BTF", State.WARN, "no kernel type information: programs that read kernel structures do not load")


def jit(root: Path) -> Check:
    value = _read(root / "proc/sys/net/core/bpf_jit_enable")
    if value in ("1", "2"):
        return Check("JIT", State.OK, "on")
    if value == "0":
        return Check("JIT", State.WARN, "off: networks run many times slower", "sysctl net.core.bpf_jit_enable=1")
    return Check("JIT", State.WARN, "unknown", "boot a kernel with CONFIG_BPF_JIT=y")


def tracefs() -> Check:
    try:
        return Check("tracefs", State.OK, str(tracefiles.tracefs()))
    except NotSupported as lack:
        fact, _, remedy = str(lack).partition("; ")
        return Check("tracefs", State.WARN, f"{fact}: no tracepoints or probes", remedy)


def bpffs() -> Check:
    """Whether this user can load instances, wherever the environment has them kept."""
    store = Store()
    try:
        store.check_usable()
    except (NotSupported, PermissionDenied) as lack:
        fact, _, remedy = str(lack).partition("; ")
        return Check("bpffs", State.WARN, fact, remedy)
    except KernelError:
        return Check("bpffs", State.WARN, "unknown: /proc is not mounted", "mount -t proc proc /proc")
    if is_read_only(store.root):
        remedy = f"mount -o remount,rw {store.root}"
        return Check("bpffs", State.WARN, f"{store.root} is mounted read-only: nothing can be pinned there", remedy)
    return Check("bpffs", State.OK, str(store.root))


def objects(directory: Path) -> Check:
    built = sorted(path.stem.removesuffix(".bpf") for path in directory.glob("bpf/*.o"))
    if built:
        return Check("BPF objects", State.OK, ", ".join(built))
    return Check("BPF objects", State.FAIL, f"none in {directory / 'bpf'}", "make bpf")


def triggers(known: Iterable[Trigger], run: Callable[[Trigger], None] | None = None) -> Iterator[Check]:
    """Each trigger, tried: ``run`` raises what stands in its way."""
    for trigger in known:
        reason = why_not(trigger)
        if reason is None:
            try:
                (run or run_once)(trigger)
            except Error as error:
                reason = str(error)
        yield _tried(trigger, reason)


def _tried(trigger: Trigger, reason: str | None) -> Check:
    """What became of a trigger that did not run for ``reason``, or did, with the capabilities that it needs."""
    name, needed = f"trigger {trigger.name}", ["CAP_BPF", *trigger.capabilities]
    needs = f"needs {', '.join(needed)}"
    missing = privilege.lacking(needed)
    if missing:
        remedy = _granting(needed, missing) + _opening_tracefs(reason)
        return Check(name, State.UNAVAILABLE, f"{', '.join(missing)} missing; {needs}", remedy)
    if reason is None:
        return Check(name, State.OK, f"ran a network; {needs}")
    return Check(name, State.UNAVAILABLE, reason)


def _granting(needed: Sequence[str], missing: list[str]) -> str:
    """How a process gets the capabilities that it is without; who follows a command needs those that it has, too."""
    if os.geteuid() != 0:
        change = ",".join(name.lower().replace("cap_", "+") for name in needed)
        who = f"--reuid={os.geteuid()} --regid={os.getegid()} --init-groups"
        command = f'sudo setpriv {who} --inh-caps={change} --ambient-caps={change} "$(command -v ebpfnn)" ...'
        return f"run as root (sudo), or with {', '.join(needed[:-1])} and {needed[-1]}: {command}"
    return f"grant them to the container: {' '.join(name.replace('CAP_', '--cap-add ') for name in missing)}"


def _opening_tracefs(reason: str | None) -> str:
    """What a trigger needs besides capabilities whose ``reason`` not to run is that tracefs is closed."""
    remedy = tracefs().remedy
    return f"; for tracefs, {remedy}" if remedy and remedy in (reason or "") else ""


def run_once(trigger: Trigger) -> None:
    """Runs the bundled network behind ``trigger`` on a blank sample. Raises :class:`Error` where that fails."""
    network = modelfile.load(modelfile.resolve("mnist"))
    with Session(network, trigger) as session:
        session.infer(np.zeros(network.input_shape, np.uint8))


def _read(path: Path) -> str:
    """The text of a small file of the kernel's, empty where it is not there or not ours to read."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
