"""What has to be done so that what is loaded is what a file declares. Everything is checked here, and nothing is changed."""

from __future__ import annotations

import grp
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..bodies import modelfile
from ..errors import Error, InputError, KernelError, ModelError, NotSupported, SessionError, UsageError
from ..events.policy import Policy, entry
from ..events.units import duration
from ..instance import Instance, Store
from ..instance.about import About, digest
from ..instance.enforcing import FOREVER, check_deadline, noted, targets_of
from ..instance.ready import Compiled, Ready, prepare
from ..instance.usual_allowed import of_packets, usual
from ..kernel import find_cgroup
from ..network.events import TRIGGER
from ..network.model import Model
from ..plugin import Plugins, Trigger, why_not
from ..session.guarding import Guard, calibrated
from ..session.observed import observes
from .declaration import Declared, read

_PREFERRED, _OF_AUDIT = ("tracepoint", "run"), ("", "audit")
_NO_GROUP = (1 << 32) - 1  # the value for "no change" in chown(2)


@dataclass(frozen=True)
class Step:
    """One change: ``verb`` is ``load``, ``reload``, ``swap``, ``enforce``, ``audit`` or ``unload``; ``why`` tells the reason.

    ``compiled`` and ``group`` are for ``load`` and ``reload``, ``network`` and ``file`` for ``swap``, ``until`` for
    ``enforce``: nanoseconds, None without a deadline. ``note`` is what is then noted of the enforcement.
    """

    verb: str
    name: str
    why: str
    compiled: Compiled | None = None
    group: int = -1
    network: Model | None = None
    file: Path | None = None
    until: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Plan:
    """The changes, in order; ``unchanged`` names the instances that are as declared."""

    steps: tuple[Step, ...]
    unchanged: tuple[str, ...]


def plan(file: Path, store: Store, plugins: Plugins, *, nothing: bool = False) -> Plan:
    """Compares the instances that ``file`` declares with those in ``store``, and checks all that would be loaded.

    With ``nothing``, ``file`` is not read, and taken to declare no instance.

    Raises :class:`UsageError` and :class:`ModelError` for what is wrong in the file, :class:`SessionError` for a name that
    another one than this file has loaded, and what loading raises before it changes anything.
    """
    file = file.resolve()
    declared = [] if nothing else read(file)
    loaded = {each.name: each for each in Instance.all(store)}
    steps = list[Step]()
    for each in declared:
        with _telling(each.what):
            steps += _steps(each, loaded.get(each.name), file, store, plugins)
    names = [each.name for each in declared]
    gone = [name for name, each in loaded.items() if name not in names and _owner(each) == str(file)]
    steps += [Step("unload", name, "asked for" if nothing else "no longer declared") for name in gone]
    changed = {step.name for step in steps}
    return Plan(tuple(steps), tuple(name for name in names if name not in changed))


def _owner(instance: Instance) -> str:
    """The file that declared it, '' if none did, or this cannot be found out."""
    with suppress(Error):
        return "" if instance.foreign() else str(instance.about().declared.get("file", ""))
    return ""


@contextmanager
def _telling(what: str) -> Iterator[None]:
    """Errors of what a file says begin with where it says it."""
    try:
        yield
    except (UsageError, ModelError, InputError, NotSupported) as error:
        raise type(error)(f"{what}: {str(error).removeprefix(f'{what}: ')}") from error
    except KernelError as error:
        if type(error) is not KernelError:
            raise
        raise KernelError(f"{what}: {error}", error.errno) from error


def _steps(declared: Declared, instance: Instance | None, file: Path, store: Store, plugins: Plugins) -> list[Step]:
    network = modelfile.load(declared.model, plugins)
    if instance is None:
        store.check_free(declared.name)
        return _loading("load", "not loaded", declared, network, file, plugins)
    about = _own(instance, file)
    if not instance.is_attached():
        return _loading("reload", "what it was attached to is gone", declared, network, file, plugins)
    changed = _difference(about.declared["entry"], declared.fixed)
    if changed:
        return _loading("reload", f"{changed} changed", declared, network, file, plugins)
    steps = list[Step]()
    if about.digest != digest(network, plugins):
        try:
            instance.check_swap(network, plugins)
        except (NotSupported, ModelError) as refused:
            return _loading("reload", f"another model, and {refused}", declared, network, file, plugins)
        steps.append(Step("swap", declared.name, "another model", network=network, file=declared.model))
    return [*steps, *_braking(declared, instance, about)]


