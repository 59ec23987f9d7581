"""When training ends by itself."""

from trainer.early_stopper import EarlyStopper


def stops_at(losses: list[float], patience: int, min_delta: float = 0.001) -> int | None:
    stopper = EarlyStopper(patience, min_delta)
    for epoch, loss in enumerate(losses, start=1):
        stopper.take(loss)
        if stopper.is_over:
            return epoch
    return None


def test_it_counts_epochs_without_gain_in_a_row() -> None:
    assert stops_at([1.0, 1.1, 1.2, 0.9, 1.0, 1.0, 1.0], patience=3) == 7


def test_a_gain_below_min_delta_is_none() -> None:
    assert stops_at([1.0, 0.9995, 0.999], patience=2) == 3


def test_many_small_steps_are_a_gain_once_they_add_up() -> None:
    assert stops_at([1.0 - 0.0006 * epoch for epoch in range(20)], patience=2) is None


def test_the_published_patience() -> None:
    assert stops_at([0.5] * 30, patience=EarlyStopper().patience) == 11
