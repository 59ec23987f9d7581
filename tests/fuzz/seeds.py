"""What fuzzing starts from: small files of every kind that intake reads, each of which it accepts or nearly does."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.data import get_testdata_files

from tests.worker.scans import archive, dicom, enhanced, grey, png

REPOSITORY = Path(__file__).resolve().parents[2]
MOST_BYTES = 48 * 1024
PICTURES: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("L", "PNG", {}),
    ("P", "PNG", {}),
    ("RGBA", "PNG", {}),
    ("I;16", "PNG", {}),
    ("1", "BMP", {}),
    ("L", "BMP", {}),
    ("RGB", "BMP", {}),
    ("L", "JPEG", {}),
    ("CMYK", "JPEG", {}),
    ("RGB", "JPEG", {"progressive": True}),
    ("L", "TIFF", {"compression": "tiff_lzw"}),
    ("L", "TIFF", {"compression": "packbits"}),
    ("L", "TIFF", {"compression": "jpeg"}),
    ("1", "TIFF", {"compression": "group4"}),
    ("F", "TIFF", {"compression": "tiff_adobe_deflate"}),
    ("I;16", "TIFF", {}),
    ("RGB", "WEBP", {}),
    ("RGBA", "WEBP", {"lossless": True}),
)


def seeds(target: str) -> Iterator[bytes]:
    """Inputs for `target`, from samples/, from pydicom's test files and made here."""
    if target == "images":
        yield from _pictures()
        yield from _small(REPOSITORY.glob("samples/*/*.jpg"))
    elif target == "dicom":
        yield dicom(1, 1)
        yield enhanced(1, (0, 1), (40, 60))
        yield from _small(Path(name) for name in get_testdata_files())
        for path in sorted(REPOSITORY.glob("samples/*/*.dcm")):
            yield path.read_bytes()[:MOST_BYTES]  # cut in its pixels; the header is what matters
    else:
        yield archive({"1.png": png(1)})
        yield archive({"a/1.dcm": dicom(1, 1), "a/\u00e9.txt": b"text", "b/": b""})
        yield archive({"inner.zip": archive({"1.png": png(1)})})


def _small(paths: Iterator[Path]) -> Iterator[bytes]:
    for path in sorted(paths):
        if path.is_file() and path.stat().st_size <= MOST_BYTES:
            yield path.read_bytes()


def _pictures() -> Iterator[bytes]:
    picture = Image.fromarray(grey(1, 90)).resize((72, 66))
    for mode, kind, options in PICTURES:
        if mode == "I;16":
            image = Image.fromarray(np.asarray(picture).astype(np.uint16) * 200)
        else:
            image = picture.convert(mode)
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        yield buffer.getvalue()
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", exif=exif)
    yield buffer.getvalue()
    buffer = io.BytesIO()
    picture.save(buffer, "TIFF", save_all=True, append_images=[picture])
    yield buffer.getvalue()
