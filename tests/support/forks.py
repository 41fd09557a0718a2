"""What happens in the child of a fork."""

from __future__ import annotations

import os
from collections.abc import Callable


def in_a_child(call: Callable[[], object]) -> str:
    """The type and words of what ``call`` raises in a child of this process, '' where it returns."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            call()
        except BaseException as raised:
            os.write(writing, f"{type(raised).__name__}: {raised}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as told:
        said = told.read()
    os.waitpid(child, 0)
    return said
