"""Reading scans without a worker: no database, no broker, no inbox; the same intake, network and decisions."""

from worker.predict.inputs import InputFile, Inputs, MissingInputError, list_inputs
from worker.predict.lines import BoxLine, FileLine, FileStatus, StudyLine, StudyStatus
from worker.predict.run import predict_units
from worker.predict.units import ScratchError, Unit, plan_units

__all__ = [
    "BoxLine",
    "FileLine",
    "FileStatus",
    "InputFile",
    "Inputs",
    "MissingInputError",
    "ScratchError",
    "StudyLine",
    "StudyStatus",
    "Unit",
    "list_inputs",
    "plan_units",
    "predict_units",
]
