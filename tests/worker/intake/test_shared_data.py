"""Real and hostile files outside the repository: what is expected of them, and known deviations with their reasons."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from worker.errors import Reason, RejectedError
from worker.intake import DEFAULT_LIMITS, FileType, extract, file_type, read_instance
from worker.intake.decode import decode_frame
from worker.intake.display import MAX_WHITE_SHARE, MIN_GREYS, MIN_VISIBLE_SHARE, Look, Showable
from worker.intake.elements import integer_of, quiet_pydicom
from worker.intake.facts import facts_of
from worker.intake.frames import frame_datasets
from worker.intake.grey import StoredImage, levels_of
from worker.intake.parse import parse_dicom
from worker.intake.rescale import Rescale
from worker.intake.voi import views_of

REPOSITORY = Path(__file__).resolve().parents[3]
PAGE = (REPOSITORY / "docs" / "dicom.md").read_text(encoding="utf-8")
SHARED = Path(os.environ.get("TRIAGE_SHARED", REPOSITORY.parent / "shared"))

_NO_UIDS = "no StudyInstanceUID and SeriesInstanceUID: nothing tells which study and series it belongs to"

# file -> (outcome, reason); each is a decision, not an accident
DEVIATIONS = {
    "mr-not-brain/MR000000.dcm": ("rejected:missing_uid", _NO_UIDS),
    "mr-odd/decimal_rescale.dcm": ("rejected:missing_uid", _NO_UIDS),
    "broken/no_meta.dcm": ("rejected:not_an_image", "a stray byte before the first tag: it does not look like DICOM"),
}

# What the hostile table calls unreadable in one word has finer slugs here.
_UNREADABLE = frozenset(
    {
        "unreadable",
        "truncated",
        "not_an_image",
        "bad_header",
        "unsupported_syntax",
        "unsupported_pixels",
        "no_pixels",
        "too_large",
    }
)
HOSTILE_REASON_DEVIATIONS = {
    "pic/fake.heic": "HEIC has no type of its own: neither a picture that is read nor DICOM",
    "pixels/extreme_signed.dcm": "two grey values are a mask, whatever it shows",
}


def outcome(path: Path, scratch: Path) -> str:
    try:
        if file_type(path) is FileType.ZIP:
            extract(path, scratch, DEFAULT_LIMITS)
            return "unpacked"
        read_instance(path, "00" * 32)
    except RejectedError as error:
        return f"rejected:{error.reason.value}"
    return "predicted"


def manifest() -> list[tuple[str, str]]:
    path = SHARED / "dicom" / "MANIFEST.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["file"], row["expected"]) for row in csv.DictReader(file)]


@pytest.mark.skipif(not manifest(), reason=f"no shared data at {SHARED}; set TRIAGE_SHARED")
@pytest.mark.parametrize(("name", "expected"), manifest())
def test_manifest(name: str, expected: str, tmp_path: Path) -> None:
    wanted = set(expected.split("|"))
    if "ignored" in wanted:
        wanted.add("rejected:not_an_image")
    found = outcome(SHARED / "dicom" / name, tmp_path)
    if name in DEVIATIONS:
        # A deviation that went away must leave the table.
        assert found == DEVIATIONS[name][0]
        assert found not in wanted
    else:
        assert found in wanted


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    script = SHARED / "make_hostile.py"
    dicom = SHARED / "dicom" / "series-t1-axial" / "N2D_0179.dcm"
    jpeg = next((SHARED / "data" / "kaggle-val").rglob("*.jpg"), None)
    if not script.exists() or jpeg is None:
        pytest.skip(f"no shared data at {SHARED}; set TRIAGE_SHARED")
    folder = tmp_path_factory.mktemp("hostile")
    options: list[str | Path] = ["--dicom", dicom, "--jpeg", jpeg, "--with-special"]
    command = [sys.executable, "-W", "ignore", script, folder, *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


def hostile_rows(folder: Path) -> list[dict[str, str]]:
    """The table without names the inbox never claims and without files that could not be made here."""
    with (folder / "expected.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.DictReader(file))
    ours = (row for row in rows if row["expected"] != "ignore" or row["file"].startswith("special/"))
    return [row for row in ours if (folder / row["file"]).is_symlink() or (folder / row["file"]).exists()]


def disagreement(row: dict[str, str], found: str) -> str | None:
    """Say where an outcome differs from the table, `None` where it agrees."""
    refused = found.startswith("rejected:")
    slug = found.removeprefix("rejected:")
    agrees = {"accept": found == "predicted", "reject": refused, "ignore": refused, "any": True}[row["expected"]]
    if not agrees:
        return f"{row['file']!r}: {found}, expected {row['expected']} {row['reason']}"
    wanted = row["reason"]
    same = wanted in {"", "any", slug} or (wanted == "unreadable" and slug in _UNREADABLE)
    if refused and not same and row["file"] not in HOSTILE_REASON_DEVIATIONS:
        return f"{row['file']!r}: {slug}, expected {wanted}"
    return None


def test_hostile_inputs(hostile: Path, tmp_path: Path) -> None:
    rows = hostile_rows(hostile)
    assert len(rows) > 200
    complaints = []
    for row in rows:
        # Mode 000 means nothing to root.
        if row["file"] == "special/unreadable.dcm":
            continue
        complaint = disagreement(row, outcome(hostile / row["file"], tmp_path))
        if complaint:
            complaints.append(complaint)
    assert complaints == []
    assert list(tmp_path.iterdir()) == []


# -- docs/dicom.md


def test_the_page_explains_every_reason() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(Reason)


def test_the_page_explains_every_deviation() -> None:
    explained = re.findall(r"^\| `([\w-]+/[\w.]+)` \| `(\w+)` \|", PAGE, re.MULTILINE)
    assert explained == [(name, found.removeprefix("rejected:")) for name, (found, _) in DEVIATIONS.items()]


def decoded(path: Path) -> StoredImage:
    with quiet_pydicom():
        parsed = parse_dicom(path.read_bytes(), DEFAULT_LIMITS)
        return decode_frame(parsed, facts_of(parsed))


def looks_of(path: Path) -> list[Look]:
    """What each window of a file makes of its middle frame."""
    with quiet_pydicom():
        parsed = parse_dicom(path.read_bytes(), DEFAULT_LIMITS)
        facts = facts_of(parsed)
        frames = frame_datasets(parsed.dataset, facts.frames or 1)
        middle = len(frames) // 2
        pixels = levels_of(decode_frame(parsed, facts, middle)).histogram
        showable = Showable(
            rescale=Rescale.of(frames[middle]),
            views=views_of(parsed.dataset, frames[middle]),
            names_window=True,
            is_inverted=facts.photometric == "MONOCHROME1",
            padding=integer_of(parsed.dataset, "PixelPaddingValue"),
            sample=pixels,
            whole=lambda: pixels,
        )
        return [showable.look(pixels, view) for view in showable.views]


@pytest.mark.skipif(not manifest(), reason=f"no shared data at {SHARED}; set TRIAGE_SHARED")
def test_the_page_says_what_the_windows_of_scanners_do(tmp_path: Path) -> None:
    paths = [SHARED / "dicom" / name for name, _ in manifest()]
    looks = [look for path in paths if outcome(path, tmp_path) == "predicted" for look in looks_of(path)]
    assert len(looks) > 50
    visible, white, greys = zip(*((look.visible, look.white, look.spread) for look in looks), strict=True)
    assert f"| {min(visible):.2f} to {max(visible):.2f} | at least {MIN_VISIBLE_SHARE:.2f} |" in PAGE
    assert f"| {min(white):.2f} to {max(white):.2f} | at most {MAX_WHITE_SHARE:.2f} |" in PAGE
    assert f"| {min(greys)} to {max(greys)} | at least {MIN_GREYS} |" in PAGE


@pytest.mark.skipif(not manifest(), reason=f"no shared data at {SHARED}; set TRIAGE_SHARED")
def test_heads_do_not_look_like_air() -> None:
    heads = sorted((SHARED / "dicom").glob("series-*/*"))
    assert heads
    for path in heads:
        assert not levels_of(decoded(path)).histogram.looks_like_air(), path
