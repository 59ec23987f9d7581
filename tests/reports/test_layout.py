"""Blocks flow onto pages."""

from reports.layout import Flow, Section, Style, paragraph, spacer, stack
from reports.theme import MARGIN


def flow() -> Flow:
    return Flow((300.0, 200.0 + 2 * MARGIN), header=20, footer=30)  # room: 170 on page 1, 150 on the others


def test_blocks_go_down_until_the_page_is_full() -> None:
    pages = flow()
    for _ in range(4):
        pages.place(spacer(50), gap=10)
    assert [[top for _, top in page] for page in pages.pages] == [[242.0, 182.0, 122.0], [222.0]]


def test_a_block_too_high_for_any_page_gets_one_of_its_own() -> None:
    pages = flow()
    pages.place(spacer(10))
    pages.place(spacer(500))
    pages.place(spacer(10))
    assert [len(page) for page in pages.pages] == [1, 1, 1]


def test_a_table_header_is_repeated_on_the_next_page() -> None:
    pages = flow()
    header = spacer(11)
    pages.section(Section("Files", spacer(5), header, tuple(spacer(30) for _ in range(8))))
    heights = [[block.height for block, _ in page] for page in pages.pages]
    assert len(heights) > 1
    assert all(page[0] == 41 for page in heights[1:])


def test_a_heading_never_stands_alone_at_the_foot() -> None:
    pages = flow()
    pages.place(spacer(140))
    pages.section(Section("Files", spacer(5), spacer(10), (spacer(30),)))
    assert [len(page) for page in pages.pages] == [1, 1]


def test_a_paragraph_is_as_high_as_its_lines() -> None:
    style = Style(10, leading=1.5)
    assert paragraph("word", 100, style).height == 15
    assert paragraph("word " * 500, 100, style, max_lines=3).height == 45
    assert stack([spacer(3), spacer(4)], gap=2).height == 9
