"""``-v`` and ``--log-format``: what the library and the verbs log, on standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from . import messages

if TYPE_CHECKING:
    from logging import Handler

_GIVEN, _LISTENING = "ebpfnn.verbose", "ebpfnn.listening"


def _listen(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    """Prints the log of the library, of logger ``ebpfnn``."""
    if not wanted or context.resilient_parsing or is_verbose(context):
        return
    context.meta[_GIVEN] = True
    _open(context)


def _choose(context: click.Context, _parameter: click.Parameter, wanted: str) -> None:
    if wanted == "json" and not context.resilient_parsing:
        messages.use(wanted)
        _open(context)


def _open(context: click.Context) -> None:
    """Has the log printed until the command ends."""
    if context.meta.get(_LISTENING):
        return
    import logging

    context.meta[_LISTENING] = True
    logger, handler, level = logging.getLogger("ebpfnn"), _printer(context), logging.getLogger("ebpfnn").level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)

    def silence() -> None:
        logger.removeHandler(handler)
        logger.setLevel(level)

    context.find_root().call_on_close(silence)


def verbose_option() -> click.Option:
    """A new ``-v``, which may stand before or after a verb."""
    return click.Option(
        ["-v", "--verbose"],
        is_flag=True,
        expose_value=False,
        callback=_listen,
        help="Print each step to standard error; show tracebacks of plugin errors.",
    )


log_format_option = click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    envvar="EBPFNN_LOG",
    expose_value=False,
    is_eager=True,
    callback=_choose,
    help="Messages on standard error; json: one object per line, also for each change of what is loaded. [env: EBPFNN_LOG]",
)


def is_verbose(context: click.Context) -> bool:
    """Whether ``-v`` was given."""
    return bool(context.meta.get(_GIVEN))


def _printer(context: click.Context) -> Handler:
    import logging

    from .trail import LOGGER

    class Printer(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if not messages.is_json():
                messages.complain(record.getMessage())
            elif record.name == LOGGER or record.levelno >= logging.WARNING or is_verbose(context):
                fields = getattr(record, "fields", {})
                messages.tell_json(record.levelname.lower(), record.name, record.getMessage(), fields)

    return Printer()
