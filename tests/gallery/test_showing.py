"""What is shown of a picture beside its name, in tables, pages and notebooks, and what pickles of it."""

from __future__ import annotations

import pickle

import pytest

from lookalike import Gallery
from lookalike.errors import NotFound, UsageError
from lookalike.search.hits import Answers, Hit, Hits
from lookalike.search.show import cards, checked, usual
from lookalike.types import Tag
from lookalike.views.pages import results_page

TAGS = (Tag("n1", "mug", 0.62), Tag("n2", "assault rifle", 0.29))
FIELDS = {"taken": "2024-05-03", "brand": "acme", "title": "Blue mug", "price": 3.5, "camera": "Box"}


def _hits(**options):
    hit = Hit(1, "a/mug.png", None, 0.9, 0.1, tags=TAGS, metadata=FIELDS, width=40, height=30)
    return Hits("q.png", "toy", "cosine", (hit,), **options)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (FIELDS, ("title",)),
        ({"brand": "acme", "size": "XL"}, ("brand",)),
        ({"product_name": "Mug", "brand": "acme"}, ("product_name",)),
        ({"taken": "2024", "camera": "Box", "lens": "50", "id": "7", "url": "http://x", "price": 3}, ()),
        ({}, ()),
    ],
)
def test_what_is_usually_shown(fields, expected):
    """The first text field of the user's own, a title before others; nothing that the picture says itself."""
    assert usual([{}, fields]) == expected


def test_pages_and_notebooks_show_the_users_own_field():
    """The title stands under the name, and nothing that the model is hardly sure of."""
    page, notebook = _hits().html(), _hits()._repr_html_()
    for text in (page, notebook):
        assert "Blue mug" in text
        assert "assault rifle" not in text
    assert "mug <span>62%</span>" in page


def test_what_is_asked_for_is_shown():
    """Fields come in the order asked for, also those that every picture has; tags only if they are wanted."""
    hits = _hits().showing(["price", "width", "folder", "nothing"], tags=False)
    (card,) = cards(hits)
    assert card.fields == [("price", "3.5"), ("width", "40"), ("folder", "a")]
    assert card.tags == []
    assert "Blue mug" not in hits.html()
    assert "mug <span>" not in hits.html()


def test_json_keeps_all():
    """JSON has every tag and every field, whatever is shown."""
    made = _hits().showing(["price"], tags=False).as_dict()["hits"][0]
    assert [tag["name"] for tag in made["tags"]] == ["mug", "assault rifle"]
    assert made["metadata"] == FIELDS


def test_what_fields_say_is_text_in_a_page():
    """A value can't become a part of the page."""
    page = results_page(Answers([_hits().showing(["title"])])._rows())
    assert "<b>" not in page
    hostile = Hit(1, "x", None, 0.9, 0.1, metadata={"title": "<img src=x>"})
    assert "<img src=x" not in Hits("q", "toy", "cosine", (hostile,)).html()


def test_a_page_of_words_is_titled_by_them():
    """Words name the page, a picture does not."""
    assert "<title>red car</title>" in Hits("red car", "toy", "keywords", (), label="Words").html()
    assert "<title>Similar pictures</title>" in _hits().html()


def test_an_unknown_field(gallery):
    """The error lists the fields there are; a name with a comma is one field where there is such."""
    gallery.update({"red.png": {"title": "Red", "price": 3, "a,b": "x"}})
    assert checked("title, price", gallery.store) == ("title", "price")
    assert checked("a,b", gallery.store) == ("a,b",)
    with pytest.raises(
        UsageError, match=r"no field 'titel' to show; it has a,b, folder, height, name, price"
    ):
        checked("titel", gallery.store)


def test_hits_can_be_pickled(gallery, root):
    """What was pickled is the same answer; its pictures are shown as long as their files are there."""
    hits = gallery.search("id:red.png", k=2)
    again = pickle.loads(pickle.dumps(hits))  # noqa: S301 - our own
    assert again == hits
    assert again.html().count("data:image/jpeg") == 2
    assert pickle.loads(pickle.dumps(Answers([hits]))) == [hits]  # noqa: S301
    (root / hits[0].id).unlink()
    assert again.html().count("data:image/jpeg") == 1


def test_a_gallery_says_what_it_is(tmp_path, gallery):
    """Its representation has place, number and model; a closed or empty one says so."""
    assert repr(gallery) == f"<Gallery {gallery.address!r}: 5 pictures by toy>"
    gallery.close()
    assert repr(gallery) == f"<Gallery {gallery.address!r}: closed>"
    absent = Gallery.open(tmp_path / "new", model="toy")
    assert repr(absent) == f"<Gallery '{tmp_path}/new/.lookalike/default': nothing in it yet>"


def test_a_picture_by_the_users_own_id(gallery, root, paint):
    """A file's name without its ending, or a field `id`, stands for the picture if it is the only one."""
    gallery.update({"2024/orange.png": {"id": "SKU-7"}})
    nearest = [hit.id for hit in gallery.search("id:red.png", k=4)]
    assert [hit.id for hit in gallery.search("id:red", k=4)] == nearest
    assert "2024/orange.png" not in [hit.id for hit in gallery.search("id:SKU-7", k=9)]
    with pytest.raises(NotFound, match=r"has the id 'gree'; did you mean 2024/05/green\.png\?"):
        gallery.search("id:gree")
    with pytest.raises(NotFound, match=r"an id is a path as search prints it, or by the field id as 'SKU-7'"):
        gallery.search("id:nowhere")
    paint(root / "other" / "red.jpg", (9, 9, 9))
    gallery.add()
    with pytest.raises(NotFound, match=r"'red' is the id of several pictures: other/red\.jpg, red\.png"):
        gallery.search("id:red")
