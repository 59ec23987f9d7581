"""Which studies the worklist page shows when there are more than fit, on SQLite and on Postgres."""

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session, sessionmaker

from reports.content import WorklistTotals
from tests.worker.conftest import NOON, ClockedServices
from tests.worker.filing import header, receive
from worker.domain import Priority
from worker.outbox import INDEX_NAME
from worker.pipeline import WORKLIST
from worker.steps.worklist import worklist_entries, write_worklist
from worker.store.chores import want_worklist
from worker.store.claims import claim_due
from worker.store.models import Chore, StudyState
from worker.store.worklist import file_names, worklist_studies, worklist_totals

Sessions = sessionmaker[Session]
URGENT, REVIEW, ROUTINE = Priority.URGENT, Priority.REVIEW, Priority.ROUTINE


def fill(sessions: Sessions, priority: Priority | None, count: int, state: StudyState = StudyState.REPORTED) -> None:
    """`count` studies of a priority, number 1 the oldest."""
    with sessions.begin() as session:
        for number in range(1, count + 1):
            study = receive(session, header(1, f"1.{priority or 0}.{state}.{number}"), NOON + timedelta(days=number))
            study.patient_name, study.priority, study.state = f"{priority or state} {number}", priority, state


def shown(sessions: Sessions, limit: int) -> list[str]:
    with sessions.begin() as session:
        return [study.patient_name or "" for study in worklist_studies(session, limit)]


def test_the_newest_urgent_ones_stay_and_the_longest_waiting_comes_first(sessions: Sessions) -> None:
    fill(sessions, URGENT, 12)
    assert shown(sessions, 10) == [f"urgent {number}" for number in range(3, 13)]


def test_old_urgent_studies_do_not_hide_the_newest_others(sessions: Sessions) -> None:
    for priority in (URGENT, REVIEW, ROUTINE):
        fill(sessions, priority, 20)
    fill(sessions, None, 3, StudyState.COLLECTING)
    names = shown(sessions, 15)
    assert len(names) == 15
    assert [name for name in names if name.startswith(("review", "routine", "collecting"))] == [
        "review 18", "review 19", "review 20", "routine 18", "routine 19", "routine 20",
        "collecting 1", "collecting 2", "collecting 3",
    ]  # fmt: skip
    assert names[:6] == [f"urgent {number}" for number in range(15, 21)]


@pytest.mark.parametrize("state", [StudyState.COLLECTING, StudyState.ANALYSED, StudyState.RENDERED])
def test_an_old_unfinished_study_stays(sessions: Sessions, state: StudyState) -> None:
    fill(sessions, ROUTINE, 1, state)
    fill(sessions, ROUTINE, 20)
    assert shown(sessions, 10) == ["routine 1", *(f"routine {number}" for number in range(12, 21))]


def test_without_a_limit_all_are_listed(sessions: Sessions) -> None:
    fill(sessions, URGENT, 12)
    with sessions.begin() as session:
        assert len(worklist_studies(session)) == 12


def test_every_study_has_the_names_of_its_files(sessions: Sessions) -> None:
    fill(sessions, URGENT, 2)
    with sessions.begin() as session:
        receive(session, header(2, f"1.{URGENT}.{StudyState.REPORTED}.2"), NOON)
    with sessions.begin() as session:
        entries = worklist_entries(session)
    assert [sorted(entry.files) for entry in entries] == [["1.2.4.1.dcm"], ["1.2.4.1.dcm", "1.2.4.2.dcm"]]


def test_names_are_read_of_the_studies_on_the_page_only(sessions: Sessions) -> None:
    fill(sessions, URGENT, 3)
    with sessions.begin() as session:
        (study,) = worklist_studies(session, 1)
        assert file_names(session, 1) == {study.id: ("1.2.4.1.dcm",)}


def test_totals_count_everything(sessions: Sessions) -> None:
    fill(sessions, URGENT, 3)
    fill(sessions, REVIEW, 2)
    fill(sessions, ROUTINE, 1, StudyState.FAILED)
    fill(sessions, None, 2, StudyState.COLLECTING)
    fill(sessions, None, 1, StudyState.FAILED)
    with sessions.begin() as session:
        assert worklist_totals(session) == WorklistTotals(9, urgent=3, review=2, routine=1, waiting=2, failed=2)


def test_the_page_says_how_many_it_shows(services: ClockedServices) -> None:
    fill(services.session, URGENT, 7)
    services.settings.worklist_size = 5
    with services.session.begin() as session:
        want_worklist(session, services.now())
    with services.session.begin() as session:
        claim = claim_due(session, Chore, WORKLIST.takes, 1, services.now(), services.lease)
    assert claim is not None
    write_worklist(services, claim)
    page = (services.settings.outbox / INDEX_NAME).read_text()
    assert "5 of 7 studies shown" in page
    assert "urgent 7" in page
    assert "urgent 2" not in page
