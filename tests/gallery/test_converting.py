"""Galleries made of another one's vectors: no picture is opened, and all else comes along."""

import json
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lookalike import Gallery, Progress, Report
from lookalike.cli import run
from lookalike.errors import ModelError, ModelMismatch, NotFound, UnknownModel, UsageError
from lookalike.extractors import extending, load, trained
from lookalike.extractors.steps import Flatten, Linear, Normalise, Power
from lookalike.indexing.convert import fitting, further
from lookalike.indexing.copy import bring
from lookalike.stores import open_store

RED, GREEN, BLUE = (250, 10, 10), (10, 250, 10), (10, 10, 250)


def counts(report):
    return {key: value for key, value in report.as_dict().items() if isinstance(value, int) and value}


@pytest.fixture
def gallery(root, network):
    """The five pictures by the network, with one that could not be read and one taken out."""
    (root / "broken.jpg").write_bytes(b"\xff\xd8\xff nonsense")
    with Gallery.open(root, model=network) as opened:
        opened.add()
        opened.add([("mine", np.full((8, 8, 3), (200, 30, 90), np.uint8))])
        opened.update({"red.png": {"price": 1.5}})
        opened.update({"blue sky.png": {"price": 2}, "mine": {"price": 3}})
        opened.remove(["2024b/teal.png"])
        yield opened


def beside(root, name="ranked"):
    return Gallery.open(root, name=name, create=False)


def test_the_vectors_are_those_of_the_model(gallery, root, ranker):
    """A gallery that the model itself describes has the same vectors, up to the rounding of those kept."""
    report = gallery.convert(ranker, name="ranked")
    assert counts(report) == {"added": 5, "total": 5}
    assert (report.root, report.gallery, report.model) == (str(root), f"{root}/.lookalike/ranked", ranker)
    with beside(root) as ranked, Gallery.open(root, name="by hand", model=ranker) as by_hand:
        by_hand.add()
        same = [record.id for record in by_hand.records() if record.id in ranked]
        np.testing.assert_allclose(ranked.vectors(same), by_hand.vectors(same), atol=2e-3)
        picture = (root / "2024b" / "teal.png").read_bytes()
        found, expected = ranked.search(picture), by_hand.search(picture)
        assert [hit.id for hit in found if hit.path] == [hit.id for hit in expected if hit.id in same]
        assert ranked.check() == []


def test_no_picture_is_opened(gallery, root, ranker):
    """It works where the pictures are gone, and the network is not run."""
    for file in root.rglob("*.png"):
        file.unlink()
    extractor = load(ranker)
    assert gallery.convert(extractor, name="ranked").added == 5
    extractor.uncompiled()


def test_everything_else_comes_along(gallery, root, ranker):
    """Records with scores, metadata and thumbnails, what was skipped and taken out, and the folders."""
    gallery.convert(ranker, name="ranked")
    with beside(root) as ranked:
        assert list(ranked.records()) == list(gallery.records())
        assert ranked.thumbnail("mine") == gallery.thumbnail("mine") is not None
        assert (ranked.skipped(), ranked.removed()) == (gallery.skipped(), ["2024b/teal.png"])
        assert ranked.store.folders() == gallery.store.folders()
        assert [hit.id for hit in ranked.find("blue", k=1, only="classes")] == ["blue sky.png"]
        assert [hit.id for hit in ranked.search("id:mine", where="price<1.7")] == ["red.png"]
        assert ranked.info()["classes"] == 3
        # So it can be brought up to date by its own model, too, which finds nothing to do.
        assert counts(ranked.add()) == {"unchanged": 4, "total": 5}


def test_the_gallery_moves_with_its_folder(gallery, root, ranker, tmp_path):
    """One beside the other lies in the folder, one elsewhere knows where that is."""
    gallery.convert(ranker, name="ranked")
    gallery.convert(ranker, gallery=tmp_path / "elsewhere")
    assert beside(root).store.header.root == ""
    with Gallery.open(gallery=tmp_path / "elsewhere", create=False) as other:
        assert (other.store.header.root, len(other)) == (str(root), 5)


