"""A training run: network, optimizer, schedule, averaged weights and its folder, epoch after epoch."""

import csv
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Generator, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from trainer.batches import Batches, place_for, training_order
from trainer.checkpoint import Progress, load_checkpoint, save_checkpoint
from trainer.dataset import BrainTumorDataset, BrainTumorTestDataset
from trainer.early_stopper import EarlyStopper
from trainer.figures import draw_curves
from trainer.loop import Context, TrainingError, train_one_epoch, validate
from trainer.losses import BoxAssigner
from trainer.model import BrainTumorClassifier, freeze, parameter_groups, set_training_mode, training_precision
from trainer.parallel import Processes
from trainer.recipes import Recipe, Schedule
from trainer.style_mixing import mixed_styles

logger = logging.getLogger(__name__)

HISTORY, CURVES, WEIGHTS = "history.csv", "curves.png", "model.safetensors"

MIN_STEPS = 8
"""Of one cycle: a quarter of them warm up, and with a single such step OneCycleLR divides by zero."""


class TrainingRun:
    """Trains `model` on `training` by `recipe`, writing everything into `folder`; resumes from its last whole epoch.

    Args:
        folder: the run folder, which exists.
        recipe: what to do.
        model: with its first weights.
        training: images to learn from.
        held_out: images to validate on after every epoch.
        seed: of order and augmentation; on one device the same seed gives the same run.
        processes: who takes part; the batch of the recipe is divided among them.

    Raises:
        TrainingError: the images, the batch or the epochs are too few.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        model: BrainTumorClassifier,
        training: BrainTumorDataset,
        held_out: BrainTumorTestDataset,
        seed: int,
        processes: Processes,
    ) -> None:
        self.folder, self.recipe, self.seed, self.processes = folder, recipe, seed, processes
        device = processes.device
        assigner = BoxAssigner(recipe.size, device) if recipe.boxes else None
        self.context = Context(recipe, recipe.size, device, training_precision(device), assigner, processes)
        self.training, self.held_out = training, held_out
        for part in (training, held_out):
            part.keep_on(place_for(part.images, device))
        self._check_batch()
        freeze(model, recipe.frozen_stages)
        self.model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        rates = recipe.body_rate, recipe.head_rate, recipe.stage_rate_decay
        self.optimizer = AdamW(parameter_groups(self.model, *rates), weight_decay=recipe.weight_decay)
        self.one_cycle, self.plateau = self._schedules()
        self.stopper = EarlyStopper()
        self.average = (
            AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema_decay), use_buffers=True)
            if recipe.ema_decay
            else None
        )
        self.network = DistributedDataParallel(self.model) if processes.count > 1 else self.model
        self.progress = Progress(recipe.as_json())

    def _check_batch(self) -> None:
        batch_size, count = self.recipe.batch_size, self.processes.count
        if len(self.training) < batch_size:
            raise TrainingError(f"{len(self.training)} images are fewer than one batch of {batch_size}.")
        if batch_size % count:
            raise TrainingError(f"A batch of {batch_size} cannot be divided among {count} processes.")

    def _schedules(self) -> tuple[OneCycleLR | None, ReduceLROnPlateau | None]:
        recipe = self.recipe
        if recipe.schedule is Schedule.PLATEAU:
            return None, ReduceLROnPlateau(
                self.optimizer, patience=recipe.plateau_patience, factor=recipe.plateau_factor
            )
        peaks = [group["lr"] for group in self.optimizer.param_groups]
        steps_per_epoch = len(self._training_batches(recipe, Generator()))
        steps = steps_per_epoch * recipe.epochs
        if steps < MIN_STEPS:
            raise TrainingError(
                f"{recipe.epochs} epochs of {steps_per_epoch} batches are {steps} steps, one cycle needs at "
                f"least {MIN_STEPS}: take more --epochs or a smaller --batch-size."
            )
        return OneCycleLR(self.optimizer, peaks, total_steps=steps, pct_start=0.25), None

    @property
    def best_model(self) -> nn.Module:
        """The network that is kept: the averaged one where the recipe averages."""
        return self.average.module if self.average is not None else self.model

    @property
    def is_over(self) -> bool:
        """Whether every epoch is done, or the early stopper has spoken."""
        stopped = self.plateau is not None and self.stopper.is_over
        return stopped or self.progress.epochs_done >= self.recipe.epochs

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

    def fit(self, after_epoch: Callable[[dict[str, float]], None], seconds: float = float("inf")) -> None:
        """Train to the recipe's last epoch, until the early stopper says so (plateau schedule only), or out of time.

        Args:
            after_epoch: called with every row of `history.csv`.
            seconds: no epoch is begun that would end later than this; what is done is kept and can be gone on with.
        """
        start = time.monotonic()
        while not self.is_over:
            begun = time.monotonic()
            epoch = self.progress.epochs_done + 1
            row = self._one_epoch(epoch)
            after_epoch(row)
            if self.plateau is not None:
                self.stopper.take(row["validation_loss"])
            self._write(epoch, row)
            took, spent = time.monotonic() - begun, time.monotonic() - start
            left = self.recipe.epochs - epoch
            logger.info("%.0f s, %.1f images/s; at most %.0f min left", took, self._images() / took, left * took / 60)
            if self.processes.agree(spent + took > seconds) and not self.is_over:
                logger.info("no time for another epoch; the same command goes on after epoch %d", epoch)
                break

    def _images(self) -> int:
        return len(self.training) + len(self.held_out)

    def _one_epoch(self, epoch: int) -> dict[str, float]:
        # seeded by epoch, so that a resumed run sees the images an uninterrupted one sees
        progress, epoch_seed = (epoch - 1) / self.recipe.epochs, self.seed * 10_000 + epoch
        recipe = self.recipe.at(progress)
        torch.manual_seed(epoch_seed + 1_000_003 * self.processes.rank)
        set_training_mode(self.model, recipe.frozen_stages)
        title = f"epoch {epoch}/{recipe.epochs}"
        rate = self.optimizer.param_groups[-1]["lr"]
        batches = self._training_batches(recipe, Generator().manual_seed(epoch_seed))
        context = self._context_of(recipe, recipe.size_at(progress))
        with mixed_styles([self.model.layer1, self.model.layer2], recipe.style_mixing):
            trained = train_one_epoch(self.network, batches, self.optimizer, context, self._after_step, title)
        validated = self.measure(self.held_out)
        if self.plateau is not None:
            self.plateau.step(validated["validation_loss"])
        return {"epoch": epoch, "rate": rate} | trained | validated

    def _context_of(self, recipe: Recipe, size: int) -> Context:
        """The context of training by a recipe on images of a size."""
        assigner = self.context.assigner
        if recipe.boxes and size != self.context.size:
            assigner = BoxAssigner(size, self.context.device)
        return replace(self.context, recipe=recipe, size=size, assigner=assigner)

    def measure(self, dataset: BrainTumorTestDataset) -> dict[str, float]:
        """Losses and accuracy of the kept network on images as they are, as `history.csv` names them."""
        self.processes.level(self.best_model)
        # every process takes an uneven part: nothing is left out, nothing counted twice
        order = torch.arange(self.processes.rank, len(dataset), self.processes.count)
        batches = Batches(dataset, order, self.recipe.batch_size)
        return validate(self.best_model, batches, self.context)

    def _training_batches(self, recipe: Recipe, generator: Generator) -> Batches:
        order = self.processes.share(training_order(self.training, recipe, generator))
        return Batches(self.training, order, recipe.batch_size // self.processes.count)

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
        if self.processes.is_first:
            self._write_files()
        self.processes.wait()

    def _write_files(self) -> None:
        weights = {key: value.detach().contiguous().cpu() for key, value in self.best_model.state_dict().items()}
        save_file(weights, self.folder / f".{WEIGHTS}")
        (self.folder / f".{WEIGHTS}").replace(self.folder / WEIGHTS)
        # the checkpoint last: what it says is done is on disk
        with (self.folder / HISTORY).open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(self.progress.history[0]))
            writer.writeheader()
            writer.writerows(self.progress.history)
        draw_curves(self.progress.history, self.folder / CURVES)
        save_checkpoint(self.folder, self._state(), self.optimizer, self.progress)
