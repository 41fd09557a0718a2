"""A table network in PyTorch: each group of inputs selects a row of its table, rows are added, and sums select scores.

A table is a sum of terms (:func:`ebpfnn.training.groups.terms`): of single inputs, as in a dense layer, and of inputs together.
Terms of more inputs move slower, which makes rows that few samples select resemble the sum of their parts. While it learns,
rows are rounded, and gradients pass as if they were not. When it evaluates, it computes the integers of docs/quantization.md
(equations 19 and 20), so that the epoch is chosen by what will run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .gradients import Rounded, SumOfRows
from .groups import terms
from .scoretable import Scores, ScoreTable

STEPS = 4.0
"""How many integer steps of a row make 1 of what a layer of floats would give."""
DAMPING = 0.5
"""A term of k inputs moves by this to the power of k - 1. The terms of an input of many levels share its pace."""
DECAY = 0.05
"""Weight decay of the terms of several inputs."""
PENALTY = 0.01
"""The weight in the loss of sums beyond :data:`LIMIT`."""
LIMIT = 0.95 * 127
_BYTE = 8


@dataclass(frozen=True)
class Integers:
    """The network in integers: ``rows``, int16 [groups, rows, hidden], ``bias``, int32 [hidden], and the scores' table."""

    rows: NDArray[np.int16]
    bias: NDArray[np.int32]
    scores: Scores


class TableNetwork(nn.Module):
    """Maps the rows that groups select, uint8 [n, groups], to logits, or when it evaluates, to integer scores in float32.

    A group has ``members`` inputs of ``bits``. ``most`` is the number of inputs that a term may have. ``shift`` is what a sum
    is shifted by before it selects scores. ``penalty`` is a term of the loss, after each batch.

    The buffer ``seen``, uint8 [groups * rows], has the rows that a training sample selected. For inputs of 1 bit all others are
    0; with more levels they are what their terms say, which lies between the rows of neighboring levels.
    """

    def __init__(self, groups: int, bits: int, members: int, *, hidden: int, classes: int, most: int, shift: int, slope: float):
        super().__init__()
        basis, sizes = terms(bits, members, most)
        single, self._rows, self._all = int((sizes == 1).sum()), len(basis), bits > 1
        self.crossed = nn.Parameter(torch.zeros(groups, len(sizes) - single, hidden))
        highest = (1 << bits) - 1
        reach = (groups * members) ** 0.5
        self.single = nn.Parameter((torch.rand(groups, single, hidden) * 2 - 1) / reach)
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.scores = ScoreTable(hidden, classes, shift, slope)
        self._basis: Tensor
        self._starts: Tensor
        self.seen: Tensor
        scaled = basis * (STEPS * DAMPING ** (sizes - 1.0) / highest**sizes).astype(np.float32)
        self.register_buffer("_basis", torch.from_numpy(scaled), persistent=False)
        self.register_buffer("_starts", torch.arange(groups) * self._rows, persistent=False)
        self.register_buffer("seen", torch.zeros(groups * self._rows, dtype=torch.uint8))
        self.penalty = torch.zeros(())

    def parts(self) -> list[dict[str, Any]]:
        """The parameters for an optimizer: the terms of several inputs decay."""
        others = [self.single, self.bias, *self.scores.parameters()]
        return [{"params": [self.crossed], "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]

    def see(self, numbers: Tensor) -> None:
        """Notes which rows the samples of an epoch select, uint8 [n, groups]. To be called before it learns from them."""
        for chunk in torch.split(numbers, 8192):
            self.seen[self._numbered(chunk.to(self.seen.device)).flatten()] = 1

    def forward(self, numbers: Tensor) -> Tensor:
        if not self.training:
            return self._integer_scores(numbers)
        rows, bias = _rounded(self._tables()), _rounded(self.bias * STEPS)
        sums = self._sums(numbers, rows) + bias
        beyond = (sums.abs() - LIMIT).relu()
        self.penalty = PENALTY * (beyond.square().mean() + beyond.mean())
        scores: Tensor = self.scores(sums, STEPS)
        return scores

    @torch.no_grad()
    def integers(self) -> Integers:
        """What it computes when it evaluates."""
        rows = (self._tables().round() * (self.seen.unsqueeze(1) | self._all)).cpu().numpy().astype(np.int16)
        bias = (self.bias * STEPS).round().cpu().numpy().astype(np.int32)
        return Integers(rows.reshape(len(self._starts), self._rows, -1), bias, self.scores.integers(STEPS))

    @torch.no_grad()
    def _integer_scores(self, numbers: Tensor) -> Tensor:
        found = self.integers()
        rows = torch.from_numpy(found.rows.reshape(-1, found.rows.shape[2])).to(numbers.device, torch.float32)
        sums = self._sums(numbers, rows).long() + torch.from_numpy(found.bias).to(numbers.device)
        return self.scores.integer_scores(found.scores, lanes(sums))

    def _tables(self) -> Tensor:
        """The rows of all groups in steps, before rounding, float32 [groups * rows, hidden]."""
        return (self._basis @ torch.cat([self.single, self.crossed], dim=1)).flatten(0, 1)

    def _sums(self, numbers: Tensor, rows: Tensor) -> Tensor:
        """The sums of the selected rows, float32 [n, hidden], exact for integers below 2^24. Row 0 of a group is 0."""
        chosen = numbers != 0  # most groups of a digit are blank
        sums: Tensor = SumOfRows.apply(rows, self._numbered(numbers)[chosen], chosen.sum(dim=1))
        return sums

    def _numbered(self, numbers: Tensor) -> Tensor:
        return numbers.long() + self._starts


def lanes(sums: Tensor) -> Tensor:
    """The bytes, int64 [n, hidden] in 0..255, of sums, int64 [n, hidden], in lanes of 64-bit words (equation 20, shift 0)."""
    count, hidden = sums.shape
    padded = torch.nn.functional.pad(sums + 128, (0, -hidden % _BYTE)).reshape(count, -1, _BYTE)
    places = torch.arange(0, 64, 8, device=sums.device)
    words = (padded << places).sum(dim=-1, keepdim=True)
    return (words >> places & 255).flatten(1)[:, :hidden]


def _rounded(values: Tensor) -> Tensor:
    rounded: Tensor = Rounded.apply(values)
    return rounded
