"""Real PDFs, read back."""

import io
import re
from dataclasses import replace

import pypdf
import pytest

from reports.content import RESEARCH_USE_ONLY, KeyImage, MarkedBox, ModelFacts, Patient, Priority
from reports.pdf import PageSize, render_pdf
from tests.reports.samples import GLIOMA, input_file, jpeg, key_image, page_texts, pdf_text, pdfium_text, render, report
from tests.reports.test_fonts import NAMES


def reader(pdf: bytes) -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(pdf))


def images(pdf: bytes) -> list[bytes]:
    """The raw streams of all images, and that each is a JPEG and nothing else."""
    streams = {}
    for page in reader(pdf).pages:
        for reference in page["/Resources"].get("/XObject", {}).values():
            image = reference.get_object()
            assert image["/Subtype"] == "/Image"
            assert image["/Filter"] == ["/DCTDecode"]
            streams[reference.idnum] = image._data
    return list(streams.values())


@pytest.mark.parametrize("priority", Priority)
def test_the_first_page_says_priority_class_and_probability_first(priority: Priority) -> None:
    first = page_texts(render_pdf(report(priority=priority)))[0]
    head = first[: first.index("Patient")]
    assert priority.value.upper() in head
    assert "Glioma" in head
    assert "95.3 %" in head


def test_everything_is_on_the_report() -> None:
    content = report(review_reasons=("low_margin",), notes=("Slice 14 is missing.",), revision=2)
    text = pdf_text(render_pdf(content))
    for expected in (
        "Study ST-142",
        "Revision 2, supersedes revision 1",
        "Jane Doe",
        "PID-7",
        "1961-04-12",
        "65 years",
        "MR head",
        "2026-11-22",
        "T1 axial, slice 12 of 26",
        "1 Glioma 97.3 %",
        "40 × 50",
        "24.5 mm",
        "The two most likely classes are too close together to call.",
        "Slice 14 is missing.",
        "IM-0012.dcm",
        content.files[0].sha256,
        "97.7 %",
        "95 % CI 96.0 % – 98.7 %",
        "0.858",
        "512",
        "2026.11-a",
        "OpenVINO int8",
        "ab" * 32,
        "0.1.0",
        "2026-11-23 20:37:31 UTC",
        "2026-11-23 20:38:05 UTC",
    ):
        assert expected in text


def test_absent_facts_are_left_out() -> None:
    bare = report(
        patient=Patient(),
        study_description=None,
        study_date=None,
        key_images=(),
        findings=(),
        series=(),
        files=(),
        model=ModelFacts("v1", "torch", "cd" * 32),
    )
    text = pdf_text(render_pdf(bare))
    for absent in ("Born", "Patient ID", "Study date", "Accuracy", "mAP50", "Key image", " mm ", "None", "nan %"):
        assert absent not in text
    for said in ("No patient data", "No lesion was marked.", "No measured quality is recorded", "No input file"):
        assert said in text
    assert "supersedes" not in text


def test_millimetres_only_where_the_spacing_is_known() -> None:
    row = report().findings[0]
    unknown = replace(row, number=2, diameter_mm=None)
    assert "Diameter" not in pdf_text(render_pdf(report(findings=(unknown,))))
    assert "Across slices" not in pdf_text(render_pdf(report(findings=(row,))))
    assert "36.0 mm" in pdf_text(render_pdf(report(findings=(replace(row, extent_mm=36.0),))))
    assert "P(lesion)" not in pdf_text(render_pdf(report(findings=(row,))))
    with_probability = pdf_text(render_pdf(report(findings=(replace(row, probability=0.884),))))
    assert "P(lesion)" in with_probability
    assert "88.4 %" in with_probability
    assert "spacing unknown" in pdf_text(render_pdf(report(findings=(row, unknown))))


