"""What is asked before programs are attached to a machine's own traffic."""

from __future__ import annotations

from ..errors import UsageError
from ..kernel.routes import has_default_route
from ..obj import ObjectSpec, ProgramType
from .sources import Source, Sources

_AT_INTERFACES = (ProgramType.XDP, ProgramType.SCHED_CLS, ProgramType.SOCKET_FILTER)


def check_route(sources: Sources) -> None:
    """Raises :class:`UsageError` if an event's target is an interface with a default route."""
    for source in sources.events:
        if source.target and has_default_route(source.target) and _is_at_interface(source):
            fact = f"interface '{source.target}' has a default route, so this machine may be reached by it"
            raise UsageError(f"{fact}; give --yes to attach there, or another --target")


def _is_at_interface(source: Source) -> bool:
    shell = ObjectSpec.from_file(source.trigger.object_path())
    return shell.programs[source.trigger.program()].type in _AT_INTERFACES
