"""The tail of a table network: each hidden sum selects a row of scores of its own, and rows are added.

The row is a function of the sum for each class: a LeakyReLU by a weight, as in a dense network, plus a bend, which is linear
between knots. Any function costs the same, since only its table is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import embedding_bag, leaky_relu

from .gradients import Bent

KNOTS = 9
"""Where a bend may turn: this many sums, evenly spaced over -128..128."""
BOUND = 2047
"""The largest magnitude of a score, so that a score takes 12 bits."""
_LEVELS, _REACH = 256, 128.0


@dataclass(frozen=True)
class Scores:
    """``rows``, int16 [hidden, 256 >> shift, classes], ``bias``, int32 [classes], and the logit that a score of 1 is."""

    rows: NDArray[np.int16]
    bias: NDArray[np.int32]
    step: float


class ScoreTable(nn.Module):
    """Maps sums in steps, float32 [n, hidden], to logits [n, classes].

    The buffers ``lowest`` and ``highest``, float32 [hidden], have the range of the sums it learned from; beyond it the integer
    rows are those of its ends.
    """

    def __init__(self, hidden: int, classes: int, shift: int, slope: float) -> None:
        super().__init__()
        self.last = nn.Linear(hidden, classes)
        self.bends = nn.Parameter(torch.zeros(hidden, KNOTS, classes))
        self.shift, self._slope = shift, slope
        self.lowest: Tensor
        self.highest: Tensor
        self.register_buffer("lowest", torch.zeros(hidden))
        self.register_buffer("highest", torch.zeros(hidden))

    def forward(self, sums: Tensor, steps: float) -> Tensor:
        self._note(sums.detach())
        linear: Tensor = self.last(leaky_relu(sums / steps, self._slope))
        bent: Tensor = Bent.apply(sums, self.bends, -_REACH, _REACH)
        return linear + bent

    @torch.no_grad()
    def integers(self, steps: float) -> Scores:
        """The rows of integers. A row's mean over the classes is left out, since it changes no decision."""
        first = torch.arange(0, _LEVELS, 1 << self.shift, device=self.bends.device)
        middles = first + ((1 << self.shift) - 1) / 2 - 128
        sums = middles.clamp(self.lowest[:, None], self.highest[:, None])
        straight = leaky_relu(sums / steps, self._slope).unsqueeze(-1) * self.last.weight.T.unsqueeze(1)
        bent = [Bent.apply(each[:, None], bends[None], -_REACH, _REACH) for each, bends in zip(sums, self.bends, strict=True)]
        rows = straight + torch.stack(bent)
        return _in_integers(rows.cpu().double(), self.last.bias.cpu().double())

    def integer_scores(self, scores: Scores, sums: Tensor) -> Tensor:
        """The scores, float32 [n, classes], of bytes, int64 [n, hidden]: integers, exact since they are below 2^24."""
        hidden, levels, classes = scores.rows.shape
        rows = torch.from_numpy(scores.rows.reshape(-1, classes)).to(sums.device, torch.float32)
        chosen = (sums >> self.shift) + torch.arange(hidden, device=sums.device) * levels
        return embedding_bag(chosen, rows, mode="sum") + torch.from_numpy(scores.bias).to(sums.device)

    def _note(self, sums: Tensor) -> None:
        low, high = torch.aminmax(sums, dim=0)
        self.lowest.copy_(torch.minimum(self.lowest, low))
        self.highest.copy_(torch.maximum(self.highest, high))


def _in_integers(rows: Tensor, bias: Tensor) -> Scores:
    """Rows [hidden, levels, classes] and bias [classes] as integers, so that no score leaves -BOUND..BOUND."""
    rows, bias = rows - rows.mean(dim=2, keepdim=True), bias - bias.mean()
    middle = (rows.amax(dim=1) + rows.amin(dim=1)) / 2  # the bias takes it, so that rows are as small as they can be
    rows, bias = rows - middle.unsqueeze(1), bias + middle.sum(dim=0)
    reach = float((rows.abs().amax(dim=1).sum(dim=0) + bias.abs()).max())
    # Each of the hidden + 1 roundings adds at most a half.
    step = max(reach / (BOUND - (len(rows) + 1) / 2), 1e-9)
    return Scores((rows / step).round().numpy().astype(np.int16), (bias / step).round().numpy().astype(np.int32), step)
