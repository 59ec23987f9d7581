"""TestLines: every bad line its slug and sentence; TestFiles: the file as a whole; TestSlugs: one vocabulary."""

from pathlib import Path

import pytest

from trainer.audit_findings import MEANINGS, Severity, Slug
from trainer.label_check import box_iou, check_label_file
from trainer.labels import LabelLine, MalformedLine
from trainer.runtime.records import TumorClass

GLIOMA, MENINGIOMA, NO_TUMOR, PITUITARY = TumorClass
GOOD = "0 0.5 0.5 0.2 0.2"


def check(tmp_path: Path, text: str | bytes, tumor_class: TumorClass = GLIOMA) -> list[tuple[Slug, int | None, str]]:
    path = tmp_path / "x.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    found = check_label_file(path, "x.jpg", tumor_class).findings
    return [(finding.slug, finding.line, finding.sentence) for finding in found]


class TestLines:
    @pytest.mark.parametrize(
        ("line", "slug", "sentence"),
        [
            ("0 0.5 0.5 0.2", Slug.FIELD_COUNT, "4 fields instead of 5"),
            ("0 0.5 0.5 0.2 0.2 0.9", Slug.FIELD_COUNT, "6 fields instead of 5"),
            ("glioma 0.5 0.5 0.2 0.2", Slug.NOT_A_NUMBER, "class 'glioma' is no whole number"),
            ("0.0 0.5 0.5 0.2 0.2", Slug.NOT_A_NUMBER, "class '0.0' is no whole number"),
            ("0 0.5 0,5 0.2 0.2", Slug.NOT_A_NUMBER, "centre y '0,5' is no number"),
            ("0 nan 0.5 0.2 0.2", Slug.NOT_FINITE, "centre x is nan"),
            ("0 0.5 0.5 inf 0.2", Slug.NOT_FINITE, "width is inf"),
            ("4 0.5 0.5 0.2 0.2", Slug.UNKNOWN_CLASS, "class 4 is not 0 to 3"),
            ("-1 0.5 0.5 0.2 0.2", Slug.UNKNOWN_CLASS, "class -1 is not 0 to 3"),
            ("0 1.5 0.5 0.2 0.2", Slug.OUT_OF_RANGE, "centre x 1.5 is not within 0 and 1"),
            ("0 0.5 -0.1 0.2 0.2", Slug.OUT_OF_RANGE, "centre y -0.1 is not within 0 and 1"),
            ("0 0.5 0.5 0.2 0", Slug.NO_SIZE, "the box has no height (0)"),
        ],
    )
    def test_a_malformed_line_is_left_out_with_its_own_sentence(
        self, tmp_path: Path, line: str, slug: Slug, sentence: str
    ) -> None:
        assert check(tmp_path, f"{GOOD}\n\n{line}\n") == [(slug, 3, f"{sentence}; the line is left out")]

    def test_bytes_that_are_no_text_cost_their_own_line(self, tmp_path: Path) -> None:
        found = check(tmp_path, b"0 0.5 \xff 0.2 0.2\n" + GOOD.encode())
        assert found == [(Slug.NOT_TEXT, 1, "holds bytes that are not UTF-8 text; the line is left out")]

    def test_a_byte_order_mark_is_no_trouble(self, tmp_path: Path) -> None:
        assert check(tmp_path, b"\xef\xbb\xbf" + GOOD.encode()) == []

    def test_utf_16_is_no_text_here(self, tmp_path: Path) -> None:
        assert Slug.NOT_TEXT in [slug for slug, _, _ in check(tmp_path, GOOD.encode("utf-16"))]

    @pytest.mark.parametrize(
        ("line", "slug", "part"),
        [
            ("0 0.05 0.5 0.2 0.2", Slug.BOX_OVER_BORDER, "reaches 5.0% of the side over the border"),
            ("0 0.5 0.95 0.2 0.2", Slug.BOX_OVER_BORDER, "over the border"),
            ("0 0.5 0.5 0.2 0.01", Slug.BOX_TINY, "20.00% × 1.00% of the image"),
            ("0 0.5 0.5 0.9 0.9", Slug.BOX_COVERS_HEAD, "a Glioma box covers 81% of the image"),
            (
                "1 0.5 0.5 0.2 0.2",
                Slug.CLASS_NOT_FOLDER,
                "(Meningioma) in the folder Glioma: the box is learnt as Menin",
            ),
            ("2 0.5 0.5 0.9 0.9", Slug.CLASS_NOT_FOLDER, "(No Tumor) in the folder Glioma: the box is left out"),
            ("3 0.5 0.6 0.1 0.1", Slug.GLAND, "a box of the normal gland in Glioma"),
        ],
    )
    def test_a_valid_line_that_is_odd(self, tmp_path: Path, line: str, slug: Slug, part: str) -> None:
        [(found, number, sentence)] = check(tmp_path, f"0 0.2 0.2 0.1 0.1\n{line}\n")
        assert (found, number) == (slug, 2)
        assert part in sentence

    def test_six_decimals_may_round_over_the_border(self, tmp_path: Path) -> None:
        assert check(tmp_path, "0 0.099999 0.5 0.2 0.2") == []

    def test_repeated_and_coinciding_boxes(self, tmp_path: Path) -> None:
        found = check(tmp_path, f"{GOOD}\n{GOOD}\n0 0.5 0.51 0.2 0.2\n")
        assert [(slug, line) for slug, line, _ in found] == [
            (Slug.BOX_REPEATED, 2),
            (Slug.BOXES_COINCIDE, 3),
            (Slug.BOXES_COINCIDE, 3),
        ]
        assert found[0][2] == "repeats line 1"

    def test_a_lesion_in_a_healthy_head(self, tmp_path: Path) -> None:
        [(slug, _, sentence)] = check(tmp_path, GOOD, NO_TUMOR)
        assert slug is Slug.CLASS_NOT_FOLDER
        assert sentence.endswith("the box is left out")

    def test_a_no_tumor_box_that_does_not_cover_the_head(self, tmp_path: Path) -> None:
        assert check(tmp_path, "2 0.5 0.5 0.9 0.9", NO_TUMOR) == []
        assert [slug for slug, _, _ in check(tmp_path, "2 0.5 0.5 0.3 0.3", NO_TUMOR)] == [Slug.SMALL_HEAD_BOX]


