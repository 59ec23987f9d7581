"""Postgres refuses text that is longer than its column, which SQLite takes: nothing that a header says gets so far."""

from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from tests.worker.conftest import NOON
from tests.worker.filing import QUIET, QUIET_MAX, add_file
from tests.worker.test_hostile_text import ELEMENTS, hostile
from worker.errors import RejectedError
from worker.intake import DEFAULT_LIMITS, read_instance
from worker.intake.identity import identity_of_rejected
from worker.store import queries
from worker.store.models import Instance, ScanFile

LONG = 300
FAR_TOO_LONG = ["9" * LONG, "MR" * LONG, "\\".join(["MR"] * LONG), "1." * LONG + "1", "\U0001f9e0" * LONG + "1"]
"""Digits, a known term, many values, a UID, and characters of four bytes; no column with a length takes so much."""


@pytest.mark.parametrize("text", FAR_TOO_LONG, ids=["digits", "term", "values", "uid", "wide"])
def test_no_element_overflows_its_column(postgres_engine: Engine, tmp_path: Path, text: str) -> None:
    path = tmp_path / "scan.dcm"
    with Session(postgres_engine) as session, session.begin():
        for number, keyword in enumerate(ELEMENTS):
            path.write_bytes(hostile(7, number, keyword, text=text))
            row = add_file(session, f"{number}.dcm")
            identity = identity_of_rejected(path, DEFAULT_LIMITS)
            row.study_uid, row.series_name = identity.study_uid, identity.series_name
            with suppress(RejectedError):
                headers = read_instance(path, f"{number:064d}").headers
                queries.add_instance(session, row, headers, None, NOON, QUIET, QUIET_MAX)
            session.flush()
        assert session.query(ScanFile).count() == len(ELEMENTS)
        assert session.query(Instance).count() > 0
