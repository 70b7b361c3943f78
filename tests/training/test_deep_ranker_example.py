"""The example of a ranker through the network: its triples, its vector in Keras, and whole trainings."""

import sys
from pathlib import Path

import numpy as np
import pytest

import lookalike
from lookalike import images
from lookalike.errors import UsageError
from lookalike.extractors import steps
from lookalike.extractors.steps import Centre, Normalise, Power
from lookalike.training.recipes import NO_AUGMENTATION

sys.path.append(str(Path(__file__).resolve().parents[2] / "examples"))

import deep_ranker
from deep_ranker import DeepRankerRecipe, OfLabels, TripleBatches, train_deep_ranker

TINY = DeepRankerRecipe(unfreeze="block5_conv3", epochs=2, batch=16, rate=1e-3, augmentation=NO_AUGMENTATION)
BASE = "keras:VGG16?weights=none&size=32"  # few layers, so that Keras soon has its graph


def test_the_vector_in_keras_is_that_of_the_steps():
    """What the gradient goes through gives the numbers that the card's steps give."""
    features = np.abs(np.random.default_rng(0).standard_normal((6, 8))).astype(np.float32)
    mean = np.full(8, 0.2, np.float32)
    made = (Power(0.5), Normalise(), Centre(mean), Normalise())
    assert np.allclose(deep_ranker._Vector(made)(features), steps.apply(made, features), atol=1e-5)


def test_triples_of_labels_are_in_the_right_order():
    """The better picture has the query's label, the worse has not, and neither is the query."""
    labels = ["a", "a", "a", "b", "b", "c"]
    vectors = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    draw = OfLabels(vectors, labels, np.arange(6))
    asking = draw.asking(np.arange(6))
    assert asking.tolist() == [0, 1, 2, 3, 4]
    for seed in range(20):
        for query, better, worse in draw(np.random.default_rng(seed), asking):
            assert labels[query] == labels[better] != labels[worse]
            assert query != better


def test_batches_follow_from_seed_and_epoch():
    """The same epoch gives the same triples again, the next one others; those to measure by never change."""
    pictures = np.arange(12, dtype=np.uint8).reshape(12, 1, 1, 1).repeat(3, 3)
    draw = OfLabels(np.eye(12, dtype=np.float32), ["a", "b", "c"] * 4, np.arange(12))

    def drawn(batches, epoch):
        batches.epoch = epoch
        (query, better, worse), right = batches[0]
        assert right.tolist() == [[1]] * 12
        return np.concatenate([query, better, worse]).ravel().tolist()

    learnt = TripleBatches(pictures, draw, np.arange(12), batch=12, seed=3)
    fixed = TripleBatches(pictures, draw, np.arange(12), batch=12, seed=3, fixed=True)
    assert drawn(learnt, 0) == drawn(learnt, 0) != drawn(learnt, 1)
    assert drawn(fixed, 0) == drawn(fixed, 1)


@pytest.fixture(scope="module")
def ranker(shapes, tmp_path_factory):
    """A network of chance weights that learns shapes for two epochs."""
    out = tmp_path_factory.mktemp("out") / "deep"
    return train_deep_ranker(shapes, TINY, labels="folder", base=BASE, out=out)


def test_a_training_runs_through_and_says_what_it_reached(ranker):
    """Two epochs, their losses, and figures of the part never seen before and after."""
    assert len(ranker.history.epochs) == 2
    assert {"loss", "right", "val_loss", "val_right"} <= set(ranker.history.measures)
    assert {"test_p5", "base_test_p5", "test_map100", "base_test_map100"} == set(ranker.measures)
    assert ranker.card.training["kind"] == "deep-ranker"
    assert ranker.card.classes is None


def test_what_was_trained_is_used_as_any_model(ranker, shapes):
    """Its bare name gives vectors of unit length, by which a gallery is searched."""
    model = lookalike.extractor(str(ranker), precision="f32")
    image = images.decode((shapes / "cross" / "00.png").read_bytes()).image
    (vector,) = model.extract([model.prepare(image)]).vectors
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert model.metric == "cosine"


def test_pairs_are_learnt_from(shapes, tmp_path):
    """From a table of pairs the share in the right order is what is told."""
    rows = [
        f"{name}/{i:02}.png,{name}/{(i + 1) % 16:02}.png,{other}/{i:02}.png"
        for name, other in (("circle", "cross"), ("cross", "stripes"))
        for i in range(16)
    ]
    table = tmp_path / "pairs.csv"
    table.write_text("\n".join(["query,better,worse", *rows]))
    recipe = DeepRankerRecipe(epochs=1, batch=16, unfreeze="block5_conv3", augmentation=NO_AUGMENTATION)
    made = train_deep_ranker(shapes, recipe, labels=table, base=BASE, out=tmp_path / "out")
    assert set(made.measures) == {"base_test_right", "test_right"}


def test_too_few_to_learn_from_are_refused(shapes, tmp_path):
    """Labels of three pictures leave one each to learn from, and so no triple."""
    table = tmp_path / "labels.csv"
    table.write_text("path,label\n" + "\n".join(f"cross/{i:02}.png,label {i // 3}" for i in range(15)))
    with pytest.raises(UsageError, match="no three are a query"):
        train_deep_ranker(shapes, TINY, labels=table, base=BASE, out=tmp_path / "out")


def test_labels_of_single_pictures_are_refused(shapes, tmp_path):
    """Where no two pictures share a label there is nothing to rank, and nothing is left behind."""
    table = tmp_path / "labels.csv"
    table.write_text("path,label\n" + "\n".join(f"cross/{i:02}.png,label {i}" for i in range(16)))
    with pytest.raises(UsageError, match="more than one picture"):
        train_deep_ranker(shapes, TINY, labels=table, base=BASE, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
