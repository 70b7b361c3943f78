"""A ranker from a folder to a model: vectors from a gallery or made, steps in the card, what is said."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import lookalike
from lookalike import Gallery
from lookalike.errors import UsageError
from lookalike.evaluation.folder import PictureFolder
from lookalike.evaluation.splits import Split
from lookalike.extractors import extending, steps
from lookalike.training import RankerRecipe, dataset, train_ranker
from lookalike.training import ranker as ranking
from lookalike.training.ranker import COLUMNS, LabelExamples, StoredVectors, learn
from lookalike.training.trials import centred

BASE = "efficientnet-lite0@block2b+avg"
"""A layer that knows little of shapes: there is something to learn."""


@pytest.fixture(scope="module")
def indexed(shapes, tmp_path_factory):
    """The folder of shapes with a finished gallery of the base."""
    folder = tmp_path_factory.mktemp("indexed") / "shapes"
    shutil.copytree(shapes, folder)
    with Gallery.open(folder, name="maps", model=BASE, precision="f32") as gallery:
        gallery.add()
    return folder


@pytest.fixture(scope="module")
def ranker(indexed, tmp_path_factory):
    """A ranker that was trained on the gallery."""
    return train_ranker(indexed, labels="folder", base=BASE, out=tmp_path_factory.mktemp("out") / "ranker")


def test_a_ranker_is_better_on_pictures_it_never_saw(ranker):
    """Trained on shapes, it finds held out pictures better, by what it says of itself."""
    measures = ranker.measures
    assert measures["seen_p5"] > measures["base_seen_p5"]
    assert measures["seen_map100"] > measures["base_seen_map100"]
    assert measures["test_map100"] >= measures["base_test_map100"]
    assert any("closed" in note for note in ranker.notes)


def test_a_gallery_is_read_and_not_made_anew(ranker, indexed):
    """The vectors come from the gallery of the base that the folder has, and the folder stays as it was."""
    assert any("the gallery maps of the folder" in note for note in ranker.notes)
    assert [path.name for path in (indexed / ".lookalike").iterdir()] == ["maps"]


def test_the_added_steps_make_of_stored_vectors_what_the_model_makes_of_pictures(ranker, indexed):
    """A stored vector through the steps behind the base's is the trained model's vector of the picture."""
    base, model = (lookalike.extractor(name, precision="f32") for name in (BASE, str(ranker)))
    added = ranker.card.steps[len(base.steps) :]
    assert added
    with Gallery.open(indexed, name="maps") as gallery:
        ids = [record.id for record in gallery.records()][::5]
        converted = steps.apply(added, gallery.vectors(ids))
    decoded = [lookalike.images.decode((indexed / id_).read_bytes()).image for id_ in ids]
    extracted = model.extract([model.prepare(image) for image in decoded]).vectors
    assert np.abs(converted - extracted).max() < 1e-3


def test_the_record_says_how_it_came_about(ranker):
    """The card holds recipe, base, digest, method, every choice with its gains, and is plain JSON."""
    record = json.loads(json.dumps(ranker.card.training))
    assert (record["kind"], record["seed"], record["method"][:6]) == ("ranker", 0, "closed")
    assert record["base"].startswith(BASE)
    assert len(record["digest"]) == 64
    assert {"name", "safe", "seen_p5", "base_unseen_map100"} <= set(record["choices"][0])
    assert Split.read(Path(str(ranker), "split.csv")).part_of == dict(ranker.split.part_of)


def test_the_same_seed_gives_the_same_model(ranker, indexed, tmp_path):
    """Trained again, it has the same numbers; another seed divides otherwise."""
    again = train_ranker(indexed, labels="folder", base=BASE, out=tmp_path / "again")
    other = train_ranker(indexed, RankerRecipe(seed=1), labels="folder", base=BASE, out=tmp_path / "other")
    assert steps.digest(again.card.steps) == steps.digest(ranker.card.steps)
    assert dict(other.split.part_of) != dict(ranker.split.part_of)


def test_labels_by_chance_give_the_base_itself(indexed, tmp_path):
    """Where labels say nothing, no steps are added, the result says so, and the vectors are the base's."""
    ids = sorted(PictureFolder.look(indexed).found)
    letters = np.random.default_rng(0).choice(list("abcd"), len(ids))
    made = train_ranker(
        indexed, labels=dict(zip(ids, letters.tolist(), strict=True)), base=BASE, out=tmp_path / "plain"
    )
    assert made.card.training["method"] == "plain"
    assert any("the base's own vectors" in note for note in made.notes)
    assert steps.digest(made.card.steps) == steps.digest(lookalike.extractor(BASE).steps)


