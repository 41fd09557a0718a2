"""Does what a plan says, all of it or nothing.

What is replaced or unloaded first only loses its name, and stays attached until everything else is done. So a failure undoes
each change, and if this process is killed, its next run finishes the job: what has no name any more is swept.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from ..errors import Error, KernelError, NotSupported, SessionError
from ..instance import Instance, Store
from ..instance.enforcing import FOREVER, note, noted
from ..instance.reattach import detached
from ..plugin import Plugins
from .plan import Plan, Step

_LOG = logging.getLogger(__name__)
_TAKEN = (errno.EBUSY, errno.EEXIST)
_Entered = TypeVar("_Entered")


class NotTakenBack(SessionError):
    """A step failed, and so did taking back one that was done before."""


class _Undone(ExitStack):
    """What takes steps back after an exception. If that fails, the rest is taken back all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []

    def enter(self, context: AbstractContextManager[_Entered]) -> _Entered:
        return self.enter_context(self._noting(context))

    @contextmanager
    def _noting(self, context: AbstractContextManager[_Entered]) -> Iterator[_Entered]:
        thrown: BaseException | None = None
        try:
            with context as entered:
                try:
                    yield entered
                except BaseException as error:
                    thrown = error
                    raise
        except Error as error:
            if thrown is None or error is thrown:
                raise
            self.faults.append(str(error).partition("; ")[0])
            raise thrown from None


def carry_out(plan: Plan, store: Store, plugins: Plugins) -> None:
    """Raises what its first failing step raises, once all steps before it are undone, or :class:`NotTakenBack`."""
    undone = _Undone()
    try:
        with undone:
            _steps(undone, plan, store, plugins)
    except Error as error:
        if not undone.faults:
            raise
        fact = f"{str(error).partition('; ')[0]}, and not all changes could be taken back: {', '.join(undone.faults)}"
        raise NotTakenBack(f"{fact}; look at `ebpfnn list`, and apply again") from error


def _steps(undone: _Undone, plan: Plan, store: Store, plugins: Plugins) -> None:
    replaced = [step.name for step in plan.steps if step.verb in ("reload", "unload")]
    aside = {name: undone.enter(store.set_aside(name)) for name in replaced}
    attached = list(aside.values())
    for step in plan.steps:
        _LOG.info("instance '%s': %s, %s", step.name, step.verb, step.why)
        if step.verb in ("load", "reload"):
            _load(undone, step, store, plugins, attached)
        if step.verb == "reload":
            _keep_pause(Instance(store, step.name, aside[step.name]), Instance.open(step.name, store))
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


def _load(undone: _Undone, step: Step, store: Store, plugins: Plugins, attached: list[Path]) -> None:
    if step.compiled is None:
        return
    try:
        instance = Instance.make(step.compiled, step.group, store)
    except KernelError as refused:
        if refused.errno not in _TAKEN or not attached:
            raise
        while attached:  # a hook that takes one program
            undone.enter(detached(attached.pop(), plugins))
        instance = Instance.make(step.compiled, step.group, store)
    if instance.holding:
        instance.close()
        fact = f"instance '{step.name}': {instance.holding}, and `ebpfnn apply` ends"
        raise NotSupported(f"{fact}; load it by `ebpfnn load` in a service of its own")
    undone.enter(_unless_done(instance.unload))


def _keep_pause(former: Instance, instance: Instance) -> None:
    """A pause is the operator's, also if what was paused is loaded anew."""
    with suppress(NotSupported), former.brakes() as before, instance.brakes() as brakes:  # if both are guards
        brakes.pause(before.paused)


def _swap(undone: _Undone, step: Step, store: Store, plugins: Plugins) -> None:
    if step.network is None:
        return
    instance = Instance.open(step.name, store)
    instance.swap(step.network, file=step.file, plugins=plugins)
    swaps = instance.statistics().swaps
    undone.enter(_unless_done(lambda: instance.swap_back(swaps)))


def _brake(undone: _Undone, step: Step, store: Store) -> None:
    instance = Instance.open(step.name, store)
    until = 0 if step.verb == "audit" else FOREVER if step.until is None else time.monotonic_ns() + step.until
    with instance.brakes() as brakes:
        former, text = brakes.until_ns, noted(instance.path)
        undone.enter(_unless_done(lambda: _set(instance, former, text)))
        brakes.enforce(until)
    note(instance.path, step.note)


def _set(instance: Instance, until: int, text: str) -> None:
    if instance.is_loaded():
        with instance.brakes() as brakes:
            brakes.enforce(until)
        note(instance.path, text)
