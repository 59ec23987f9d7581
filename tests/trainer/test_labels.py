"""TestLines: YOLO lines and files; TestBoxRules: what a box means in which folder; TestListing: the folders."""

import logging
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from trainer.labels import (
    DatasetError,
    LabelLine,
    Sample,
    Split,
    first_of_each_class,
    lesions_of,
    list_samples,
    parse_label_line,
    read_label_file,
)
from trainer.runtime.records import CLASSES, GLAND_CHANNEL, LESION_CLASSES, TumorClass

GLIOMA, MENINGIOMA, WHOLE_HEAD, PITUITARY = (LabelLine(index, 0.5, 0.5, 0.2, 0.1) for index in range(4))


def sample(folder: TumorClass, *lines: LabelLine) -> Sample:
    return Sample(Split.TRAIN, "x", Path("x"), Path("x"), folder, lines)


class TestLines:
    def test_corners(self) -> None:
        assert parse_label_line("1 0.5 0.4 0.2 0.1").xyxy() == pytest.approx((0.4, 0.35, 0.6, 0.45))

    @pytest.mark.parametrize(
        "line", ["1 0.5 0.4 0.2", "4 0.5 0.5 0.1 0.1", "-1 0.5 0.5 0.1 0.1", "1 1.5 0.5 0.1 0.1", "1 0.5 0.5 0 0.1",
                 "1 nan 0.5 0.1 0.1", "glioma 0.5 0.5 0.1 0.1", "1 0.5 0.5 0.1 0.1 0.9"],
    )  # fmt: skip
    def test_malformed_lines_are_refused(self, line: str) -> None:
        with pytest.raises(ValueError):  # noqa: PT011 - any message: the caller logs it
            parse_label_line(line)

    def test_a_malformed_line_costs_itself_only(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        path = tmp_path / "a.txt"
        path.write_text("0 0.5 0.5 0.2 0.1\n\nbroken\n3 0.5 0.6 0.1 0.1\n")
        with caplog.at_level(logging.WARNING):
            assert [line.class_index for line in read_label_file(path)] == [0, 3]
        assert f"{path} line 3" in caplog.text

    def test_bytes_that_are_no_text_cost_their_line_only(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = tmp_path / "a.txt"
        path.write_bytes(b"0 0.5 0.5 0.2 \xb0\n3 0.5 0.6 0.1 0.1\n")
        assert [line.class_index for line in read_label_file(path)] == [3]
        assert f"{path} line 1 is left out: holds bytes that are not UTF-8 text" in caplog.text

    def test_a_missing_or_empty_file_has_no_lines(self, tmp_path: Path) -> None:
        (tmp_path / "empty.txt").touch()
        assert read_label_file(tmp_path / "empty.txt") == read_label_file(tmp_path / "missing.txt") == ()


class TestBoxRules:
    def test_lesions_keep_the_class_of_their_line(self) -> None:
        lesions = lesions_of(sample(TumorClass.GLIOMA, GLIOMA, MENINGIOMA))
        assert lesions.channels.tolist() == [0, 1]
        assert lesions.complete
        assert lesions.xyxy == pytest.approx(np.array([[0.4, 0.45, 0.6, 0.55]] * 2))

    def test_a_pituitary_box_in_its_own_folder_is_a_lesion(self) -> None:
        lesions = lesions_of(sample(TumorClass.PITUITARY, PITUITARY))
        assert lesions.channels.tolist() == [LESION_CLASSES.index(TumorClass.PITUITARY)]
        assert lesions.complete

    @pytest.mark.parametrize("folder", [TumorClass.GLIOMA, TumorClass.MENINGIOMA])
    def test_a_pituitary_box_in_another_folder_is_a_normal_gland(self, folder: TumorClass) -> None:
        lesions = lesions_of(sample(folder, GLIOMA, PITUITARY))
        assert lesions.channels.tolist() == [0, GLAND_CHANNEL]
        assert lesions.complete

    def test_a_gland_alone_leaves_the_tumour_unmarked(self) -> None:
        lesions = lesions_of(sample(TumorClass.GLIOMA, PITUITARY))
        assert lesions.channels.tolist() == [GLAND_CHANNEL]
        assert not lesions.complete

    def test_a_tumour_image_without_lines_is_not_complete(self) -> None:
        assert not lesions_of(sample(TumorClass.MENINGIOMA)).complete

    def test_the_whole_head_is_no_lesion(self) -> None:
        lesions = lesions_of(sample(TumorClass.NO_TUMOR, WHOLE_HEAD))
        assert lesions.xyxy.shape == (0, 4)
        assert lesions.complete

    def test_a_whole_head_box_in_a_tumour_folder_is_no_lesion_either(self) -> None:
        assert not lesions_of(sample(TumorClass.GLIOMA, WHOLE_HEAD)).complete

    def test_a_gland_in_a_healthy_head_is_a_gland(self) -> None:
        lesions = lesions_of(sample(TumorClass.NO_TUMOR, PITUITARY))
        assert lesions.channels.tolist() == [GLAND_CHANNEL]
        assert lesions.complete


class TestListing:
    def test_the_folder_is_the_class(self, data: Path) -> None:
        samples = list_samples(data, Split.VAL)
        assert [s.class_index for s in samples] == [index for index in range(len(CLASSES)) for _ in range(4)]
        assert samples[0].name == "Glioma/images/scan (0).png"

    def test_a_missing_folder_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetError, match=r"Glioma.images is missing: --data must name"):
            list_samples(tmp_path, Split.TRAIN)

    def test_no_image_at_all(self, tmp_path: Path) -> None:
        for label in CLASSES:
            (tmp_path / "Val" / label / "images").mkdir(parents=True)
        with pytest.raises(DatasetError, match="holds no image"):
            list_samples(tmp_path, Split.VAL)


def test_the_first_of_each_class(data: Path) -> None:
    samples = list_samples(data, Split.TRAIN)
    kept = first_of_each_class(samples, 2)
    assert Counter(sample.tumor_class for sample in kept) == dict.fromkeys(CLASSES, 2)
    assert kept == [sample for sample in samples if sample in kept]
    assert first_of_each_class(samples, None) == samples
