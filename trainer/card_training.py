"""What a model card says of the training, from the run.json in the model folder. No torch."""

from collections.abc import Iterator
from pathlib import Path

from trainer.run_record import SCRATCH, TORCHVISION, End, Ending, RunRecord, RunRecordError, StartWeights
from trainer.runtime.bundle import RUN, Manifest, ModelFolderError


def read_record(folder: Path, manifest: Manifest) -> RunRecord | None:
    """How a model was trained; `None` where its folder does not say (models up to 2026.11).

    Raises:
        ModelFolderError: its run.json is missing or broken.
    """
    if RUN not in manifest.files:
        return None
    try:
        record = RunRecord.read(folder)
    except RunRecordError as error:
        raise ModelFolderError(f"{error}: copy the model folder again.") from error
    if record is None:
        raise ModelFolderError(f"{folder / RUN} is missing: copy the model folder again.")
    return record


def start_weights_line(record: RunRecord | None) -> str:
    """A list item, for the terms: whose weights the body started from."""
    return f"- Start weights of the ResNet-50 body: {_start(record.start_weights if record else None)}.\n"


def _start(weights: StartWeights | None) -> str:
    if weights is None:
        return "ImageNet (`trainer.fit --weights`, or torchvision's), unless trained with\n  `--scratch`"
    if weights.source == SCRATCH:
        return "none, they were random (`--scratch`)"
    if weights.source == TORCHVISION:
        return f"ImageNet, {weights.source}"
    named = f"`{weights.source}` (sha256 `{weights.sha256}`)"
    if weights.before is None:
        return named
    epochs = f" of {weights.epochs} epochs" if weights.epochs is not None else ""
    return f"{named}, of a run{epochs},\n  which began with {_start(weights.before)}"


def training_lines(record: RunRecord | None, manifest: Manifest) -> Iterator[str]:
    """List items, for the provenance: how far training came, and what it ran on; none where nothing is known."""
    if record is None:
        return
    if record.end is not None:
        of = "each of the runs averaged below " if record.mean_of else ""
        yield f"- {of}{_how_far(record.end, manifest.recipe.get('epochs'))}, seed {record.seed}\n"
    for each in record.mean_of or ():
        yield f"- the weights are a mean: {each.share:.0%} of `{each.source}` (sha256 `{each.sha256}`)\n"
    if record.environment is not None:
        found = record.environment
        code = f", code {found.code}" if found.code else ""
        processes = "1 process" if found.processes == 1 else f"{found.processes} processes"
        yield f"- trained by {processes} on {found.device} in {found.precision}, torch {found.torch}{code}\n"


def _how_far(end: End, epochs: object) -> str:
    match end.ending:
        case Ending.ALL_EPOCHS:
            return f"trained for all {end.epochs_done} epochs"
        case Ending.EARLY_STOP:
            return f"trained for {end.epochs_done} of at most {epochs} epochs, until it stopped early"
        case _:
            return f"**not finished**: trained for {end.epochs_done} of {epochs} epochs ({end.ending})"
