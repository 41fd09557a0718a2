"""The pinned links of an instance, and how they end: what is removed is detached at once, not some time later."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import Error, KernelError
from ..kernel import Link
from .locks import entries

LINK = "link"
"""The pin of the attachment. It is missing if the kernel has no link, and a directory if there is one link per CPU.

Those of further kinds of events, of an instance that observes several, have a number behind it.
"""
_WAIT_S, _STEP_S = 1.0, 0.001


def pins_of_links(path: Path) -> list[Path]:
    """The pin of each link of the instance at ``path``. Empty if nothing is attached, as with BPF_PROG_RUN.

    Raises as :func:`~ebpfnn.instance.locks.telling` does.
    """
    found = [pin for pin in entries(path) if pin.name == LINK or pin.name.startswith(f"{LINK}-")]
    return [each for pin in found for each in (entries(pin) if pin.is_dir() else [pin])]


@contextmanager
def detaching(path: Path) -> Iterator[None]:
    """Detaches the instance at ``path``, whose pins are removed inside. Then nothing of it is attached any more.

    Removing a pin is not enough: the kernel drops the pin's reference in a work queue (bpf_link_put, Linux 5.8 to 6.18),
    on most kernels behind an RCU callback (bpf_free_inode), so the program may still run for some milliseconds. What cannot be
    opened is left to that; and so is, after a second for all of them, what another process holds and cannot be detached.
    """
    held = _detached(path)
    try:
        yield
    finally:
        until = time.monotonic() + _WAIT_S
        for link in held:
            _close_as_last(link, until)


def _detached(path: Path) -> list[Link]:
    """Detaches what can be (BPF_LINK_DETACH), and opens the links of other kinds: those of perf events, tracing, iterators."""
    held = list[Link]()
    with suppress(Error):
        for pin in pins_of_links(path):
            with suppress(Error):
                link = Link.open(pin)
                try:
                    link.detach()
                except Error:
                    held.append(link)
                else:
                    link.close()
    return held


def _close_as_last(link: Link, until: float) -> None:
    """Closes a link that is not pinned any more: the kernel detaches it meanwhile if this was its last reference.

    As long as the pin's own is not dropped yet, its id leads to it, and another descriptor becomes the last reference: at most
    ``until``, by the monotonic clock. Who may not open by id (CAP_SYS_ADMIN) does not wait.
    """
    with link:
        try:
            number = link.info().id
        except Error:
            return
    with suppress(KernelError):  # ENOENT, once it is detached
        while time.monotonic() < until:
            with Link.from_id(number):
                time.sleep(_STEP_S)
