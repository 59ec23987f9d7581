"""`python -m trainer.audit DATA`: duplicates, leakage, label problems and statistics of a data set (docs/data.md).

Writes audit.json (every finding), audit.html (pictures of the worst) and groups.csv (which images show the same
picture, as every split uses it). Needs no torch.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from trainer.audit_findings import Severity, Slug
from trainer.audit_page import PAGE, remarks, write_page
from trainer.audit_results import AUDIT, GROUPS, Audit, audit, write_audit_json, write_groups
from trainer.audit_tables import TextTable, leakage_sentence, tables
from trainer.labels import DatasetError
from trainer.terminal import result_console

EXAMPLES = 10
"""Findings of each kind that are printed; all of them stand in audit.json."""
PRINTED_NOTES = frozenset({Slug.LABEL_MISSING, Slug.LABEL_EMPTY})
"""Kinds that are printed as notes too: a file that somebody may have lost, harmless as it is to the training."""


def _rich_table(table: TextTable) -> Table:
    made = Table(title=table.title, title_justify="left", title_style="bold")
    for place, heading in enumerate(table.headings):
        made.add_column(heading, justify="right" if table.is_number(place) else "left", overflow="fold")
    for row in table.rows:
        made.add_row(*(escape(cell) for cell in row))
    return made


def _examples(result: Audit) -> Iterator[str]:
    """The first warnings of each kind, one line each, and notes of some."""
    printed = [f for f in result.findings if f.severity is Severity.WARNING or f.slug in PRINTED_NOTES]
    for _, alike in groupby(printed, key=lambda finding: finding.slug):
        findings = list(alike)
        for finding in findings[:EXAMPLES]:
            line = f" line {finding.line}" if finding.line else ""
            yield f"{finding.file}{line}: {finding.sentence}"
        if len(findings) > EXAMPLES:
            yield f"... and {len(findings) - EXAMPLES:,} more of {findings[0].slug} in {AUDIT}"


def print_audit(result: Audit) -> None:
    """Print every table and the sum on standard output."""
    console = result_console()
    for table in tables(result):
        console.print(_rich_table(table))
    for sentence in (*remarks(result), leakage_sentence(result)):
        if sentence:
            console.print(sentence, markup=False)
    for example in _examples(result):
        console.print(example, markup=False, soft_wrap=True)
    notes = len(result.findings) - result.warnings
    console.print(f"{len(result.files.images):,} images: {result.warnings:,} warnings, {notes:,} notes.")


def write_all(result: Audit, folder: Path) -> None:
    """Write the three files into `folder`, which is made where it is missing.

    Raises:
        OSError: they cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_audit_json(result, folder / AUDIT)
    write_groups(result, folder / GROUPS)
    write_page(result, folder / PAGE)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line of `python -m trainer.audit`."""
    parser = argparse.ArgumentParser(prog="python -m trainer.audit", description=__doc__)
    parser.add_argument("data", type=Path, metavar="DATA", help="folder with Train/ and Val/, or of loose images")
    parser.add_argument("--out", type=Path, default=Path("runs/audit"), metavar="DIR", help="default: %(default)s")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when there is a warning")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 0 when audited, 1 with `--strict` and a warning, 2 with one sentence when it cannot be."""
    parsed = parse_arguments(arguments)
    try:
        result = audit(parsed.data)
        write_all(result, parsed.out)
    except (DatasetError, OSError) as error:
        print(f"trainer.audit: {error}", file=sys.stderr)  # noqa: T201  the command line's own answer
        return 2
    print_audit(result)
    written = ", ".join(str(parsed.out / name) for name in (AUDIT, GROUPS, PAGE))
    print(f"Written: {written}")  # noqa: T201  the command line's own answer
    return 1 if parsed.strict and result.warnings else 0


if __name__ == "__main__":
    sys.exit(main())
