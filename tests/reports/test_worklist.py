"""The worklist page, parsed and in a real browser."""

import html
import re
import shutil
import subprocess
from base64 import b64decode, b64encode
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from reports.content import RESEARCH_USE_ONLY, Priority, WorklistEntry, WorklistTotals
from reports.worklist import render_worklist
from tests.reports.samples import NOW, entry, jpeg

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Tags(HTMLParser):
    """Every element with its attributes, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def waiting(study: str, **changes: object) -> WorklistEntry:
    blank = {"priority": None, "label": None, "probability": None, "reported_at": None, "report": None}
    return entry(study, **{**blank, "thumbnail_jpeg": None, "state": "analysing", **changes})


def page_of(*entries: WorklistEntry) -> str:
    return render_worklist(entries, NOW)


def rows(page: str) -> list[str]:
    body = page[page.index("<tbody") : page.index("</tbody>")]
    return re.findall(r"<tr.*?</tr>", body, re.DOTALL)


def test_the_order_is_the_callers() -> None:
    studies = ["ST-3", "ST-1", "ST-2"]
    priorities = [Priority.ROUTINE, Priority.URGENT, Priority.REVIEW]
    page = page_of(*(entry(s, priority=p) for s, p in zip(studies, priorities, strict=True)))
    assert [re.search(r"ST-\d", row).group() for row in rows(page)] == studies


def test_a_row_says_what_is_known() -> None:
    (row,) = rows(page_of(entry(review_reasons=("low_margin", "Upside down."), files=("a", "b", "c", "d", "e"))))
    for expected in ("Urgent", "Jane Doe", "ST-142", "Glioma", "95.3 %", "too close together", "Upside down.",
                     "and 2 more files", "reported after 34 s", "2026-11-23 20:38:05 UTC"):  # fmt: skip
        assert expected in row


def test_waiting_and_failed_studies_are_visible() -> None:
    page = page_of(waiting("ST-1"), waiting("ST-2", state="failed", received_at=NOW - timedelta(days=3)))
    first, second = rows(page)
    assert "Waiting" in first
    assert "waiting for 34 s" in first
    assert "analysing" in first
    assert "Failed" in second
    assert "arrived 3 d 0 h ago" in second
    assert 'data-kinds="failed"' in second


def counts(page: str) -> dict[str, int]:
    found = re.findall(r'<li class="(\w+)"><b>(\d+)</b>', page)
    return {kind: int(number) for kind, number in found}


def test_a_page_of_some_studies_says_so_and_counts_all() -> None:
    totals = WorklistTotals(studies=1234, urgent=34, review=100, routine=1000, waiting=99, failed=1)
    page = render_worklist([entry("ST-1", priority=Priority.URGENT), entry("ST-2")], NOW, totals)
    assert "2 of 1234 studies shown" in page
    assert counts(page) == {
        "urgent": 34, "review": 100, "routine": 1000, "waiting": 99, "failed": 1, "superseded": 0,
    }  # fmt: skip


def test_a_page_of_all_studies_says_nothing_about_it() -> None:
    totals = WorklistTotals(studies=1, urgent=1, review=0, routine=0, waiting=0, failed=0)
    assert "studies shown" not in render_worklist([entry("ST-1", priority=Priority.URGENT)], NOW, totals)
    assert "studies shown" not in page_of(entry())


def test_counts_by_priority_leave_superseded_revisions_out() -> None:
    page = page_of(
        entry("ST-1", revision=2, priority=Priority.URGENT),
        entry("ST-1", revision=1, priority=Priority.ROUTINE),
        entry("ST-2", priority=Priority.REVIEW),
        entry("ST-3", priority=Priority.REVIEW),
        waiting("ST-4"),
    )
    counts = dict(re.findall(r'<li class="(\w+)"><b>(\d+)</b>', page))
    assert counts == {"urgent": "1", "review": "2", "routine": "0", "waiting": "1", "failed": "0", "superseded": "1"}


def test_revisions_name_each_other() -> None:
    newer, older = rows(page_of(entry("ST-1", revision=3), entry("ST-1", revision=2)))
    assert "revision 3, supersedes revision 2" in newer
    assert "revision 2: superseded by revision 3" in older
    assert "superseded by" not in newer


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}\u202e\x00&amp;"


def test_foreign_text_is_text_everywhere() -> None:
    hostile = replace(
        entry(HOSTILE), patient=HOSTILE, files=(HOSTILE,), label=HOSTILE, state=HOSTILE, review_reasons=(HOSTILE,)
    )
    page = page_of(replace(hostile, report="x.pdf"))
    calm = Tags(page_of(entry(review_reasons=("x",), files=("y",))))
    assert [tag for tag, _ in Tags(page).tags] == [tag for tag, _ in calm.tags]
    assert html.escape("<script>alert(1)</script>") in page
    assert "49" not in re.sub(r"data:\S+", "", " ".join(rows(page)))
    assert "\u202e" not in page
    assert "\x00" not in page


def test_long_text_is_bounded() -> None:
    long = "x" * 65_536
    page = page_of(entry(long, patient=long, files=(long,) * 500, label=long, review_reasons=(long,) * 99, report=None))
    assert len(page) < len(page_of(entry())) + 6_000


def test_lone_surrogates_do_not_break_the_file() -> None:
    page_of(entry(patient="a\udcffb", files=("\ud800",))).encode("utf-8")


def test_the_policy_allows_exactly_the_pages_own_style_and_script() -> None:
    page = page_of(entry())
    (policy,) = [a["content"] for a in Tags(page).all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    for element, rule in (("style", "style-src"), ("script", "script-src")):
        (text,) = re.findall(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
        digest = b64encode(sha256(text.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_the_page_needs_nothing_from_elsewhere() -> None:
    tags = Tags(page_of(entry(), waiting("ST-2")))
    assert not tags.all("link")
    assert all("src" not in attributes for attributes in tags.all("script"))
    assert all(attributes["src"].startswith("data:image/jpeg;base64,") for attributes in tags.all("img"))
    assert not [a for _, attributes in tags.tags for a in attributes if a == "style" or a.startswith("on")]


def test_the_thumbnail_is_embedded() -> None:
    (image,) = Tags(page_of(entry())).all("img")
    assert b64decode(image["src"].split(",", 1)[1]) == jpeg(64, 64)
    assert "ST-142" in image["alt"]


@pytest.mark.parametrize(
    "path",
    ["reports/a b#1?.pdf", "javascript:alert(1)", "日本/100%.pdf", 'x"onclick="y.pdf', "http://e.org/x", "a\udcff.pdf"],
)
def test_links_are_relative_and_lead_back_to_the_path(path: str) -> None:
    (link,) = Tags(page_of(entry(report=path))).all("a")
    parts = urlsplit(link["href"])
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", "")
    assert unquote(parts.path, errors="surrogateescape") == path


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.pdf", "a/../../x.pdf", "//e.org/x", ""])
def test_a_path_that_leaves_the_folder_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="does not lie below"):
        page_of(entry(report=path))


def test_it_is_a_real_table_with_labels() -> None:
    page = page_of(entry())
    tags = Tags(page)
    assert all(attributes["scope"] == "col" for attributes in tags.all("th"))
    assert tags.all("html") == [{"lang": "en"}]
    labelled = {attributes["for"] for attributes in tags.all("label")}
    assert labelled == {a["id"] for name in ("input", "select") for a in tags.all(name)}
    assert RESEARCH_USE_ONLY in page


def contrast(one: str, two: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)


def test_text_has_contrast_in_light_and_in_dark() -> None:
    style = re.findall(r"<style>(.*?)</style>", page_of(), re.DOTALL)[0]
    themes = [
        dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    ]
    assert len(themes) == 2
    for theme in themes:
        for text in ("ink", "soft", "accent", "urgent"):
            assert contrast(theme[text], theme["ground"]) >= 4.5
            assert contrast(theme[text], theme["panel"]) >= 4.5
        for badge in ("urgent", "review", "routine", "waiting"):
            assert contrast(theme[badge], theme["on-badge"]) >= 4.5


def test_an_empty_list_says_so() -> None:
    assert "No study has arrived yet." in page_of()


def in_browser(page: str, folder: Path) -> str:
    path = folder / "worklist.html"
    path.write_text(page, "utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
             "--disable-background-networking", "--disable-component-update"]  # fmt: skip
    command = [CHROMIUM, *flags, f"--user-data-dir={folder / 'profile'}", "--dump-dom", path.as_uri()]
    return subprocess.run(command, capture_output=True, check=True, timeout=120, text=True).stdout


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_browser_runs_the_script_under_the_policy(tmp_path: Path) -> None:
    assert "2 of 2 shown" in in_browser(page_of(entry("ST-1"), waiting("ST-2")), tmp_path)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_browser_filters_by_text_and_priority(tmp_path: Path) -> None:
    page = page_of(entry("ST-1"), entry("ST-2", patient="Öl Ärger"), waiting("ST-3", patient="Öl Zwei"))
    typed = """<script>for (const [id, value] of [["text", "öl"], ["kind", "urgent"]]) {
      const field = document.getElementById(id); field.value = value;
      field.dispatchEvent(new Event(id === "text" ? "input" : "change")); }</script></body>"""
    page = re.sub(r"<meta http-equiv=[^>]*>", "", page).replace("</body>", typed)
    after = in_browser(page, tmp_path)
    assert "1 of 3 shown" in after
    assert [("ST-2" in row, " hidden" in row.split(">")[0]) for row in rows(after)] == [
        (False, True),
        (True, False),
        (False, True),
    ]