def test_again_it_is_brought_up_to_date(gallery, root, ranker, paint):
    """Only what is new or changed is written; what is gone goes; fields and removals follow."""
    gallery.convert(ranker, name="ranked")
    assert counts(gallery.convert(ranker, name="ranked")) == {"unchanged": 5, "total": 5}
    paint(root / "new.png", GREEN, seed=7)
    paint(root / "red.png", BLUE, seed=8)
    (root / "blue sky.png").unlink()
    (root / "broken.jpg").unlink()
    gallery.add()
    gallery.add([("mine", np.full((8, 8, 3), GREEN, np.uint8))])
    gallery.update({"2024/orange.png": {"price": 9}})
    gallery.remove(["2024/05/green.png"])
    gallery.restore(["2024b/teal.png"])
    report = gallery.convert(ranker, name="ranked")
    assert counts(report) == {"added": 1, "updated": 3, "removed": 2, "total": 4}
    with beside(root) as ranked:
        assert list(ranked.records()) == list(gallery.records())
        assert (ranked.skipped(), ranked.removed()) == ([], ["2024/05/green.png"])
        assert {hit.id for hit in ranked.search("id:mine", k=1)} == {"new.png"}
        assert ranked.check() == []


def test_whole_and_other_numbers_in_one_field(gallery, root, ranker):
    """A field is of other than whole numbers, though the first in the order of ids is a whole one."""
    gallery.update({"2024/05/green.png": {"price": 7}})
    gallery.convert(ranker, name="ranked")
    with beside(root) as ranked:
        assert ranked.info()["fields"]["price"] == "real"
        assert {record.metadata.get("price") for record in ranked.records()} == {None, 7, 1.5, 2, 3}


def test_stopped_and_started_again(gallery, root, ranker, monkeypatch):
    """What was written stays; the next run goes on, and is told of all."""
    gallery.add([(f"n{n}", np.full((3, 3, 3), (n, 7, 99), np.uint8)) for n in range(200)])
    monkeypatch.setattr("lookalike.indexing.copy._PICTURES", 50)
    seen: list[Progress] = []

    def stop(progress):
        seen.append(progress)
        if progress.done >= 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gallery.convert(ranker, name="ranked", progress=stop)
    assert [(one.done, one.total) for one in seen] == [(50, 205), (100, 205)]
    assert counts(gallery.convert(ranker, name="ranked")) == {"added": 105, "unchanged": 100, "total": 205}


KILLED = """
import os, signal, sys
from lookalike import Gallery; from lookalike.indexing import copy as copying
copying._PICTURES = 20
def stop(progress):
    if progress.done >= 60:
        os.kill(os.getpid(), signal.SIGKILL)
Gallery.open(sys.argv[1]).convert(sys.argv[2], name="ranked", progress=stop)
"""


def test_killed_and_started_again(gallery, root, ranker):
    """A killed run leaves a sound gallery, with which the next goes on."""
    gallery.add([(f"n{n}", np.full((3, 3, 3), (n, 7, 99), np.uint8)) for n in range(100)])
    done = subprocess.run([sys.executable, "-c", KILLED, root, ranker], check=False)
    assert done.returncode == -signal.SIGKILL
    with beside(root) as left:
        assert (len(left), left.check()) == (60, [])
    assert counts(gallery.convert(ranker, name="ranked")) == {"added": 45, "unchanged": 60, "total": 105}
    with beside(root) as ranked:
        assert list(ranked.records()) == list(gallery.records())


def test_which_steps_are_left(network, ranker, tmp_path, root):
    """Whatever of the steps made the vectors, with or without the last unit length, the rest follows."""
    steps = load(ranker).steps
    assert [type(step) for step in steps] == [Power, Normalise, Linear, Normalise]
    expected = {
        (network, None): 2,
        (network, False): 1,
        (f"{network}@features", None): 0,
        (ranker, False): 3,
        (ranker, None): 4,
    }
    for number, ((model, normalize), begun) in enumerate(expected.items()):
        with Gallery.open(root, name=f"g{number}", model=model, normalize=normalize) as made:
            made.add()
            left = further(made.store.header, load(ranker))
            assert [type(step) for step in left] == [type(step) for step in steps[begun:]]
            made.convert(ranker, name=f"r{number}")
            with beside(root, f"r{number}") as ranked:
                np.testing.assert_allclose(ranked.vectors(), beside(root, "r0").vectors(), atol=2e-3)


