"""Average precision against cases worked out by hand, against pycocotools as its authors call it, and torchmetrics."""

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torchmetrics.detection import MeanAveragePrecision

from trainer.average_precision import AveragePrecision, MatchedBoxes, average_precision, published_truth, tumor_truth
from trainer.readings import ReadSample
from trainer.runtime.records import CLASSES, LESION_CLASSES, TumorClass

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


def scattered(images: int, seed: int = 0) -> list[ReadSample]:
    """Images with up to three marked boxes, each found a little beside it or not at all, and false alarms."""
    generator = np.random.default_rng(seed)
    reads = []
    for _ in range(images):
        label = int(generator.integers(3))
        corners = [_box(generator) for _ in range(generator.integers(4))]
        found = [
            (float(generator.uniform(0.05, 1)), label, tuple(corner + generator.normal(0, 2, 4)))
            for corner in corners
            if generator.random() < 0.8
        ]
        found += [
            (float(generator.uniform(0.05, 0.6)), int(generator.integers(3)), tuple(_box(generator)))
            for _ in range(generator.integers(3))
        ]
        lines = tuple(line(CLASSES.index(LESION_CLASSES[label]), *corner) for corner in corners)
        reads.append(read(LESION_CLASSES[label], lines, tuple(sorted(found, reverse=True))))
    return reads


def _box(generator: np.random.Generator) -> np.ndarray:
    x, y, width, height = generator.uniform((5, 5, 12, 12), (60, 60, 35, 35))
    return np.array([x, y, x + width, y + height])


def plain_coco(reads: list[ReadSample]) -> tuple[float, float]:
    """AP and AP50 by pycocotools' own defaults and summary, from its own file format."""
    marked, results = COCO(), []
    annotations: list[dict[str, object]] = []
    for image, each in enumerate(reads, start=1):
        for truth in published_truth(each):
            x1, y1, x2, y2 = truth.xyxy.tolist()
            box = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": 0}
            annotations.append(box | {"id": len(annotations) + 1, "image_id": image, "category_id": truth.label + 1})
        found = each.reading.detections
        for (x1, y1, x2, y2), score, label in zip(
            found.xyxy.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True
        ):
            box = {"bbox": [x1, y1, x2 - x1, y2 - y1], "score": score}
            results.append(box | {"image_id": image, "category_id": label + 1})
    marked.dataset = {
        "info": {},
        "images": [{"id": image} for image in range(1, len(reads) + 1)],
        "annotations": annotations,
        "categories": [{"id": number} for number in (1, 2, 3)],
    }
    marked.createIndex()
    evaluation = COCOeval(marked, marked.loadRes(results), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1])


class TestAgainstOthers:
    reads = scattered(80)

    def test_pycocotools_with_its_own_defaults(self) -> None:
        ours = average_precision(self.reads, [published_truth(each) for each in self.reads])
        means = AveragePrecision.mean(ours.at_50_to_95), AveragePrecision.mean(ours.at_50)
        assert means == pytest.approx(plain_coco(self.reads), abs=1e-12)
        assert 0.2 < means[1] < 0.95  # a case in which something is right and something wrong

    def test_torchmetrics(self) -> None:
        # its own recall points are float32, so that one of ours can fall on the other side of a step
        theirs = MeanAveragePrecision(class_metrics=True, rec_thresholds=np.linspace(0, 1, 101).tolist())
        for each in self.reads:
            found, truth = each.reading.detections, published_truth(each)
            theirs.update(
                [{"boxes": torch.tensor(found.xyxy), "scores": torch.tensor(found.scores),
                  "labels": torch.tensor(found.labels)}],
                [{"boxes": torch.tensor(np.array([one.xyxy for one in truth], np.float32).reshape(-1, 4)),
                  "labels": torch.tensor([one.label for one in truth], dtype=torch.int64)}],
            )  # fmt: skip
        expected = theirs.compute()
        ours = published(*self.reads)
        assert AveragePrecision.mean(ours.at_50) == pytest.approx(float(expected["map_50"]), abs=1e-6)
        assert ours.at_50_to_95 == pytest.approx(expected["map_per_class"].tolist(), abs=1e-6)


class TestResampling:
    reads = scattered(60, seed=1)
    unmarked = read(TumorClass.GLIOMA, (line(3, *ELSEWHERE),), ((0.9, GLIOMA, THERE),))

    def test_every_image_once_is_the_plain_figure(self) -> None:
        matched = MatchedBoxes(self.reads, [tumor_truth(each) for each in self.reads])
        assert matched.average_precision(np.arange(60)) == matched.average_precision() == of_tumors(*self.reads)

    def test_a_draw_is_what_those_images_alone_would_give(self) -> None:
        reads = [self.unmarked, *self.reads, self.unmarked]
        matched = MatchedBoxes(reads, [tumor_truth(each) for each in reads])
        draw = np.random.default_rng(0).integers(0, 62, 62)
        assert matched.average_precision(draw) == of_tumors(*(reads[index] for index in draw))
        assert matched.average_precision() == of_tumors(*reads), "a draw changes nothing for the next one"

    def test_a_draw_without_any_judged_image(self) -> None:
        reads = [self.unmarked, self.reads[0]]
        matched = MatchedBoxes(reads, [tumor_truth(each) for each in reads])
        assert matched.average_precision(np.array([0, 0])).at_50 == (None, None, None)
