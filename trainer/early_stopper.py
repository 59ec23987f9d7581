"""When to stop: no lower validation loss for a while."""

from dataclasses import dataclass


@dataclass
class EarlyStopper:
    """Stops after `patience` epochs in a row whose loss is not at least `min_delta` below the best one."""

    patience: int = 10
    min_delta: float = 0.001
    best: float = float("inf")
    epochs_without_gain: int = 0

    def should_stop(self, validation_loss: float) -> bool:
        """Take one epoch's loss into account and say whether training should end."""
        if validation_loss < self.best - self.min_delta:
            self.best = validation_loss
            self.epochs_without_gain = 0
        else:
            self.epochs_without_gain += 1
        return self.epochs_without_gain >= self.patience