def test_without_a_gallery_the_pictures_are_described_and_bad_ones_told(shapes, tmp_path):
    """A folder of which nothing is known gives the same; a broken file is in the result, not an error."""
    folder = tmp_path / "shapes"
    shutil.copytree(shapes, folder)
    (folder / "cross" / "broken.png").write_bytes(b"no picture")
    told = []
    made = train_ranker(folder, labels="folder", base=BASE, out=tmp_path / "out", progress=told.append)
    assert [skip.path for skip in made.skipped] == ["cross/broken.png"]
    assert told[-1].done >= 48
    assert not (folder / ".lookalike").exists()


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (lambda ids: dict.fromkeys(ids, "shape"), "all the same one"),
        (lambda ids: {id_: id_ for id_ in ids}, "more than one"),
        (lambda _: {"elsewhere.png": "a"}, "has no label"),
        (lambda _: "no-such-field", "says nothing of labels"),
    ],
)
def test_labels_that_say_too_little_are_refused_before_any_work(indexed, tmp_path, labels, said):
    """One label, labels of one picture, none at all: a message, and no folder is left."""
    ids = sorted(PictureFolder.look(indexed).found)
    with pytest.raises(UsageError, match=said):
        train_ranker(indexed, labels=labels(ids), base="no-such-model", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_several_labels_of_a_picture_are_learnt_from():
    """Pictures that share one of several labels belong together, and a picture is tested with all of them."""
    random = np.random.default_rng(0)
    colours, forms = random.integers(0, 6, 240), random.integers(0, 6, 240)
    axes = random.standard_normal((12, 20))
    vectors = axes[colours] + axes[6 + forms] + random.standard_normal((240, 20))
    ids = [f"{number:03}.png" for number in range(240)]
    labels = [frozenset([f"c{c}", f"f{f}"]) for c, f in zip(colours, forms, strict=True)]
    made = learn(
        LabelExamples(ids, labels, {}, "made"),
        StoredVectors(ids, vectors.astype(np.float32), None),
        "euclidean",
        RankerRecipe(),
    )
    assert made.measures["test_map100"] >= made.measures["base_test_map100"] - 0.01


def test_cifar_has_labels_and_a_test_part_of_its_own(cifar_folder, tmp_path):
    """Batches are learnt from by their own labels; their own test part is the one never seen."""
    random = np.random.default_rng(0)
    labels = np.arange(40) % 4
    pixels = 50 * labels[:, None, None, None] + random.integers(0, 50, (40, 32, 32, 3))
    pixels[:, ::4] = random.integers(0, 256, (40, 8, 32, 3))
    batches = {"data_batch_1": (pixels[:30], labels[:30]), "test_batch": (pixels[30:], labels[30:])}
    made = train_ranker(cifar_folder(batches), base=BASE, out=tmp_path / "out")
    assert made.split.counts() == {"train": 30, "validation": 0, "test": 10}
    assert all(id_.startswith("test/") for id_ in made.split.ids("test"))
    assert made.card.training["labels"] == "the field label"


def test_a_limit_takes_what_other_trainings_take(cifar_folder, indexed):
    """So many pictures by a seed are the same ones as for a classifier, of CIFAR-10 so many of each part."""
    white = np.full((40, 32, 32, 3), 255, np.uint8)
    labels = np.arange(40) % 4
    batches = cifar_folder(
        {"data_batch_1": (white[:30], labels[:30]), "test_batch": (white[30:], labels[30:])}
    )
    for folder in (batches, indexed):
        found = LabelExamples.find(PictureFolder.look(folder), "folder", RankerRecipe(limit=8, seed=5))
        assert found.ids == dataset.collect(folder, "folder", limit=8, seed=5).ids


def test_near_identical_pictures_are_found_by_their_vectors():
    """Copies with little noise are grouped, across blocks of rows and by way of others; strangers are not."""
    random = np.random.default_rng(0)
    vectors = random.standard_normal((2100, 16)).astype(np.float32)
    vectors[2099] = vectors[3] + 0.01
    vectors[7] = vectors[2099] + 0.01
    groups = ranking.near(vectors)
    assert [3, 7, 2099] in groups
    assert sum(map(len, groups)) < 200


@pytest.mark.parametrize(("kinds", "least", "most"), [(60, 0.9, 1.0), (20, 0.4, 0.5), (3, 0.0, 0.08)])
def test_what_few_labels_have_in_common_is_hardly_believed(kinds, least, most):
    """Many labels that share a direction lose it, three keep it; the steps are what was done."""
    random = np.random.default_rng(0)
    of = np.repeat(np.arange(kinds), 6)
    shared = np.zeros(32)
    shared[0] = 8
    vectors = shared + random.standard_normal((kinds, 32))[of] + 0.3 * random.standard_normal((len(of), 32))
    vectors = vectors.astype(np.float32)
    first, made = centred(vectors, of)
    unit = steps.Normalise().apply(vectors)
    share = np.linalg.norm(first[1].mean) / np.linalg.norm(unit.mean(0))
    assert least <= share <= most
    assert np.allclose(steps.apply(first, vectors), made)


def write(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


@pytest.fixture
def table(indexed, tmp_path):
    """Pairs of shapes: for each picture another of its folder is better than one of the next folder."""
    found = PictureFolder.look(indexed).found
    names = ("circle", "cross", "stripes")
    by_folder = {name: sorted(id_ for id_ in found if id_.startswith(name)) for name in names}
    rows = [
        (query, by_folder[name][(i + step) % 16], by_folder[names[(n + 1) % 3]][(i + step) % 16])
        for n, name in enumerate(names)
        for i, query in enumerate(by_folder[name])
        for step in range(1, 9)
    ]
    return write(tmp_path / "pairs.csv", [COLUMNS, *rows])


def test_pairs_are_learnt_from(indexed, table, tmp_path):
    """From a table of query, better and worse more pairs of queries never seen come in the right order."""
    made = train_ranker(indexed, RankerRecipe(method="auto"), labels=table, base=BASE, out=tmp_path / "out")
    assert made.measures["test_right"] > made.measures["base_test_right"]
    assert made.card.training["method"] != "plain"
    assert made.split.counts()["test"] > 0


def test_pairs_by_chance_give_the_base_itself(indexed, table, tmp_path):
    """Where better and worse are drawn by lot, no steps are added."""
    head, *rows = csv.reader(table.read_text().splitlines())
    flips = np.random.default_rng(0).random(len(rows)) < 0.5
    turned = [(q, w, b) if flip else (q, b, w) for (q, b, w), flip in zip(rows, flips, strict=True)]
    write(table, [head, *turned])
    made = train_ranker(indexed, RankerRecipe(method="auto"), labels=table, base=BASE, out=tmp_path / "out")
    assert made.card.training["method"] == "plain"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("circle/00.png", "circle/01.png", "lost.png")], "line 2: 'lost.png' is no picture"),
        ([("circle/00.png", "circle/01.png", "circle/01.png")], "line 2: a picture stands there twice"),
        ([("circle/00.png", "circle/01.png", "cross/01.png")], "1 queries; expected 10"),
        ([], "has no pairs"),
    ],
)
def test_pairs_that_can_not_be_meant_are_refused(indexed, tmp_path, rows, said):
    """A picture that is not there, one that stands twice, too few queries: the message names the line."""
    file = write(tmp_path / "pairs.csv", [COLUMNS, *rows])
    with pytest.raises(UsageError, match=said):
        train_ranker(indexed, labels=file, base=BASE, out=tmp_path / "out")


