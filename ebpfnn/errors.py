"""The exceptions that ebpfnn raises.

Every message is one line that names the object, the fact and the remedy; whoever catches :class:`Error` can print it to a
user as it is. Names out of files go into messages as they are: :class:`Error` escapes them, here and nowhere else.
"""

from __future__ import annotations

import errno as errno_names
import os
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], *, alike: float = 0.7) -> str:
    """For the end of a message about a name: ``; did you mean 'a', 'b'?``, or nothing where none of ``known`` is near.

    ``alike``, from 0 to 1, is how much of a name must agree: less where there are few to choose from.
    """
    import difflib  # late: few commands end in a misspelled name

    near = difflib.get_close_matches(name, list(known), n=3, cutoff=alike)
    quoted = ", ".join(f"'{each}'" for each in near)
    return f"; did you mean {quoted}?" if near else ""


_HALF = 2_000
"""Characters of a message that are kept at each end."""


def printable(text: str) -> str:
    """``text`` with what would move a terminal's cursor or change its colors escaped: a file may be called anything."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


class Error(Exception):
    """Base of everything ebpfnn raises on purpose.

    ``message`` becomes one line, and :func:`printable`; of one that a file made long, the middle is left out.
    """

    def __init__(self, message: object = "") -> None:
        text = str(message)
        text = text if text.isprintable() else printable(" ".join(text.split()))
        super().__init__(text if len(text) <= 2 * _HALF else f"{text[:_HALF]} [...] {text[-_HALF:]}")


class ModelError(Error):
    """A network, or the file it came from, cannot be used."""


class InputError(Error):
    """A sample, or the stream it came from, cannot be used."""


class PluginError(Error):
    """A plugin is missing, broken, or clashes with another."""


class UsageError(PluginError):
    """A trigger, an input, an option or a target was asked for that no plugin has, or in the wrong form."""


class ObjectError(Error):
    """A BPF object file (its ELF or its BTF) is malformed or asks for what this loader does not know."""


class LinkerError(ObjectError):
    """Two objects do not fit together."""


class NotSupported(Error):
    """This kernel, or this machine's set-up, lacks something that is needed."""


class SessionError(Error):
    """A network that is loaded does not do what was asked of it."""


class DetachedError(SessionError):
    """A network is loaded, and what it was attached to has gone."""


class VersionError(SessionError):
    """A network that is loaded is of another ABI version than this ebpfnn."""


class QueryError(Error):
    """A network that is to be asked over the network cannot be reached, or does not answer."""


class KernelError(Error):
    """A system call was refused.

    ``errno`` is the kernel's number, 0 where the refusal has none.
    """

    def __init__(self, message: str, errno: int = 0) -> None:
        super().__init__(message)
        self.errno = errno

    @property
    def code(self) -> str:
        """The symbolic name of ``errno``, such as ``EINVAL``."""
        return errno_names.errorcode.get(self.errno, str(self.errno))

    @staticmethod
    def describe(errno: int) -> str:
        """The name and the C library's words for ``errno``: ``EINVAL (Invalid argument)``."""
        if errno == 524:  # the kernel's own, which C libraries do not know (include/linux/errno.h)
            return "ENOTSUPP (Operation is not supported)"
        return f"{errno_names.errorcode.get(errno, errno)} ({os.strerror(errno)})"


class PermissionDenied(KernelError):
    """A system call was refused for want of privilege (EPERM or EACCES)."""


class VerifierError(KernelError):
    """The kernel's verifier refused a program.

    ``log`` is the verifier's whole log; the message quotes its last useful lines.
    """

    def __init__(self, message: str, errno: int, log: str) -> None:
        super().__init__(message, errno)
        self.log = log
