"""One run of the showcase of a guard: honest clients and attackers behind one address, and a server that they overload."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from addresses import CLIENT, HTTP, PREFIX, SERVER
from guard_clients import SLOW_PORTS
from lab import HERE, THERE, LabError, _namespace, entered, run

PORTS = {"scan": range(5_000, 8_000), "ack": range(9_000, 9_100), "syn": range(9_100, 30_000), "slow": SLOW_PORTS}
"""The ports that attackers send from, by kind: so it is known afterwards whose a packet was. Nothing else looks at them."""
HONEST_PORTS = range(40_000, 61_000)
KINDS = tuple(PORTS)
HONEST_RATE = 130.0
RAMP = 2.0
"""Seconds that the attack is given before connections of honest clients count."""
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Strength:
    """``workers`` of the server; packets a second of the floods and scans, and slow connections begun a second; 0 for none."""

    workers: int = 96
    syn: int = 2000
    ack: int = 1000
    scan: int = 200
    slow: float = 20

    @property
    def attacks(self) -> bool:
        return bool(self.syn or self.ack or self.scan or self.slow)


NONE = Strength(syn=0, ack=0, scan=0, slow=0)


def drawn(random: Random) -> Strength:
    """One to learn from: some overload the server, some do not."""
    return Strength(
        random.choice([60, 96, 400, 400]),
        random.choice([0, 300, 2000]),
        random.choice([0, 500, 1000]),
        random.choice([0, 100, 300]),
        random.choice([5.0, 10.0, 20.0]),
    )


@dataclass
class Outcome:
    """What a run showed. ``honest`` and ``slow`` have ``(port, when, done)`` of each connection.

    ``sent`` and ``passed`` are packets by kind, those of honest clients as "honest"; ``cpu`` seconds by who used them.
    """

    honest: list[tuple[int, float, bool]] = field(default_factory=list)
    slow: list[tuple[int, float, bool]] = field(default_factory=list)
    sent: dict[str, int] = field(default_factory=dict)
    passed: dict[str, int] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def counted(self) -> list[tuple[int, float, bool]]:
        return [each for each in self.honest if each[1] >= RAMP]

    @property
    def done(self) -> int:
        return sum(done for _, _, done in self.counted)


class Place:
    """Two namespaces: ``client`` and ``server``."""

    def __init__(self, name: str, directory: Path) -> None:
        self.client, self.server, self.directory = f"{name}-client", f"{name}-server", directory

    def start(self, namespace: str, *command: str, output: str = "/dev/null") -> subprocess.Popen[bytes]:
        with open(self.directory / output, "wb") as shown, open(self.directory / "errors", "ab") as errors:
            return subprocess.Popen(
                ["ip", "netns", "exec", namespace, *command],
                stdin=subprocess.DEVNULL,
                stdout=shown,
                stderr=errors,
                start_new_session=True,
            )


@contextmanager
def place(number: int) -> Iterator[Place]:
    """Raises :class:`LabError`. Nothing stays of it."""
    with ExitStack() as held:
        directory = held.enter_context(TemporaryDirectory(prefix="showcase-"))
        made = Place(f"showcase-{os.getpid()}-{number}", Path(directory))
        for namespace in (made.client, made.server):
            held.enter_context(_namespace(namespace))
        run("ip", "link", "add", HERE, "netns", made.server, "type", "veth", "peer", "name", THERE, "netns", made.client)
        for namespace, interface, address in ((made.server, HERE, SERVER), (made.client, THERE, CLIENT)):
            run("ip", "-n", namespace, "address", "add", f"{address}/{PREFIX}", "dev", interface)
            run("ip", "-n", namespace, "link", "set", interface, "up")
        # A server that trusts its queue, and attackers that do not answer what they asked for.
        _set(made.server, "net.ipv4.tcp_syncookies=0", "net.ipv4.tcp_max_syn_backlog=256", "net.ipv4.tcp_synack_retries=1")
        _set(made.client, f"net.ipv4.ip_local_port_range={HONEST_PORTS.start} {HONEST_PORTS.stop - 1}")
        rules(made.client, _counting("output", "sport", "100") + _SILENT)
        rules(made.server, _counting("input", "sport", "100"))
        yield made


def _set(namespace: str, *values: str) -> None:
    run("ip", "netns", "exec", namespace, "sysctl", "-q", "-w", *values)


def rules(namespace: str, text: str) -> None:
    """Adds rules of nft."""
    ran = subprocess.run(
        ["ip", "netns", "exec", namespace, "nft", "-f", "-"], input=text, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise LabError(f"nft: {ran.stderr.strip()}")


_SILENT = (
    "table ip silent {\n chain out { type filter hook output priority 0;"
    f" tcp flags rst tcp sport {PORTS['scan'].start}-{PORTS['syn'].stop - 1} drop; }}\n }}\n"
)


def _counting(hook: str, port: str, priority: str) -> str:
    ranges = {**PORTS, "honest": HONEST_PORTS}
    counters = "".join(f"counter {name} {{ }}\n" for name in ranges)
    lines = "".join(f"tcp {port} {each.start}-{each.stop - 1} counter name {name}\n" for name, each in ranges.items())
    return f"table ip counts {{\n{counters} chain every {{ type filter hook {hook} priority {priority};\n{lines} }}\n }}\n"


def _counted(namespace: str) -> dict[str, int]:
    shown = run("ip", "netns", "exec", namespace, "nft", "list", "counters", "table", "ip", "counts")
    return {name: int(packets) for name, packets in re.findall(r"counter (\w+) \{\s*packets (\d+)", shown)}


def attackers(seed: int, seconds: float, strength: Strength) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The commands, by kind."""
    to = ("-q", SERVER)
    for kind, rate, flags in (
        ("syn", strength.syn, ("-S", "-p", str(HTTP))),
        ("ack", strength.ack, ("-A", "-k", "-p", str(HTTP))),
        ("scan", strength.scan, ("-S", "-p", "++1")),
    ):
        if rate:
            count = min(int(rate * seconds), len(PORTS[kind]) if kind != "ack" else 10**6)
            base = PORTS[kind].start
            yield kind, ("hping3", *flags, "-s", str(base), "-c", str(count), "-i", f"u{1_000_000 // rate}", *to)
    if strength.slow:
        yield "slow", _clients("slow", seed, seconds, strength.slow)


