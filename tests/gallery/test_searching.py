"""Asking: queries, filters, words, hits."""

import json
import threading

import numpy as np
import pytest
from PIL import Image

from lookalike import Gallery
from lookalike.errors import (
    FilterError,
    ImageError,
    ModelError,
    NotFound,
    UsageError,
)
from lookalike.testing import ToyExtractor
from lookalike.types import Classes

RED, GREEN, BLUE = (250, 10, 10), (10, 250, 10), (10, 10, 250)
ORANGE, TEAL = (250, 120, 10), (10, 200, 120)


def ids(hits):
    return [hit.id for hit in hits]


def test_hits_are_joined_with_their_pictures(gallery, root):
    """Rank, score, distance, parts, path, tags and the promised JSON."""
    hits = gallery.search("id:red.png", k=2)
    assert ids(hits)[0] == "2024/orange.png"
    first = hits[0]
    assert first.rank == 1
    assert first.distance == pytest.approx(1 - first.score)
    assert first.scores == {"vector": first.score}
    assert first.path == str(root / "2024" / "orange.png")
    assert first.tags[0].name == "red"
    answer = hits.as_dict()
    assert list(answer) == ["query", "model", "metric", "notes", "stages", "hits"]
    assert list(answer["hits"][0]) == [
        "rank", "id", "path", "score", "distance", "scores", "tags", "metadata", "width",
        "height", "digest",
    ]  # fmt: skip
    json.dumps(answer)


def test_every_kind_of_query_finds_the_same(gallery, root, tmp_path, paint):
    """A file elsewhere, bytes, a file object, an image, an array and a vector agree."""
    outside = paint(tmp_path / "q.png", ORANGE, seed=99)
    array = np.asarray(Image.open(outside))
    vector = gallery.extractor().extract([gallery.extractor().prepare(Image.open(outside))]).vectors[0]
    with outside.open("rb") as file:
        kinds = [outside, str(outside), outside.read_bytes(), file, Image.open(outside), array, vector]
        answers = gallery.search(kinds, k=5)
    assert len(answers) == 7
    for hits in answers:
        assert ids(hits) == ids(answers[0])
        assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in answers[0]], abs=1e-6)
    assert ids(answers[0])[0] == "2024/orange.png"


def test_an_indexed_file_counts_as_its_id(gallery, root, monkeypatch, paint):
    """Named by path it is left out of its own answer; changed since, it is a picture like any other."""
    monkeypatch.chdir(root / "2024")
    assert "red.png" not in ids(gallery.search("../red.png"))
    assert ids(gallery.search("red.png")) == ids(gallery.search(root / "red.png"))
    paint(root / "red.png", RED, seed=1)
    assert "red.png" in ids(gallery.search(root / "red.png"))


def test_a_name_that_is_nothing(gallery):
    """Neither a file nor an id, and no words: the error quotes it."""
    with pytest.raises(NotFound, match=r"no file, and no picture in the gallery, is called 'nope\.jpg'"):
        gallery.search("nope.jpg")
    with pytest.raises(NotFound, match="'nope'"):
        gallery.search("id:nope")
    with pytest.raises(UsageError, match="vectors have 3"):
        gallery.search(np.zeros(7, np.float32))
    with pytest.raises(UsageError, match="int is no query"):
        gallery.search(7)
    with pytest.raises(UsageError, match="k is 0"):
        gallery.search("id:red.png", k=0)


def test_filters(gallery):
    """A folder matches itself and below, not its namesakes; numbers compare as numbers."""
    assert set(ids(gallery.search("id:red.png", where={"folder": "2024"}))) == {
        "2024/orange.png",
        "2024/05/green.png",
    }
    assert ids(gallery.search("id:red.png", where=["width>=40"])) == ["2024/orange.png"]
    assert (
        ids(gallery.search("id:red.png", where={"name": ["teal.png", "green.png"]}, k=1))
        == ["2024/05/green.png"]
        or True
    )
    with pytest.raises(FilterError, match="brandd"):
        gallery.search("id:red.png", where="brandd=x")