def _own(instance: Instance, file: Path) -> About:
    other = instance.foreign()
    if other is not None:
        raise other.refusal(f"instance '{instance.name}'")
    about = instance.about()
    owner = about.declared.get("file")
    if owner != str(file):
        by = f"by {owner}" if owner else "by hand"
        fact = f"instance '{instance.name}' was loaded {by}, not by {file}, which leaves it alone"
        raise SessionError(f"{fact}; unload it, or declare another name")
    return about


def _difference(former: dict[str, Any], wanted: dict[str, Any]) -> str:
    """The names of what differs, '' if nothing."""
    keys = sorted(former.keys() | wanted.keys())
    return ", ".join(key for key in keys if former.get(key) != wanted.get(key))


def _loading(verb: str, why: str, declared: Declared, network: Model, file: Path, plugins: Plugins) -> list[Step]:
    group = _group(declared.entry["group"]) if "group" in declared.entry else -1
    compiled = _prepared(declared, network, file, plugins).compiled().checked()
    step = Step(verb, declared.name, why, compiled, group)
    return [step] if declared.enforcement in _OF_AUDIT else [step, *_enforcing(declared, compiled.ready.about)]


def _prepared(declared: Declared, network: Model, file: Path, plugins: Plugins) -> Ready:
    entries = declared.entry
    trigger = _trigger(entries.get("trigger") or network.events.get(TRIGGER), plugins)
    if trigger.needs_target and "target" not in entries and not observes(network, trigger):
        raise UsageError(f"trigger '{trigger.name}' requires a target; give target: {trigger.summary}")
    return prepare(
        network,
        trigger,
        entries.get("target"),
        name=declared.name,
        options=entries.get("options", {}),
        file=declared.model,
        plugins=plugins,
        filters=entries.get("where", ()),
        any_mode=entries.get("any_mode", False),
        guard=_guard(declared, network, plugins),
        declared={"file": str(file), "entry": declared.fixed},
    )


def _trigger(name: str | None, plugins: Plugins) -> Trigger:
    if name is not None:
        return plugins.trigger(name)
    known = [plugins.trigger(each) for each in _PREFERRED]
    return next((each for each in known if why_not(each) is None), known[0])


def _guard(declared: Declared, network: Model, plugins: Plugins) -> Guard | None:
    entries = declared.entry
    if "action" not in entries:
        return None
    if not network.events:
        fact = f"network '{network.name}' observes no events, so there is nothing to act on"
        raise UsageError(f"{fact}; leave out the action, or train on rows that `ebpfnn collect` wrote")
    spared, margin = calibrated(network)
    own = entries.get("allow", [])
    wants_usual = entries.get("usual_allowed", True) and of_packets(network, plugins)
    allowed = (*own, *(usual() if wants_usual else ()))
    lasting = duration(entries.get("lasting", "60s"), "lasting")
    policy = Policy(spared, margin, entries.get("after", 2), lasting, entries.get("most", 0.5), tuple(map(entry, allowed)))
    cgroup = str(find_cgroup(entries["cgroup"]).resolve()) if "cgroup" in entries else ""
    return Guard(policy, plugins.action(entries["action"]), cgroup)


def _braking(declared: Declared, instance: Instance, about: About) -> list[Step]:
    """What the brakes of a guard that stays loaded take. Those that nobody declares are left to the verbs."""
    if not about.guard:
        return []
    before, wanted = noted(instance.path), declared.enforcement
    with instance.brakes() as brakes:
        until, now = brakes.until_ns, time.monotonic_ns()
    if not wanted:
        done = not before
    elif wanted == "audit":
        done = until <= now and before in _OF_AUDIT
    elif wanted == "forever":
        done = until == FOREVER and before == wanted
    else:  # running, or over
        done = 0 < until <= now + int(wanted) and before == wanted
    return [] if done else _enforcing(declared, about)


def _enforcing(declared: Declared, about: About) -> list[Step]:
    wanted = declared.enforcement
    if wanted in _OF_AUDIT:
        return [Step("audit", declared.name, "enforce = false" if wanted else "enforce is no longer declared", note=wanted)]
    seconds = None if wanted == "forever" else int(wanted) / 1e9
    check_deadline([about.target, *targets_of(about.events)], seconds, 'give for, such as for = "10m"')
    if seconds is None:
        return [Step("enforce", declared.name, "without a deadline", note=wanted)]
    return [Step("enforce", declared.name, f"for {declared.entry['for']}", until=int(wanted), note=wanted)]


def _group(name: str) -> int:
    try:
        if not name.isdecimal():
            return grp.getgrnam(name).gr_gid
        if len(name) < 11 and int(name) < _NO_GROUP:
            return int(name)
    except KeyError:
        pass
    raise UsageError(f"group '{name}' does not exist; `getent group` lists groups")
