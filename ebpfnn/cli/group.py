"""The group of verbs. It is the only place where errors become a line on standard error and an exit status."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, NoReturn

import click

from ..errors import Error, PermissionDenied, PluginError, UsageError, VerifierError
from . import messages
from .examples import EXAMPLES
from .messages import complain
from .plugin_option import blame
from .unknown import Verbs, no_option
from .verbose import is_verbose, verbose_option

USAGE, INTERRUPTED, BROKEN_PIPE, TERMINATED = 2, 130, 141, 143
"""Wrong usage; 128 + SIGINT, SIGPIPE and SIGTERM: the statuses that shells give."""
_MODULES = {"import": "importing", "include-dir": "include_dir"}
"""Verbs whose module has another name, since the verb is not a valid name in Python."""

_fail = partial(complain, level="error")
_SHORT = {
    errno.EMFILE: "raise ulimit -n, or close files",
    errno.ENFILE: "raise sysctl fs.file-max",
    errno.ENOMEM: "raise ulimit -v, or free some memory",
}
"""Remedies if the process or the machine lacks a resource, wherever the error occurs."""


class LazyGroup(Verbs):
    """Imports ``ebpfnn.cli.VERB`` when the verb is called. Its attribute ``command`` is the verb."""

    def __init__(self, verbs: Mapping[str, str], **options: Any) -> None:
        super().__init__(**options)
        self.verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.verbs:
            return None
        module = _MODULES.get(cmd_name, cmd_name)
        command: click.Command = importlib.import_module(f"{__package__}.{module}").command
        if command.epilog is None:
            _complete(command, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(self.verbs.items()))

    def main(self, *args: Any, **options: Any) -> NoReturn:
        """Runs the command line and exits."""
        options["standalone_mode"] = False
        messages.use("text")  # until --log-format says something else
        with _sigterm_unwinds():
            try:
                status = super().main(*args, **options)
            except click.ClickException as error:
                status = _fail(_usage(error), error.exit_code)
            except click.Abort:
                status = _fail("interrupted", INTERRUPTED)
        sys.exit(status if isinstance(status, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a verb and converts its errors to exit statuses."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt as error:
            raise click.Abort from error
        except Exception as error:  # last resort: users get one line, developers the traceback
            known = error if isinstance(error, (Error, OSError)) else blame(ctx, error) or error
            if ctx.params["debug"] or (is_verbose(ctx) and (not isinstance(known, Error) or isinstance(known, PluginError))):
                click.echo(getattr(error, "log", ""), err=True, nl=False)
                traceback.print_exc()
            ctx.exit(_status(known))


def _complete(command: click.Command, name: str) -> None:
    """Adds what all verbs and subcommands have: examples and ``-v``."""
    lines = "\n".join(f"  {example}" for example in EXAMPLES[name])
    command.epilog = f"\b\nExamples:\n{lines}"  # click does not reformat a paragraph that begins with a backspace
    command.params.append(verbose_option())
    for below, each in command.commands.items() if isinstance(command, click.Group) else ():
        _complete(each, f"{name} {below}")


def _status(error: Exception) -> int:
    if isinstance(error, VerifierError) and "whole log" not in str(error):
        return _fail(f"{error} (the verifier's whole log: ebpfnn --debug ...)")
    if isinstance(error, PermissionDenied) and error.errno == errno.EPERM and _has_privilege():
        return _fail(f"{error} (`ebpfnn doctor` checks this machine)")
    if isinstance(error, Error):
        return _fail(str(error), USAGE if isinstance(error, UsageError) else 1)
    if isinstance(error, BrokenPipeError):
        _drop_output()
        return BROKEN_PIPE
    if isinstance(error, OSError) and error.errno in _SHORT:
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, (str, bytes)) else ""
        return _fail(f"{where}{error.strerror}; {_SHORT[error.errno]}")
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        _drop_output()
        return _fail("standard output: no space left on the device; free some, or write elsewhere")
    if isinstance(error, MemoryError):
        return _fail("out of memory; free some, raise the limit (ulimit -v), or give less input at once")
    return _fail(f"internal error: {type(error).__name__}: {error}; run again as ebpfnn --debug ... and report it")


def _drop_output() -> None:
    """Discards remaining output that cannot be written, so that the flush at exit does not change the exit status."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _has_privilege() -> bool:
    """Whether this process may load programs. If so, a refusal had another reason."""
    from ..kernel.privilege import lack

    return not lack()


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    message = no_option(error) if isinstance(error, click.NoSuchOption) else error.format_message().rstrip(".")
    return message if context is None or message.endswith("?") else f"{message}; see '{context.command_path} --help'"


@contextmanager
def _sigterm_unwinds() -> Iterator[None]:
    """Meanwhile, SIGTERM raises an exception, so that everything attached is detached."""

    def unwind(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(TERMINATED)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
