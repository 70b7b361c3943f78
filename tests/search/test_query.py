"""Queries: what a text means, typed parts, their sums, and regions of pictures."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lookalike
from lookalike import Gallery, Id, ImageError, NotFound, Picture, Query, UsageError, Vector, Words
from lookalike.search.query import combined
from lookalike.search.resolve import part_of, resolve


def ids(hits):
    return [hit.id for hit in hits]


def meaning(text, gallery):
    """What a text means, and the notes on it."""
    notes = []
    return part_of(text, gallery.store, gallery.access, notes.append), notes


def test_parts_add_up_to_a_query():
    """Parts are added, taken away and weighted, also by numbers of numpy; a query tells itself in words."""
    query = Picture("a.jpg") + 0.5 * Words("at night") - Words("snow")
    assert query.parts[1:] == ((0.5, Words("at night")), (-1, Words("snow")))
    assert str(query) == "a.jpg + 0.5:text:at night - text:snow"
    assert str(-Id("a") - np.float32(2) * (Id("b") + Id("c"))) == "- id:a - 2:id:b - 2:id:c"
    assert isinstance(np.float64(0.5) * Id("a"), Query)
    with pytest.raises(TypeError):
        Id("a") + "b"
    with pytest.raises(UsageError, match="weight nan; expected a finite number"):
        float("nan") * Id("a")


def test_what_a_text_means(gallery, root, monkeypatch):
    """In this order: `id:` or `text:`, a file, an id, an address, and else words."""
    monkeypatch.chdir(root)
    assert meaning("id:x", gallery)[0] == Id("x")
    assert meaning("text:red.png", gallery)[0] == Words("red.png")
    assert meaning("red.png", gallery)[0].picture == "red.png"
    monkeypatch.chdir("/")
    assert meaning("red.png", gallery)[0] == Id("red.png")
    assert meaning("https://example.org/red", gallery)[0].picture == "https://example.org/red"
    for words in ("dog", "a dog", "i.e. a dog", "3.5"):
        assert meaning(words, gallery) == (Words(words), [])


def test_a_folder_is_never_a_query(gallery, root, monkeypatch):
    """A folder's bare name is words, and its path an error that says so."""
    (root / "beach").mkdir()
    monkeypatch.chdir(root)
    assert meaning("beach", gallery)[0] == Words("beach")
    with pytest.raises(NotFound, match="'beach/' is a folder; expected a picture, or words: text:beach/"):
        gallery.search("beach/")


def test_a_path_to_nothing_is_no_words(gallery, root, monkeypatch):
    """What has a separator or ends as a file does is an error, which suggests what is spelled like it."""
    monkeypatch.chdir(root)
    with pytest.raises(NotFound, match=r"is called 'rde\.png'; did you mean red\.png\?"):
        gallery.search("rde.png")
    with pytest.raises(NotFound, match=f"did you mean {root}/green.png"):
        gallery.search(f"{root}/gren.png")
    monkeypatch.chdir("/")
    with pytest.raises(NotFound, match=r"'sky\.jgp'; did you mean blue sky\.png\?"):
        gallery.search("sky.jgp")
    with pytest.raises(NotFound, match=r"is called 'x/y'; words are text:x/y"):
        gallery.search("x/y")
    with pytest.raises(NotFound, match=r"no file is called 'beach\.jgp'; words are text:beach\.jgp"):
        Gallery.open(root, name="none", model="toy").describe("beach.jgp")


def test_a_file_and_an_id_at_once(gallery, root, tmp_path, monkeypatch):
    """The file is taken, and a note says so; where it is that very picture there is nothing to say."""
    Image.new("RGB", (9, 9), (10, 10, 240)).save(tmp_path / "red.png")
    monkeypatch.chdir(tmp_path)
    hits = gallery.search("red.png", 1)
    assert ids(hits) == ["blue sky.png"]
    assert hits.notes == (
        "'red.png' is a file here and the id of a picture: the file was taken; id:red.png is the other",
    )
    monkeypatch.chdir(root)
    assert gallery.search("red.png", 1).notes == ()


def test_typed_parts_touch_no_file_but_those_of_pictures(gallery, root, tmp_path, monkeypatch):
    """Whatever a stranger's text says, as an id, words or bytes it opens nothing, and no folder is listed."""
    monkeypatch.chdir(root)
    path = str(root / "red.png")
    content = (root / "red.png").read_bytes()
    other = str(tmp_path / "other.png")
    Path(other).write_bytes(content)
    touched, recording = [], False

    def audit(event, args):
        if recording and event in {"open", "os.listdir", "os.scandir", "socket.connect"}:
            touched.append((event, args[0]))

    sys.addaudithook(audit)
    gallery.search(Picture(content))  # everything is loaded
    gallery.search(Words("red"))
    recording = True
    try:
        for text in (path, "red.png", "../pictures/red.png", "~/x.png", "https://example.org/x"):
            gallery.search(Words(text))
            if text != "red.png":
                with pytest.raises(NotFound):
                    resolve(Id(text), gallery.store, gallery.access)
        resolve(Id("red.png"), gallery.store, gallery.access)
        resolve(Vector([1.0, 0.0, 0.0]), gallery.store, gallery.access)
        resolve(Picture(content), gallery.store, gallery.access)
        assert touched == []
        resolve(Picture(other), gallery.store, gallery.access)
    finally:
        recording = False
    assert touched[0] == ("open", other)


