"""A training run: network, optimizer, schedule, averaged weights and its folder, epoch after epoch."""

import csv
import logging
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, WeightedRandomSampler

from trainer.checkpoint import Progress, load_checkpoint, save_checkpoint
from trainer.dataset import BrainTumorDataset, BrainTumorTestDataset, collate
from trainer.early_stopper import EarlyStopper
from trainer.figures import draw_curves
from trainer.loop import Batches, Context, TrainingError, train_one_epoch, validate
from trainer.losses import BoxAssigner
from trainer.model import BrainTumorClassifier, device_and_precision, freeze, parameter_groups, set_training_mode
from trainer.recipes import Recipe, Schedule

logger = logging.getLogger(__name__)

HISTORY, CURVES, WEIGHTS = "history.csv", "curves.png", "model.safetensors"

MIN_STEPS = 8
"""Of one cycle: a quarter of them warm up, and with a single such step OneCycleLR divides by zero."""


class TrainingRun:
    """Trains `model` on `training` by `recipe`, writing everything into `folder`; resumes from its last whole epoch."""

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        model: BrainTumorClassifier,
        training: BrainTumorDataset,
        held_out: BrainTumorTestDataset,
        seed: int,
    ) -> None:
        self.folder, self.recipe, self.seed = folder, recipe, seed
        device, precision = device_and_precision()
        self.context = Context(recipe, device, precision, BoxAssigner(recipe.size, device))
        self.training, self.held_out = training, held_out
        freeze(model, recipe.frozen_stages)
        self.model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = AdamW(
            parameter_groups(self.model, recipe.body_rate, recipe.head_rate), weight_decay=recipe.weight_decay
        )
        self.steps_per_epoch = len(training) // recipe.batch_size
        if not self.steps_per_epoch:
            raise TrainingError(f"{len(training)} images are fewer than one batch of {recipe.batch_size}.")
        self.one_cycle, self.plateau = self._schedules()
        self.stopper = EarlyStopper()
        self.average = (
            AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema_decay), use_buffers=True)
            if recipe.ema_decay
            else None
        )
        self.progress = Progress(recipe.as_json())

    def _schedules(self) -> tuple[OneCycleLR | None, ReduceLROnPlateau | None]:
        if self.recipe.schedule is Schedule.PLATEAU:
            return None, ReduceLROnPlateau(self.optimizer)
        peaks = [group["lr"] for group in self.optimizer.param_groups]
        steps = self.steps_per_epoch * self.recipe.epochs
        if steps < MIN_STEPS:
            raise TrainingError(
                f"{self.recipe.epochs} epochs of {self.steps_per_epoch} batches are {steps} steps, one cycle needs at "
                f"least {MIN_STEPS}: take more --epochs or a smaller --batch-size."
            )
        return OneCycleLR(self.optimizer, peaks, total_steps=steps, pct_start=0.25), None

    @property
    def best_model(self) -> nn.Module:
        """The network that is kept: the averaged one where the recipe averages."""
        return self.average.module if self.average is not None else self.model

    def _state(self) -> dict[str, nn.Module]:
        return {"model": self.model} | ({"average": self.average} if self.average is not None else {})

    def resume(self) -> None:
        """Go on from the folder's last whole epoch, if it has one; `trainer.run_folder` says whether it is this run."""
        saved = load_checkpoint(self.folder, self._state(), self.optimizer)
        if saved is None:
            return
        self.progress = saved
        (self.one_cycle or self.plateau).load_state_dict(saved.scheduler)  # type: ignore[union-attr]
        if saved.best_loss is not None:
            self.stopper.best, self.stopper.epochs_without_gain = saved.best_loss, saved.epochs_without_gain
        logger.info("resuming after epoch %d", saved.epochs_done)

    def fit(self, after_epoch: Callable[[dict[str, float]], None]) -> None:
        """Train to the recipe's last epoch, or until the early stopper says so (plateau schedule only)."""
        for epoch in range(self.progress.epochs_done + 1, self.recipe.epochs + 1):
            row = self._one_epoch(epoch)
            after_epoch(row)
            stop = self.plateau is not None and self.stopper.should_stop(row["validation_loss"])
            self._write(epoch, row)
            if stop:
                logger.info("stopped early after epoch %d", epoch)
                break

    def _one_epoch(self, epoch: int) -> dict[str, float]:
        # seeded by epoch, so that a resumed run sees the images an uninterrupted one sees
        torch.manual_seed(self.seed * 10_000 + epoch)
        set_training_mode(self.model, self.recipe.frozen_stages)
        title = f"epoch {epoch}/{self.recipe.epochs}"
        trained = train_one_epoch(
            self.model, self._training_batches(), self.optimizer, self.context, self._after_step, title
        )
        batches = DataLoader(self.held_out, self.recipe.batch_size, collate_fn=collate)
        validated = validate(self.best_model, batches, self.context)
        if self.plateau is not None:
            self.plateau.step(validated.loss / validated.images)
        rate = self.optimizer.param_groups[-1]["lr"]
        return {"epoch": epoch, "rate": rate} | trained.row("train") | validated.row("validation")

    def _training_batches(self) -> Batches:
        sampler = WeightedRandomSampler(self.training.sampling_weights().tolist(), len(self.training))
        return DataLoader(self.training, self.recipe.batch_size, sampler=sampler, collate_fn=collate, drop_last=True)

    def _after_step(self) -> None:
        if self.one_cycle is not None:
            self.one_cycle.step()
        if self.average is not None:
            self.average.update_parameters(self.model)

    def _write(self, epoch: int, row: dict[str, float]) -> None:
        self.progress.epochs_done = epoch
        self.progress.history.append(row)
        self.progress.scheduler = dict((self.one_cycle or self.plateau).state_dict())  # type: ignore[union-attr]
        self.progress.best_loss, self.progress.epochs_without_gain = self.stopper.best, self.stopper.epochs_without_gain
        weights = {key: value.detach().contiguous().cpu() for key, value in self.best_model.state_dict().items()}
        save_file(weights, self.folder / f".{WEIGHTS}")
        (self.folder / f".{WEIGHTS}").replace(self.folder / WEIGHTS)
        with (self.folder / HISTORY).open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            writer.writeheader()
            writer.writerows(self.progress.history)
        draw_curves(self.progress.history, self.folder / CURVES)
        save_checkpoint(self.folder, self._state(), self.optimizer, self.progress)
