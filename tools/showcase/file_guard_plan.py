"""What the guard of files is tried on beside the tools of :mod:`file_plan`: tools that no model has seen."""

from __future__ import annotations

from random import Random

from file_plan import BENIGN, TOOLS, FileTool

_BATCH = """
import os, sys, zlib
for name in sys.argv[1:]:
    with open(name, "rb") as file:
        data = file.read()
    with open(name + ".new", "wb") as file:
        file.write(zlib.compress(data, LEVEL) if COMPRESS else data[::-1])
    os.replace(name + ".new", name)
"""


def _batch(random: Random) -> str:
    """As a program does that changes many pictures: each is read, written anew beside itself, and put in its place."""
    code = _BATCH.replace("LEVEL", str(random.randint(1, 9))).replace("COMPRESS", str(random.randint(0, 1)))
    return f"find data -type f ! -name '.*' -exec python3 -c '{code}' {{}} +"


def _xz(random: Random) -> str:
    return f"find data -type f ! -name '.*' -exec xz -{random.randint(0, 3)} {{}} {random.choice(['+', ';'])}".replace(
        " ;", " \\;"
    )


NEVER_SEEN = "overwrite-a-part"
UNSEEN_BENIGN = (
    FileTool("python-batch", BENIGN, ("python3",), _batch),
    FileTool("xz", BENIGN, ("xz",), _xz),
)
SEEN = tuple(tool for tool in TOOLS if tool.name != NEVER_SEEN)
EVERY = (*TOOLS, *UNSEEN_BENIGN)
UNSEEN = (NEVER_SEEN, *(tool.name for tool in UNSEEN_BENIGN))
