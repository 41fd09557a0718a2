"""What is run in each session of the showcase of files: a pure function of the seed.

A session is one program that works on a tree of files of its own: one that encrypts them (``simulator.c``, which does nothing
outside of a directory of the showcase), or one that reads and writes as many files for a better reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

BENIGN, ENCRYPTS = "benign", "encrypts"


@dataclass(frozen=True)
class Tree:
    """Files to be made: of each its path and its size in bytes."""

    files: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class FileSession:
    """``script`` is for sh, in a directory where ``tree`` is in ``data``, and ``simulator`` is a program."""

    number: int
    label: str
    tool: str
    tree: Tree
    script: str

    @property
    def group(self) -> str:
        return f"{self.tool}-{self.number:03}"


@dataclass(frozen=True)
class FileTool:
    """A way to use ``programs``. ``suffix`` is that of the files it is given."""

    name: str
    label: str
    programs: tuple[str, ...]
    script: Callable[[Random], str]
    suffix: str = ".txt"


def tree(random: Random, suffix: str) -> Tree:
    """20 to 300 files in up to 12 directories; the logarithms of sizes are spread evenly, from 200 bytes to 200 kB."""
    directories = [""] + [f"d{n}/" for n in range(random.randint(0, 12))]
    sizes = [round(200 * 1000 ** random.random()) for _ in range(random.randint(20, 300))]
    return Tree(tuple((f"{random.choice(directories)}f{n}{suffix}", size) for n, size in enumerate(sizes)))


def _simulated(pattern: str, whole: bool, slow: bool) -> Callable[[Random], str]:
    def script(random: Random) -> str:
        block = random.choice([512, 4096, 16_384, 65_536, 1 << 20])
        pause = random.randint(3_000, 20_000) if slow else random.choice([0, 0, 200, 1000])
        share = 100 if whole else random.randint(5, 40)
        return f"cd data; exec ../simulator {pattern} {block} {pause} {share}"

    return script


_GIT = "git -c user.name=a -c user.email=a@example -c gc.auto=0"
_MAKEFILE = "all: $(patsubst %.c,%.o,$(wildcard data/*.c data/*/*.c))\n"


def _gzip(random: Random) -> str:
    return f"exec gzip -{random.randint(1, 9)} -r data"


def _tar(random: Random) -> str:
    return f"tar -c{random.choice(['', 'z'])}f data.tar data{random.choice(['', '; mkdir out; tar -C out -xf data.tar'])}"


def _gpg_each(random: Random) -> str:
    rest = random.choice(["", '; rm "$0"'])
    code = f'gpg --homedir keys --batch --quiet --passphrase-fd 3 --symmetric "$0" 3<word{rest}'
    return f"mkdir -m 700 keys; echo word >word; find data -type f -exec sh -c '{code}' {{}} \\;"


def _gpg_archive(random: Random) -> str:
    del random
    return (
        "mkdir -m 700 keys; echo word >word; tar -cf data.tar data;"
        " exec gpg --homedir keys --batch --quiet --passphrase-fd 3 --symmetric data.tar 3<word"
    )


def _rsync(random: Random) -> str:
    return f"rsync -a data/ copy/; find data -name '*{random.randint(0, 9)}.txt' -delete; exec rsync -a --delete data/ copy/"


def _git(random: Random) -> str:
    return f"cd data; git init -q; git add .; {_GIT} commit -q -m a{random.choice(['', '; git gc -q', '; git gc -q'])}"


def _make(random: Random) -> str:
    return f"printf '%s' '{_MAKEFILE}' >Makefile; exec make -s -j{random.randint(1, 2)}"


def _sed(random: Random) -> str:
    return f"find data -type f -exec sed -i s/{random.randint(0, 9)}/x/g {{}} {random.choice(['+', ';'])}".replace(" ;", " \\;")


def _move(random: Random) -> str:
    del random
    return "cp -r data copy; mv copy/* .; rm -rf data"


def _shred(random: Random) -> str:
    return f"find data -type f -exec shred -n {random.randint(1, 2)} -u {{}} +"


TOOLS: tuple[FileTool, ...] = (
    FileTool("gzip", BENIGN, ("gzip",), _gzip),
    FileTool("tar", BENIGN, ("tar",), _tar),
    FileTool("gpg-each", BENIGN, ("gpg",), _gpg_each),
    FileTool("gpg-archive", BENIGN, ("gpg",), _gpg_archive),
    FileTool("rsync", BENIGN, ("rsync",), _rsync),
    FileTool("git", BENIGN, ("git",), _git),
    FileTool("make", BENIGN, ("make", "cc"), _make, ".c"),
    FileTool("sed", BENIGN, ("sed",), _sed),
    FileTool("cp-mv-rm", BENIGN, ("cp",), _move),
    FileTool("shred", BENIGN, ("shred",), _shred),
    FileTool("copy", ENCRYPTS, (), _simulated("copy", whole=True, slow=False)),
    FileTool("overwrite", ENCRYPTS, (), _simulated("overwrite", whole=True, slow=False)),
    FileTool("replace", ENCRYPTS, (), _simulated("replace", whole=True, slow=False)),
    FileTool("copy-slowly", ENCRYPTS, (), _simulated("copy", whole=True, slow=True)),
    FileTool("overwrite-a-part", ENCRYPTS, (), _simulated("overwrite", whole=False, slow=False)),
)


def plan(seed: int, benign: int, encrypting: int, tools: Sequence[FileTool] = TOOLS) -> list[FileSession]:
    """So many sessions of each tool, in an order at random. The same arguments give the same sessions."""
    wanted = [(tool, number) for tool in tools for number in range(benign if tool.label == BENIGN else encrypting)]
    Random(seed).shuffle(wanted)
    sessions = []
    for tool, number in wanted:
        random = Random(f"{seed} {tool.name} {number}")
        sessions.append(FileSession(number, tool.label, tool.name, tree(random, tool.suffix), tool.script(random)))
    return sessions