def test_layers_that_fit_and_do_not(network, root, tmp_path):
    """A model on plain features takes galleries of these, and none of the recommended vector's."""
    extending.extended(f"{network}@features", [Linear(np.eye(3, dtype=np.float32))], tmp_path / "plain")
    plain = load(str(tmp_path / "plain"))
    assert [type(step) for step in plain.steps] == [Flatten, Linear]
    with Gallery.open(root, name="features", model=f"{network}@features") as features:
        features.add()
        assert len(further(features.store.header, plain)) == 1
    with Gallery.open(root, model=network) as gallery:
        gallery.add()
        with pytest.raises(ModelMismatch, match="same network and layer, made by the first of its steps"):
            gallery.convert(str(tmp_path / "plain"), name="no")
    assert fitting(root, str(tmp_path / "plain")) == "features"


def test_a_network_that_was_trained_further_is_another(gallery, root, make_network, tmp_path):
    """With other weights under the same steps nothing can be converted, and nothing is made."""
    tuned = make_network(tmp_path / "tuned", weights="b" * 64)
    with pytest.raises(ModelMismatch, match=r"trained further is another one.*lookalike index FOLDER"):
        gallery.convert(tuned, name="tuned")
    with pytest.raises(ModelMismatch, match="nothing is known of how ToyExtractor makes its vectors"):
        gallery.convert("toy", name="tuned")
    assert [entry.name for entry in (root / ".lookalike").iterdir()] == ["default"]


def test_a_model_that_was_moved(gallery, root, ranker, tmp_path):
    """Its gallery misses it by its path and says what to do: converted to where it is now, it answers."""
    gallery.convert(ranker, name="ranked")
    moved = Path(ranker).rename(tmp_path / "elsewhere")
    picture = np.full((8, 8, 3), (200, 0, 0), np.uint8)
    with beside(root) as ranked:
        with pytest.raises(UnknownModel, match=r"no model at .*if it was moved, `lookalike convert"):
            ranked.search(picture)
        assert ranked.convert(str(moved), name="again").added == 5
        stored = ranked.vectors(["red.png"])
    with beside(root, "again") as again:
        assert np.array_equal(again.vectors(["red.png"]), stored)
        assert len(again.search(picture)) == 5


def test_a_gallery_of_another_model_is_left_alone(gallery, root, network, ranker, tmp_path):
    """At the name told there may be one already: of another model, of an older ranker, or itself."""
    with Gallery.open(root, name="toy", model="toy") as toy:
        toy.add()
    with pytest.raises(ModelMismatch, match="was made with toy, not"):
        gallery.convert(ranker, name="toy")
    gallery.convert(ranker, name="ranked")
    extending.extended(network, [Linear(np.eye(3, dtype=np.float32))], tmp_path / "ranker")
    with pytest.raises(ModelMismatch, match="other weights or settings of it"):
        gallery.convert(ranker, name="ranked")
    with pytest.raises(UsageError, match="into itself"):
        gallery.convert(ranker, name="default")
    with pytest.raises(UsageError, match="tell the name"):
        gallery.convert(ranker)
    with pytest.raises(UsageError, match="no name for a gallery"):
        gallery.convert(ranker, name="a/b")


def test_an_extractor_that_was_run_is_loaded_again(gallery, ranker):
    """Its network is not held any more, and the message says what to do."""
    extractor = load(ranker)
    extractor.extract([np.zeros((8, 8, 3), np.uint8)])
    with pytest.raises(ModelError, match="load it again"):
        gallery.convert(extractor, name="ranked")


def test_a_model_without_classes(root, make_network, tmp_path):
    """Its galleries and those converted have no scores: describe says so, find looks at text alone."""
    plain = make_network(tmp_path / "plain", classes=False)
    extending.extended(plain, [Linear(np.eye(3, dtype=np.float32)), Normalise()], tmp_path / "ranker")
    with Gallery.open(root, model=plain) as gallery:
        gallery.add()
        gallery.convert(str(tmp_path / "ranker"), name="ranked")
    with beside(root) as ranked:
        with pytest.raises(ModelError, match="has no classes"):
            ranked.describe("id:red.png")
        found = ranked.find("red")
        assert ([hit.id for hit in found], "no classes" in found.notes[0]) == (["red.png"], True)


