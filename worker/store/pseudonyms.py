"""What is kept of a scan's text where `TRIAGE_PATIENT_TEXT` is off: nothing that says who or where.

`queries` asks `pseudonyms_of` whenever it writes a row, so that no reader has to leave anything out.
"""

import hmac
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self, cast

from sqlalchemy.orm import Session

from worker.domain import InstanceHeader, PatientText
from worker.store.objects import PRIVATE_FILE
from worker.weighting import telling_words

KEY_BYTES = 32
INFO_KEY = "pseudonyms"
"""Under which a session carries them."""


@dataclass(frozen=True)
class Pseudonyms:
    """The same text always gets the same pseudonym, and only who has the key can try texts until one fits.

    UIDs are replaced as by the basic profile of PS3.15 annex E: by others that still say what belongs together. An
    unkeyed sum would not do: a patient's id has few digits, and a UID can be guessed from its neighbours.
    """

    key: bytes = field(repr=False)

    @classmethod
    def of_key_file(cls, path: Path) -> Self:
        """Read the key, made on first use.

        Raises:
            OSError: it can be neither read nor made, or is damaged.
        """
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, PRIVATE_FILE)
        except FileExistsError:
            pass
        else:
            with os.fdopen(descriptor, "wb") as file:
                file.write(os.urandom(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
        key = path.read_bytes()
        if len(key) != KEY_BYTES:
            raise OSError(f"{path} is damaged, or just being made: start again, or bring it back from a backup")
        return cls(key)

    def uid(self, uid: str) -> str:
        """A UID made of another one, under the root for those without an owner (PS3.5 B.2)."""
        return f"2.25.{int.from_bytes(self._digest('uid', uid)[:16])}"

    def header(self, header: InstanceHeader) -> InstanceHeader:
        """The header without text, but for what is needed to group, to choose and to order slices."""
        patient_id = header.patient.patient_id
        kinds = tuple(self._digest("image type", kind).hex()[:8] for kind in header.acquisition.image_type)
        return replace(
            header,
            study_uid=self.uid(header.study_uid),
            series_uid=self.uid(header.series_uid),
            sop_uid=self.uid(header.sop_uid),
            series_description=telling_words(header.series_description),
            acquisition=replace(header.acquisition, image_type=kinds),
            patient=PatientText(
                patient_id=None if patient_id is None else self._digest("patient", patient_id).hex()[:12]
            ),
        )

    def _digest(self, what: str, text: str) -> bytes:
        return hmac.digest(self.key, f"{what}:{text}".encode(errors="surrogatepass"), "sha256")


def pseudonyms_of(session: Session) -> Pseudonyms | None:
    """Those to be written by this session; `None` where text is kept."""
    return cast("Pseudonyms | None", session.info.get(INFO_KEY))


def neutral_file_name(claim_id: str) -> str:
    """What a file is called instead of its name."""
    return f"file-{claim_id[:12]}"
