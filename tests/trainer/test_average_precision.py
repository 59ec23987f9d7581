"""Average precision against cases worked out by hand."""

import pytest

from trainer.average_precision import AveragePrecision, average_precision, published_truth, tumor_truth
from trainer.readings import ReadSample
from trainer.runtime.records import TumorClass

from .readings_made_by_hand import line, read

HERE, THERE, ELSEWHERE = (10.0, 10.0, 30.0, 30.0), (60.0, 60.0, 90.0, 90.0), (40.0, 5.0, 55.0, 15.0)
GLIOMA, MENINGIOMA, PITUITARY = 0, 1, 2


def of_tumors(*reads: ReadSample) -> AveragePrecision:
    return average_precision(reads, [tumor_truth(each) for each in reads])


def published(*reads: ReadSample) -> AveragePrecision:
    return average_precision(reads, [published_truth(each) for each in reads])


def test_perfect_boxes() -> None:
    found = of_tumors(
        read(TumorClass.GLIOMA, (line(0, *HERE),), ((0.9, GLIOMA, HERE),)),
        read(TumorClass.MENINGIOMA, (line(1, *THERE),), ((0.3, MENINGIOMA, THERE),)),
    )
    for values in (found.at_50, found.at_50_to_95):
        assert values[:2] == pytest.approx((1.0, 1.0))
        assert values[2] is None
        assert AveragePrecision.mean(values) == pytest.approx(1.0)


def test_a_better_scored_false_alarm_halves_it() -> None:
    found = of_tumors(
        read(TumorClass.GLIOMA, (line(0, *HERE),), ((0.9, GLIOMA, THERE), (0.5, GLIOMA, HERE))),
    )
    assert found.at_50[GLIOMA] == pytest.approx(0.5)


def test_half_of_the_lesions_found() -> None:
    found = of_tumors(
        read(TumorClass.GLIOMA, (line(0, *HERE), line(0, *THERE)), ((0.9, GLIOMA, HERE),)),
    )
    # precision 1 at the recalls 0, 0.01, … 0.5: 51 of 101 points
    assert found.at_50[GLIOMA] == pytest.approx(51 / 101)


def test_overlap_decides_at_which_threshold_a_box_counts() -> None:
    # 20 × 20 against 20 × 15.5 inside it: IoU 0.775, so right at 0.50, 0.55, … 0.75 and wrong from 0.80 on
    found = of_tumors(read(TumorClass.GLIOMA, (line(0, *HERE),), ((0.9, GLIOMA, (10.0, 10.0, 30.0, 25.5)),)))
    assert found.at_50[GLIOMA] == pytest.approx(1.0)
    assert found.at_50_to_95[GLIOMA] == pytest.approx(0.6)


def test_a_box_of_another_kind_is_wrong_for_both() -> None:
    found = of_tumors(
        read(TumorClass.GLIOMA, (line(0, *HERE),), ((0.9, MENINGIOMA, HERE),)),
        read(TumorClass.MENINGIOMA, (line(1, *THERE),), ((0.5, MENINGIOMA, THERE),)),
    )
    assert found.at_50[:2] == pytest.approx((0.0, 0.5))


def test_a_false_alarm_in_a_healthy_head_counts() -> None:
    whole_head = line(2, 1, 1, 99, 99)
    found = of_tumors(
        read(TumorClass.NO_TUMOR, (whole_head,), ((0.9, GLIOMA, THERE),)),
        read(TumorClass.GLIOMA, (line(0, *HERE),), ((0.5, GLIOMA, HERE),)),
    )
    assert found.at_50[GLIOMA] == pytest.approx(0.5)


class TestGlands:
    with_gland = (line(0, *HERE), line(3, *ELSEWHERE))

    def test_a_box_on_a_normal_gland_is_neither_right_nor_wrong(self) -> None:
        own = read(TumorClass.PITUITARY, (line(3, *THERE),), ((0.5, PITUITARY, THERE),))
        beside = read(TumorClass.GLIOMA, self.with_gland, ((0.9, PITUITARY, ELSEWHERE), (0.8, GLIOMA, HERE)))
        found = of_tumors(own, beside).at_50
        assert (found[GLIOMA], found[PITUITARY]) == pytest.approx((1.0, 1.0))
        assert found[MENINGIOMA] is None

    def test_a_missed_gland_costs_the_published_figure_only(self) -> None:
        own = read(TumorClass.PITUITARY, (line(3, *THERE),), ((0.5, PITUITARY, THERE),))
        beside = read(TumorClass.GLIOMA, self.with_gland, ((0.8, GLIOMA, HERE),))
        assert of_tumors(own, beside).at_50[PITUITARY] == pytest.approx(1.0)
        assert published(own, beside).at_50[PITUITARY] == pytest.approx(51 / 101)

    def test_a_glioma_box_on_a_gland_is_wrong(self) -> None:
        beside = read(TumorClass.GLIOMA, self.with_gland, ((0.9, GLIOMA, ELSEWHERE), (0.8, GLIOMA, HERE)))
        assert of_tumors(beside).at_50[GLIOMA] == pytest.approx(0.5)

    def test_an_image_whose_tumour_is_not_marked_takes_no_part(self) -> None:
        marked = read(TumorClass.GLIOMA, (line(0, *HERE),), ((0.5, GLIOMA, HERE),))
        gland_only = read(TumorClass.GLIOMA, (line(3, *ELSEWHERE),), ((0.9, GLIOMA, THERE),))
        assert of_tumors(marked, gland_only).at_50[GLIOMA] == pytest.approx(1.0)
        assert published(marked, gland_only).at_50[GLIOMA] == pytest.approx(0.5)


def test_nothing_found_and_nothing_marked(capsys: pytest.CaptureFixture[str]) -> None:
    assert of_tumors(read(TumorClass.GLIOMA, (line(0, *HERE),))).at_50 == (0.0, None, None)
    assert of_tumors(read(TumorClass.GLIOMA)).at_50 == (None, None, None)
    assert AveragePrecision.mean((None, None, None)) is None
    assert capsys.readouterr().out == ""
