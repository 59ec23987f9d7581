"""What an audit can find: words without patient data, so that they may be logged."""

from dataclasses import dataclass
from enum import StrEnum


class Trouble(StrEnum):
    """What is wrong; the sentence of each is in `SENTENCES`."""

    UNKNOWN_STATE = "unknown_state"
    BYTES_MISSING = "bytes_missing"
    READ_WITHOUT_STUDY = "read_without_study"
    DUPLICATE_OF_NOTHING = "duplicate_of_nothing"
    REJECTION_INCOMPLETE = "rejection_incomplete"
    STUDY_WITHOUT_IMAGE = "study_without_image"
    NO_REPORT = "no_report"
    REPORTED_TWICE = "reported_twice"
    REPORT_MISSING = "report_missing"
    OBJECT_MISSING = "object_missing"
    OBJECT_DAMAGED = "object_damaged"
    OBJECT_ORPHAN = "object_orphan"
    CLAIM_ORPHAN = "claim_orphan"
    CLAIM_LEFT_OVER = "claim_left_over"
    REPORT_ORPHAN = "report_orphan"
    REPORT_DAMAGED = "report_damaged"
    REJECTION_ORPHAN = "rejection_orphan"
    REJECTION_DAMAGED = "rejection_damaged"
    PART_LEFT_OVER = "part_left_over"
    UNPACKING_LEFT_OVER = "unpacking_left_over"
    PURGE_LEFT_OVER = "purge_left_over"
    PAGE_STALE = "page_stale"


SENTENCES = {
    Trouble.UNKNOWN_STATE: "the row's state is none the program knows",
    Trouble.BYTES_MISSING: "the file waits, but its bytes are neither claimed nor stored",
    Trouble.READ_WITHOUT_STUDY: "the file was read, but belongs to no study",
    Trouble.DUPLICATE_OF_NOTHING: "the file is a duplicate of bytes that no study has",
    Trouble.REJECTION_INCOMPLETE: "the file was rejected, but its bytes or the reason are not in the outbox",
    Trouble.STUDY_WITHOUT_IMAGE: "the study has no image",
    Trouble.NO_REPORT: "the study counts as reported, but its revision has no report",
    Trouble.REPORTED_TWICE: "one revision of the study was reported more than once",
    Trouble.REPORT_MISSING: "a delivered report is not in the outbox",
    Trouble.OBJECT_MISSING: "a row names bytes that are not in the store",
    Trouble.OBJECT_DAMAGED: "stored bytes have another sum than their name says",
    Trouble.OBJECT_ORPHAN: "stored bytes that no row names",
    Trouble.CLAIM_ORPHAN: "a claimed file that no row names; a running worker adopts it",
    Trouble.CLAIM_LEFT_OVER: "the claimed copy of a file that is stored; a running worker removes it",
    Trouble.REPORT_ORPHAN: "a report in the outbox that no row names",
    Trouble.REPORT_DAMAGED: "a report in the outbox is not the one that was stored",
    Trouble.REJECTION_ORPHAN: "a rejected file in the outbox that no row names",
    Trouble.REJECTION_DAMAGED: "a rejected file in the outbox has other bytes than were received",
    Trouble.PART_LEFT_OVER: "a file that was never finished",
    Trouble.UNPACKING_LEFT_OVER: "unpacked members of an archive that nobody unpacks",
    Trouble.PURGE_LEFT_OVER: "the report or returned copy of something that was purged; the next purge removes it",
    Trouble.PAGE_STALE: "the worklist page does not say what the database says",
}


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong; field names are those of the JSON contract.

    Attributes:
        trouble: what.
        subject: of what: `file 12`, `study 0123456789ab`, or a path below TRIAGE_HOME made of ids and sums alone.
    """

    trouble: Trouble
    subject: str

    @property
    def sentence(self) -> str:
        """For people."""
        return f"{self.subject}: {SENTENCES[self.trouble]}."


def file_subject(file_id: int) -> str:
    """The subject of a finding about the row of a file."""
    return f"file {file_id}"