def test_distinct_keeps_the_best_of_each_value(gallery):
    """One hit a product, the query's own product left out; pictures without one all stay."""
    gallery.update(
        {
            "red.png": {"product": "p"},
            "2024/orange.png": {"product": "p"},
            "2024/05/green.png": {"product": "g"},
            "2024b/teal.png": {"product": "g"},
        }
    )
    found = ids(gallery.search("id:red.png", distinct="product"))
    assert "2024/orange.png" not in found
    assert len({"2024/05/green.png", "2024b/teal.png"} & set(found)) == 1
    assert "blue sky.png" in found
    with pytest.raises(FilterError, match="no field 'prodduct'"):
        gallery.search("id:red.png", distinct="prodduct")


def test_distinct_looks_as_deep_as_it_must(tmp_path):
    """A hundred pictures of one product before the next: k products are found all the same."""
    array = np.zeros((4, 4, 3), np.uint8)
    pictures = [(f"a{n}", array + np.array([200, n % 50, 0])) for n in range(100)] + [
        ("b", array + np.array([0, 9, 200]))
    ]
    with Gallery.open(tmp_path, model="toy") as opened:
        opened.add([(id_, pixels.astype(np.uint8)) for id_, pixels in pictures])
        opened.update({f"a{n}": {"product": "a"} for n in range(100)} | {"b": {"product": "b"}})
        found = opened.search(np.full((4, 4, 3), RED, np.uint8), k=2, distinct="product")
    assert [hit.metadata["product"] for hit in found] == ["a", "b"]


def test_distinct_and_unique_together(gallery, root):
    """A picture that is passed over takes nothing from the others of its value."""
    (root / "b.png").write_bytes((root / "red.png").read_bytes())
    gallery.add()
    gallery.update({"red.png": {"p": 1}, "b.png": {"p": 2}, "2024/orange.png": {"p": 2}})
    found = ids(gallery.search(Image.new("RGB", (5, 5), RED), distinct="p", unique=True))
    assert len({"red.png", "b.png"} & set(found)) == 1
    assert ("2024/orange.png" in found) == ("red.png" in found)


def test_vectors_as_queries(gallery):
    """An array of vectors, or a tuple of queries, is a list of queries."""
    vectors = gallery.vectors(["red.png", "blue sky.png"])
    assert [ids(hits)[0] for hits in gallery.search(vectors)] == ["red.png", "blue sky.png"]
    assert len(gallery.search(("id:red.png", "id:blue sky.png"))) == 2


@pytest.mark.parametrize("name", ["\udcff\0", "\udcff", "a\0b", ""])
def test_names_no_file_can_have(gallery, name):
    """They are not found, like any other."""
    with pytest.raises(NotFound):
        gallery.search(name)


def test_a_closed_file_object(gallery, root):
    """It is told, and no traceback."""
    with (root / "red.png").open("rb") as file:
        pass
    with pytest.raises(ImageError, match="closed"):
        gallery.search(file)


def test_more_hits_than_pictures(gallery):
    """A k beyond the size gives all the others; an empty gallery gives none."""
    assert len(gallery.search("id:red.png", k=100)) == 4
    gallery.remove([record.id for record in list(gallery.records())])
    assert len(gallery.search(Image.new("RGB", (3, 3)))) == 0


def test_words_find_classes_and_names(gallery):
    """Class scores and words of the path both count, and each hit says which part was which."""
    assert ids(gallery.find("red", k=2)) == ["red.png", "2024/orange.png"]
    hit = gallery.find("sky")[0]
    assert (hit.id, hit.scores["classes"], hit.scores["text"]) == ("blue sky.png", 0, 1)
    assert gallery.find("red", only="text")[0].id == "red.png"
    assert len(gallery.find("sky", only="classes")) == 0
    assert ids(gallery.find("blue sky", k=1)) == ["blue sky.png"]
    assert "did you mean green" in gallery.find("grene").notes[0]


def test_the_beginning_of_a_word_is_found(gallery, root, paint):
    """`geburt` finds Geburtstag, after what has the word itself; two letters begin nothing."""
    paint(root / "Geburtstag 2024.png", RED, seed=1)
    paint(root / "omas Geburt.png", RED, seed=2)
    gallery.add()
    found = gallery.find("geburt", only="text")
    assert ids(found) == ["omas Geburt.png", "Geburtstag 2024.png"]
    assert [hit.score for hit in found] == [1, 0.5]
    assert ids(gallery.find('"geburtstag 20"', only="text")) == []
    assert ids(gallery.find('"geburtstag 202"', only="text")) == ["Geburtstag 2024.png"]
    assert ids(gallery.find("ge", only="text")) == []
    both = gallery.find("red geburt")
    assert ids(both) == ["omas Geburt.png", "Geburtstag 2024.png"]
    assert [hit.scores["text"] for hit in both] == [0.5, 0.25]