def test_several_pictures_make_one_vector(gallery, root):
    """The sum of their vectors at unit length; pictures of the gallery are left out of their own answer."""
    red, blue, green = gallery.vectors(["red.png", "blue sky.png", "green.png"])
    hits = gallery.search(Picture(root / "red.png") + 0.5 * Id("blue sky.png") - 0.25 * Id("green.png"))
    assert hits.query == f"{root}/red.png + 0.5:blue sky.png - 0.25:green.png"
    assert not {"red.png", "blue sky.png", "green.png"} & set(ids(hits))
    total = red + 0.5 * blue - 0.25 * green
    expected = gallery.search((total / np.linalg.norm(total)).astype(np.float32))
    scores = {hit.id: hit.score for hit in expected}
    assert [hit.score for hit in hits] == pytest.approx([scores[hit.id] for hit in hits], abs=1e-6)
    both = gallery.search(Id("red.png") + Id("green.png"), include_self=True)
    assert {"red.png", "green.png"} < set(ids(both))


def test_a_minus_takes_away(gallery):
    """Orange without red is greener than orange."""
    orange = gallery.search(Id("orange.png"), include_self=True)
    without = gallery.search(Id("orange.png") - 0.8 * Id("red.png"), include_self=True)
    assert ids(orange)[:2] == ["orange.png", "red.png"]
    assert ids(without)[0] == "green.png"


def test_parts_that_leave_nothing(gallery):
    """Parts that cancel each other out, and a query that only takes away, are told in words."""
    with pytest.raises(UsageError, match="cancel each other out"):
        gallery.search(Id("red.png") - Id("red.png"))
    with pytest.raises(UsageError, match="only takes away"):
        gallery.search(-Id("red.png"))


def test_a_sum_where_length_matters():
    """Vectors that are not normalised give their weighted mean, so that a picture twice is itself."""
    vectors, one = np.array([[2, 0], [0, 4]], np.float32), np.ones(2, np.float32)
    assert combined(vectors, one, one, normalized=False).tolist() == [1, 2]
    assert combined(vectors[[0, 0]], one, one, normalized=False).tolist() == [2, 0]
    spread = np.array([1, 2], np.float32)
    assert combined(vectors, one, spread, normalized=True) == pytest.approx([0.5**0.5, 0.5**0.5])


def test_words_are_a_query(gallery):
    """A text that is nothing else is looked up as words, as `find` does."""
    assert ids(gallery.search("sky")) == ids(gallery.find("sky")) == ["blue sky.png"]
    assert ids(gallery.search(Words("blue") + Words("sky"))) == ["blue sky.png"]
    assert gallery.search("sky").metric == "keywords"
    several = gallery.search(["sky", "id:red.png", Words("red")])
    assert [hits.metric for hits in several] == ["keywords", "cosine", "keywords"]


def test_words_and_pictures_do_not_mix(gallery):
    """Without a model that understands words, the error says so; nor can words be taken away."""
    with pytest.raises(UsageError, match=r"^red\.png - sky: words can't be mixed with pictures"):
        gallery.search(Id("red.png") - Words("sky"))
    with pytest.raises(UsageError, match="words have no weights here and can't be taken away"):
        gallery.search(Words("red") - Words("sky"))


@pytest.mark.parametrize("crop", ["12,0,12,8", "50%,0%,50%,100%", (12, 0, 12, 8), (0.5, 0.0, 0.5, 1.0)])
def test_a_region_of_a_picture(gallery, tmp_path, crop):
    """The region is what is compared, be it told in pixels, in percent or in shares."""
    picture = Image.new("RGB", (24, 8), (250, 10, 10))
    picture.paste((10, 10, 250), (12, 0, 24, 8))
    picture.save(tmp_path / "both.png")
    hits = gallery.search(Picture(tmp_path / "both.png", crop=crop))
    assert ids(hits)[0] == "blue sky.png"
    assert hits[0].score == pytest.approx(1, abs=1e-3)
    assert "the box" in hits.query
    assert "data:image/jpeg" in hits.html()


def test_a_region_of_an_upright_picture(gallery, tmp_path):
    """The region is said of the picture as it is seen, whatever way the camera was held."""
    picture = Image.new("RGB", (8, 24), (250, 10, 10))
    picture.paste((10, 10, 250), (0, 0, 8, 12))
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the right: what is at the top is seen on the right
    picture.save(tmp_path / "turned.png", exif=exif)
    hits = gallery.search(Picture(tmp_path / "turned.png", crop="50%,0%,50%,100%"))
    assert ids(hits)[0] == "blue sky.png"


def test_a_region_of_a_picture_of_the_gallery(gallery, root):
    """It is compared by its pixels, and the picture itself is left out all the same."""
    region = Picture(root / "red.png", crop=(0, 0, 4, 4))
    assert "red.png" not in ids(gallery.search(region))
    assert ids(gallery.search(region, include_self=True))[0] == "red.png"


def test_a_region_that_is_none(gallery, root):
    """One outside of the picture, and one that can't be read, are told."""
    with pytest.raises(ImageError, match="lies outside of the picture"):
        gallery.search(Picture(root / "red.png", crop=(0, 0, 40, 4)))
    for crop in ("1,2,3", (1, 2, 3), (0, 0, 0, 4), ("a", 1, 2, 3)):
        with pytest.raises(UsageError):
            gallery.search(Picture(root / "red.png", crop=crop))


def test_a_vector_of_any_numbers(rows):
    """A list of numbers is a vector; one of another shape is not."""
    assert rows.search(Vector([1, 0]), 1)[0].id == "00"
    with pytest.raises(UsageError, match=r"has the shape \(1, 2\); expected \(dim,\)"):
        rows.search(Vector([[1, 0]]))
    with pytest.raises(UsageError, match="a vector of numbers can't be made"):
        rows.search(Vector(["a"]))


def test_the_parts_are_public():
    """They stand at the front door."""
    assert lookalike.Picture is Picture
    assert issubclass(lookalike.Query, type(Id("a")).__mro__[1])
