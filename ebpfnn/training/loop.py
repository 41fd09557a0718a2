"""The training loop: epochs over views. The epoch that is best on held-out samples is kept."""

from __future__ import annotations

import copy
import hashlib
import math
import time
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax, softmax

from ..errors import ModelError
from ..network.inputformat import InputFormat
from . import checkpoint, optimizers
from .checkpoint import Checkpoint
from .data import Part
from .distributed import Team
from .model import module_shape
from .options import Options, Teaching
from .tables import TableNetwork
from .views import View, Views

CHECKPOINT_SECONDS = 20.0
_EVALUATED = 2_048


@dataclass(frozen=True)
class Course:
    """All parameters and data of a run except the module."""

    options: Options
    form: InputFormat
    views: Views
    labels: Tensor
    held_out: Part
    team: Team
    weights: Tensor | None = None

    @property
    def data(self) -> str:
        """A digest of the training and held-out data."""
        digest = hashlib.sha256(self.views.key.encode())
        for values in (self.labels.numpy(), self.held_out.samples, self.held_out.labels):
            digest.update(values.tobytes())
        return digest.hexdigest()


def fit(model: nn.Module, course: Course) -> int:
    """Trains ``model``, sets it to its state after the best epoch, and returns the number of epochs: fewer after Ctrl-C.

    Several processes stop together, after the same batch. After Ctrl-C in the first epoch, ``model`` keeps what its batches
    have learned. Before the first batch, Ctrl-C raises KeyboardInterrupt, since there is nothing to keep.
    """
    run = _Run(model, course)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not course.team.leads) as progress:
        task = progress.add_task("epoch", total=course.options.epochs, completed=run.epoch)
        try:
            while run.epoch < course.options.epochs:
                found = run.next_epoch()
                told = f"loss {run.loss:.3f}, held-out accuracy {found:.2%}, best {run.best:.2%}"
                progress.update(task, advance=1, description=told)
        except KeyboardInterrupt:
            if not run.learned:
                raise
            run.keep()
    if run.best >= 0:
        model.load_state_dict(run.best_state)
    return run.epoch


