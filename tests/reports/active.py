"""What of a PDF could do something by itself when it is opened (ISO 32000-1, 12.6 and 7.11.4)."""

from io import BytesIO
from typing import Any

from pypdf import PdfReader
from pypdf.generic import ArrayObject, DictionaryObject, IndirectObject, StreamObject

KEYS = frozenset(
    {"/AA", "/AcroForm", "/Annots", "/Collection", "/EF", "/EmbeddedFiles", "/JS", "/JavaScript", "/OpenAction",
     "/RichMedia", "/URI", "/XFA"}
)  # fmt: skip
"""Even annotations: our reports have none, not even links."""
TYPES = frozenset({"/EmbeddedFile", "/Filespec", "/Action", "/Annot"})
ACTIONS = frozenset(
    {"/GoToE", "/GoToR", "/ImportData", "/JavaScript", "/Launch", "/Movie", "/Rendition", "/ResetForm", "/Sound",
     "/SubmitForm", "/URI"}
)  # fmt: skip


def active_content(pdf: bytes) -> set[str]:
    """Everything of that kind in any object of the file, used or not."""
    reader = PdfReader(BytesIO(pdf))
    numbers = {number for table in reader.xref.values() for number in table} | set(reader.xref_objStm)
    assert numbers
    found = _of(reader.trailer)
    for number in numbers:
        found |= _of(reader.get_object(IndirectObject(number, 0, reader)))
    return found


def _of(value: Any) -> set[str]:
    if isinstance(value, ArrayObject):
        return set().union(*(_of(item) for item in value))
    if not isinstance(value, DictionaryObject | StreamObject):
        return set()
    found = KEYS & value.keys()
    if value.get("/Type") in TYPES:
        found |= {str(value["/Type"])}
    if value.get("/S") in ACTIONS:
        found |= {str(value["/S"])}
    return found.union(*(_of(item) for name, item in value.items() if name != "/Parent"))
