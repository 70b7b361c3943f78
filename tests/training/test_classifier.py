"""A network that is trained to know one's own classes, and the model that comes of it."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lookalike
from lookalike import extractors
from lookalike.errors import UnknownModel, UsageError
from lookalike.extractors import steps, trained
from lookalike.extractors.steps import Centre, Normalise, Power
from lookalike.training import Augmentation, ClassifierRecipe
from lookalike.training.classifier import train_classifier

BASE = "keras:VGG16?weights=none&size=32"  # few layers, so that Keras soon has its graph
FLIP = Augmentation(rotation=0, zoom=0, shift=0, colour=0)
QUICK = ClassifierRecipe(head_epochs=1, epochs=2, batch=16, rate=1e-3, augmentation=FLIP)
NO_EPOCHS = ClassifierRecipe(head_epochs=0, epochs=0)
PROGRAM = """
import sys
from lookalike.training import Augmentation, ClassifierRecipe
from lookalike.training.classifier import train_classifier
folder, out, base, *resume = sys.argv[1:]
flip = Augmentation(rotation=0, zoom=0, shift=0, colour=0)
recipe = ClassifierRecipe(head_epochs=1, epochs=2, batch=16, rate=1e-3, augmentation=flip)
tell = lambda event: hasattr(event, "stage") and print(event, flush=True)
made = train_classifier(folder, recipe, out=out, base=base, resume=bool(resume), progress=tell)
print(made.stopped, made.card.weights)
"""


@pytest.fixture(scope="module")
def made(shapes, tmp_path_factory):
    """A tiny classifier of circles, crosses and stripes."""
    return train_classifier(shapes, QUICK, base=BASE, out=tmp_path_factory.mktemp("made") / "model")


def test_its_card(made, shapes):
    """Classes are the user's own, compared plainly; the vector is T of the pooled features by cosine."""
    card = trained.card_of(Path(made.model))
    assert card.classes.names == card.classes.ids == ("circle", "cross", "stripes")
    assert (card.scores, card.features, card.metric, dict(card.metrics)) == (
        *("classes", "pool", "cosine"),
        {"classes": "euclidean"},
    )
    assert [type(step) for step in card.steps] == [Power, Normalise, Centre, Normalise]
    assert (card.size, card.channels) == ((32, 32), "BGR")
    assert card.licence.startswith("random numbers, seed 0; trained further")
    record = card.training
    assert (record["kind"], record["base"], record["root"]) == ("classifier", BASE, str(shapes))
    assert (record["epochs"], record["augmentation"]["flip"]) == (2, True)
    assert [epoch["stage"] for epoch in record["history"]] == ["head", "top", "top"]
    assert record["digest"]


def test_what_was_reached(made):
    """Every part has its accuracy, and the part never seen P@5 and mAP@100 by the base and by the model."""
    assert set(made.measures) == {
        *("train_accuracy", "validation_accuracy", "test_accuracy"),
        *("base_test_p5", "base_test_map100", "test_p5", "test_map100"),
    }
    assert all(0 <= value <= 1 for value in made.measures.values())
    assert made.split.counts() == {"train": 30, "validation": 9, "test": 9}


def test_its_mean_is_that_of_what_it_learnt_from(made, shapes):
    """The mean in its vector is that of the training pictures' square roots at unit length."""
    features = extractors.load(f"{made.model}@features", precision="f32")
    pictures = [Image.open(shapes / id_).convert("RGB") for id_ in made.split.ids("train")]
    plain = features.extract(pictures).vectors
    roots = steps.apply((Power(0.5), Normalise()), plain)
    np.testing.assert_allclose(made.card.steps[2].mean, roots.mean(axis=0), atol=1e-3)
    vectors = extractors.load(made.model, precision="f32").extract(pictures).vectors
    np.testing.assert_allclose(vectors, steps.apply(made.card.steps, plain), atol=1e-4)


def test_words_are_the_users_own(made, shapes):
    """Tags, keywords and `@classes` speak of the classes of the folder, and compare them plainly."""
    with lookalike.Gallery.open(shapes, gallery=f"{made.model}-gallery", model=made.model) as gallery:
        gallery.add()
        assert {tag.name for tag in gallery.describe(shapes / "cross" / "02.png")} <= {
            *("circle", "cross", "stripes")
        }
        assert gallery.find("circle", 5)
    scores = extractors.load(f"{made.model}@classes")
    assert (scores.dim, scores.metric, scores.normalized) == (3, "euclidean", False)


def test_efficientnet_lite0_learns(shapes, tmp_path):
    """From the default model's own weights, one epoch tells circles from crosses from stripes."""
    recipe = ClassifierRecipe(head_epochs=0, epochs=1, size=64, batch=8)
    made = train_classifier(shapes, recipe, out=tmp_path / "model")
    assert made.measures["test_accuracy"] > 0.6
    assert made.card.licence.startswith("Apache-2.0")
    assert made.card.layers[:2] == ("input", "stem_conv")
    assert extractors.load(f"{made.model}@block3b+avg").dim == 40


