"""Result pages: what they show, and what they must never do."""

from __future__ import annotations

import re
import subprocess
import sys
from base64 import b64decode, b64encode
from hashlib import sha256
from html.parser import HTMLParser
from io import BytesIO

from PIL import Image

from lookalike.views.pages import Card, Row, Table, fragment, numbers, results_page

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(1)> & ' \n \udce9 \u202e.png"
VOID = {"meta", "img", "wbr", "br", "link"}


class Reader(HTMLParser):
    """Collects elements and text, and checks that what is opened is closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember it."""
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember it; nothing to close."""
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Only the innermost may be closed."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Remember the text."""
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every element of that name."""
        return [attributes for name, attributes in self.elements if name == tag]


def jpeg(colour: str = "red") -> bytes:
    """A small JPEG."""
    out = BytesIO()
    Image.new("RGB", (8, 8), colour).save(out, "JPEG")
    return out.getvalue()


def test_shows_the_query_and_its_hits_in_order() -> None:
    """Names, folders, scores, parts, tags, notes and facts are on the page, hits in their order."""
    hits = [
        Card(
            "2024/sea/first.jpg", jpeg(), "file:///p/first.jpg", 0.9312, {"classes": 0.5}, [("sandbar", 0.61)]
        ),
        Card("second.jpg", jpeg("blue"), score=0.5),
    ]
    page = Reader(
        results_page(
            [Row(Card("beach.jpg", jpeg()), hits, notes=["a remark"])], title="Sea", facts={"model": "toy"}
        )
    )
    for word in (
        "Sea",
        "model",
        "toy",
        "beach.jpg",
        "2024/sea",
        "0.931",
        "classes 0.500",
        "sandbar 61%",
        "a remark",
    ):
        assert word in page.text
    assert page.text.index("first.jpg") < page.text.index("second.jpg")
    assert [link["href"] for link in page.all("a")] == ["file:///p/first.jpg"]


def test_thumbnails_are_inside_the_page_and_described() -> None:
    """Every picture is the very bytes that were given, and has an alternative text."""
    page = Reader(results_page([Row(Card("q.jpg", jpeg("green")), [Card("a/b.jpg", jpeg())])]))
    images = page.all("img")
    assert [image["alt"] for image in images] == ["The query: q.jpg", "a/b.jpg"]
    prefix, _, content = str(images[1]["src"]).partition(",")
    assert (prefix, b64decode(content)) == ("data:image/jpeg;base64", jpeg())


def test_hostile_names_stay_text() -> None:
    """Markup in any text is shown and not obeyed, and the page can be written as UTF-8."""
    card = Card(HOSTILE, jpeg(), HOSTILE, 1.0, {HOSTILE: 0.5}, [(HOSTILE, 0.5)])
    rows = [Row(card, [card], HOSTILE, [HOSTILE]), Row(Card(HOSTILE), [card])]
    text = results_page(rows, title=HOSTILE, facts={HOSTILE: HOSTILE})
    text.encode("utf-8")
    page = Reader(text)
    assert not page.open
    assert not page.all("script")
    assert len(page.all("img")) == 3
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in page.text
    assert r"\n \udce9" in page.text


def test_only_plain_links_are_kept() -> None:
    """A link that would run something, or is no address, is left out."""
    links = [
        "javascript:alert(1)",
        " javascript:alert(1)",
        "data:text/html,x",
        "//host/x",
        "x.jpg",
        "HTTPS://host/x",
    ]
    page = Reader(results_page([Row(Card("q"), [Card("x", link=link) for link in links])]))
    assert [attributes["href"] for attributes in page.all("a")] == ["HTTPS://host/x"]


def test_policy_forbids_everything_but_its_own_style() -> None:
    """The policy allows embedded pictures and this very style sheet: no script, nothing from elsewhere."""
    text = results_page([Row(Card("q", jpeg()), [Card("x", jpeg())])])
    policy = str(Reader(text).all("meta")[1]["content"])
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style
    digest = b64encode(sha256(style[1].encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; img-src data:; style-src 'sha256-{digest}';")
    assert "unsafe" not in policy
    assert not re.search(r"(?:url\(|@import|\ssrc=\"(?!data:)|\sstyle=)", text)


def test_a_picture_that_is_gone_has_a_placeholder() -> None:
    """Without a thumbnail, or with bytes that are none, a drawn sign says so in words too."""
    page = Reader(
        results_page([Row(Card("q", jpeg()), [Card("gone.jpg"), Card("odd.jpg", b"<svg onload=x>")])])
    )
    assert len(page.all("img")) == 1
    assert [svg["aria-label"] for svg in page.all("svg") if "aria-label" in svg] == ["no preview"] * 2


def test_a_query_in_words_is_shown_once_and_whole() -> None:
    """Words are drawn in place of a picture, a slash in them is no folder."""
    page = Reader(results_page([Row(Card("cat/dog"), [], "Words")]))
    assert page.text.count("cat/dog") == 1
    assert "Nothing found." in page.text


def test_bars_only_where_scores_are_shares() -> None:
    """Cosines are drawn as bars; scores of which one is below 0 or above 1 are numbers only."""

    def bars(*scores: float) -> list[str | None]:
        page = Reader(results_page([Row(Card("q"), [Card("x", score=score) for score in scores])]))
        return [rect["width"] for rect in page.all("rect") if rect.get("height") == "5"]

    assert bars(1.0, 0.25) == ["100.0", "25.0"]
    assert bars(0.5, -0.5) == []
    assert "\N{MINUS SIGN}0.500" in results_page([Row(Card("q"), [Card("x", score=-0.5)])])


def test_several_queries_are_sections_of_one_page() -> None:
    """Each query is a section with a heading of its own, for readers who jump by headings."""
    page = Reader(results_page([Row(Card(f"q{n}"), [Card("x")]) for n in range(3)]))
    assert [section["aria-labelledby"] for section in page.all("section")] == [
        "query-1",
        "query-2",
        "query-3",
    ]
    assert [heading["id"] for heading in page.all("h2")] == ["query-1", "query-2", "query-3"]
    assert all(len(page.all(landmark)) == 1 for landmark in ("header", "main", "footer", "h1"))


def test_a_table_stands_above_the_rows() -> None:
    """Heads and cells are in their order, a row is headed by its first cell, numbers are marked as such."""
    table = Table(
        ["method", "mAP@100", "dim"], [["toy", "0.250", "8"], ["keras:X@fc1", "0.500", "16"]], (1, 2)
    )
    text = results_page([Row(Card("q"), [], "keras:X@fc1")], table=table)
    page = Reader(text)
    assert [cell["scope"] for cell in page.all("th")] == ["col", "col", "col", "row", "row"]
    assert [cell["class"] for cell in page.all("td")] == ["number"] * 4
    assert re.findall(r">(0\.\d+|\d+)</td>", text) == ["0.250", "8", "0.500", "16"]
    assert page.text.index("mAP@100") < page.text.index("toy") < page.text.index("0.500")
    assert text.index("</table>") < text.index("<section")


def test_a_table_is_text() -> None:
    """Markup in heads and cells is shown and not obeyed; no rows are a table, and none is asked for."""
    page = Reader(results_page([], table=Table([HOSTILE, HOSTILE], [[HOSTILE, HOSTILE]], [1])))
    assert not page.open
    assert not page.all("script")
    assert not page.all("img")
    assert page.text.count("<script>alert(1)</script>") == 4
    assert len(Reader(results_page([], table=Table(["method"], []))).all("table")) == 1
    assert not Reader(results_page([])).all("table")


def test_names_of_methods_keep_their_letters() -> None:
    """The style leaves capitals as they are: in the name of a method they count."""
    page = results_page([Row(Card("q"), [], "keras:VGG16@fc1")])
    assert ">keras:VGG16@fc1</h2>" in page
    assert "text-transform" not in page


def test_import_is_light() -> None:
    """Importing the module loads neither numpy nor Pillow."""
    script = "import sys, lookalike.views.pages; sys.exit(bool({'numpy', 'PIL'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_fragment_stands_in_any_page():
    """The piece for a notebook brings its styles inline, escapes names, and shows what is missing."""
    hits = [Card("a/<b>.jpg", b"\xff\xd8\xff\xe0", score=0.5), Card("gone.jpg", score=0.25)]
    html = fragment([Row(Card("q.jpg"), hits, notes=["look"])])
    assert not any(word in html for word in ("<style", "class=", "<script"))
    assert all(word in html for word in ("&lt;b&gt;.jpg", "0.500", "no preview", "look"))
    assert html.count("data:image/jpeg;base64,") == 1


def test_numbers_that_are_all_tiny_have_more_decimals():
    """Scores that are compared stay apart, in one length; a minus nought is a plain one."""
    assert numbers([0.93, 0.0012, -0.0]) == ["0.930", "0.001", "0.000"]
    assert numbers([0.00108, 0.00107]) == ["0.00108", "0.00107"]
    assert numbers([-12345.6, 1.0, float("nan")]) == ["-12,346", "1.000", "nan"]
    assert numbers([]) == []
    assert "0.00108" in results_page([Row(Card("q"), [Card("a", score=0.00108)])])