@pytest.mark.parametrize("size", PageSize)
def test_every_page_has_the_warning_its_number_and_its_study(size: PageSize) -> None:
    content = report(files=tuple(input_file(f"{n}.dcm") for n in range(60)), key_images=(key_image(GLIOMA),) * 7)
    pdf = render_pdf(content, size)
    pages = page_texts(pdf)
    assert len(pages) > 2
    for number, text in enumerate(pages, start=1):
        assert RESEARCH_USE_ONLY in text
        assert f"Page {number} of {len(pages)}" in text
        assert text.count("ST-142") >= 2
    for page in reader(pdf).pages:
        assert (float(page.mediabox.width), float(page.mediabox.height)) == pytest.approx(size.points, abs=0.01)


def test_jpegs_pass_through_byte_for_byte() -> None:
    shades = [jpeg(shade=shade) for shade in (40, 90)] + [jpeg(300, 200, mode="RGB")]
    keys = tuple(KeyImage(data, 256, 256, "x", (GLIOMA,)) for data in shades)
    assert sorted(images(render_pdf(report(key_images=keys)))) == sorted(shades)


def test_a_report_without_pictures_embeds_none() -> None:
    assert images(render_pdf(report(key_images=()))) == []


def test_streams_are_not_in_base_85() -> None:
    assert b"ASCII85Decode" not in render_pdf(report())


def edges(box: tuple[float, float, float, float]) -> list[tuple[float, float]]:
    """Mid-points of the left, right and lower edge, and the inside; the label may cover the upper edge."""
    x1, y1, x2, y2 = box
    return [(x1, (y1 + y2) / 2), (x2, (y1 + y2) / 2), ((x1 + x2) / 2, y2), ((x1 + x2) / 2, (y1 + y2) / 2)]


def test_the_box_is_drawn_at_its_place() -> None:
    marked = MarkedBox(1, "Glioma", 0.9, (100.0, 120.0, 150.0, 170.0))
    white = KeyImage(jpeg(256, 256, shade=255), 256, 256, "x", (marked,))
    pdf = render_pdf(report(key_images=(white,)))
    matrix = next(
        re.findall(rb"([\d.]+) 0 0 ([\d.]+) ([\d.]+) ([\d.]+) cm\s*/FormXob", page.get_contents().get_data())[0]
        for page in reader(pdf).pages
    )
    width, height, left, bottom = map(float, matrix)
    assert width == pytest.approx(height)
    scale = 4.0
    page = render(pdf, scale=scale)

    def colour(x: float, y: float) -> tuple[int, int, int]:
        point = (left + x / 256 * width, bottom + height - y / 256 * height)
        return page.getpixel((round(point[0] * scale), round(page.height - point[1] * scale)))

    *lines, inside = edges(marked.xyxy)
    assert all(
        abs(red - 255) < 12 and abs(green - 166) < 12 and blue < 70
        for red, green, blue in map(colour, *zip(*lines, strict=True))
    )
    assert min(colour(*inside)) > 240
    assert min(colour(90, 145)) > 240
    assert colour(2, 2) < (16, 16, 16)


def test_more_boxes_or_images_than_fit_are_counted() -> None:
    boxes = tuple(MarkedBox(n, "Glioma", 0.5, (n, n, n + 30, n + 30)) for n in range(1, 21))
    text = pdf_text(render_pdf(report(key_images=(key_image(*boxes),) * 20)))
    assert "8 more boxes are not drawn." in text
    assert "7 more key images are not shown." in text


def test_many_findings_and_notes_are_counted() -> None:
    rows = tuple(replace(report().findings[0], number=n) for n in range(1, 101))
    text = pdf_text(render_pdf(report(findings=rows, notes=("note",) * 40, review_reasons=("why",) * 30)))
    assert "76 more findings are not listed." in text
    assert "28 more notes are not listed." in text
    assert "22 more reasons are not listed." in text


