"""All checks, each with the time it may take: a share or a server that swallows questions must not hold the doctor."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from functools import partial

from pydantic import ValidationError

from worker.cli.doctor.broker import check_broker
from worker.cli.doctor.database import check_database
from worker.cli.doctor.folders import check_disk, check_folders
from worker.cli.doctor.lines import Check, Examination, Line, State, trouble
from worker.cli.doctor.machine import check_machine
from worker.cli.doctor.model import LoadPredictor, check_engine, check_model
from worker.cli.doctor.settings import check_settings
from worker.cli.doctor.store import check_store
from worker.cli.doctor.watching import check_watching
from worker.settings import Settings, what_is_wrong

QUICK_SECONDS = 20.0
ENGINE_SECONDS = 180.0
"""The first time a network is compiled for the machine."""


def examine(load_predictor: LoadPredictor) -> Examination:
    """Look at everything; where a setting is wrong, at the settings alone."""
    try:
        settings = Settings()
    except ValidationError as error:
        lines = [trouble("settings", sentence, "Set it right: docs/settings.md.") for sentence in what_is_wrong(error)]
    else:
        lines = list(run_checks(settings, checks_with(load_predictor)))
    return Examination(_worst(lines), tuple(lines))


def checks_with(load_predictor: LoadPredictor) -> list[tuple[str, Check, float]]:
    """Name, check, and the seconds it may take."""
    return [
        ("settings", check_settings, QUICK_SECONDS),
        ("machine", check_machine, QUICK_SECONDS),
        ("folders", check_folders, QUICK_SECONDS),
        ("store", check_store, QUICK_SECONDS),
        ("disk", check_disk, QUICK_SECONDS),
        ("inbox", check_watching, QUICK_SECONDS),
        ("database", check_database, QUICK_SECONDS),
        ("broker", check_broker, QUICK_SECONDS),
        ("model", check_model, QUICK_SECONDS),
        ("engine", partial(check_engine, load=load_predictor), ENGINE_SECONDS),
    ]


def run_checks(settings: Settings, checks: Sequence[tuple[str, Check, float]]) -> Iterator[Line]:
    """The lines of one check after the other; of one that does not answer in its time, a line that says so."""
    for name, check, seconds in checks:
        answer: Future[list[Line]] = Future()
        # not a pool's: Python waits for those when it ends
        threading.Thread(target=_answer, args=(answer, check, settings), daemon=True).start()
        try:
            yield from answer.result(seconds)
        except TimeoutError:
            sentence = f"This did not answer within {seconds:.0f} s."
            yield trouble(name, sentence, "See whether the disk, share or server that it asks is there.")


def _answer(answer: Future[list[Line]], check: Check, settings: Settings) -> None:
    try:
        answer.set_result(list(check(settings)))
    except Exception as error:  # noqa: BLE001  raised again where the answer is asked for
        answer.set_exception(error)


def _worst(lines: Sequence[Line]) -> State:
    found = {line.state for line in lines}
    return next((state for state in (State.TROUBLE, State.WARNING) if state in found), State.OK)
