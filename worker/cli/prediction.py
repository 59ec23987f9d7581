"""The `predict` command: loads the network, shows how far it is, prints lines or a table."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from trainer.runtime.bundle import ModelFolderError
from trainer.runtime.engine import EngineError
from trainer.runtime.predictor import Predictor, load_predictor
from worker.cli.failure import MISUSED, CommandError
from worker.cli.printing import print_json
from worker.cli.tables import print_study_lines
from worker.inbox_walk import TOO_DEEP
from worker.predict import MissingInputError, ScratchError, StudyLine, list_inputs, plan_units, predict_units
from worker.services import intake_limits
from worker.settings import Settings


def load_configured_predictor(settings: Settings) -> Predictor:
    """The network of the settings, with all cores unless TRIAGE_THREADS says otherwise.

    Raises:
        CommandError: the model or its engine cannot be used.
    """
    # compiled graphs are kept where a worker keeps them, but a folder is not made for that
    cache = settings.home / "cache" if settings.home.is_dir() else None
    try:
        return load_predictor(settings.model_folder, settings.engine, threads=settings.threads, cache=cache)
    except (FileNotFoundError, ModelFolderError, EngineError) as error:
        raise CommandError(str(error)) from None


def print_predictions(
    paths: Sequence[Path], settings: Settings, load: Callable[[Settings], Predictor], *, as_json: bool
) -> None:
    """Read everything below `paths` and print one line or row a study.

    Raises:
        CommandError: a path leads nowhere, the model cannot be used, or there is no room to unpack an archive.
    """
    lines = _predictions(paths, settings, load, bar=not (as_json and sys.stdout.isatty()))
    if not as_json:
        print_study_lines(list(lines))
        return
    for line in lines:
        print_json(line)


def _predictions(
    paths: Sequence[Path], settings: Settings, load: Callable[[Settings], Predictor], *, bar: bool
) -> Iterator[StudyLine]:
    limits = intake_limits(settings)
    try:
        inputs = list_inputs(paths)
    except MissingInputError as error:
        raise CommandError(f"There is no file or folder {error.name}.", MISUSED) from None
    if inputs.folders_too_deep:
        sys.stderr.write(
            f"Folders nested too deeply ({TOO_DEEP}): {inputs.folders_too_deep:,}. What is in them is not read: "
            "move their files up, or give their paths.\n"
        )
    predictor = load(settings)
    with TemporaryDirectory(prefix="triage-predict-") as scratch:
        try:
            units = plan_units(inputs.files, Path(scratch), limits)
        except ScratchError as error:
            raise CommandError(
                f"An archive cannot be unpacked in {gettempdir()}: {error}. Set TMPDIR to a folder with room."
            ) from None
        with _progress(sum(len(unit.files) for unit in units), wanted=bar) as on_file:
            yield from predict_units(units, predictor, limits, settings.batch_size, settings.max_series, on_file)


@contextmanager
def _progress(total: int, *, wanted: bool) -> Iterator[Callable[[], None]]:
    """A bar on standard error where a person watches it; standard output is never touched."""
    console = Console(stderr=True)
    columns = (TextColumn("Reading"), BarColumn(), MofNCompleteColumn(), TextColumn("files"), TimeRemainingColumn())
    disabled = not (wanted and console.is_terminal)
    with Progress(
        *columns, console=console, disable=disabled, transient=True, redirect_stdout=False, redirect_stderr=False
    ) as progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.advance(task)