def test_pairs_may_be_paths_in_any_order_of_columns(indexed, tmp_path):
    """Absolute paths, paths beside the table, a byte order mark and capitals are understood."""
    file = indexed / "pairs.tsv"
    absolute = indexed / "circle" / "01.png"
    file.write_text(
        f"﻿Worse\tQuery\tnote\tBetter\ncross/00.png\tcircle/00.png\t-\t{absolute}\n", encoding="utf-8"
    )
    try:
        ids = sorted(PictureFolder.look(indexed).found)
        assert ranking.table_of(file) == file
        assert ranking.read_pairs(file, str(indexed), ids) == [
            ("circle/00.png", "circle/01.png", "cross/00.png")
        ]
    finally:
        file.unlink()


def test_a_table_of_labels_is_no_table_of_pairs(tmp_path):
    """Only the three columns make pairs of a table."""
    assert ranking.table_of(write(tmp_path / "labels.csv", [("path", "label")])) is None
    assert ranking.table_of("folder:2") is None


@pytest.fixture(scope="module")
def learnt_before(indexed, tmp_path_factory):
    """The base as a model that was trained on the shapes, and has never seen every fourth of them."""
    place = tmp_path_factory.mktemp("base") / "base"
    extending.extended(BASE, [], place)
    ids = sorted(PictureFolder.look(indexed).found)
    never = ids[::4]
    Split({id_: "test" if id_ in never else "train" for id_ in ids}).save(place / "split.csv")
    return str(place), never


def test_what_a_base_has_learnt_from_is_not_measured_by(indexed, learnt_before, tmp_path):
    """Behind a model that was trained here the part never seen is that model's own."""
    base, never = learnt_before
    made = train_ranker(indexed, base=base, out=tmp_path / "out")
    assert made.split.ids("test") == never
    assert any("the base has never seen" in note for note in made.notes)


def test_pairs_of_a_base_that_was_trained(indexed, learnt_before, table, tmp_path):
    """Of pairs, too, only queries that the base has never seen are measured by."""
    base, never = learnt_before
    made = train_ranker(indexed, labels=table, base=base, out=tmp_path / "out")
    assert set(made.split.ids("test")) <= set(never)
    assert "test_right" in made.measures
