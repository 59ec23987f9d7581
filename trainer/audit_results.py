"""A whole audit in one record, and the files it is written to: audit.json and groups.csv (docs/data.md)."""

import csv
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from trainer.audit_duplicates import Duplicates, find_duplicates
from trainer.audit_files import AuditedFiles, read_files
from trainer.audit_findings import Finding, Severity, Slug, in_order
from trainer.audit_statistics import Statistics, count_all
from trainer.labels import Split
from trainer.leakage import LOOK_ALIKE_DISTANCE
from trainer.runtime.bundle import write_json
from trainer.runtime.records import CLASSES

SCHEMA = 1
AUDIT = "audit.json"
GROUPS = "groups.csv"
GROUP_COLUMNS = ("split", "name", "sha256", "phash", "group")


@dataclass(frozen=True)
class Audit:
    """Everything an audit found.

    Attributes:
        data: the folder.
        written: when, UTC.
        files: every image and its checks.
        duplicates: groups and leakage.
        statistics: counts.
        findings: all of them, by kind in the order of `Slug`.
    """

    data: Path
    written: datetime
    files: AuditedFiles
    duplicates: Duplicates
    statistics: Statistics
    findings: tuple[Finding, ...]

    @property
    def warnings(self) -> int:
        """How many findings make `--strict` fail."""
        return sum(finding.severity is Severity.WARNING for finding in self.findings)

    def count(self, slug: Slug, split: Split | None = None) -> int:
        """Findings of a kind, of one split or of both."""
        inside = f"{split}/" if split else ""
        return sum(finding.slug is slug and finding.file.startswith(inside) for finding in self.findings)


def audit(data: Path) -> Audit:
    """Check, group and count a data folder.

    Raises:
        DatasetError: it is no data folder.
    """
    files = read_files(data)
    duplicates = find_duplicates(files.images)
    findings = tuple(in_order([*duplicates.findings, *files.findings]))
    return Audit(data, datetime.now(UTC).replace(microsecond=0), files, duplicates, count_all(files), findings)


def write_audit_json(result: Audit, path: Path) -> None:
    """Write all counts and every finding; docs/data.md lists the keys."""
    counts = Counter(finding.slug for finding in result.findings)
    leakage = result.duplicates.leakage
    value = {
        "schema": SCHEMA,
        "data": str(result.data),
        "written": result.written.isoformat(),
        "classes": list(CLASSES),
        "splits": [split for split in Split if any(image.split is split for image in result.files.images)],
        "has_labels": result.files.has_labels,
        "has_originals": result.files.has_originals,
        "images": len(result.files.images),
        "decoded": len(result.duplicates.pictures),
        "warnings": result.warnings,
        "notes": len(result.findings) - result.warnings,
        "counts": {slug: counts[slug] for slug in Slug},
        "look_alike_distance": LOOK_ALIKE_DISTANCE,
        "duplicates": asdict(result.duplicates.statistics),
        "leakage": asdict(leakage) if leakage else None,
        "statistics": asdict(result.statistics),
        "findings": [asdict(finding) for finding in result.findings],
    }
    write_json(path, value)


def write_groups(result: Audit, path: Path) -> None:
    """CSV of every decoded image: split, name, sum, perceptual hash (16 hex digits) and group number.

    The groups are those of `trainer.leakage.find_picture_groups` over Train, then Val.
    """
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(GROUP_COLUMNS)
        for picture in result.duplicates.pictures:
            image, facts = picture.image, picture.facts
            writer.writerow((image.split or "", image.name, facts.sha256, f"{facts.hashes[0]:016x}", picture.group))
    temporary.replace(path)