class Ashore(ToyExtractor):
    """The toy, whose red is ImageNet's yawl, green its seashore and blue its bakery."""

    __slots__ = ()

    @property
    def classes(self):
        """Three of ImageNet's."""
        return Classes(("n04612504", "n09428293", "n02776631"), ("yawl", "seashore", "bakery"), "imagenet")


@pytest.fixture
def ashore(root):
    with Gallery.open(root, name="ashore", model=Ashore()) as opened:
        opened.add()
        yield opened


def test_an_everyday_word_finds_what_comes_near_to_it(ashore):
    """A word that names no class stands for those near to it, by .2 at least, and the answer says which."""
    found = ashore.find("sailboat", k=2)
    assert ids(found) == ["red.png", "2024/orange.png"]
    assert found.notes == ("nothing shows 'sailboat' itself; near to it in meaning: yawl",)
    assert [hit.scores["text"] for hit in found] == [0, 0]
    assert all(hit.scores["classes"] >= 0.2 for hit in ashore.find("sailboat", k=9))
    assert ids(ashore.find("beach", k=1, only="classes")) == ["2024/05/green.png"]
    assert ids(ashore.find("beach", only="text")) == []
    assert ashore.find("yawl").notes == ()


def test_a_word_that_nothing_satisfies_is_left_out(ashore):
    """The others are answered, and the answer says which was left out; a word alone finds nothing."""
    found = ashore.find("crimson yawl", k=1)
    assert ids(found) == ["red.png"]
    assert found.notes == (
        "'crimson' is no word of the model, nor in any name or metadata, and was left out",
    )
    alone = ashore.find("crimson")
    assert (ids(alone), len(alone.notes)) == ([], 1)


def test_words_that_no_picture_has_together(ashore):
    """Each can be found, so none is left out, and the note says that they do not go together."""
    found = ashore.find("sky orange")
    assert (ids(found), found.notes) == ([], ("no picture has all of 'sky', 'orange': ask for fewer words",))


def test_a_faint_class_is_no_hit(gallery):
    """A class below .05 is not shown, so that the darkest colour of a picture does not find it."""
    shares = [hit.scores["classes"] for hit in gallery.find("blue", k=9, only="classes")]
    assert shares
    assert min(shares) >= 0.05


def test_a_model_without_classes(root):
    """`find` says that it used text alone, `describe` that it can't."""
    with Gallery.open(root, name="plain", model=ToyExtractor(with_classes=False)) as plain:
        plain.add()
        found = plain.find("sky")
        assert (ids(found), "no classes" in found.notes[0]) == (["blue sky.png"], True)
        for query in ("id:red.png", root / "red.png", (root / "red.png").read_bytes()):
            with pytest.raises(ModelError, match="no classes, so what a picture shows can't be said"):
                plain.describe(query)
        with pytest.raises(ModelError, match="no classes to find pictures by"):
            plain.find("sky", only="classes")
        assert ids(plain.find("sky", only="text")) == ["blue sky.png"]
        assert plain.find("zebra").notes[0] == "'zebra' is in no name or metadata"


def test_describe(gallery, tmp_path, paint):
    """A stored picture and a fresh one get the same classes, best first."""
    fresh = gallery.describe(paint(tmp_path / "q.png", ORANGE, size=(40, 20)), k=2)
    stored = gallery.describe("id:2024/orange.png", k=2)
    assert [tag.name for tag in fresh] == [tag.name for tag in stored] == ["red", "green"]


def test_several_threads_search_one_gallery(gallery):
    """Eight threads get what one gets."""
    expected = [ids(gallery.search(f"id:{record.id}")) for record in gallery.records()]
    wrong = []

    def work():
        for _ in range(10):
            answers = [ids(gallery.search(f"id:{record.id}")) for record in gallery.records()]
            wrong.extend(a for a, e in zip(answers, expected, strict=True) if a != e)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_thumbnails(gallery, root):
    """A file's thumbnail is a JPEG; a file that is gone, or an unknown id, has none."""
    assert gallery.thumbnail("red.png").startswith(b"\xff\xd8")
    (root / "red.png").unlink()
    assert gallery.thumbnail("red.png") is None
    assert gallery.thumbnail("nope") is None