class TestFiles:
    def test_the_gland_as_the_only_box_is_ambiguous(self, tmp_path: Path) -> None:
        found = check(tmp_path, "3 0.5 0.6 0.1 0.1", MENINGIOMA)
        assert [slug for slug, _, _ in found] == [Slug.GLAND, Slug.AMBIGUOUS]

    def test_in_its_own_folder_it_is_a_lesion(self, tmp_path: Path) -> None:
        assert check(tmp_path, "3 0.5 0.6 0.1 0.1", PITUITARY) == []

    def test_no_line_marks_the_tumour(self, tmp_path: Path) -> None:
        assert [slug for slug, _, _ in check(tmp_path, "broken")] == [Slug.FIELD_COUNT, Slug.NO_LESION_BOX]

    @pytest.mark.parametrize(("tumor_class", "severity"), [(GLIOMA, Severity.WARNING), (NO_TUMOR, Severity.NOTE)])
    def test_missing_and_empty_files(self, tmp_path: Path, tumor_class: TumorClass, severity: Severity) -> None:
        (tmp_path / "empty.txt").write_text("\n \n")
        for name, slug in (("missing.txt", Slug.LABEL_MISSING), ("empty.txt", Slug.LABEL_EMPTY)):
            [finding] = check_label_file(tmp_path / name, "x.jpg", tumor_class).findings
            assert (finding.slug, finding.severity) == (slug, severity)

    def test_a_folder_in_place_of_a_label_file(self, tmp_path: Path) -> None:
        [finding] = check_label_file(tmp_path, "x.jpg", GLIOMA).findings
        assert finding.slug is Slug.LABEL_UNREADABLE


class TestSlugs:
    def test_every_malformed_line_is_a_kind_of_finding_and_every_kind_has_a_meaning(self) -> None:
        assert {malformed.value for malformed in MalformedLine} <= {slug.value for slug in Slug}
        assert list(MEANINGS) == list(Slug)

    def test_overlap_of_boxes(self) -> None:
        a, b = LabelLine(0, 0.5, 0.5, 0.2, 0.2), LabelLine(0, 0.6, 0.5, 0.2, 0.2)
        assert box_iou(a, a) == pytest.approx(1)
        assert box_iou(a, b) == pytest.approx(1 / 3)
        assert box_iou(a, LabelLine(0, 0.9, 0.9, 0.1, 0.1)) == 0
