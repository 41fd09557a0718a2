"""Does what a plan says, all of it or nothing.

What is replaced or unloaded first only loses its name, and stays attached until everything else is done. So a failure undoes
each change, and if this process is killed, its next run finishes the job: what has no name any more is swept.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..errors import KernelError, NotSupported
from ..instance import Instance, Store
from ..instance.enforcing import FOREVER, note, noted
from ..instance.reattach import detached
from ..plugin import Plugins
from .plan import Plan, Step

_LOG = logging.getLogger(__name__)
_TAKEN = (errno.EBUSY, errno.EEXIST)


def carry_out(plan: Plan, store: Store, plugins: Plugins) -> None:
    """Raises what its first failing step raises, once all steps before it are undone."""
    with ExitStack() as undone:
        replaced = [step.name for step in plan.steps if step.verb in ("reload", "unload")]
        aside = {name: undone.enter_context(store.set_aside(name)) for name in replaced}
        for step in plan.steps:
            _LOG.info("instance '%s': %s, %s", step.name, step.verb, step.why)
            if step.verb in ("load", "reload"):
                _load(undone, step, store, plugins, aside)
            elif step.verb == "swap":
                _swap(undone, step, store, plugins)
            elif step.verb in ("enforce", "audit"):
                _brake(undone, step, store)


@contextmanager
def _unless_done(undo: Callable[[], object]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        undo()
        raise


def _load(undone: ExitStack, step: Step, store: Store, plugins: Plugins, aside: dict[str, Path]) -> None:
    if step.compiled is None:
        return
    try:
        instance = Instance.make(step.compiled, step.group, store)
    except KernelError as refused:
        if refused.errno not in _TAKEN or not aside:
            raise
        while aside:  # a hook that takes one program
            undone.enter_context(detached(aside.popitem()[1], plugins))
        instance = Instance.make(step.compiled, step.group, store)
    if instance.holding:
        instance.close()
        fact = f"instance '{step.name}': {instance.holding}, and `ebpfnn apply` ends"
        raise NotSupported(f"{fact}; load it by `ebpfnn load` in a service of its own")
    undone.enter_context(_unless_done(instance.unload))


def _swap(undone: ExitStack, step: Step, store: Store, plugins: Plugins) -> None:
    if step.network is None:
        return
    instance = Instance.open(step.name, store)
    instance.swap(step.network, file=step.file, plugins=plugins)
    swaps = instance.statistics().swaps
    undone.enter_context(_unless_done(lambda: instance.swap_back(swaps)))


def _brake(undone: ExitStack, step: Step, store: Store) -> None:
    instance = Instance.open(step.name, store)
    until = 0 if step.verb == "audit" else FOREVER if step.until is None else time.monotonic_ns() + step.until
    with instance.brakes() as brakes:
        former, text = brakes.until_ns, noted(instance.path)
        undone.enter_context(_unless_done(lambda: _set(instance, former, text)))
        brakes.enforce(until)
    note(instance.path, step.note)


def _set(instance: Instance, until: int, text: str) -> None:
    if instance.is_loaded():
        with instance.brakes() as brakes:
            brakes.enforce(until)
        note(instance.path, text)