def test_labels_from_a_table(shapes, tmp_path):
    """Classes may stand in a table; pictures with two of them or none are left out, which is said."""
    rows = [f"{shape}/{n:02}.png,{shape[:2]}" for shape in ("circle", "cross") for n in range(8)]
    rows += ["circle/00.png,round", "stripes/00.png,"]
    table = tmp_path / "labels.csv"
    table.write_text("path,label\n" + "\n".join(rows))
    made = train_classifier(shapes, NO_EPOCHS, labels=f"{table}", base=BASE, out=tmp_path / "model")
    assert made.card.classes.names == ("ci", "cr")
    assert sum(made.split.counts().values()) == 15
    assert any("1 pictures have several labels" in note for note in made.notes)


@pytest.fixture
def folder(shapes, tmp_path):
    """Makes a folder with so many pictures of each class."""

    def make(**counts):
        for name, count in counts.items():
            (tmp_path / "pictures" / name).mkdir(parents=True)
            for number in range(count):
                content = (shapes / "circle" / f"{number:02}.png").read_bytes()
                (tmp_path / "pictures" / name / f"{number}.png").write_bytes(content)
        return tmp_path / "pictures"

    return make


def refused(folder, tmp_path, match, recipe=QUICK, **options):
    """That it ends with a message before an epoch, and leaves nothing."""
    events = []
    with pytest.raises(UsageError, match=match):
        train_classifier(folder, recipe, out=tmp_path / "model", progress=events.append, **options)
    assert not [event for event in events if hasattr(event, "stage")]
    assert not (tmp_path / "model").exists()


def test_one_class(folder, tmp_path):
    """One class is nothing to tell apart."""
    refused(folder(only=6), tmp_path, r"only 1 .*at least two to tell apart, and found only \(6\)")


def test_a_class_with_too_few(folder, tmp_path):
    """A class with fewer than three pictures is named, and left out where that is asked for."""
    pictures = folder(a=6, b=6, few=2)
    refused(pictures, tmp_path, r"too few pictures, 1 of 3: few \(2\).*fewest=3", base=BASE)
    recipe = replace(NO_EPOCHS, fewest=3)
    made = train_classifier(pictures, recipe, base=BASE, out=tmp_path / "model")
    assert made.card.classes.names == ("a", "b")
    assert "classes with fewer than 3 pictures were left out, 1 in all: few (2)" in made.notes


def test_broken_files(folder, tmp_path):
    """A file that is no picture is reported; where that empties a class, nothing is trained."""
    pictures = folder(a=6, b=6)
    for number in range(2):
        (pictures / "a" / f"{number}.png").write_bytes(b"none")
    made = train_classifier(pictures, NO_EPOCHS, base=BASE, out=tmp_path / "model")
    assert [skip.path for skip in made.skipped] == ["a/0.png", "a/1.png"]
    for number in range(6):
        (pictures / "a" / f"{number}.png").write_bytes(b"none")
    refused(pictures, tmp_path / "other", r"a \(0\).*6 files can't be read: a/0\.png: ", base=BASE)


def test_a_base_that_can_not_be(shapes, tmp_path):
    """A base that is none, is cut, or has no layer of that name, is refused with what is expected."""
    refused(shapes, tmp_path, "begins with the whole network", base="efficientnet-lite0@head")
    refused(shapes, tmp_path, "has include_top; ", base="keras:VGG16?include_top=true")
    unfreeze = ClassifierRecipe(unfreeze="nowhere")
    refused(shapes, tmp_path, "no layer 'nowhere' to learn from on", unfreeze, base=BASE)
    refused(shapes, tmp_path, "a number from 0 to 19", ClassifierRecipe(unfreeze=279), base=BASE)
    with pytest.raises(UnknownModel, match="can't be trained further; expected efficientnet-lite0"):
        train_classifier(shapes, base="toy", out=tmp_path / "model")


def started(*arguments):
    """A training as a program."""
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def until_epoch(process, number):
    """Read until an epoch is over."""
    for line in process.stdout:
        if line.startswith(f"epoch {number}/"):
            return
    pytest.fail(process.stderr.read())


def test_killed_stopped_and_resumed(made, shapes, tmp_path):
    """Killed after its first stage, stopped in its second, a run ends as one that nothing came between.

    After Ctrl-C there is a model, and its card says that it was stopped.
    """
    out = tmp_path / "model"
    process = started(shapes, out, BASE)
    until_epoch(process, 1)
    process.kill()
    process.communicate()
    process = started(shapes, out, BASE, "--resume")
    until_epoch(process, 2)
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert said.splitlines()[-1].startswith("True ")
    assert json.loads((out / "model.json").read_text())["training"]["stopped"]
    assert extractors.load(str(out)).classes.names == ("circle", "cross", "stripes")
    events = []
    again = train_classifier(shapes, QUICK, base=BASE, out=out, resume=True, progress=events.append)
    assert 1 not in [event.number for event in events if hasattr(event, "stage")]
    assert (again.stopped, again.card.weights) == (False, made.card.weights)
    assert again.history.measures == made.history.measures
