"""Detaches an instance for a while. Some hooks have room for one program only, such as XDP at an interface."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ..errors import Error
from ..kernel import Link, Object, Program
from ..network.events import SPEC
from ..plugin import Plugins, Trigger, configured
from .about import About
from .links import LINK, pins_of_links
from .pins import STUB, Pins, numbered


@contextmanager
def detached(path: Path, plugins: Plugins) -> Iterator[None]:
    """Meanwhile, the links of the instance at ``path`` are detached. After an exception, they are made again.

    Raises what attaching raises for the first link that cannot be made, after the others were.

    Links of kinds that cannot be detached stay: their hooks have room for more programs.
    """
    with Pins(path) as pins:
        about = pins.current()[1]
    gone = list[Path]()
    try:
        for pin in pins_of_links(path):
            with Link.open(pin) as link, suppress(Error):
                link.detach()
                gone.append(pin)
        yield
    except BaseException:
        with ExitStack() as every:
            for number, (trigger, target) in reversed(list(enumerate(_places(about, plugins)))):
                pin = path / numbered(LINK, number)
                if pin in gone:
                    every.callback(_attach, pin, path / numbered(STUB, number), trigger, target)
        raise


def _places(about: About, plugins: Plugins) -> Iterator[tuple[Trigger, str | None]]:
    """The trigger and the target of each of its events."""
    if not about.observes:
        yield configured(plugins.trigger(about.trigger), about.options).resident(), about.target
        return
    for event in about.events[SPEC]["event"]:
        trigger = plugins.trigger(event["trigger"])
        if trigger.name == about.trigger:
            trigger = configured(trigger.guard() if about.guard else trigger.observer(), about.options)
        else:
            trigger = trigger.guard() if about.guard else trigger.observer()
        yield trigger, event.get("target")


def _attach(pin: Path, stub: Path, trigger: Trigger, target: str | None) -> None:
    former, name = pin.stat(), trigger.program()
    with ExitStack() as held:
        program = held.enter_context(Program.open(stub, name))
        loaded = Object("stub", {}, {name: program}, ExitStack(), {})
        attachment = held.enter_context(trigger.attach(loaded, target))
        if attachment.link is None:
            return
        pin.unlink()
        attachment.link.pin(pin)
        with suppress(OSError):
            os.chown(pin, former.st_uid, former.st_gid)
            pin.chmod(former.st_mode & 0o777)
