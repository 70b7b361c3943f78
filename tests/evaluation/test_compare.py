"""Several methods on one folder: what is measured, what is made, and what is left of it."""

import json
import shutil
import tempfile
from pathlib import Path

import pytest

from lookalike import Gallery, extractor
from lookalike.errors import NotFound, UsageError
from lookalike.evaluation import Method, compare, evaluate
from lookalike.testing import ToyExtractor

RED, GREY = "toy?normalize=0#euclidean", "toy"


@pytest.fixture
def folder(tmp_path, paint):
    """Four pictures of different red on a line: a at 0 and 1, b at 3 and 7."""
    return paint(tmp_path / "line", {"a/0.png": 0, "a/1.png": 20, "b/3.png": 60, "b/7.png": 140})


@pytest.fixture(autouse=True)
def workshop(tmp_path, monkeypatch):
    """Where temporary folders are made in this test; nothing may be left in it."""
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    assert list(place.iterdir()) == []


def test_methods_are_measured(folder):
    """Each method has the measures that `evaluate` gives, its size, speed and time."""
    found = compare(folder, [RED, "toy?grid=2"], labels="folder")
    red, grid = found
    assert red.evaluation["mAP@100"] == pytest.approx((1 + 1 + 1 / 3 + 1) / 4)
    # All reds have one direction, and black has none: as cosine sees them, the others tie.
    assert grid.evaluation["mAP@100"] < red.evaluation["mAP@100"]
    assert (red.dim, grid.dim, red.metric, grid.metric) == (3, 12, "euclidean", "cosine")
    assert all(one.bytes > 0 and one.rate > 0 and one.milliseconds > 0 for one in found)
    assert (red.rate_from, red.reused, red.error, found.pictures) == (4, None, None, 4)
    assert found[RED] is red


def test_the_folder_is_never_written_to(folder):
    """Afterwards the folder holds what it held before."""
    before = sorted(folder.rglob("*"))
    compare(folder, [RED], labels="folder", queries=["a/0.png"])
    assert sorted(folder.rglob("*")) == before


def test_answers(folder):
    """Each query has an answer of each method, k hits, with their small pictures."""
    query = str(folder / "b" / "3.png")
    found = compare(folder, [RED, "toy?grid=2&normalize=0&metric=inner"], queries=[query, "id:a/0.png"], k=2)
    assert [[hit.id for hit in one.answers[0].hits] for one in found] == [
        ["a/1.png", "a/0.png"],
        ["b/7.png", "a/1.png"],
    ]
    assert all(one.answers[1].hits[0].id != "a/0.png" for one in found)
    assert found.thumbnails["hit", "a/1.png"].startswith(b"\xff\xd8")
    assert found.thumbnails["query", query].startswith(b"\xff\xd8")
    assert all(one.evaluation is None for one in found)


def test_a_finished_gallery_is_read(folder):
    """One of the same model and metric that knows every file is used, at any name; notes say so."""
    with Gallery.open(folder, name="mine", model="toy?normalize=0", metric="euclidean") as gallery:
        gallery.add()
    found = compare(folder, [RED, "toy?normalize=0#inner"], labels="folder")
    assert [one.reused for one in found] == ["mine", None]
    assert f"{RED} was read from the gallery mine" in found.notes[-1]
    assert 0 < found[RED].rate_from <= 4


def test_a_gallery_that_is_behind_is_not_read(folder, paint):
    """A file that changed or came since makes the method anew, elsewhere."""
    with Gallery.open(folder, model="toy") as gallery:
        gallery.add()
        paint(folder, {"b/9.png": 180})
        found = compare(folder, ["toy"], labels="folder")
        assert (found["toy"].reused, found.pictures, len(gallery)) == (None, 5, 4)


