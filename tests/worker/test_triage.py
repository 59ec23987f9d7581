"""A test a rule."""

import pytest

from worker.domain import Priority, ReviewReason
from worker.triage import RULES, Evidence, prioritise

THRESHOLD = 0.6
CAPPING_REASONS = [ReviewReason.UNLIKE_BRAIN_MR, ReviewReason.UNSURE_OF_UNFAMILIAR]
ORDINARY_REASONS = [reason for reason in ReviewReason if reason not in CAPPING_REASONS]


def priority(tumor_probability: float, *reasons: ReviewReason) -> Priority:
    return prioritise(Evidence(tumor_probability, THRESHOLD, frozenset(reasons)))


@pytest.mark.parametrize("reason", CAPPING_REASONS)
@pytest.mark.parametrize("tumor_probability", [0.0, 0.59, 0.6, 1.0])
def test_an_answer_that_proves_too_little_is_review_however_probable(
    tumor_probability: float, reason: ReviewReason
) -> None:
    assert priority(tumor_probability, reason) is Priority.REVIEW
    assert priority(tumor_probability, *ReviewReason) is Priority.REVIEW


@pytest.mark.parametrize("tumor_probability", [0.6, 0.61, 1.0])
def test_a_tumour_at_or_above_the_operating_point_is_urgent(tumor_probability: float) -> None:
    assert priority(tumor_probability) is Priority.URGENT


@pytest.mark.parametrize("reason", ORDINARY_REASONS)
def test_urgent_wins_over_any_other_reason(reason: ReviewReason) -> None:
    assert priority(0.9, reason) is Priority.URGENT


@pytest.mark.parametrize("reason", ORDINARY_REASONS)
def test_any_reason_below_the_operating_point_is_review(reason: ReviewReason) -> None:
    assert priority(0.59, reason) is Priority.REVIEW


@pytest.mark.parametrize("tumor_probability", [0.0, 0.3, 0.5999])
def test_nothing_found_is_routine(tumor_probability: float) -> None:
    assert priority(tumor_probability) is Priority.ROUTINE


def test_each_rule_decides_some_case_that_the_others_leave_to_it() -> None:
    capped = [(0.9, [reason]) for reason in CAPPING_REASONS]
    cases = [*capped, (0.9, []), (0.1, [ReviewReason.LOW_MARGIN]), (0.1, [])]
    assert len(cases) == len(RULES)
    for number, (tumor_probability, reasons) in enumerate(cases):
        evidence = Evidence(tumor_probability, THRESHOLD, frozenset(reasons))
        assert [rule.applies(evidence) for rule in RULES].index(True) == number, RULES[number].why
