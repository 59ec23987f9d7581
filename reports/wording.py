"""The words of both documents: priorities, review reasons, percentages, times."""

from datetime import UTC, datetime
from typing import Final

from reports.content import Priority
from reports.text import clean

__all__ = ["PRIORITY_SENTENCES", "duration", "percent", "plain_reason", "utc"]

PRIORITY_SENTENCES: Final = {
    Priority.URGENT: "A tumour is suspected. Read this study first.",
    Priority.REVIEW: "A person should look at this study. The reasons are below.",
    Priority.ROUTINE: "No reason was found to read this study early.",
}

# Slugs of the worker's `ReviewReason`; a reason that is already a sentence is printed as it is.
_REASONS: Final = {
    "classifier_disagrees": "The two parts of the model disagree: the whole image speaks for another class than the "
    "marked boxes do.",
    "low_margin": "The two most likely classes are too close together to call.",
    "tumor_without_box": "The whole image looks like a tumour, but no lesion could be marked in it.",
    "unlike_brain_mr": "The input does not look like the brain MR images this model was trained on.",
    "unsure_of_unfamiliar": "The scan differs from those this model was trained on, and the answer is not sure enough "
    "for such a scan.",
    "patient_id_conflict": "Images of one study name different patients.",
}


def plain_reason(reason: str, limit: int = 300) -> str:
    """Return a review reason as a sentence of at most `limit` characters."""
    return clean(_REASONS.get(reason, reason), limit)


def percent(fraction: float) -> str:
    """Return `0.973` as `97.3 %`; never a round 0 or 100 for what is not exactly that."""
    if 0.9995 <= fraction < 1.0:
        return "> 99.9 %"
    if 0.0 < fraction < 0.0005:
        return "< 0.1 %"
    return f"{100 * fraction:.1f} %"


def utc(moment: datetime) -> str:
    """Return `2026-11-23 20:38:05 UTC`.

    Raises:
        ValueError: `moment` has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"time {moment.isoformat()} has no time zone, expected an aware datetime")
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def duration(seconds: float) -> str:
    """Return a waiting time in its two largest units, for example `1 h 20 min`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, hours = whole // 60 % 60, whole // 3600
    if hours < 1:
        return f"{minutes} min {whole % 60} s"
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"
