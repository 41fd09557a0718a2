"""The training samples, distorted, with the teacher's logits for each.

Drawing distortions and running a teacher take longer than training a small network on them. Therefore a number of distorted
copies, the views, can be made once, used in turn in the epochs, and kept for the next run.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import files
from ..errors import InputError
from .augment import distort
from .data import Part
from .model import module_shape
from .options import Distortion
from .teacher import Teacher

_CHUNK = 1_000
_MAX_BYTES = 8 << 30
_SAMPLES, _LOGITS = ".samples.npy", ".logits.npy"
_SPREAD = 1_000_003
"""Separates the random numbers of a run's epochs from those of the next seed."""


@dataclass(frozen=True, eq=False)
class View:
    """Samples, uint8 [n, *shape], and the teacher's logits for each, float16 [n, classes], or None without a teacher."""

    samples: Tensor
    logits: Tensor | None


class Views:
    """Distorted copies of ``part``: ``count`` of them, used in turn, or new ones in every epoch if ``count`` is 0.

    A fixed number of views does not depend on ``seed``. They are kept in memory, and in ``directory``, where the next run finds
    them. ``shown_as`` makes of the samples of a view what is shown in their place. ``key`` names the samples, the distortion
    and the teacher. Raises :class:`InputError` for more than 8 GiB of views.
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
        shown_as: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None = None,
    ) -> None:
        self._samples = torch.from_numpy(np.ascontiguousarray(part.samples))
        self._distortion, self._teacher, self._seed = distortion, teacher, seed
        self._count, self._directory, self._shown_as = count, directory, shown_as
        self._kept: dict[int, View] = {}
        self.key = _key(part, distortion, teacher)
        _check_size(self._samples, teacher, count)

    def shown(self, epoch: int) -> View:
        """The view for ``epoch``, in the order of the training samples. Raises :class:`InputError` if it cannot be kept."""
        if not self._count:
            return self._converted(self._draw(self._seed * _SPREAD + epoch))
        number = epoch % self._count
        if number not in self._kept:
            found = self._read(number, self._directory) if self._directory else self._draw(number)
            self._kept[number] = self._converted(found)
        return self._kept[number]

    def _converted(self, view: View) -> View:
        return View(torch.from_numpy(self._shown_as(view.samples.numpy())), view.logits) if self._shown_as else view

    def _read(self, number: int, directory: Path) -> View:
        """The view from its file. A view that is missing or damaged is made and stored."""
        path = directory / f"{self.key}-{number}"
        samples = _load(path.with_name(path.name + _SAMPLES), np.uint8, tuple(self._samples.shape))
        logits = None
        if self._teacher:
            shape = (len(self._samples), self._teacher.classes)
            logits = _load(path.with_name(path.name + _LOGITS), np.float16, shape)
        if samples is not None and (logits is not None or not self._teacher):
            return View(samples, logits)
        view = self._draw(number)
        _keep(view, path)
        return view

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


def _load(path: Path, kind: type[np.generic], shape: tuple[int, ...]) -> Tensor | None:
    """The array in ``path``, if it exists and is complete. It is mapped first, so that a file cannot choose the memory used."""
    try:
        found = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    fits = isinstance(found, np.ndarray) and found.dtype == kind and found.shape == shape
    return torch.from_numpy(np.array(found)) if fits else None


def _keep(view: View, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for suffix, values in ((_SAMPLES, view.samples), (_LOGITS, view.logits)):
            if values is not None:
                file = io.BytesIO()
                np.save(file, values.numpy())
                files.replace(path.with_name(path.name + suffix), file.getvalue())
    except OSError as error:
        raise InputError(f"{path.parent}: cannot be written ({error.strerror}); give another --cache") from error


def _check_size(samples: Tensor, teacher: Teacher | None, count: int) -> None:
    each = samples.numel() + (len(samples) * teacher.classes * 2 if teacher else 0)
    if count * each > _MAX_BYTES:
        fact = f"{count} views of {len(samples):,} samples take {count * each / 2**30:.1f} GiB of memory"
        raise InputError(f"{fact}; give --views {_MAX_BYTES // each}, or 0 for ever new ones")


def _key(part: Part, distortion: Distortion | None, teacher: Teacher | None) -> str:
    """All that the views depend on, as a name for their files."""
    digest = hashlib.sha256(f"{part.samples.shape} {distortion}".encode())
    digest.update(part.samples.tobytes())
    digest.update(teacher.digest.encode() if teacher else b"")
    return digest.hexdigest()[:16]
