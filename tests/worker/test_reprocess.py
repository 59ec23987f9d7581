"""`reprocess`: the answer of today as a revision of its own, beside the one that was reported."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from tests.worker.conftest import ClockedServices
from tests.worker.home import Home
from tests.worker.scans import png
from worker.pipeline import ANALYSE
from worker.stage_runner import run_stage
from worker.store import queries
from worker.store.models import Event, Result, Study, StudyState

NEWER = "9999.1"
ONE_DUE = "1 study is due to be read again.\n"


@pytest.fixture
def home(services: ClockedServices) -> Home:
    services.clock = datetime.now(UTC)
    home = Home(services)
    home.drop("one.png", png(1))
    home.work()
    return home


def study_id(home: Home) -> str:
    with home.services.session.begin() as session:
        return session.scalars(select(Study.public_id).order_by(Study.id)).first() or ""


def with_newer_model(home: Home) -> None:
    predictor: Any = home.services.predictor
    predictor.bundle.version = NEWER
    home.services.__dict__["bundle"] = replace(home.services.bundle, version=NEWER)
    home.services.wait(5)  # the command line goes by the clock of the machine


def test_the_old_report_stays_and_the_new_one_supersedes_it(home: Home) -> None:
    old = home.report()
    content = old.read_bytes()
    with_newer_model(home)
    result = home.call("reprocess", study_id(home))
    assert (result.exit_code, result.stdout) == (0, ONE_DUE)
    assert home.verify("--sums").exit_code == 0
    home.work()
    assert old.read_bytes() == content
    assert sorted(path.name for path in old.parent.iterdir()) == [old.name, old.name.replace("-r1", "-r2")]
    page = (home.outbox / "index.html").read_text()
    assert "supersedes revision 1" in page
    with home.services.session.begin() as session:
        results = session.scalars(select(Result).order_by(Result.revision)).all()
        assert [result.model_version for result in results] == ["test-1", NEWER]
        kinds = list(session.scalars(select(Event.kind).order_by(Event.id)))
        assert kinds[-5:] == ["revision_opened", "reprocess", "analysed", "rendered", "reported"]
    assert home.verify("--sums").exit_code == 0


def test_asked_for_again_while_it_waits_it_is_done_once(home: Home) -> None:
    assert home.call("reprocess", study_id(home)).stdout == ONE_DUE
    again = home.call("reprocess", study_id(home), study_id(home))
    assert (again.exit_code, again.stdout) == (0, "0 studies are due to be read again, 1 waited for that already.\n")
    with home.services.session.begin() as session:
        assert session.query(Study).one().revision == 2


def in_work(home: Home) -> None:
    home.update(Study, Study.id > 0, state=StudyState.COLLECTING, lease_until=datetime.now(UTC) + timedelta(minutes=1))


def analysed(home: Home) -> None:
    home.update(Study, Study.id > 0, state=StudyState.COLLECTING)
    home.services.wait(5)
    run_stage(ANALYSE, home.services, lambda _: None)


@pytest.mark.parametrize("make_busy", [in_work, analysed])
def test_a_study_in_work_is_refused(home: Home, make_busy: Callable[[Home], None]) -> None:
    make_busy(home)
    result = home.call("reprocess", study_id(home))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"Study {study_id(home)} is in work")
    assert len(result.stderr.splitlines()) == 1
    assert home.call("reprocess", "--all").stdout == "0 studies are due to be read again.\n"


def test_a_failed_study_and_one_that_is_not_there_are_refused_and_nothing_is_done(home: Home) -> None:
    reported = study_id(home)
    home.drop("two.png", png(2))
    home.work()
    home.update(Study, Study.public_id != reported, state=StudyState.FAILED)
    with home.services.session.begin() as session:
        failed = session.scalars(select(Study.public_id).where(Study.state == StudyState.FAILED)).one()
    assert "retry" in home.call("reprocess", reported, failed).stderr
    assert "There is no study 'nonesuch'" in home.call("reprocess", reported, "nonesuch").stderr
    with home.services.session.begin() as session:
        assert set(session.scalars(select(Study.revision))) == {1}


def test_all_wait_behind_what_has_no_report_yet(home: Home) -> None:
    home.drop("two.png", png(2))
    home.work()
    assert home.call("reprocess", "--all").stdout == "2 studies are due to be read again.\n"
    with home.services.session.begin() as session:
        assert set(session.scalars(select(Study.rank))) == {queries.READ_AGAIN_RANK}


def test_only_what_an_older_model_read(home: Home) -> None:
    """Its version, test-1, is lower than that of any real model."""
    older = study_id(home)
    with_newer_model(home)
    home.drop("two.png", png(2))
    home.work()
    assert home.call("reprocess", "--older-than-model").stdout == ONE_DUE
    with home.services.session.begin() as session:
        due = session.scalars(select(Study.public_id).where(Study.state == StudyState.COLLECTING)).all()
    assert due == [older]


def test_without_a_model_there_is_a_sentence(home: Home) -> None:
    result = home.call("reprocess", "--older-than-model", TRIAGE_MODEL=str(home.path))
    assert result.exit_code == 1
    assert result.stderr.startswith("The model cannot be used: ")


@pytest.mark.parametrize("arguments", [(), ("--all", "--older-than-model"), ("abc", "--all")])
def test_one_way_must_be_named(home: Home, arguments: tuple[str, ...]) -> None:
    result = home.call("reprocess", *arguments)
    assert (result.exit_code, result.stderr) == (2, "Name either STUDY..., --all or --older-than-model.\n")
