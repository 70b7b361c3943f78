"""A training that is begun, stopped, killed, taken up again and finished."""

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lookalike
from lookalike import extractors
from lookalike.errors import ModelError, UsageError
from lookalike.evaluation.splits import Split
from lookalike.extractors import trained

PROGRAM = Path(__file__).with_name("tiny.py")


@pytest.fixture(scope="module")
def whole(tiny, shapes, tmp_path_factory):
    """A training that nothing came between, and its events."""
    events = []
    return tiny.train(shapes, tmp_path_factory.mktemp("whole") / "model", progress=events.append), events


def started(folder, out, *options):
    command = [sys.executable, str(PROGRAM), str(folder), str(out), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until_epoch(process, number):
    """Read until an epoch is over."""
    for line in process.stdout:
        if line.startswith(f"epoch {number}/"):
            return
    pytest.fail(process.stderr.read())


def test_what_is_left_is_a_model(whole, shapes):
    """A training leaves the model, its card with the record, its split and its history, and nothing else."""
    made, _ = whole
    names = {file.name for file in Path(made.model).iterdir()}
    assert names - {"model.stamps"} == {"model.xml", "model.bin", "model.json", "split.csv", "history.csv"}
    record = trained.card_of(Path(made.model)).training
    assert record["pictures"] == {"train": 30, "validation": 9, "test": 9}
    assert (record["epochs"], record["seed"], len(record["history"])) == (4, 0, 6)
    assert {"keras", "lookalike", "numpy"} <= record["versions"].keys()
    assert Split.read(Path(made.model, "split.csv")) == made.split
    with Path(made.model, "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["stage"] for row in rows] == ["head"] * 2 + ["all"] * 4
    assert float(rows[-1]["val_loss"]) == made.history.measures["val_loss"][-1]
    assert made.history.plot()._repr_png_()


def test_every_command_takes_it(whole, shapes):
    """The folder is a model: pictures are described and searched by it, and words are its own classes."""
    made, _ = whole
    with lookalike.Gallery.open(shapes, gallery=f"{made.model}-gallery", model=made.model) as gallery:
        report = gallery.add()
        assert (report.added, gallery.model) == (48, made.model)
        assert len(gallery.search("id:circle/03.png", 3)) == 3
        found = gallery.find("circle", 5)
        assert [hit.id.split("/")[0] for hit in found] == ["circle"] * 5
        assert all(hit.scores["classes"] > 0 for hit in found)
        assert {tag.name for tag in gallery.describe("id:circle/03.png")} == {"circle", "cross", "stripes"}
    assert extractors.load(f"{made.model}@classes").classes.names == ("circle", "cross", "stripes")


def test_it_has_learnt(whole):
    """The loss falls, and each better state is told to be the best so far."""
    made, events = whole
    epochs = [event for event in events if hasattr(event, "stage")]
    losses = made.history.measures["val_loss"]
    assert losses[-1] < losses[0]
    lowest = np.minimum.accumulate(losses)
    assert [epoch.best for epoch in epochs] == [
        i == 0 or loss < lowest[i - 1] for i, loss in enumerate(losses)
    ]
    assert str(epochs[0]).startswith("epoch 1/6 (head)  ")
    assert " left" in str(epochs[0])
    assert " left" not in str(epochs[-1])


def test_the_same_seed_gives_the_same_model(whole, tiny, shapes, tmp_path):
    """Weights and history are the same to the last digit; another seed gives others."""
    made, _ = whole
    again = tiny.train(shapes, tmp_path / "again")
    assert again.card.weights == made.card.weights
    assert again.history.measures == made.history.measures
    other = tiny.train(shapes, tmp_path / "other", seed=1, epochs=0, head_epochs=1)
    assert other.split != made.split
    assert other.history.measures["loss"][0] != made.history.measures["loss"][0]


def test_random_numbers_of_the_process_stay(tiny, shapes, tmp_path):
    """Training draws from seeds of its own: the process' random numbers go on as if nothing had been."""
    np.random.seed(5)  # noqa: NPY002
    expected = np.random.RandomState(5).uniform()
    tiny.train(shapes, tmp_path / "model", epochs=0, head_epochs=1)
    assert np.random.uniform() == expected  # noqa: NPY002


def test_killed_and_resumed(whole, shapes, tmp_path):
    """A run that is killed goes on after its last epoch, and ends with the very same weights."""
    made, _ = whole
    process = started(shapes, tmp_path / "model")
    until_epoch(process, 3)
    process.kill()
    process.communicate()
    again = started(shapes, tmp_path / "model", "--resume")
    out, _ = again.communicate(timeout=120)
    assert "epoch 3/" not in out
    assert json.loads(out.splitlines()[-1])["weights"] == made.card.weights
    assert not (tmp_path / "model" / ".training").exists()


def test_ctrl_c_keeps_the_best(shapes, tmp_path):
    """Stopped by Ctrl-C there is a model in its best state, and the training can go on."""
    process = started(shapes, tmp_path / "model", "--epochs", "500")
    until_epoch(process, 4)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    result = json.loads(out.splitlines()[-1])
    assert result["stopped"]
    assert "--resume goes on" in " ".join(result["notes"])
    assert extractors.load(str(tmp_path / "model")).dim == 8
    assert (tmp_path / "model" / ".training" / "last.npz").exists()


def test_other_settings_can_not_go_on(tiny, shapes, tmp_path):
    """To go on with another seed or other pictures is refused; anew is possible by overwriting."""
    process = started(shapes, tmp_path / "model", "--epochs", "500")
    until_epoch(process, 2)
    process.kill()
    process.communicate()
    with pytest.raises(UsageError, match="stopped: go on with --resume"):
        tiny.train(shapes, tmp_path / "model")
    with pytest.raises(UsageError, match="epochs was 500, is 4"):
        tiny.train(shapes, tmp_path / "model", resume=True)
    made = tiny.train(shapes, tmp_path / "model", overwrite=True, epochs=1)
    assert len(made.history.epochs) == 3


def test_a_model_is_not_replaced_unasked(tiny, whole, shapes):
    """A folder that holds a model, or anything else, is left alone."""
    made, _ = whole
    with pytest.raises(UsageError, match="holds a model already"):
        tiny.train(shapes, made.model)
    with pytest.raises(UsageError, match="finished; there is nothing to resume"):
        tiny.train(shapes, made.model, resume=True)
    with pytest.raises(UsageError, match="holds other files"):
        tiny.train(shapes, shapes, overwrite=True)
    with pytest.raises(UsageError, match="is a file"):
        tiny.train(shapes, shapes / "circle" / "00.png")


def test_one_at_a_time(tiny, shapes, tmp_path):
    """A second training of the same model is refused while the first one lasts, and harms nothing."""
    process = started(shapes, tmp_path / "model", "--epochs", "500")
    until_epoch(process, 1)
    with pytest.raises(UsageError, match="being trained by another process"):
        tiny.train(shapes, tmp_path / "model", overwrite=True)
    until_epoch(process, 3)
    process.kill()
    process.communicate()
    assert (tmp_path / "model" / ".training" / "last.npz").exists()


def test_to_go_on_and_to_begin_anew(tiny, shapes, tmp_path):
    """Both can't be meant at once."""
    with pytest.raises(UsageError, match="not both"):
        tiny.train(shapes, tmp_path / "model", resume=True, overwrite=True)
    assert not (tmp_path / "model").exists()


def test_running_away(tiny, shapes, tmp_path):
    """A training whose numbers grow without bound ends with a reason, and leaves nothing."""
    with pytest.raises(ModelError, match=r"ran away.*lower the rate"):
        tiny.train(shapes, tmp_path / "model", rate=1e30, head_epochs=0)
    assert not (tmp_path / "model").exists()


def test_patience(tiny, shapes, tmp_path):
    """A stage that gets no better ends early, and the best state is the one that is kept."""
    made = tiny.train(shapes, tmp_path / "model", rate=0.0, head_epochs=0, epochs=30, patience=2)
    losses = made.history.measures["val_loss"]
    assert len(losses) < 30
    assert int(np.argmin(losses)) == len(losses) - 3


def test_damaged_checkpoint(shapes, tmp_path):
    """A checkpoint that is damaged is told by its path, and how to begin anew."""
    process = started(shapes, tmp_path / "model", "--epochs", "500")
    until_epoch(process, 1)
    process.kill()
    process.communicate()
    state = tmp_path / "model" / ".training" / "last.npz"
    state.write_bytes(state.read_bytes()[:100])
    again = started(shapes, tmp_path / "model", "--epochs", "500", "--resume")
    _, err = again.communicate(timeout=120)
    assert "last.npz is damaged" in err
    assert "--overwrite" in err
