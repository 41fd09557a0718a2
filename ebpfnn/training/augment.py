"""Small random distortions of images, so that a network learns shapes rather than pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from .options import Distortion


def distort(images: Tensor, by: Distortion, generator: torch.Generator) -> Tensor:
    """``images``, float32 [n, channels, rows, columns], each randomly rotated, scaled, sheared and shifted a little.

    The random numbers depend only on ``generator``, which is on the CPU, whatever the device of ``images``.
    """
    theta = _random_affine(images, by, generator).to(images.device)
    grid = affine_grid(theta, list(images.shape), align_corners=False)
    return grid_sample(images, grid, align_corners=False)


def _random_affine(images: Tensor, by: Distortion, generator: torch.Generator) -> Tensor:
    """Affine maps, [count, 2, 3], of grid coordinates from -1 to 1 across an image."""
    count, _, rows, columns = images.shape

    def uniform(reach: float) -> Tensor:
        return (torch.rand(count, generator=generator) * 2 - 1) * reach

    angle, shear = uniform(math.radians(by.rotation)), uniform(by.shear)
    wide, high = 1 + uniform(by.scale), 1 + uniform(by.scale)
    cosine, sine = angle.cos(), angle.sin()
    across = torch.stack([wide * cosine, high * (shear * cosine - sine), uniform(2 * by.shift / columns)], dim=1)
    down = torch.stack([wide * sine, high * (shear * sine + cosine), uniform(2 * by.shift / rows)], dim=1)
    if by.mirror:
        across = across * (torch.randint(2, (count, 1), generator=generator) * 2 - 1)
    return torch.stack([across, down], dim=1)