class _Run:
    """The state that changes from epoch to epoch."""

    def __init__(self, model: nn.Module, course: Course) -> None:
        options, team = course.options, course.team
        self._course = course
        self._model = model.to(team.device).to(memory_format=torch.channels_last)  # halves the time of a convolution
        self._shared = team.share(self._model)
        self._batch = max(1, options.batch_size // team.size)
        self._steps = math.ceil(len(course.labels) // team.size / self._batch)
        parts = self._model.parts() if isinstance(self._model, TableNetwork) else self._model.parameters()
        self._optimizer = optimizers.optimizer(parts, options)
        self._schedule = optimizers.schedule(self._optimizer, options, options.epochs * self._steps)
        self._generator = torch.Generator().manual_seed(options.seed)
        self._kept = time.monotonic()
        self.epoch, self.best, self.best_state = 0, checkpoint.NOTHING_YET, copy.deepcopy(model.state_dict())
        self.loss, self.learned = math.nan, False
        if options.resume:
            self._restore(checkpoint.load(options, course.data))
        self._whole = self._checkpoint()

    def next_epoch(self) -> float:
        """Trains one epoch and returns the accuracy on held-out samples, 0..1."""
        view = self._course.views.shown(self.epoch)
        if isinstance(self._model, TableNetwork):
            self._model.see(view.samples)
        self._shared.train()
        order = torch.randperm(len(self._course.labels), generator=self._generator)
        losses = []
        for batch in torch.split(self._mine(order), self._batch):
            if len(batch) > 1 or self._batch == 1:  # a batch normalization cannot learn from a single sample
                losses.append(self._step(view, batch))
            if self._course.team.must_stop():
                raise KeyboardInterrupt
        found = accuracy(self._model, self._course.form, self._course.held_out, self._course.team.device)
        self.loss = float(torch.stack(losses).mean())
        # Among equal ones the latest: its learning rate was the lowest.
        if found >= self.best:
            self.best, self.best_state = found, copy.deepcopy(self._model.state_dict())
        self.epoch += 1
        self._whole = self._checkpoint()
        if time.monotonic() - self._kept > CHECKPOINT_SECONDS:
            self.keep()
        return found

    def keep(self) -> None:
        """Writes the checkpoint of the last complete epoch, since an incomplete one cannot be resumed exactly."""
        if self._course.team.leads:
            checkpoint.save(self._whole, self._course.options, self._course.data)
        self._kept = time.monotonic()

    def _mine(self, order: Tensor) -> Tensor:
        """This process's share of an epoch. All shares have the same size, so that no process waits for an extra batch."""
        team = self._course.team
        return order[: len(order) // team.size * team.size][team.rank :: team.size]

    def _step(self, view: View, batch: Tensor) -> Tensor:
        """Learns from one batch and returns its loss, without waiting for its value."""
        device = self._course.team.device
        logits = self._shared(as_given(self._model, view.samples[batch].to(device), self._course.form))
        taught = None if view.logits is None else view.logits[batch].to(device).float()
        weights = None if self._course.weights is None else self._course.weights.to(device)
        loss = _loss(logits, self._course.labels[batch].to(device), taught, self._course.options.teaching, weights)
        if isinstance(self._model, TableNetwork):
            loss = loss + self._model.penalty
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward([loss])
        self._optimizer.step()
        self.learned = True
        self._schedule.step()
        return loss.detach()

    def _checkpoint(self) -> Checkpoint:
        model, optimizer, schedule = (
            copy.deepcopy(each.state_dict()) for each in (self._model, self._optimizer, self._schedule)
        )
        device = self._course.team.device
        dropout = torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()
        order = self._generator.get_state()
        return Checkpoint(self.epoch, self.best, self.best_state, model, optimizer, schedule, order, dropout)

    def _restore(self, found: Checkpoint) -> None:
        device = self._course.team.device
        try:
            for state in (found.best_state, found.model):
                self._model.load_state_dict(state)
            self._check_kinds(found)
            self._optimizer.load_state_dict(found.optimizer)
            self._schedule.load_state_dict(found.schedule)
            self._generator.set_state(found.generator)
            if device.type == "cuda":
                torch.cuda.set_rng_state(found.dropout, device)
            else:
                torch.set_rng_state(found.dropout)
        except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
            path = checkpoint.path_of(self._course.options)
            raise ModelError(f"{path}: does not fit this network; {checkpoint.REMEDY}") from error
        self.epoch, self.best, self.best_state = found.epoch, found.best, found.best_state

    def _check_kinds(self, found: Checkpoint) -> None:
        """Checks types, since PyTorch accepts others and fails in the middle of an epoch. Raises :class:`ValueError`."""
        groups = self._optimizer.state_dict()["param_groups"]
        schedule = self._schedule.state_dict()
        alike = _alike(found.optimizer["param_groups"], groups) and _alike(found.schedule, schedule)
        sizes = [each.shape for group in self._optimizer.param_groups for each in group["params"]]
        fit = all(_moves(held, sizes[number]) for number, held in found.optimizer["state"].items())
        if not (alike and fit and found.schedule["last_epoch"] == found.epoch * self._steps):
            raise ValueError("states of other kinds")


def _alike(found: Any, own: Any) -> bool:
    """Whether both hold the same keys, with values of the same types."""
    if isinstance(own, dict):
        return isinstance(found, dict) and found.keys() == own.keys() and all(_alike(found[key], own[key]) for key in own)
    if isinstance(own, (list, tuple)):
        return isinstance(found, (list, tuple)) and len(found) == len(own) and all(map(_alike, found, own))
    if isinstance(own, (int, float)) and not isinstance(own, bool):
        return isinstance(found, (int, float)) and not isinstance(found, bool) and math.isfinite(found)
    return type(found) is type(own)


def _moves(state: dict[str, Any], size: torch.Size) -> bool:
    """Whether ``state`` is an optimizer's state for a parameter of ``size``: of Adam (both kinds) or SGD."""
    shapes = {name: torch.Size() if name == "step" else size for name in state}
    known = state.keys() in ({"step", "exp_avg", "exp_avg_sq"}, {"momentum_buffer"})
    return known and all(isinstance(each, Tensor) and each.shape == shapes[name] for name, each in state.items())


@torch.no_grad()
def accuracy(model: nn.Module, form: InputFormat, part: Part, device: torch.device) -> float:
    """The share of ``part`` that ``model`` labels correctly, 0..1."""
    model.eval()
    right = 0
    for start in range(0, len(part.samples), _EVALUATED):
        samples = torch.from_numpy(part.samples[start : start + _EVALUATED]).to(device)
        labels = torch.from_numpy(part.labels[start : start + _EVALUATED]).to(device)
        right += int((model(as_given(model, samples, form)).argmax(dim=1) == labels).sum())
    return right / len(part.samples)


def as_given(model: nn.Module, samples: Tensor, form: InputFormat) -> Tensor:
    """What ``model`` takes for ``samples``: a table network takes the numbers of rows, which its views have in their place."""
    return samples if isinstance(model, TableNetwork) else as_input(samples, form)


def as_input(samples: Tensor, form: InputFormat) -> Tensor:
    """The levels of ``samples``, uint8 [n, *shape], as the module's float32 of 0..1 (docs/quantization.md, equation 1)."""
    samples = samples.view(len(samples), *module_shape(form.shape))
    if samples.ndim == 4:
        samples = samples.contiguous(memory_format=torch.channels_last)
    if form.bits == 8:
        return samples.float() / 255
    if form.value_thresholds:
        own = torch.tensor(form.value_thresholds, dtype=torch.int16, device=samples.device)
        return (samples.unsqueeze(-1) >= own).sum(dim=-1).float() / form.highest
    thresholds = torch.tensor(form.thresholds, dtype=torch.uint8, device=samples.device)
    return torch.bucketize(samples, thresholds, right=True).float() / form.highest


def _loss(logits: Tensor, labels: Tensor, taught: Tensor | None, teaching: Teaching | None, weights: Tensor | None) -> Tensor:
    own = cross_entropy(logits, labels, weights)
    if taught is None or teaching is None:
        return own
    heat = teaching.temperature
    apart = kl_div(log_softmax(logits / heat, dim=1), softmax(taught / heat, dim=1), reduction="batchmean")
    # Gradients of softened distributions shrink by the square of the temperature; this brings them back (Hinton et al.).
    return teaching.share * heat**2 * apart + (1 - teaching.share) * own
