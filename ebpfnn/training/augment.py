"""Small random distortions of digits, so that a network learns shapes and not pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

ROTATION_DEGREES = 8.0
SHIFT_PIXELS = 1.2
SCALE = 0.08
SHEAR = 0.08


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """``images``, float32 [n, rows, columns], each rotated, scaled, sheared and shifted a little of its own."""
    count, rows, columns = images.shape
    theta = _random_affine(count, 2 * SHIFT_PIXELS / columns, generator)
    grid = affine_grid(theta, [count, 1, rows, columns], align_corners=False)
    return grid_sample(images.unsqueeze(1), grid, align_corners=False).squeeze(1)


def _random_affine(count: int, shift: float, generator: torch.Generator) -> Tensor:
    """Affine maps, [count, 2, 3], of grid coordinates, which run from -1 to 1 across an image."""

    def uniform(reach: float) -> Tensor:
        return (torch.rand(count, generator=generator) * 2 - 1) * reach

    angle, shear = uniform(math.radians(ROTATION_DEGREES)), uniform(SHEAR)
    wide, high = 1 + uniform(SCALE), 1 + uniform(SCALE)
    cosine, sine = angle.cos(), angle.sin()
    across = torch.stack([wide * cosine, high * (shear * cosine - sine), uniform(shift)], dim=1)
    down = torch.stack([wide * sine, high * (shear * sine + cosine), uniform(shift)], dim=1)
    return torch.stack([across, down], dim=1)