def test_scores_stay_behind_where_classes_differ(gallery, root, ranker, network, tmp_path):
    """A card that was robbed of its classes has galleries without; nothing else is lost."""
    model, card, _ = load(ranker).uncompiled()
    trained.write(tmp_path / "mute", model, replace(card, scores=None, classes=None, files={}))
    gallery.convert(str(tmp_path / "mute"), name="mute")
    with beside(root, "mute") as mute:
        assert mute.info()["classes"] == 0
        assert {len(record.scores) for record in mute.records()} == {0}
        assert len(mute) == 5


def test_a_store_is_copied_as_it_is(gallery, tmp_path):
    """Without a change of the vectors the other store has the very same, bit for bit."""
    with closing(open_store(tmp_path / "copy", create=gallery.store.header)) as target:
        for _ in range(2):
            report = Report(gallery.root, target.address, gallery.model)
            with target.writing():
                bring(gallery.store, target, report)
        assert counts(report) == {"unchanged": 5, "total": 5}
        assert [s[:2] for s in target.states()] == [s[:2] for s in gallery.store.states()]
        assert target.get([r.id for r in gallery.records()]) == list(gallery.records())
        np.testing.assert_array_equal(target.vectors([r.id for r in gallery.records()]), gallery.vectors())
        assert (target.folders(), target.fields()) == (gallery.store.folders(), gallery.store.fields())


# As it is typed.


def typed(*words, capsys):
    code = run(["convert", *map(str, words)])
    return code, capsys.readouterr()


def test_the_command(gallery, root, ranker, capsys, monkeypatch):
    """It takes the folder's gallery that fits, makes the other beside it, and says what it did."""
    gallery.close()
    code, said = typed(root, "--model", ranker, "--name", "ranked", "--json", capsys=capsys)
    assert (code, json.loads(said.out)["added"]) == (0, 5)
    assert "no picture was opened" in said.err
    monkeypatch.chdir(root / "2024")
    code, said = typed("--model", ranker, "--name", "ranked", capsys=capsys)
    assert (code, "5 unchanged, 1 skipped; 5 pictures" in said.out) == (0, True)
    code, said = typed(root, "--model", ranker, capsys=capsys)
    assert (code, "--name" in said.err) == (2, True)


def test_the_command_chooses_the_gallery(gallery, root, network, ranker, capsys):
    """`default` if it fits, else another; one told by --from is taken, and the reason said if none fits."""
    with Gallery.open(root, name="second", model=network) as second:
        second.add()
    assert fitting(root, ranker) == "default"
    gallery.reindex("toy")
    assert fitting(root, ranker) == "second"
    code, said = typed(root, "--model", ranker, "--name", "x", "--from", "default", capsys=capsys)
    assert (code, "vectors made by toy can't be converted" in said.err) == (1, True)
    with beside(root, "second") as second:
        second.reindex("toy")
    code, said = typed(root, "--model", ranker, "--name", "x", capsys=capsys)
    assert (code, "there are default by toy, second by toy" in said.err) == (1, True)
    code, said = typed(root, "--model", ranker, "--name", "x", "--from", "third", capsys=capsys)
    assert (code, "there are default, second" in said.err) == (1, True)


def test_a_folder_without_galleries(root, ranker):
    """It says how to make one."""
    with pytest.raises(NotFound, match="lookalike index FOLDER"):
        fitting(root, ranker)


def test_others_search_while_it_is_made(gallery, root, ranker, monkeypatch):
    """The gallery that is converted is only read: one may add to it, and search it, all the while."""
    gallery.add([(f"n{n}", np.full((3, 3, 3), (n, 7, 99), np.uint8)) for n in range(100)])
    monkeypatch.setattr("lookalike.indexing.copy._PICTURES", 20)

    def meanwhile(progress):
        with Gallery.open(root) as other:
            other.add([(f"m{progress.done}", np.full((3, 3, 3), (9, progress.done, 9), np.uint8))])
            assert len(other.search("id:red.png", k=3)) == 3

    started = time.monotonic()
    assert gallery.convert(ranker, name="ranked", progress=meanwhile).added == 105
    assert gallery.convert(ranker, name="ranked").added == 6
    assert time.monotonic() - started < 60