def test_galleries_by_name(folder, paint):
    """Galleries told by name are taken as they are, on the pictures that all of them have."""
    for name, model in (("one", "toy"), ("two", "toy?grid=2")):
        with Gallery.open(folder, name=name, model=model) as gallery:
            gallery.add()
        paint(folder, {"b/9.png": 180})
    found = compare(folder, galleries=["two", "one"], labels="folder")
    assert [(one.method, one.model, one.reused) for one in found] == [
        ("two", "toy?grid=2", "two"),
        ("one", "toy", "one"),
    ]
    assert {one.evaluation.pictures for one in found} == {4}
    assert "1 pictures are not in every gallery" in found.notes[-1]
    # Without any told, those that the folder has are meant.
    assert [one.method for one in compare(folder, labels="folder")] == ["one", "two"]


def test_a_method_that_fails_does_not_lose_the_others(folder):
    """Its row says why: an unknown model, an unknown metric, an extractor that breaks."""

    class Broken(ToyExtractor):
        __slots__ = ()

        def extract(self, batch):  # noqa: ARG002  # the protocol's
            raise ValueError("out of order")

    found = compare(folder, ["nonsense", "toy#nonsense", Broken(grid=3), RED], labels="folder")
    assert [one.error is None for one in found] == [False, False, False, True]
    assert "there is no model 'nonsense'" in found["nonsense"].error
    assert "no metric" in found["toy#nonsense"].error
    assert found["toy?grid=3"].error == "ValueError: out of order"
    assert len(found.failed) == 3
    assert found[RED].evaluation is not None


def test_stopped_by_hand_nothing_is_left(folder, workshop):
    """Ctrl-C in the middle of a method is passed on, and its gallery is gone."""

    def stop(method, progress):
        assert method == RED
        if progress.done:
            assert len(list(workshop.iterdir())) == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(folder, [RED], labels="folder", progress=stop)
    assert list(folder.glob(".lookalike")) == []


def test_progress_is_told(folder):
    """Each method begins at nothing of all files, ends at all of them, and then asks with all of them."""
    told = []
    compare(
        folder,
        [RED, GREY],
        labels="folder",
        progress=lambda method, p: told.append((method, p.done, p.total)),
    )
    assert told[0] == (RED, 0, 4)
    assert told[-2:] == [(GREY, 4, 4), (f"asking {GREY}", 4, 4)]
    assert told.index((RED, 4, 4)) < told.index((f"asking {RED}", 4, 4)) < told.index((GREY, 0, 4))


def test_nothing_to_compare(folder, tmp_path):
    """A folder that is not there, one picture, no labels and queries, no such query: clear errors at once."""
    alone = tmp_path / "alone"
    (alone / "a").mkdir(parents=True)
    shutil.copy(folder / "a" / "0.png", alone / "a")
    for place, words, message in (
        (tmp_path / "nowhere", {"labels": "folder"}, "does not exist"),
        (folder / "a" / "0.png", {"labels": "folder"}, "is not a folder"),
        (alone, {"labels": "folder"}, "holds 1 pictures; expected at least two"),
        (folder, {}, "nothing to compare by"),
        (folder, {"labels": "folder", "k": 0}, "k is 0"),
        (folder, {"models": [], "labels": "folder"}, "no method to compare"),
    ):
        with pytest.raises(UsageError, match=message):
            compare(place, **{"models": [RED], **words})
    with pytest.raises(NotFound, match=r"no picture in .*, is called 'polo.jpg'"):
        compare(folder, [RED], queries=["polo.jpg"])
    with pytest.raises(NotFound, match="has no gallery 'vgg': it has none"):
        compare(folder, galleries=["vgg"], labels="folder")


def test_labels_are_read_before_the_long_part(folder):
    """Labels that match nothing, or of which there are too few, are an error before a picture is read."""

    def never(method, progress):
        raise AssertionError

    for labels, message in (
        ("category", "expected folder"),
        ("name:x", "none of the 4 file names"),
        (r"name:(.*)", "nothing to ask"),
    ):
        with pytest.raises(UsageError, match=message):
            compare(folder, [RED], labels=labels, progress=never)


