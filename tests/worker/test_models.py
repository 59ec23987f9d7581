"""Whatever a row may hold fits its column: SQLite would not mind, Postgres would."""

from enum import StrEnum

import pytest

from trainer.runtime.predictor import EngineName
from trainer.runtime.records import TumorClass
from worker.domain import Priority, StudyKind
from worker.errors import Reason
from worker.store.chores import WORKLIST_CHORE
from worker.store.models import Chore, ChoreState, FileState, LesionBox, Result, ScanFile, Study, StudyState


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (ScanFile.state, FileState), (Study.state, StudyState), (Chore.state, ChoreState), (ScanFile.reason, Reason),
        (Study.kind, StudyKind), (Study.priority, Priority), (Result.priority, Priority), (Result.label, TumorClass),
        (LesionBox.label, TumorClass), (Result.engine, EngineName),
    ],
    ids=str,
)  # fmt: skip
def test_every_value_fits(column, values: type[StrEnum]) -> None:
    assert max(len(value) for value in values) <= column.type.length


def test_the_chore_fits() -> None:
    assert len(WORKLIST_CHORE) <= Chore.name.type.length
