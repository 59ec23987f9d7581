"""Is the model folder whole, and does the engine read a slice?"""

from collections.abc import Callable, Iterator
from time import perf_counter

import numpy as np

from trainer.runtime.bundle import ModelBundle, ModelFolderError
from trainer.runtime.predictor import Predictor
from worker.cli.doctor.lines import Line, ok, trouble
from worker.cli.failure import CommandError
from worker.settings import Settings

MODEL, ENGINE = "model", "engine"
LoadPredictor = Callable[[Settings], Predictor]


def check_model(settings: Settings) -> Iterator[Line]:
    """Every file of the model folder by its sum."""
    try:
        bundle = ModelBundle.load(settings.model_folder)
    except (FileNotFoundError, ModelFolderError) as error:
        yield trouble(MODEL, f"The model cannot be used: {error}", "Copy the model folder again, or set TRIAGE_MODEL.")
        return
    yield ok(MODEL, f"Model {bundle.version} is complete, and every file is the one it was made of.")


def check_engine(settings: Settings, load: LoadPredictor) -> Iterator[Line]:
    """Load the network and read one slice of noise, 256 × 256."""
    start = perf_counter()
    try:
        predictor = load(settings)
    except CommandError as error:
        yield trouble(ENGINE, error.sentence, "See TRIAGE_ENGINE and TRIAGE_MODEL in docs/settings.md.")
        return
    loaded = perf_counter()
    noise = np.random.default_rng(0).integers(0, 256, (256, 256), dtype=np.uint8)
    predictor.predict([noise])
    seconds = perf_counter() - loaded
    sentence = (
        f"The engine {predictor.engine_name} reads a slice in {seconds:.2f} s (loading took {loaded - start:.1f} s)."
    )
    yield ok(ENGINE, sentence)