def test_labels_may_be_in_the_metadata_of_any_gallery(folder):
    """A field that one of the folder's galleries has labels the pictures of all methods."""
    kinds = {"a/0.png": "x", "b/7.png": "x", "a/1.png": "y", "b/3.png": "y"}
    with Gallery.open(folder, model="toy") as gallery:
        gallery.add(metadata={id_: {"kind": kind} for id_, kind in kinds.items()})
    found = compare(folder, [RED], labels="kind")
    assert (found.labels, found[RED].reused) == ("the field kind", None)
    # 0 finds 1 3 7, 1 finds 0 3 7, 3 finds 1, 7 finds 3 1 0.
    assert found[RED].evaluation["mAP@100"] == pytest.approx((1 / 3 + 1 / 2 + 1 + 1 / 3) / 4)


def test_it_turns_into_json_html_and_plots(folder, tmp_path):
    """JSON, a page and a table hold every method, those that failed with the reason; plots are drawn."""
    found = compare(folder, [RED, GREY, "<b>"], labels="folder", queries=["a/0.png"])
    content = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert [one["method"] for one in content["methods"]] == [RED, GREY, "<b>"]
    assert content["methods"][0]["measures"]["mAP@100"] == pytest.approx(5 / 6)
    assert content["methods"][0]["answers"][0]["hits"][0]["id"] == "a/1.png"
    assert "error" in content["methods"][2]
    assert '<td style="text-align:left">&lt;b&gt; (failed)' in found._repr_html_()
    for text in (found._repr_html_(), found.html()):
        assert "&lt;b&gt; failed: there is no model" in text
    assert str(found).splitlines()[1].split()[:3] == ["0.200", "0.833", "0.875"]
    assert "<b> failed: there is no model '<b>'" in str(found)
    assert "data:image/jpeg" in found.html()
    for what in ("answers", "quality"):
        file = tmp_path / f"{what}.png"
        found.plot(what).save(file)
        assert file.stat().st_size > 5000


def test_plots_need_something_to_show(folder):
    """A comparison without queries has no answers to plot, one without labels no quality."""
    with pytest.raises(UsageError, match="had no queries"):
        compare(folder, [RED], labels="folder").plot("answers")
    with pytest.raises(UsageError, match="had no labels"):
        compare(folder, [RED], queries=["a/0.png"]).plot("quality")
    with pytest.raises(UsageError, match="no method could be measured"):
        compare(folder, ["nonsense"], queries=["a/0.png"]).plot()


def test_real_pictures(stamps, tmp_path):
    """On some stamps the default vector beats pixels and class scores; each picture is seen once."""
    folder = tmp_path / "stamps"
    for name in ("animals/birds", "food/fruit", "plants/flowers", "vehicles"):
        for path in sorted((stamps / name).rglob("*.png"))[:12]:
            (folder / name).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / name / path.name)
    models = ["efficientnet-lite0", "efficientnet-lite0@classes#inner", "toy?grid=8"]
    found = compare(folder, models, labels="folder", precision="f32")
    quality = [one.evaluation["mAP@100"] for one in found]
    assert quality == sorted(quality, reverse=True)
    assert quality[0] > 0.6
    assert {one.rate_from for one in found} == {found.pictures} == {48}
    with Gallery.open(
        folder, gallery=tmp_path / "own", model=extractor(models[0], precision="f32")
    ) as gallery:
        gallery.add()
        assert evaluate(gallery, "folder")["mAP@100"] == pytest.approx(quality[0], abs=1e-6)


def test_extractors_and_methods_are_taken_as_they_are(folder):
    """An extractor object, a `Method` and a name may stand side by side."""
    found = compare(folder, [ToyExtractor(grid=2), Method("toy", "inner"), "toy"], labels="folder")
    assert [one.method for one in found] == ["toy?grid=2", "toy#inner", "toy"]
    assert Path(found.folder) == folder
