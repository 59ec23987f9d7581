"""What `trainer.fit` does when training is over: loss and accuracy on Val, and a picture of some of its images."""

import json

from trainer.dataset import BrainTumorTestDataset
from trainer.figures import draw_samples
from trainer.intervals import wilson_interval
from trainer.labels import Sample
from trainer.run import TrainingRun

TEST, TEST_SAMPLES = "test.json", "test-samples.png"


def is_tested(run: TrainingRun) -> bool:
    """Whether the run folder holds the test of the last epoch."""
    path = run.folder / TEST
    return path.is_file() and bool(json.loads(path.read_text())["epochs"] == run.progress.epochs_done)


def test_on_val(run: TrainingRun, samples: list[Sample]) -> dict[str, object]:
    """Measure the kept network on Val and write `test.json` and `test-samples.png` into the run folder.

    This is the network's classifier alone, as the published notebook measures it: no boxes, no calibration.
    `trainer.evaluate` measures the exported model.
    """
    dataset = BrainTumorTestDataset(samples, run.recipe.size, run.recipe.cut_to_head)
    measured = run.measure(dataset)
    right = round(measured["validation_accuracy"] * len(dataset))
    found: dict[str, object] = {
        "epochs": run.progress.epochs_done,
        "images": len(dataset),
        "test_loss": measured["validation_loss"],
        "test_accuracy": measured["validation_accuracy"],
        "test_accuracy_ci95": wilson_interval(right, len(dataset)),
        "look_alikes_left_out_of_training": run.recipe.leak_filter,
    }
    if run.processes.is_first:
        (run.folder / TEST).write_text(json.dumps(found, indent=2) + "\n")
        draw_samples(samples, run.folder / TEST_SAMPLES)
    return found
