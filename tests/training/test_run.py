"""The folder of a training: what it is begun in, how pictures are divided, what a full disk leaves."""

import errno

import numpy as np
import pytest

from lookalike.errors import ModelError, UsageError
from lookalike.training import ClassifierRecipe
from lookalike.training.dataset import DecodedDataset
from lookalike.training.run import Run


@pytest.mark.parametrize("name", ["a" * 300, "file/model"])
def test_a_folder_that_cant_be(tmp_path, name):
    """A name too long, or below a file, is said to be one that can't be written or made."""
    (tmp_path / "file").touch()
    with pytest.raises((ModelError, UsageError), match=r"can't be (written|made)"):
        Run(tmp_path / name, ClassifierRecipe()).__enter__()


def test_a_full_disk(tmp_path):
    """No room while it lasts is an error that says what to do, and keeps what can be gone on with."""

    def fill(*, epochs):
        with Run(tmp_path / "new", ClassifierRecipe()) as run:
            if epochs:
                run.checkpoint.touch()
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ModelError, match=r"make room$"):
        fill(epochs=0)
    assert not (tmp_path / "new").exists()
    with pytest.raises(ModelError, match="--resume goes on"):
        fill(epochs=1)
    assert (tmp_path / "new" / ".training" / "last.npz").exists()


def test_a_damaged_note_of_what_was_begun(tmp_path):
    """What a power cut left half written is told by its path, and how to begin anew."""
    run = Run(tmp_path / "model", ClassifierRecipe(), resume=True)
    run.work.mkdir(parents=True)
    run.checkpoint.touch()
    (run.work / "begun.json").touch()
    with pytest.raises(ModelError, match=r"begun\.json is damaged.*--overwrite"), run:
        run.begin({"base": "tiny"})


def pixels(parts):
    """Pictures by chance of a data set that names their parts."""
    array = np.random.default_rng(0).integers(0, 256, (len(parts), 8, 8, 3), np.uint8)
    ids = [f"{part}/{number:05}" for number, part in enumerate(parts)]
    return DecodedDataset(ids, ["cat"] * len(ids), array, (), "", dict(zip(ids, parts, strict=True)))


def test_a_data_set_without_its_test_part(tmp_path):
    """Where the part that a data set keeps apart is not there, one is drawn; where it is, that is it."""
    run = Run(tmp_path / "model", ClassifierRecipe())
    assert run.divide(pixels(["train"] * 20)).counts() == {"train": 12, "validation": 4, "test": 4}
    made = run.divide(pixels([*["train"] * 20, *["test"] * 3]))
    assert made.counts() == {"train": 16, "validation": 4, "test": 3}


def test_a_data_set_of_its_test_part_alone(tmp_path):
    """There is nothing to learn from then, and it is said."""
    with pytest.raises(UsageError, match=r"all of the 3 pictures.*expected others to learn from"):
        Run(tmp_path / "model", ClassifierRecipe()).divide(pixels(["test"] * 3))
