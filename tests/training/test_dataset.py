"""The pictures that are learnt from: found, labelled, decoded, reported."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lookalike.errors import ModelError, UsageError
from lookalike.extractors.cards import Card
from lookalike.extractors.network import resized
from lookalike.training.dataset import Dataset, collect, load

CARD = Card("any", "none", (20, 12), ("input",), "input", "none")


def test_a_folder_with_labels(shapes):
    """Every picture comes with the label of its folder, in the order of ids."""
    found = collect(shapes, "folder")
    assert len(found.ids) == 48
    assert found.ids == sorted(found.ids)
    assert [id_.split("/")[0] for id_ in found.ids] == found.labels


def test_a_folder_without_labels(shapes):
    """Where labels are not asked for there are none, and every picture is there."""
    assert set(collect(shapes).labels) == {None}


def test_only_pictures_of_one_label(shapes, tmp_path):
    """Pictures with several labels, or with none, are left out, and counted."""
    table = tmp_path / "labels.csv"
    table.write_text("path,label\ncircle/00.png,round\ncircle/01.png,round|small\ncross/00.png,cross\n")
    found = collect(shapes, str(table))
    assert (found.ids, found.labels) == (["circle/00.png", "cross/00.png"], ["round", "cross"])
    assert [note.split(" ")[0] for note in found.notes] == ["1", "45"]


def test_a_part_by_chance(shapes):
    """A limit takes so many, the same ones for the same seed."""
    some = collect(shapes, "folder", limit=10, seed=1)
    assert len(some.ids) == 10
    assert some == collect(shapes, "folder", limit=10, seed=1)
    assert some.ids != collect(shapes, "folder", limit=10, seed=2).ids


def test_no_labels_to_find(photos, tmp_path):
    """A folder whose pictures lie in no folder can't be labelled so, and a missing folder is missed."""
    with pytest.raises(UsageError, match="folders below it"):
        collect(photos, "folder")
    with pytest.raises(UsageError, match="does not exist"):
        collect(tmp_path / "nowhere", "folder")


def test_decoded_as_the_model_takes_them(shapes, tmp_path):
    """Pixels are those that an extractor with the same card prepares."""
    found = collect(shapes, "folder")
    pixels = load(found, CARD, tmp_path / "pixels")
    assert pixels.array.shape == (48, 12, 20, 3)
    for row in (0, 47):
        picture = Image.open(shapes / pixels.ids[row]).convert("RGB")
        assert np.array_equal(pixels.array[row], resized(picture, CARD))


def test_bad_files_are_reported(hostile, shapes, tmp_path):
    """What can't be read is left out with its reason, and the rest is learnt from."""
    folder, expected = hostile
    shutil.copytree(shapes / "circle", folder / "circle")
    pixels = load(collect(folder), CARD, tmp_path / "pixels")
    bad = {path for path, reason in expected.items() if reason != "good"}
    assert bad & {skip.path for skip in pixels.skipped}
    assert bad.isdisjoint(pixels.ids)
    assert len(pixels.array) == len(pixels.ids) >= 16


def test_the_digest_tells_data_apart(shapes, tmp_path):
    """The same pictures have the same digest; another label, size or pixel gives another one."""
    found = collect(shapes, "folder")
    digest = load(found, CARD, tmp_path / "pixels").digest
    assert load(found, CARD, tmp_path / "pixels").digest == digest
    assert load(collect(shapes), CARD, tmp_path / "pixels").digest != digest
    assert load(found.chosen(range(47)), CARD, tmp_path / "pixels").digest != digest


def test_progress(shapes, tmp_path):
    """Every picture is told of, out of how many."""
    told = []
    load(collect(shapes), CARD, tmp_path / "pixels", progress=told.append)
    assert [(each.done, each.total) for each in told[::47]] == [(1, 48), (48, 48)]


def test_no_room(shapes, tmp_path):
    """Where the pixels would not fit on the disk, that is said before anything is read."""
    huge = Dataset(str(shapes), ["circle/00.png"] * 10**6, [None] * 10**6)
    with pytest.raises(ModelError, match="make room"):
        load(huge, replace(CARD, size=(4096, 4096)), tmp_path / "pixels")
    assert not (tmp_path / "pixels").exists()


def test_cifar(cifar_folder, tmp_path):
    """The batches of CIFAR-10 bring their labels and their own test part; a limit is one of each part."""
    random = np.random.default_rng(0)

    def batch(count):
        return random.integers(0, 256, (count, 32, 32, 3), np.uint8), [n % 10 for n in range(count)]

    batches = {"data_batch_1": batch(30), "data_batch_2": batch(20), "test_batch": batch(10)}
    folder = cifar_folder(batches)
    found = collect(folder)
    assert len(found.ids) == 60
    assert sum(part == "test" for part in found.fixed.values()) == 10
    assert found.labels[found.ids.index("train/00003")] == "cat"
    some = collect(folder, limit=6)
    assert sum(id_.startswith("test/") for id_ in some.ids) == 6
    assert len(some.ids) == 12
    pixels = load(some, CARD, tmp_path / "pixels")
    assert sorted(pixels.ids) == some.ids
    row = pixels.ids.index(next(id_ for id_ in some.ids if id_.startswith("test/")))
    number = int(pixels.ids[row].split("/")[1])
    expected = resized(Image.fromarray(batches["test_batch"][0][number]), CARD)
    assert np.array_equal(pixels.array[row], expected)
