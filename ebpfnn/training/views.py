"""What a network is shown: the training samples, distorted, beside what the teacher says of each.

Drawing distortions and asking a teacher costs more than training a small network on them. So a number of distorted copies,
the views, can be made once and shown in turn, epoch after epoch, and kept for the next run.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .. import files
from ..errors import InputError
from .augment import distort
from .data import Part
from .model import module_shape
from .options import Distortion
from .teacher import Teacher

_CHUNK = 1_000
_SPREAD = 1_000_003
"""Keeps the draws of a run's epochs apart from those of the next seed."""


@dataclass(frozen=True, eq=False)
class View:
    """Samples, uint8 [n, *shape], and the teacher's logits of each, float16 [n, classes], or None without a teacher."""

    samples: Tensor
    logits: Tensor | None


class Views:
    """Distorted copies of ``part``: ``count`` of them, shown in turn, or new ones in every epoch for a ``count`` of 0.

    The former are drawn alike whatever the ``seed``, and kept in memory, and in ``directory``, where the next run finds them.
    """

    def __init__(
        self,
        part: Part,
        distortion: Distortion | None,
        teacher: Teacher | None,
        *,
        seed: int = 0,
        count: int = 0,
        directory: Path | None = None,
    ) -> None:
        self._samples = torch.from_numpy(np.ascontiguousarray(part.samples))
        self._distortion, self._teacher, self._seed = distortion, teacher, seed
        self._count, self._directory = count, directory
        self._kept: dict[int, View] = {}
        self._key = _key(part, distortion, teacher) if directory else ""

    def shown(self, epoch: int) -> View:
        """What ``epoch`` shows, in the order of the training samples. Raises :class:`InputError` where it cannot be kept."""
        if not self._count:
            return self._draw(self._seed * _SPREAD + epoch)
        number = epoch % self._count
        if number not in self._kept:
            self._kept[number] = self._read(number, self._directory) if self._directory else self._draw(number)
        return self._kept[number]

    def _read(self, number: int, directory: Path) -> View:
        paths = [directory / f"{self._key}-{number}.{what}.npy" for what in ("samples", "logits")]
        if not all(path.exists() for path in paths):
            _keep(self._draw(number), paths)
        samples, logits = (torch.from_numpy(np.load(path)) for path in paths)
        return View(samples, logits if self._teacher else None)

    def _draw(self, seed: int) -> View:
        generator = torch.Generator().manual_seed(seed)
        drawn = [self._draw_chunk(chunk, generator) for chunk in torch.split(self._samples, _CHUNK)]
        logits = torch.cat([found for _, found in drawn]) if self._teacher else None
        return View(torch.cat([samples for samples, _ in drawn]), logits)

    def _draw_chunk(self, samples: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        if self._distortion:
            images = (samples if samples.ndim == 4 else samples.unsqueeze(1)).float()
            samples = distort(images, self._distortion, generator).round().to(torch.uint8).view(samples.shape)
        shape = module_shape(tuple(samples.shape[1:]))
        if not self._teacher:
            return samples, torch.empty(0)
        logits = self._teacher(samples.view(-1, *shape).to(self._teacher.device).float() / 255)
        return samples, logits.half().cpu()


def _keep(view: View, paths: list[Path]) -> None:
    try:
        paths[0].parent.mkdir(parents=True, exist_ok=True)
        for path, values in zip(paths, (view.samples, view.logits), strict=True):
            file = io.BytesIO()
            np.save(file, np.empty(0) if values is None else values.numpy())
            files.replace(path, file.getvalue())
    except OSError as error:
        raise InputError(f"{paths[0].parent}: cannot be written ({error.strerror}); give another --cache") from error


def _key(part: Part, distortion: Distortion | None, teacher: Teacher | None) -> str:
    """What views depend on, as a name for their files."""
    digest = hashlib.sha256(f"{part.samples.shape} {distortion}".encode())
    digest.update(part.samples.tobytes())
    for parameter in teacher.parameters() if teacher else ():
        digest.update(parameter.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
