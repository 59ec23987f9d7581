"""From a complete study to predictions, findings and a priority."""

from collections.abc import Sequence
from itertools import chain, groupby

from worker.analysis import conclude, predict_slices
from worker.domain import Analysis, SliceFinding
from worker.pipeline import ANALYSE
from worker.selection import Choice, all_headers, choose, chosen_headers, left_out_objects
from worker.services import Services
from worker.steps.headers import headers_of
from worker.steps.lost import is_any_instance_lost, spend_attempt
from worker.steps.pixels import stored_slices
from worker.steps.progress import followed
from worker.store import queries
from worker.store.claims import Claim, move
from worker.store.models import Study, StudyState
from worker.studies import missing_instance_numbers


def analyse_studies(services: Services, claim: Claim) -> None:
    """Analyse the claimed studies, slices of all of them batched together; each is committed when its last slice is.

    Raises:
        RejectedError: a stored instance no longer reads, which is a bug or a damaged disk.
    """
    with services.session.begin() as session:
        studies = {study.study_uid: study for study in queries.whole_studies(session, claim.ids)}
    most = services.settings.max_series
    choices = {uid: choose(headers_of(study), most) for uid, study in studies.items()}
    headers = {uid: chosen_headers(chosen) for uid, chosen in choices.items()}
    for study_uid in [uid for uid, study_headers in headers.items() if is_any_instance_lost(services, study_headers)]:
        spend_attempt(services, ANALYSE, claim, studies[study_uid].id)
        del headers[study_uid]
    slices = chain.from_iterable(stored_slices(services, study_headers) for study_headers in headers.values())
    lengths = {study_uid: len(study_headers) for study_uid, study_headers in headers.items()}
    findings = predict_slices(services.predictor, slices, services.settings.batch_size)
    findings = followed(services, claim, studies, lengths, findings)
    for study_uid, group in groupby(findings, key=lambda finding: finding.header.study_uid):
        _commit(services, claim, studies[study_uid], choices[study_uid], list(group))


def _commit(
    services: Services, claim: Claim, study: Study, choices: Sequence[Choice], findings: list[SliceFinding]
) -> None:
    predictor = services.predictor
    analysis: Analysis = conclude(findings, predictor.bundle.calibration, patient_id_conflict=study.patient_id_conflict)
    instance_ids = {instance.sha256: instance.id for instance in study.instances}
    incomplete = bool(missing_instance_numbers(all_headers(choices))) or study.incomplete
    now = services.now()
    with services.session.begin() as session:
        moved = move(
            session,
            Study,
            study.id,
            claim.token,
            ANALYSE.takes,
            state=StudyState.ANALYSED,
            priority=analysis.priority,
            incomplete=incomplete,
            slices_done=None,
            slices_total=None,
            not_before=now,
            rank=min(study.rank, queries.PRIORITY_RANK[analysis.priority]),
        )
        if not moved:
            return  # a late slice reopened the study: it will be read again with that slice
        queries.forget_revision(session, study)
        queries.note_left_out(session, study, left_out_objects(choices))
        queries.add_result(session, study, analysis, instance_ids, predictor.bundle.version, predictor.engine_name, now)
        queries.record(session, "analysed", now, study.id, detail=f"{len(findings)} slices, {analysis.priority}")
