"""The operations of a table network with gradients of their own, several times faster than those that PyTorch derives."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn.functional import embedding_bag


class Rounded(Function):
    """Rounds values. The gradient passes as if they were not rounded."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return values.round()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return gradients[0]


class SumOfRows(Function):
    """Adds the rows that are chosen, int64 [chosen], of ``rows`` [all, hidden]: of each sample ``counts``, int64 [n].

    Gradients of rows are sums over the samples that chose them: the same operation the other way round.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, chosen: Tensor, counts: Tensor) -> Tensor:
        ctx.save_for_backward(chosen, counts)
        ctx.size = len(rows)
        return embedding_bag(chosen, rows, counts.cumsum(0) - counts, mode="sum")

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        chosen, counts = ctx.saved_tensors
        samples = torch.repeat_interleave(torch.arange(len(counts), device=chosen.device), counts)
        choosing = samples[chosen.argsort(stable=True)]
        often = torch.bincount(chosen, minlength=ctx.size)
        return embedding_bag(choosing, gradients[0].contiguous(), often.cumsum(0) - often, mode="sum"), None, None


class Bent(Function):
    """Functions that are linear between knots: for each of ``values`` [n, hidden] one a class, added over hidden: [n, classes].

    Knots are evenly spaced from ``low`` to ``high``; ``at``, [hidden, knots, classes], is what a function is there. Beyond the
    first and the last knot a function goes on as a line.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, at: Tensor, low: float, high: float) -> Tensor:
        left, share, ctx.per_knot = _placed(values, at.shape[1], low, high)
        parts = _parts(left, share, at.shape[1])
        ctx.save_for_backward(left, parts, at)
        return parts.flatten(1) @ at.flatten(0, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        left, parts, at = ctx.saved_tensors
        of_at = (parts.flatten(1).T @ gradients[0]).view_as(at)
        of_parts = (gradients[0] @ at.flatten(0, 1).T).view_as(parts)
        of_left, of_right = of_parts.gather(2, torch.cat([left, left + 1], dim=2)).unbind(2)
        return (of_right - of_left) * ctx.per_knot, of_at, None, None


def _placed(values: Tensor, knots: int, low: float, high: float) -> tuple[Tensor, Tensor, float]:
    """The knot to the left of each value, int64 [n, hidden, 1], how far it is to the next, [n, hidden, 1], knots per 1."""
    per_knot = (knots - 1) / (high - low)
    places = (values - low) * per_knot
    left = places.floor().clamp(0, knots - 2)
    return left.long().unsqueeze(-1), (places - left).unsqueeze(-1), per_knot


def _parts(left: Tensor, share: Tensor, knots: int) -> Tensor:
    """How much of each knot there is in each value, [n, hidden, knots]."""
    parts = share.new_zeros(*left.shape[:2], knots)
    return parts.scatter_(2, torch.cat([left, left + 1], dim=2), torch.cat([1 - share, share], dim=2))
