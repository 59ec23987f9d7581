"""The files of a data folder: found, checked one by one, and set beside originals.csv where there is one."""

import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from rich.progress import track

from trainer.audit_findings import Finding, Slug, note, warning
from trainer.image_check import ImageFacts, check_image, unusual_mode, wrong_content_type
from trainer.label_check import check_label_file
from trainer.labels import IMAGE_SUFFIXES, DatasetError, LabelLine, Split, label_path_of
from trainer.runtime.records import CLASSES, TumorClass
from trainer.terminal import PROGRESS

ORIGINALS = "originals.csv"
ORIGINAL_COLUMNS = ("split", "class", "file", "sha256", "width", "height", "mode", "format")


@dataclass(frozen=True)
class Original:
    """A row of originals.csv: the published file that the file at hand was made from. Size in pixels."""

    sha256: str
    width: int
    height: int
    mode: str
    format: str


@dataclass(frozen=True)
class AuditedImage:
    """One image file.

    Attributes:
        file: path within the data folder, `/` between the parts.
        path: where it lies.
        split: `None` in a folder of loose images, as is the class.
        tumor_class: its folder.
        lines: the valid label lines.
        facts: `None` where it cannot be decoded.
        original: the row of originals.csv, if there is one.
    """

    file: str
    path: Path
    split: Split | None
    tumor_class: TumorClass | None
    lines: tuple[LabelLine, ...]
    facts: ImageFacts | None
    original: Original | None = None

    @property
    def name(self) -> str:
        """`Glioma/images/x.jpg`, relative to its split, as `trainer.labels.Sample.name`."""
        return self.file.removeprefix(f"{self.split}/") if self.split else self.file


@dataclass(frozen=True)
class AuditedFiles:
    """Every image of a data folder, Train then Val, sorted by class and name, and what each file's check found."""

    images: tuple[AuditedImage, ...]
    findings: tuple[Finding, ...]
    has_originals: bool

    @property
    def has_labels(self) -> bool:
        """False for a folder of loose images."""
        return any(image.split for image in self.images)


@dataclass(frozen=True)
class _Place:
    """An image file to check: where it stands."""

    path: Path
    split: Split | None = None
    tumor_class: TumorClass | None = None


def read_files(data: Path) -> AuditedFiles:
    """Check every file of a data set, or of a folder of loose images, with a bar on standard error.

    Raises:
        DatasetError: `data` is no folder, or holds neither `Train/` nor `Val/` nor images.
    """
    places, findings = _find_files(data)
    title = f"checking {len(places)} images"
    images = []
    for place in track(places, title, console=PROGRESS, transient=True):
        image, found = _check(place, data)
        images.append(image)
        findings.extend(found)
    path = data / ORIGINALS
    if not path.is_file() or not places[0].split:  # its rows name splits: loose images have none
        return AuditedFiles(tuple(images), tuple(findings), has_originals=False)
    with_originals, found = _set_beside(images, read_originals(path))
    return AuditedFiles(tuple(with_originals), (*findings, *found), has_originals=True)


def _check(place: _Place, data: Path) -> tuple[AuditedImage, list[Finding]]:
    file = _within(data, place.path)
    image = check_image(place.path, file)
    if place.tumor_class is None:
        return AuditedImage(file, place.path, None, None, (), image.facts), list(image.findings)
    label = check_label_file(label_path_of(place.path), file, place.tumor_class)
    audited = AuditedImage(file, place.path, place.split, place.tumor_class, label.lines, image.facts)
    return audited, [*image.findings, *label.findings]


def _within(data: Path, path: Path) -> str:
    """Name within the data folder; bytes that are no text, which Linux allows in names, are written as escapes."""
    return path.relative_to(data).as_posix().encode("utf-8", "backslashreplace").decode()


def _find_files(data: Path) -> tuple[list[_Place], list[Finding]]:
    if not data.is_dir():
        raise DatasetError(f"{data} is no folder: name the folder that holds Train/ and Val/.")
    splits = [split for split in Split if (data / split).is_dir()]
    places: list[_Place] = []
    findings: list[Finding] = []
    for split in splits:
        for tumor_class in CLASSES:
            _find_in_class(data, split, tumor_class, places, findings)
        findings.extend(_stray_folders(data, split))
    if not splits:
        places = [_Place(path) for path in _images_in(data, data, findings, but=ORIGINALS)]
    if not places:
        raise DatasetError(_nothing_here(data, splits))
    return places, findings


