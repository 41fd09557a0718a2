"""Several processes that train one network, started by torchrun, or a single process without it.

torchrun gives each process its rank in environment variables:
https://docs.pytorch.org/docs/stable/elastic/run.html#environment-variables.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..errors import NotSupported


@dataclass(frozen=True)
class Team:
    """``size`` processes. This one has the number ``rank``, and the number ``local`` on its machine, and uses ``device``.

    ``signals`` are those that asked this process to stop. Several processes must stop together, so each process only records
    them.
    """

    rank: int
    size: int
    device: torch.device
    local: int = 0
    signals: list[int] = field(default_factory=list)

    @property
    def leads(self) -> bool:
        """Whether this process reports and writes files."""
        return self.rank == 0

    def share(self, model: nn.Module) -> nn.Module:
        """``model`` with its gradients averaged over the processes."""
        return DistributedDataParallel(model) if self.size > 1 else model

    def wait(self) -> None:
        """Waits until every process has arrived here."""
        if self.size > 1:
            torch.distributed.barrier()

    @contextmanager
    def one_first(self) -> Iterator[None]:
        """One process of each machine runs the block before the others do."""
        if self.local:
            self.wait()
        yield
        if not self.local:
            self.wait()

    def must_stop(self) -> bool:
        """Whether any process was asked to stop. Every process must call this, and all get the same answer."""
        if self.size == 1:
            return False
        asked = torch.tensor(int(bool(self.signals)), device=self.device)
        torch.distributed.all_reduce(asked, torch.distributed.ReduceOp.MAX)
        return bool(asked)


@contextmanager
def team(device: str) -> Iterator[Team]:
    """The processes that torchrun started, or this process alone, which Ctrl-C interrupts as usual.

    If there are several, SIGINT and SIGTERM, which torchrun passes on, are recorded in :attr:`Team.signals`. Raises
    :class:`NotSupported` for a device that does not exist here.
    """
    size, rank, local = (int(os.environ.get(name, default)) for name, default in _VARIABLES)
    found = _device(device, local)
    if size == 1:
        yield Team(0, 1, found)
        return
    if found.type == "cuda":
        torch.cuda.set_device(found)
    torch.distributed.init_process_group("nccl" if found.type == "cuda" else "gloo")
    mine = Team(rank, size, found, local)
    try:
        with _noting(mine.signals):
            yield mine
    finally:
        torch.distributed.destroy_process_group()


def as_the_leader(values: Tensor) -> None:
    """Sets ``values`` to the leader's in every process, if there are several."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.broadcast(values, 0)


@contextmanager
def _noting(signals: list[int]) -> Iterator[None]:
    """Appends SIGINT and SIGTERM to ``signals``."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(each, lambda number, _frame: signals.append(number)) for each in caught]
    try:
        yield
    finally:
        for each, former in zip(caught, before, strict=True):
            signal.signal(each, former)


_VARIABLES = (("WORLD_SIZE", "1"), ("RANK", "0"), ("LOCAL_RANK", "0"))


def _device(name: str, local: int) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and torch.cuda.is_available():
        return torch.device("cuda", local)
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise NotSupported(f"device {name!r} cannot be used here; give cpu, or auto") from error
    return device
