"""What is run in each session of the showcase of flows: a pure function of the seed.

A session is one tool with parameters of its own against the services of :mod:`lab`. Its rates and its time are bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from addresses import DNS, HTTP, IPERF, SERVER, SSH, USER

BENIGN = "benign"
SECONDS = 3.0
"""A tool still running after this time is ended."""

Argv = tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """A command, after a pause in seconds. ``{keys}`` and ``{words}`` in it are files of the lab."""

    command: Argv
    pause: float = 0.0


@dataclass(frozen=True)
class Session:
    """``number`` counts from 0; ``label`` is "benign" or a kind of attack; the commands run one after another."""

    number: int
    label: str
    tool: str
    steps: tuple[Step, ...]

    @property
    def group(self) -> str:
        return f"{self.tool}-{self.number:03}"


@dataclass(frozen=True)
class Tool:
    """A way to use ``programs``, and what its sessions are called."""

    name: str
    label: str
    programs: tuple[str, ...]
    steps: Callable[[Random], list[Step]]


def _url(random: Random, most: int = 300_000) -> str:
    """Of an answer whose size has a logarithm that is spread evenly."""
    return f"http://{SERVER}:{HTTP}/bytes/{round(100 * (most / 100) ** random.random())}"


def _curl(random: Random) -> list[Step]:
    steps, slow = [], random.random() < 0.3
    for _ in range(random.randint(2, 20)):
        more: list[str] = ["--limit-rate", f"{random.randint(10, 200)}k"] if slow else []
        if random.random() < 0.25:
            more += ["--data-binary", "x" * random.randint(10, 4000)]
        urls = [part for _ in range(random.randint(1, 3)) for part in ("-o", "/dev/null", _url(random))]
        steps.append(Step(("curl", "-s", *more, *urls), random.uniform(0, 0.4)))
    return steps


def _wrk(random: Random) -> list[Step]:
    return [Step(("wrk", "-t", "1", "-c", str(random.randint(1, 16)), "-d", "2s", _url(random, 20_000)))]


def _iperf(random: Random, *more: str) -> list[Step]:
    rate = f"{random.randint(1, 40)}M"
    turned = ["-R"] if random.random() < 0.3 else []
    return [Step(("iperf3", "-c", SERVER, "-p", str(IPERF), "-t", "2", "-b", rate, *turned, *more))]


def _iperf_tcp(random: Random) -> list[Step]:
    return _iperf(random, "-P", str(random.randint(1, 3)))


def _iperf_udp(random: Random) -> list[Step]:
    return _iperf(random, "-u", "-l", str(random.randint(100, 1400)))


def _ssh(random: Random) -> list[Step]:
    steps = []
    for _ in range(random.randint(2, 8)):
        work = random.choice(
            [
                f"head -c {random.randint(10, 400_000)} /dev/urandom",
                f"for i in $(seq {random.randint(3, 30)}); do echo $i; sleep 0.0{random.randint(1, 9)}; done",
                "id; uname -a; ls -l /usr/bin",
            ]
        )
        login = ("dbclient", "-y", "-y", "-p", str(SSH), "-i", "{keys}", f"{USER}@{SERVER}", work)
        steps.append(Step(login, random.uniform(0, 0.5)))
    return steps


def _dig(random: Random) -> list[Step]:
    steps, longest = [], random.choice([0.02, 0.1, 0.3])
    for _ in range(random.randint(10, 60)):
        name = f"host{random.randint(1, 10 ** random.randint(1, 6))}.example"
        more = ["+tcp"] if random.random() < 0.1 else []
        query = ("dig", f"@{SERVER}", "-p", str(DNS), "+tries=1", "+time=1", *more, name, random.choice(["A", "AAAA", "TXT"]))
        steps.append(Step(query, random.uniform(0, longest)))
    return steps


def _mixed(random: Random) -> list[Step]:
    """What one user does: names are looked up, pages are read and a shell is used, in any order."""
    steps = [*_curl(random), *_dig(random), *_ssh(random)]
    random.shuffle(steps)
    return steps


def _nmap(random: Random, kind: str, *more: str) -> list[Step]:
    first = random.randint(1, 60_000)
    ports = f"{first}-{first + random.randint(50, 2000)}"
    rate = random.choice([50, 200, 1000, 3000])
    timing = ("--max-rate", str(rate), "--max-retries", str(random.randint(0, 2)), "--host-timeout", "3s")
    return [Step(("nmap", kind, "-n", "-Pn", "-p", ports, *timing, *more, SERVER))]


def _hping(random: Random, *kind: str) -> list[Step]:
    interval = random.choice([200, 500, 1000, 3000, 10_000])
    count = min(3000, 2_000_000 // interval)
    size = random.choice([0, 0, random.randint(1, 1200)])
    return [Step(("hping3", *kind, "-q", "-i", f"u{interval}", "-c", str(count), "-d", str(size), SERVER))]


def _flood_port(random: Random) -> str:
    return str(random.choice([HTTP, SSH, random.randint(1, 65_535)]))


def _slow(random: Random, kind: str, *more: str) -> list[Step]:
    pace = ("-c", str(random.randint(10, 120)), "-r", str(random.randint(10, 100)), "-i", "1", "-l", "3")
    return [Step(("slowhttptest", kind, *pace, "-x", str(random.randint(4, 64)), "-u", _url(random, 100_000), *more))]


def _slow_read(random: Random) -> list[Step]:
    window = random.randint(1, 64)
    return _slow(random, "-X", "-w", str(window), "-y", str(window + random.randint(1, 512)), "-n", "1", "-z", "16")


def _hydra(random: Random, port: int, *service: str) -> list[Step]:
    guesses = ("-l", USER, "-P", "{words}", "-t", str(random.randint(1, 6)), "-I", "-s", str(port))
    return [Step(("hydra", *guesses, SERVER, *service))]


TOOLS: tuple[Tool, ...] = (
    Tool("curl", BENIGN, ("curl",), _curl),
    Tool("wrk", BENIGN, ("wrk",), _wrk),
    Tool("iperf3-tcp", BENIGN, ("iperf3",), _iperf_tcp),
    Tool("iperf3-udp", BENIGN, ("iperf3",), _iperf_udp),
    Tool("ssh", BENIGN, ("dbclient",), _ssh),
    Tool("dig", BENIGN, ("dig",), _dig),
    Tool("mixed", BENIGN, ("curl", "dig", "dbclient"), _mixed),
    Tool("nmap-syn", "scan", ("nmap",), lambda random: _nmap(random, "-sS")),
    Tool("nmap-connect", "scan", ("nmap",), lambda random: _nmap(random, "-sT")),
    Tool("nmap-udp", "scan", ("nmap",), lambda random: _nmap(random, "-sU")),
    Tool("hping3-syn", "flood", ("hping3",), lambda random: _hping(random, "-S", "-p", _flood_port(random))),
    Tool("hping3-ack", "flood", ("hping3",), lambda random: _hping(random, "-A", "-p", _flood_port(random))),
    Tool("hping3-udp", "flood", ("hping3",), lambda random: _hping(random, "-2", "-p", _flood_port(random))),
    Tool("slow-headers", "slow", ("slowhttptest",), lambda random: _slow(random, "-H")),
    Tool("slow-body", "slow", ("slowhttptest",), lambda random: _slow(random, "-B", "-s", "8192")),
    Tool("slow-read", "slow", ("slowhttptest",), _slow_read),
    Tool("hydra-ssh", "guess", ("hydra",), lambda random: _hydra(random, SSH, "ssh")),
    Tool("hydra-http", "guess", ("hydra",), lambda random: _hydra(random, HTTP, "http-get", "/private")),
)


def plan(seed: int, benign: int, attacks: int, tools: Sequence[Tool] = TOOLS) -> list[Session]:
    """So many sessions of each tool, in an order at random. The same arguments give the same sessions."""
    wanted = [tool for tool in tools for _ in range(benign if tool.label == BENIGN else attacks)]
    Random(seed).shuffle(wanted)
    # A seed of its own for each: a session does not change with how many there are of other tools.
    seen: dict[str, int] = {}
    sessions = []
    for tool in wanted:
        number = seen[tool.name] = seen.get(tool.name, -1) + 1
        steps = tool.steps(Random(f"{seed} {tool.name} {number}"))
        sessions.append(Session(number, tool.label, tool.name, tuple(steps)))
    return sessions