def _nothing_here(data: Path, splits: Sequence[Split]) -> str:
    if splits:
        return f"{data} holds no image under {' or '.join(splits)} (looked for {', '.join(sorted(IMAGE_SUFFIXES))})."
    if any((data / tumor_class).is_dir() for tumor_class in CLASSES):
        return f"{data} is a split by itself: name the folder above it, the one that holds Train/ or Val/."
    return (
        f"{data} holds neither Train/ nor Val/, nor loose images: name a folder holding Train/ and Val/, each with one "
        f"folder a class ({', '.join(CLASSES)}) that holds images/ and labels/."
    )


def _find_in_class(
    data: Path, split: Split, tumor_class: TumorClass, places: list[_Place], findings: list[Finding]
) -> None:
    folder = data / split / tumor_class
    missing = [part for part in ("images", "labels") if not (folder / part).is_dir()]
    findings.extend(warning(Slug.FOLDER_MISSING, _within(data, folder / part), "is missing") for part in missing)
    images = list(_images_in(data, folder / "images", findings)) if "images" not in missing else []
    places.extend(_Place(path, split, tumor_class) for path in images)
    findings.extend(_shared_labels(data, images))
    if "labels" not in missing:
        findings.extend(_labels_without_image(data, folder / "labels", {path.stem for path in images}))


def _images_in(data: Path, folder: Path, findings: list[Finding], but: str = "") -> Iterator[Path]:
    """Files that the trainer would read, as `trainer.labels.list_samples` finds them; the others become findings."""
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.is_dir():
            yield path
        elif path.name != but:
            what = "a folder" if path.is_dir() else f"suffix {path.suffix!r} is none of an image"
            findings.append(note(Slug.STRAY, _within(data, path), f"is passed over: {what}"))


def _shared_labels(data: Path, images: Sequence[Path]) -> Iterator[Finding]:
    by_stem: dict[str, list[str]] = defaultdict(list)
    for path in images:
        by_stem[path.stem].append(_within(data, path))
    for files in by_stem.values():
        if len(files) > 1:
            sentence = f"shares its label file with {', '.join(PurePosixPath(file).name for file in files[1:])}"
            yield warning(Slug.LABEL_SHARED, files[0], sentence, others=tuple(files[1:]))


def _labels_without_image(data: Path, labels: Path, stems: set[str]) -> Iterator[Finding]:
    for path in sorted(labels.iterdir()):
        if path.suffix != ".txt" or path.is_dir():
            yield note(Slug.STRAY, _within(data, path), "is passed over: no label file (.txt)")
        elif path.stem not in stems:
            yield warning(Slug.LABEL_WITHOUT_IMAGE, _within(data, path), "is a label file without an image")


def _stray_folders(data: Path, split: Split) -> Iterator[Finding]:
    for path in sorted((data / split).iterdir()):
        if path.name not in CLASSES:
            yield note(Slug.STRAY, _within(data, path), f"is passed over: none of {', '.join(CLASSES)}")


def read_originals(path: Path) -> dict[str, Original]:
    """Rows of originals.csv by the file they stand for, `Train/Glioma/images/x.jpg`.

    Raises:
        DatasetError: a column is missing, or a size is no number.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {
                f"{row['split']}/{row['class']}/images/{row['file']}": Original(
                    row["sha256"], int(row["width"]), int(row["height"]), row["mode"], row["format"]
                )
                for row in csv.DictReader(file)
            }
    except (KeyError, TypeError, ValueError) as error:
        columns = ",".join(ORIGINAL_COLUMNS)
        raise DatasetError(f"{path} cannot be read ({error!r}): its columns must be {columns}.") from error


def _set_beside(
    images: Sequence[AuditedImage], originals: dict[str, Original]
) -> tuple[list[AuditedImage], list[Finding]]:
    findings: list[Finding] = []
    beside = []
    for image in images:
        original = originals.get(image.file)
        beside.append(replace(image, original=original))
        if original is None:
            findings.append(warning(Slug.ORIGINAL_UNKNOWN, image.file, f"is not listed in {ORIGINALS}"))
        elif image.facts is None or image.facts.sha256 != original.sha256:  # else its own check has said so
            findings.extend(_judge_original(image, original))
    splits = {str(image.split) for image in images}
    listed = {file for file in originals if file.split("/")[0] in splits}  # of a split that is not here: no news
    absent = sorted(listed - {image.file for image in images})
    findings.extend(warning(Slug.ORIGINAL_ABSENT, file, f"is listed in {ORIGINALS} and is not here") for file in absent)
    return beside, findings


def _judge_original(image: AuditedImage, original: Original) -> Iterator[Finding]:
    if sentence := wrong_content_type(original.format, original.mode, image.path.suffix.lower()):
        yield note(Slug.ORIGINAL_CONTENT_TYPE, image.file, f"the original is {sentence}")
    if sentence := unusual_mode(original.mode):
        yield note(Slug.ORIGINAL_MODE, image.file, f"the original has {sentence}")
