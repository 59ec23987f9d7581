"""How urgent a study is: one table of rules, the first that holds decides (docs/architecture.md)."""

from collections.abc import Callable
from dataclasses import dataclass

from worker.domain import Priority, ReviewReason


@dataclass(frozen=True)
class Evidence:
    """What triage looks at.

    Attributes:
        tumor_probability: calibrated 1 - P(No Tumor) of the study.
        urgent_threshold: the model's operating point on that probability.
        review_reasons: why a person should look.
    """

    tumor_probability: float
    urgent_threshold: float
    review_reasons: frozenset[ReviewReason]


@dataclass(frozen=True)
class Rule:
    """`priority` holds where `applies`; `why` is for readers of this table."""

    why: str
    applies: Callable[[Evidence], bool]
    priority: Priority


RULES: tuple[Rule, ...] = (
    Rule(
        "an input unlike a brain MR proves nothing, however sure the network is",
        lambda evidence: ReviewReason.UNLIKE_BRAIN_MR in evidence.review_reasons,
        Priority.REVIEW,
    ),
    Rule(
        "an answer on a scan of another kind than the model knows must be surer than others",
        lambda evidence: ReviewReason.UNSURE_OF_UNFAMILIAR in evidence.review_reasons,
        Priority.REVIEW,
    ),
    Rule(
        "a tumour finding above the operating point",
        lambda evidence: evidence.tumor_probability >= evidence.urgent_threshold,
        Priority.URGENT,
    ),
    Rule("any reason to look", lambda evidence: bool(evidence.review_reasons), Priority.REVIEW),
    Rule("nothing found", lambda _: True, Priority.ROUTINE),
)


def prioritise(evidence: Evidence) -> Priority:
    """The priority of the first rule that applies."""
    return next(rule.priority for rule in RULES if rule.applies(evidence))
