"""Several processes that train one network, as torchrun starts them; or one, without it.

torchrun tells each process who it is by environment variables:
https://docs.pytorch.org/docs/stable/elastic/run.html#environment-variables.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ..errors import NotSupported


@dataclass(frozen=True)
class Team:
    """``size`` processes of which this is number ``rank``, on ``device``."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process reports and writes files."""
        return self.rank == 0

    def share(self, model: nn.Module) -> nn.Module:
        """``model``, its gradients averaged over the processes."""
        return DistributedDataParallel(model) if self.size > 1 else model

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            torch.distributed.barrier()


@contextmanager
def team(device: str) -> Iterator[Team]:
    """The processes that torchrun started, or this one alone. Raises :class:`NotSupported` for a device that is not here."""
    size, rank, local = (int(os.environ.get(name, default)) for name, default in _VARIABLES)
    found = _device(device, local)
    if size == 1:
        yield Team(0, 1, found)
        return
    torch.distributed.init_process_group("nccl" if found.type == "cuda" else "gloo")
    try:
        yield Team(rank, size, found)
    finally:
        torch.distributed.destroy_process_group()


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
