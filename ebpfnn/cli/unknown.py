"""Messages for a verb or an option that does not exist."""

from __future__ import annotations

import click

from ..errors import nearest

_ALIKE = 0.65  # verbs and options are few
_ARGUMENTS = {
    "--network": {"model", "words", "file"},
    "--model": {"model", "words", "file"},
    "--instance": {"name", "names", "words"},
    "--image": {"images"},
}
"""Options that people try, and the parameters that accept the same value as an argument."""


class Verbs(click.Group):
    """A group that answers an unknown verb with similar ones."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if not ctx.resilient_parsing and args[0] not in self.list_commands(ctx) and not args[0].startswith("-"):
            raise no_verb(args[0], ctx)
        return super().resolve_command(ctx, args)


def no_verb(name: str, above: click.Context) -> click.UsageError:
    """The error for ``name``, which is not a verb of the group of ``above``."""
    group = above.command
    known = group.list_commands(above) if isinstance(group, click.Group) else []
    return click.UsageError(f"no verb '{name}'{nearest(name, known, alike=_ALIKE)}", above)


def no_option(error: click.NoSuchOption) -> str:
    """The message for an option that the verb does not have, with the verb's usage if an argument was meant."""
    fact, verb = f"no option '{error.option_name}'", error.ctx
    if verb is None:
        return fact
    given = _ARGUMENTS.get(error.option_name, set()) & {each.name for each in _parameters(verb, click.Argument)}
    if given:
        usage = " ".join([verb.command_path, *verb.command.collect_usage_pieces(verb)[1:]])
        return f"{fact}; give it as an argument: {usage}"
    if error.option_name == "--network" and "--model" in _options(verb):
        return f"{fact}; did you mean '--model'?"
    if verb.parent is not None and error.option_name in _options(verb.parent):
        return f"{fact}; give it before the verb: ebpfnn {error.option_name} ... {verb.info_name}"
    return fact + nearest(error.option_name, _options(verb), alike=_ALIKE)


def _parameters(verb: click.Context, kind: type[click.Parameter]) -> list[click.Parameter]:
    return [each for each in verb.command.params if isinstance(each, kind)]


def _options(verb: click.Context) -> list[str]:
    return [name for option in _parameters(verb, click.Option) for name in (*option.opts, *option.secondary_opts)]
