"""When to stop: no lower validation loss for a while."""

from dataclasses import dataclass


@dataclass
class EarlyStopper:
    """Stops after `patience` epochs in a row whose loss is not at least `min_delta` below the best one."""

    patience: int = 10
    min_delta: float = 0.001
    best: float = float("inf")
    epochs_without_gain: int = 0

    @property
    def is_over(self) -> bool:
        """Whether training should end."""
        return self.epochs_without_gain >= self.patience

    def take(self, validation_loss: float) -> None:
        """Take one epoch's loss into account."""
        if validation_loss < self.best - self.min_delta:
            self.best = validation_loss
            self.epochs_without_gain = 0
        else:
            self.epochs_without_gain += 1
