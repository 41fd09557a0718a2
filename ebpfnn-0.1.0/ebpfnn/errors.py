"""The exceptions that ebpfnn raises.

Every message is one line that names the object, the fact and the remedy; whoever catches :class:`Error` can print it to a
user as it is.
"""

from __future__ import annotations

import errno as errno_names
import os


class Error(Exception):
    """Base of everything ebpfnn raises on purpose."""


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