def _clients(what: str, seed: int, seconds: float, rate: float) -> tuple[str, ...]:
    return (sys.executable, str(_HERE / "guard_clients.py"), what, str(seed), str(seconds), str(rate))


def overload(at: Place, seed: int, seconds: float, strength: Strength, honest_rate: float = HONEST_RATE) -> Outcome:
    """Runs the traffic for so many seconds, and those that honest clients take to finish."""
    found, begun = Outcome(), time.monotonic()
    server = at.start(at.server, sys.executable, str(_HERE / "guard_server.py"), str(strength.workers))
    processes = {"server": server}
    try:
        _listening(server)
        for kind, command in attackers(seed, seconds, strength):
            processes[kind] = at.start(at.client, *command, output=kind)
        processes["honest"] = at.start(at.client, *_clients("honest", seed, seconds, honest_rate), output="honest")
        for name in ("honest", "slow"):
            if name in processes:
                found.cpu[name] = _finished(processes[name], at, seconds + 15)
                setattr(found, name, [tuple(each) for each in json.loads((at.directory / name).read_text())])
    finally:
        for name, process in processes.items():
            if process.returncode is None:
                found.cpu[name] = _ended(process)
    found.sent, found.passed = _counted(at.client), _counted(at.server)
    found.seconds = time.monotonic() - begun
    return found


def _finished(process: subprocess.Popen[bytes], at: Place, seconds: float) -> float:
    """Waits for what :meth:`Place.start` started. Returns the seconds of CPU that it took."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        used = _reaped(process, os.WNOHANG)
        if used is not None:
            if process.returncode == 0:
                return used
            break
        time.sleep(0.05)
    raise LabError(f"{process.args!r}: {(at.directory / 'errors').read_text().strip()[-300:]}")


def _listening(process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end and process.poll() is None:
        if f":{HTTP:04X} 00000000:0000 0A" in Path(f"/proc/{process.pid}/net/tcp").read_text():
            return
        time.sleep(0.02)
    raise LabError("guard_server.py did not start")


def _ended(process: subprocess.Popen[bytes]) -> float:
    """Ends what :meth:`Place.start` started, and returns as :func:`_finished`."""
    os.kill(process.pid, signal.SIGKILL)  # Popen.kill() would reap it, and lose what it used
    return _reaped(process, 0) or 0.0


def _reaped(process: subprocess.Popen[bytes], how: int) -> float | None:
    """None while it runs."""
    pid, status, usage = os.wait4(process.pid, how)
    if not pid:
        return None
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def inside(at: Place) -> AbstractContextManager[None]:
    """The calling thread is in the server's namespace."""
    return entered(at.server)
