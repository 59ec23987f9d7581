"""TestPlanted: trouble planted in a clean data set; TestFolders: what DATA may be; TestWritten: the three files;
TestPublished: the counts of the published data."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from trainer import audit
from trainer.audit_findings import Slug
from trainer.audit_results import SCHEMA
from trainer.labels import Split, list_samples
from trainer.leakage import find_picture_groups
from trainer.runtime.records import CLASSES, TumorClass

from .audit_data import SHARED, image_path, label_path, picture, write_clean_data

GLIOMA, MENINGIOMA, NO_TUMOR, PITUITARY = TumorClass
TRAIN, VAL = Split
PUBLISHED, ODD = SHARED / "kaggle-256", SHARED / "kaggle-odd"


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    return write_clean_data(tmp_path / "data")


def run_audit(data: Path, *options: str) -> dict[str, Any]:
    out = data.parent / "out"
    assert audit.main([str(data), "--out", str(out), *options]) == 0
    return dict(json.loads((out / "audit.json").read_text()))


def found(result: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    kinds: dict[str, list[dict[str, Any]]] = {}
    for finding in result["findings"]:
        kinds.setdefault(finding["slug"], []).append(finding)
    return kinds


class TestPlanted:
    def test_clean_data_has_no_finding(self, clean: Path) -> None:
        result = run_audit(clean, "--strict")
        assert (result["findings"], result["warnings"], result["images"]) == ([], 0, 16)

    def test_strict_fails_on_a_warning_and_not_on_a_note(self, clean: Path, tmp_path: Path) -> None:
        arguments = [str(clean), "--out", str(tmp_path / "out"), "--strict"]
        (clean / "Train" / "notes").mkdir()
        assert audit.main(arguments) == 0
        label_path(clean, TRAIN, GLIOMA, "a").unlink()
        assert audit.main(arguments) == 1
        assert audit.main(arguments[:-1]) == 0

    @pytest.mark.parametrize(
        ("change", "slug", "words"),
        [
            ("copy", Slug.LEAK_COPY, "stands in Train too, byte for byte: Train/Glioma/images/planted.png"),
            ("re-wrapped", Slug.LEAK_COPY, "stands in Train too, pixel for pixel: Train/Glioma/images/planted.bmp"),
            ("re-encoded", Slug.LEAK_LOOK_ALIKE, r"looks like Train/Glioma/images/planted.jpg: [0-4] of 64 bits"),
            ("mirrored", Slug.LEAK_LOOK_ALIKE, r"looks like Train/Glioma/images/planted.png, mirrored: 0 of 64 bits"),
        ],
    )
    def test_a_val_image_planted_in_train(self, clean: Path, change: str, slug: Slug, words: str) -> None:
        source = image_path(clean, VAL, GLIOMA, "a.png")
        with Image.open(source) as image:
            image.load()
        if change == "copy":
            shutil.copy(source, image_path(clean, TRAIN, GLIOMA, "planted.png"))
        elif change == "re-wrapped":
            image.save(image_path(clean, TRAIN, GLIOMA, "planted.bmp"))
        elif change == "re-encoded":
            image.resize((70, 70)).save(image_path(clean, TRAIN, GLIOMA, "planted.jpg"), quality=60)
        else:
            ImageOps.mirror(image).save(image_path(clean, TRAIN, GLIOMA, "planted.png"))
        shutil.copy(label_path(clean, VAL, GLIOMA, "a"), label_path(clean, TRAIN, GLIOMA, "planted"))
        result = run_audit(clean)
        [finding] = result["findings"]
        assert (finding["slug"], finding["severity"], finding["file"]) == (slug, "warning", "Val/Glioma/images/a.png")
        assert re.fullmatch(words, finding["sentence"])
        assert result["leakage"]["look_alike"] == result["leakage"]["train_look_alikes"] == 1
        assert result["leakage"]["same_pixels"] == (slug is Slug.LEAK_COPY)

    def test_the_same_picture_under_two_classes(self, clean: Path) -> None:
        shutil.copy(image_path(clean, TRAIN, GLIOMA, "a.png"), image_path(clean, TRAIN, MENINGIOMA, "a.png"))
        kinds = found(run_audit(clean))
        [conflict] = kinds["duplicate-class-conflict"]
        assert conflict["file"] == "Train/Glioma/images/a.png"
        assert conflict["others"] == ["Train/Meningioma/images/a.png"]
        assert conflict["sentence"] == "the same pixels under several classes: Glioma 1, Meningioma 1"
        assert kinds.keys() == {"duplicate-class-conflict", "duplicates"}

    def test_a_look_alike_under_another_class(self, clean: Path) -> None:
        with Image.open(image_path(clean, TRAIN, GLIOMA, "a.png")) as image:
            ImageOps.mirror(image).save(image_path(clean, TRAIN, NO_TUMOR, "a.png"))
        [conflict] = found(run_audit(clean))["look-alike-class-conflict"]
        assert "nearest 0 of 64 bits" in conflict["sentence"]

    @pytest.mark.parametrize(
        ("line", "slug", "words"),
        [
            ("0 0.8 0.8 0.2 0.2", "duplicate-label-conflict", "1 and 1 boxes, one of them without a counterpart"),
            ("0 0.5 0.5 0.2 0.05", "duplicate-label-conflict", "one with IoU 0.25 only"),
            ("0 0.5 0.51 0.2 0.2", "duplicate-label-redrawn", "boxes drawn anew: IoU 0.90"),
        ],
    )
    def test_the_same_picture_with_other_boxes(self, clean: Path, line: str, slug: str, words: str) -> None:
        shutil.copy(image_path(clean, TRAIN, GLIOMA, "a.png"), image_path(clean, TRAIN, GLIOMA, "b.png"))
        label_path(clean, TRAIN, GLIOMA, "b").write_text(line)
        kinds = found(run_audit(clean))
        assert words in kinds[slug][0]["sentence"]
        assert kinds.keys() == {slug, "duplicates"}

    def test_label_problems_name_file_and_line(self, clean: Path) -> None:
        label_path(clean, VAL, PITUITARY, "b").write_text("3 0.5 0.5 0.1 0.1\n3 0.5 nan 0.1 0.1\n")
        label_path(clean, VAL, GLIOMA, "a").write_text("")
        label_path(clean, TRAIN, MENINGIOMA, "a").write_text("3 0.5 0.5 0.1 0.1\n")
        label_path(clean, TRAIN, NO_TUMOR, "lonely").write_text("")
        result = run_audit(clean)
        places = {(one["slug"], one["file"], one["line"]) for one in result["findings"]}
        assert places == {
            ("label-not-finite", "Val/Pituitary/images/b.png", 2),
            ("label-empty", "Val/Glioma/images/a.png", None),
            ("gland", "Train/Meningioma/images/a.png", 1),
            ("ambiguous-gland-only", "Train/Meningioma/images/a.png", None),
            ("label-without-image", "Train/No Tumor/labels/lonely.txt", None),
        }
        assert result["counts"]["gland"] == 1

    def test_files_that_are_no_part_of_the_data_set(self, clean: Path) -> None:
        image_path(clean, TRAIN, GLIOMA, "Thumbs.db").touch()
        (clean / "Train" / "glioma").mkdir()
        label_path(clean, TRAIN, GLIOMA, "a").with_suffix(".xml").touch()
        shutil.rmtree(clean / "Val" / "Pituitary" / "labels")
        picture(7).save(image_path(clean, VAL, GLIOMA, "a.jpg"))
        kinds = found(run_audit(clean))
        assert {one["file"] for one in kinds["stray-file"]} == {
            "Train/Glioma/images/Thumbs.db", "Train/Glioma/labels/a.xml", "Train/glioma",
        }  # fmt: skip
        assert [one["file"] for one in kinds["folder-missing"]] == ["Val/Pituitary/labels"]
        assert kinds["label-shared"][0]["others"] == ["Val/Glioma/images/a.png"]

    def test_an_image_that_cannot_be_decoded_costs_itself_only(self, clean: Path) -> None:
        path = image_path(clean, VAL, GLIOMA, "a.png")
        path.write_bytes(path.read_bytes()[:500])
        result = run_audit(clean)
        assert [one["slug"] for one in result["findings"]] == ["image-unreadable"]
        assert (result["images"], result["decoded"]) == (16, 15)

    @pytest.mark.skipif(not ODD.is_dir(), reason=f"no shared data at {ODD}; set TRIAGE_SHARED")
    def test_the_odd_files_among_others(self, clean: Path) -> None:
        for path in ODD.iterdir():
            shutil.copy(path, image_path(clean, TRAIN, NO_TUMOR, path.name))
        kinds = found(run_audit(clean))
        odd = {Path(one["file"]).name: one["sentence"] for one in kinds["image-content-type"]}
        assert odd["Tr-no_1012.jpg"] == "PNG content (P) named .jpg"
        assert odd["Tr-no_1020.jpg"] == "PNG content (RGBA) named .jpg"
        assert len(odd) == len(kinds["image-mode"]) == 4


class TestFolders:
    @pytest.mark.parametrize("split", list(Split))
    def test_one_split_alone(self, tmp_path: Path, split: Split) -> None:
        result = run_audit(write_clean_data(tmp_path / "data", (split,)))
        assert (result["splits"], result["leakage"], result["findings"]) == ([split], None, [])

    def test_loose_images_get_the_file_checks(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        data = tmp_path / "data"
        data.mkdir()
        for name in ("a.png", "b.png"):
            picture(1).save(data / name)
        result = run_audit(data)
        assert not result["has_labels"]
        assert [(one["slug"], one["file"], one["others"]) for one in result["findings"]] == [
            ("duplicates", "a.png", ["b.png"])
        ]
        assert "no labels" in capsys.readouterr().out
        assert "no labels" in (tmp_path / "out" / "audit.html").read_text()

    @pytest.mark.parametrize(
        ("folder", "sentence"),
        [
            ("", "holds neither Train/ nor Val/, nor loose images"),
            ("nowhere", "is no folder"),
            ("Val", "is a split by itself: name the folder above it"),
            ("Val/Glioma", "holds neither Train/ nor Val/, nor loose images"),
        ],
    )
    def test_a_wrong_folder_is_one_sentence(
        self, tmp_path: Path, folder: str, sentence: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write_clean_data(tmp_path / "above" / "data", (VAL,))
        data = tmp_path / "above" / "data" / folder if folder else tmp_path
        assert audit.main([str(data), "--out", str(tmp_path / "out")]) == 2
        error = capsys.readouterr().err
        assert error.startswith("trainer.audit: ")
        assert sentence in error
        assert error.count("\n") == 1

    def test_empty_splits(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "Train").mkdir()
        assert audit.main([str(tmp_path), "--out", str(tmp_path / "out")]) == 2
        assert "holds no image under Train" in capsys.readouterr().err


class TestOriginals:
    HEADER = "split,class,file,sha256,width,height,mode,format\n"

    def test_originals_stand_beside_the_files(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        data = write_clean_data(tmp_path / "data", (VAL,))
        rows = [f"Val,{c},{stem}.png,sum,512,400,RGB,PNG" for c in CLASSES for stem in "ab"]
        rows[0] = "Val,Glioma,a.png,other,9,9,RGBA,JPEG"
        rows[-1] = "Val,Pituitary,gone.png,last,9,9,L,PNG"
        (data / "originals.csv").write_text(self.HEADER + "\n".join([*rows, "Train,Glioma,x.png,y,9,9,L,PNG"]))
        result = run_audit(data)
        assert result["duplicates"]["by_original"] == {"groups": 1, "files": 6, "surplus": 5, "val_in_train": 0}
        assert result["statistics"]["originals"]["commonest_sizes"]["512×400"] == 6
        assert {slug: found[0]["file"] for slug, found in found(result).items()} == {
            "original-content-type": "Val/Glioma/images/a.png",
            "original-mode": "Val/Glioma/images/a.png",
            "original-unknown": "Val/Pituitary/images/b.png",
            "original-absent": "Val/Pituitary/images/gone.png",
        }
        assert "originals.csv lies beside the data" in capsys.readouterr().out

    def test_a_broken_list_is_one_sentence(self, clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (clean / "originals.csv").write_text("a,b\n1,2\n")
        assert audit.main([str(clean), "--out", str(clean.parent / "out")]) == 2
        assert "its columns must be split,class,file,sha256" in capsys.readouterr().err


class TestStatistics:
    def test_boxes_and_intensity_of_each_class(self, clean: Path) -> None:
        first, *_ = run_audit(clean)["statistics"]["classes"]
        assert (first["split"], first["tumor_class"], first["images"], first["with_boxes"]) == ("Train", "Glioma", 2, 2)
        assert first["lines"] == [2, 0, 0, 0]
        assert first["box_area"]["median"] == pytest.approx(0.04)
        assert 0 < first["mean_intensity"]["minimum"] <= first["mean_intensity"]["maximum"] < 255

    def test_brightness_that_gives_the_class_away(self, clean: Path) -> None:
        for path in (clean / "Train" / "No Tumor" / "images").iterdir():
            with Image.open(path) as image:
                image.point(lambda grey: grey // 4).save(path)
        shutil.rmtree(clean / "Val")
        brightness, *_ = run_audit(clean)["statistics"]["shortcuts"]
        assert brightness == {"quantity": "mean intensity", "auc": 1.0, "higher_in": "tumour"}


class TestPrinted:
    def test_ten_of_a_kind_and_how_many_more(self, clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for number in range(12):
            image_path(clean, TRAIN, GLIOMA, f"broken {number:02}.png").write_text("no image")
        run_audit(clean)
        printed = capsys.readouterr().out
        assert printed.count("is no image: it starts with") == 10
        assert "broken 09.png" in printed
        assert "broken 10.png: is no image" not in printed
        assert "... and 2 more of image-not-an-image in audit.json" in printed

    @pytest.mark.parametrize("tumor_class", [GLIOMA, NO_TUMOR])
    def test_missing_and_empty_label_files_are_named_whether_warning_or_note(
        self, tumor_class: TumorClass, clean: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        label_path(clean, TRAIN, tumor_class, "a").unlink()
        label_path(clean, TRAIN, tumor_class, "b").write_text("")
        run_audit(clean)
        printed = capsys.readouterr().out
        assert f"Train/{tumor_class}/images/a.png: has no label file" in printed
        assert f"Train/{tumor_class}/images/b.png: has an empty label file" in printed

    def test_other_notes_are_counted_only(self, clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (clean / "Train" / "notes").mkdir()
        run_audit(clean)
        printed = capsys.readouterr().out
        assert "is passed over" not in printed
        assert "0 warnings, 1 notes." in printed

    @pytest.mark.skipif(not ODD.is_dir(), reason=f"no shared data at {ODD}; set TRIAGE_SHARED")
    def test_the_four_odd_files_are_all_printed(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert audit.main([str(ODD), "--out", str(tmp_path)]) == 0
        printed = capsys.readouterr().out
        for path in ODD.iterdir():
            assert f"{path.name}: PNG content" in printed


class TestWritten:
    def test_every_kind_of_trouble_can_be_drawn(self, clean: Path) -> None:
        glioma = image_path(clean, TRAIN, GLIOMA, "a.png")
        label_path(clean, TRAIN, GLIOMA, "a").write_text("0 0.01 0.99 0.3 0.3\n0 0.5 0.5 0.001 0.001\n1 1 1 1 1\n")
        Image.new("L", (900, 1), 5).save(glioma)
        image_path(clean, TRAIN, GLIOMA, "b.png").write_text("no image")
        picture(5).convert("P").save(image_path(clean, VAL, GLIOMA, "a.png"), transparency=bytes(range(256)))
        kinds = found(run_audit(clean))
        assert {"box-over-border", "box-tiny", "image-blank", "image-not-an-image", "image-mode"} <= kinds.keys()
        page = (clean.parent / "out" / "audit.html").read_text()
        assert "reaches 14.0% of the side over the border" in page
        assert "no picture" in page

    def test_the_keys_of_audit_json(self, clean: Path) -> None:
        result = run_audit(clean)
        assert set(result) == {
            "schema", "data", "written", "classes", "splits", "has_labels", "has_originals", "images", "decoded",
            "warnings", "notes", "counts", "look_alike_distance", "duplicates", "leakage", "statistics", "findings",
        }  # fmt: skip
        assert result["schema"] == SCHEMA
        assert set(result["counts"]) == {slug.value for slug in Slug}
        (clean / "Train" / "x").mkdir()
        [finding] = run_audit(clean)["findings"]
        assert set(finding) == {"slug", "severity", "file", "line", "sentence", "others"}

    def test_the_groups_are_those_that_every_split_uses(self, clean: Path) -> None:
        shutil.copy(image_path(clean, VAL, GLIOMA, "a.png"), image_path(clean, TRAIN, PITUITARY, "twin.png"))
        run_audit(clean)
        with (clean.parent / "out" / "groups.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        expected = find_picture_groups([*list_samples(clean, TRAIN), *list_samples(clean, VAL)])
        assert [(row["split"], row["name"]) for row in rows] == [(s.split, s.name) for s in expected.samples]
        assert [row["sha256"] for row in rows] == expected.sha256
        assert [int(row["phash"], 16) for row in rows] == expected.hashes[:, 0].tolist()
        assert [int(row["group"]) for row in rows] == expected.groups.tolist()
        assert len(set(expected.groups.tolist())) == len(rows) - 1

    def test_the_page_is_self_contained_and_escapes_names(self, clean: Path) -> None:
        name = "<img src=x>.png"
        for split in Split:
            shutil.copy(image_path(clean, VAL, GLIOMA, "a.png"), image_path(clean, split, GLIOMA, name))
        run_audit(clean)
        page = (clean.parent / "out" / "audit.html").read_text()
        assert "<img src=x>" not in page
        assert "&lt;img src=x&gt;.png" in page
        assert set(re.findall(r'(?:src|href)="(.{5})', page)) == {"data:"}
        assert "http" not in page.replace("http-equiv", "")

    @pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
    def test_a_name_that_is_no_text(self, clean: Path) -> None:
        folder = os.fsencode(clean / "Train" / "Glioma" / "images")
        shutil.copy(image_path(clean, VAL, GLIOMA, "a.png"), os.fsdecode(folder + b"/\xff.png"))
        [leak] = found(run_audit(clean))["leak-copy"]
        assert leak["others"] == ["Train/Glioma/images/\\udcff.png"]

    def test_no_torch_is_needed(self) -> None:
        code = "import sys, trainer.audit; sys.exit('torch' in sys.modules or 'openvino' in sys.modules)"
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("published")
    assert audit.main([str(PUBLISHED), "--out", str(out)]) == 0
    return dict(json.loads((out / "audit.json").read_text()))


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason=f"no shared data at {PUBLISHED}; set TRIAGE_SHARED")
class TestPublished:
    def test_exact_duplicates(self, published: dict[str, Any]) -> None:
        duplicates = published["duplicates"]
        assert duplicates["by_original"] == {"groups": 1228, "files": 2564, "surplus": 1336, "val_in_train": 218}
        # copies of one original are still copies; 7 more files became equal when they were made smaller
        assert duplicates["by_pixels"] == {"groups": 1227, "files": 2570, "surplus": 1343, "val_in_train": 219}
        assert duplicates["by_file"] == duplicates["by_pixels"]
        assert published["counts"]["duplicate-class-conflict"] == 0

    def test_leakage(self, published: dict[str, Any]) -> None:
        leakage = published["leakage"]
        assert (leakage["val"], leakage["same_pixels"]) == (512, 219)
        # another version of the hash's library may move a few by a bit
        assert leakage["look_alike"] == pytest.approx(423, abs=4)
        assert leakage["train_look_alikes"] == pytest.approx(1000, abs=20)
        assert published["duplicates"]["largest_group"] < 60

    def test_labels(self, published: dict[str, Any]) -> None:
        files = {slug: [one["file"] for one in findings] for slug, findings in found(published).items()}
        assert files["label-missing"] == ["Val/No Tumor/images/image(55).jpg", "Val/No Tumor/images/image(61).jpg"]
        assert files["label-empty"] == ["Val/Glioma/images/gg (342).jpg"]
        assert len(files["ambiguous-gland-only"]) == 10
        assert len(files["class-not-folder"]) == 6
        glands = [(one["split"], one["tumor_class"], one["glands"]) for one in published["statistics"]["classes"]]
        assert [gland for gland in glands if gland[2]] == [
            ("Train", "Glioma", 152), ("Train", "Meningioma", 103), ("Val", "Glioma", 12), ("Val", "Meningioma", 6),
        ]  # fmt: skip

    def test_sizes_and_modes(self, published: dict[str, Any]) -> None:
        originals = published["statistics"]["originals"]
        assert originals["different_sizes"] == 325
        assert originals["commonest_sizes"]["512×512"] == 4206
        assert originals["modes"] == {"RGB": 4247, "L": 998, "RGBA": 3, "P": 1}
        odd = [Path(one["file"]).name for one in found(published)["original-content-type"]]
        assert odd == ["Tr-no_1011.jpg", "Tr-no_1012.jpg", "Tr-no_1019.jpg", "Tr-no_1020.jpg"]

    def test_brightness_gives_much_away(self, published: dict[str, Any]) -> None:
        by_quantity = {one["quantity"]: one for one in published["statistics"]["shortcuts"]}
        assert by_quantity["mean intensity"]["auc"] == pytest.approx(0.737, abs=0.01)
        assert by_quantity["mean intensity"]["higher_in"] == "No Tumor"
