"""What a file really is: content type, mode, damage, measures."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainer.audit_findings import Slug
from trainer.image_check import check_image

from .audit_data import SHARED, SIDE, picture

ODD = SHARED / "kaggle-odd"


def found(path: Path) -> list[tuple[Slug, str]]:
    return [(finding.slug, finding.sentence) for finding in check_image(path, path.name).findings]


class TestContent:
    def test_a_plain_image_is_measured(self, tmp_path: Path) -> None:
        image = picture(1)
        image.save(tmp_path / "x.png")
        checked = check_image(tmp_path / "x.png", "x.png")
        assert checked.findings == ()
        facts = checked.facts
        assert facts is not None
        assert (facts.format, facts.mode, facts.width, facts.height) == ("PNG", "L", SIDE, SIDE)
        assert facts.mean == pytest.approx(np.asarray(image).mean())
        assert 0 <= facts.black_share < 0.1

    def test_equal_pixels_in_another_container_have_the_same_pixel_sum(self, tmp_path: Path) -> None:
        picture(1).save(tmp_path / "x.png")
        picture(1).convert("RGB").save(tmp_path / "x.bmp")
        png, bmp = (check_image(tmp_path / name, name).facts for name in ("x.png", "x.bmp"))
        assert png
        assert bmp
        assert png.sha256 != bmp.sha256
        assert (png.pixel_sha256, png.hashes) == (bmp.pixel_sha256, bmp.hashes)

    @pytest.mark.parametrize(
        ("mode", "taken"),
        [
            ("RGBA", "transparency is dropped"),
            ("P", "palette colours become grey"),
            ("LA", "transparency is dropped"),
            ("I;16", "more than 8 bits are cut off at 255"),
        ],
    )
    def test_png_content_named_jpg(self, tmp_path: Path, mode: str, taken: str) -> None:
        picture(1).convert(mode).save(tmp_path / "x.jpg", format="PNG")
        assert found(tmp_path / "x.jpg") == [
            (Slug.CONTENT_TYPE, f"PNG content ({mode}) named .jpg"),
            (Slug.MODE, f"mode {mode}: {taken}"),
        ]

    def test_a_palette_with_transparent_entries_warns_nobody(self, tmp_path: Path) -> None:
        picture(1).convert("P").save(tmp_path / "x.png", transparency=bytes(range(256)))
        assert [slug for slug, _ in found(tmp_path / "x.png")] == [Slug.MODE]

    def test_an_animation(self, tmp_path: Path) -> None:
        picture(1).save(tmp_path / "x.png", save_all=True, append_images=[picture(2)])
        assert found(tmp_path / "x.png") == [(Slug.FRAMES, "holds 2 frames; the first is read")]

    def test_a_blank_image(self, tmp_path: Path) -> None:
        Image.new("L", (40, 40), 7).save(tmp_path / "x.png")
        assert found(tmp_path / "x.png") == [(Slug.BLANK, "is blank: every grey value is about 7")]


class TestDamage:
    @pytest.mark.parametrize("name", ["x.jpg", "x.png"])
    def test_a_truncated_image(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        picture(1).save(path)
        path.write_bytes(path.read_bytes()[:-200])
        [(slug, sentence)] = found(path)
        assert slug is Slug.UNREADABLE
        assert sentence.startswith("cannot be decoded: ")

    def test_no_image_at_all(self, tmp_path: Path) -> None:
        (tmp_path / "x.jpg").write_text("<html>404</html>")
        (tmp_path / "empty.jpg").touch()
        assert found(tmp_path / "x.jpg") == [(Slug.NOT_AN_IMAGE, "is no image: it starts with b'<html>404</h'")]
        assert found(tmp_path / "empty.jpg") == [(Slug.NOT_AN_IMAGE, "is empty (0 bytes)")]

    def test_a_broken_link(self, tmp_path: Path) -> None:
        (tmp_path / "x.jpg").symlink_to(tmp_path / "nowhere")
        assert found(tmp_path / "x.jpg") == [(Slug.UNREADABLE, "cannot be read: No such file or directory")]


@pytest.mark.skipif(not ODD.is_dir(), reason=f"no shared data at {ODD}; set TRIAGE_SHARED")
def test_the_four_odd_files_are_named_as_what_they_are() -> None:
    modes = {path.name: found(path)[0] for path in sorted(ODD.iterdir())}
    assert modes == {
        "Tr-no_1011.jpg": (Slug.CONTENT_TYPE, "PNG content (RGBA) named .jpg"),
        "Tr-no_1012.jpg": (Slug.CONTENT_TYPE, "PNG content (P) named .jpg"),
        "Tr-no_1019.jpg": (Slug.CONTENT_TYPE, "PNG content (RGBA) named .jpg"),
        "Tr-no_1020.jpg": (Slug.CONTENT_TYPE, "PNG content (RGBA) named .jpg"),
    }