def test_files_not_read_come_first_and_the_rest_is_counted() -> None:
    files = (*(input_file(f"r{n}.dcm") for n in range(300)), input_file("bad.exe", "rejected", "not an image"))
    text = pdf_text(render_pdf(report(files=files)))
    assert "301 files: 300 read, 1 rejected." in text
    assert text.index("bad.exe") < text.index("r0.dcm")
    assert "not an image" in text
    assert "277 more files are not listed here, all of them read." in text


def test_no_hash_is_cut() -> None:
    widest = replace(input_file("x"), sha256="d" * 64)
    for size in PageSize:
        assert "d" * 64 in pdf_text(render_pdf(report(files=(widest,)), size))


def test_equal_content_gives_equal_bytes() -> None:
    content = report(patient=Patient("محمد 山田 स्त्री"), revision=3)
    first = render_pdf(content)
    render_pdf(report(patient=Patient("द्ध्य श्री ज्ञ ประเทศไทย"), key_images=()))
    assert render_pdf(content) == first
    assert render_pdf(replace(content, label="Meningioma")) != first


def test_metadata_holds_no_patient_data() -> None:
    pdf = reader(render_pdf(report()))
    metadata = " ".join(f"{key} {value}" for key, value in pdf.metadata.items())
    assert pdf.metadata["/Title"] == "Brain MRI triage report"
    assert pdf.metadata["/CreationDate"] == "D:20261123203805+00'00'"
    for private in ("Jane", "Doe", "PID-7", "ST-142", "IM-0012"):
        assert private not in metadata


def test_nothing_in_the_file_is_active() -> None:
    pdf = reader(render_pdf(report(patient=Patient("/JavaScript /OpenAction (x)"))))
    objects = [pdf.get_object(number) for number in range(1, len(pdf.xref[0]) + 1)]
    keys = {key for item in objects if isinstance(item, dict) for key in item}
    active = {"/JavaScript", "/JS", "/OpenAction", "/AA", "/Launch", "/A", "/URI", "/EmbeddedFiles", "/AcroForm"}
    assert len(objects) > 10
    assert not keys & (active | {"/Annots"})


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_name_in_any_script_can_be_copied_out_of_the_report(name: str) -> None:
    # pdfium puts the words of a right-to-left line in an order of its own: compare words.
    text = pdfium_text(render_pdf(report(patient=Patient(name), key_images=())))
    assert set(name.split()) <= set(text.split())


def test_a_character_no_font_has_is_written_out() -> None:
    assert "Ana [U+1F9E0] Doe" in pdf_text(render_pdf(report(patient=Patient("Ana 🧠 Doe"))))


def test_the_name_is_printed_with_ink() -> None:
    with_name = render(render_pdf(report(patient=Patient("김철수"), key_images=())))
    other = render(render_pdf(report(patient=Patient("박철수"), key_images=())))
    assert with_name.tobytes() != other.tobytes()


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a"])
def test_a_key_image_that_is_no_jpeg_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="is not a JPEG"):
        render_pdf(report(key_images=(KeyImage(data, 10, 10, "x"),)))


def test_a_damaged_key_image_is_refused() -> None:
    with pytest.raises(OSError, match="truncated"):
        render_pdf(report(key_images=(KeyImage(jpeg()[:-300], 256, 256, "x"),)))


def test_a_key_image_without_area_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least 1 x 1"):
        render_pdf(report(key_images=(KeyImage(jpeg(), 0, 10, "x"),)))


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        render_pdf(report(reported_at=report().reported_at.replace(tzinfo=None)))


def test_an_urgent_study_is_not_headed_no_tumor() -> None:
    split = (("Glioma", 0.3), ("Meningioma", 0.28), ("No Tumor", 0.4), ("Pituitary", 0.02))
    urgent = pdf_text(render_pdf(report(label="No Tumor", probabilities=split)))
    assert "Above the operating point, kind unclear Tumour" in urgent
    assert "probability 60.0 %" in urgent
    routine = pdf_text(render_pdf(report(label="No Tumor", probabilities=split, priority=Priority.ROUTINE)))
    assert "Most likely class No Tumor probability 40.0 %" in routine
