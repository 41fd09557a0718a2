"""``-v``: prints each step on standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from logging import Handler

_GIVEN = "ebpfnn.verbose"


def _listen(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    """Prints the log of the library, of logger ``ebpfnn``."""
    if not wanted or context.resilient_parsing or is_verbose(context):
        return
    import logging

    context.meta[_GIVEN] = True
    logger, handler, level = logging.getLogger("ebpfnn"), _printer(), logging.getLogger("ebpfnn").level
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


def is_verbose(context: click.Context) -> bool:
    """Whether ``-v`` was given."""
    return bool(context.meta.get(_GIVEN))


def _printer() -> Handler:
    import logging

    from .messages import complain

    class Printer(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            complain(record.getMessage())

    return Printer()
