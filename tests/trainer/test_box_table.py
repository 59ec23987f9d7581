"""How often boxes mark a lesion is counted right, and the command prints it."""

import json
from pathlib import Path

import pytest

from benchmarks import box_table
from benchmarks.box_table import DrawnBox, Row, drawn_boxes, rows_of
from tests.trainer.readings_made_by_hand import line, read
from trainer.runtime.decision import Calibration, lesion_probability
from trainer.runtime.records import TumorClass

HERE, NEARBY, ELSEWHERE = (10.0, 10.0, 30.0, 30.0), (12.0, 12.0, 32.0, 32.0), (60.0, 60.0, 80.0, 80.0)
CALIBRATION = Calibration(box_threshold=0.3)


def test_a_box_on_a_lesion_is_a_hit_and_one_elsewhere_is_none() -> None:
    found = read(TumorClass.GLIOMA, (line(0, *HERE),), ((0.9, 0, NEARBY), (0.5, 1, ELSEWHERE), (0.2, 0, HERE)))
    boxes = drawn_boxes([found], CALIBRATION)
    assert [(box.score, box.is_hit) for box in boxes] == [(pytest.approx(0.9), True), (0.5, False)]
    assert boxes[1].probability == pytest.approx(lesion_probability(0.5, CALIBRATION))


def test_normal_glands_and_lesions_that_nobody_boxed_do_not_count() -> None:
    gland = read(TumorClass.NO_TUMOR, (line(3, *HERE),), ((0.9, 2, NEARBY), (0.8, 2, ELSEWHERE)))
    unmarked = read(TumorClass.GLIOMA, (), ((0.9, 0, HERE),))
    assert [(box.score, box.is_hit) for box in drawn_boxes([gland, unmarked], CALIBRATION)] == [
        (pytest.approx(0.8), False)
    ]


def test_rows_are_means_and_the_last_one_is_of_all() -> None:
    boxes = [DrawnBox(0.52, 0.8, True), DrawnBox(0.56, 0.9, False), DrawnBox(1.0, 1.0, True)]
    assert rows_of(boxes) == [
        Row(0.5, 0.6, 2, pytest.approx(0.54), pytest.approx(0.85), 0.5),
        Row(0.8, 1.0, 1, 1.0, 1.0, 1.0),
        Row(0.0, 1.0, 3, pytest.approx(2.08 / 3), pytest.approx(0.9), pytest.approx(2 / 3)),
    ]


def test_the_command(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (model,) = Path("models").glob("[0-9]*")
    assert box_table.main([str(model), "--data", str(data), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows
    assert all(0 <= row["hits"] <= 1 for row in rows)
    assert box_table.main([str(model), "--data", str(data)]) == 0
    assert "mark a lesion" in capsys.readouterr().out
    assert box_table.main([str(model), "--data", str(data / "nowhere")]) == 2
    assert capsys.readouterr().err.startswith("benchmarks.box_table: ")
