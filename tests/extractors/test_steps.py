"""The steps from a layer's output to a vector."""

import json

import numpy as np
import pytest

from lookalike.errors import ModelError
from lookalike.extractors import steps
from lookalike.extractors.steps import Centre, Concat, Flatten, Linear, Normalise, Pool, Power, Top


@pytest.fixture
def every():
    """A list that has every kind of step, for maps of shape (2, 3, 3)."""
    matrix = np.arange(8, dtype=np.float32).reshape(2, 4)
    branches = ((Linear(matrix), Normalise()), (Normalise(),))
    mean = np.array([0.5, -0.5], np.float32)
    return (Pool("avg"), Power(0.5), Centre(mean), Concat(branches, (0.8, 0.6)), Flatten(), Normalise())


@pytest.fixture
def maps():
    """Five maps of shape (2, 3, 3)."""
    return np.random.default_rng(1).random((5, 2, 3, 3), np.float32)


def test_the_recommended_vector_by_hand():
    """Square root, unit length, less the mean, unit length: worked out by hand for (9, 16)."""
    recommended = (Power(), Normalise(), Centre(np.array([0.6, 0.0], np.float32)), Normalise())
    vectors = steps.apply(recommended, np.array([[9, 16]], np.float32))
    np.testing.assert_allclose(vectors, [[0, 1]], atol=1e-6)


def test_normalise_leaves_zeros_alone():
    """A vector of zeros has no direction; it stays zero, and the others get unit length."""
    vectors = Normalise().apply(np.array([[0, 0], [3, 4]], np.float32))
    np.testing.assert_allclose(vectors, [[0, 0], [0.6, 0.8]])
    assert vectors.dtype == np.float32


@pytest.mark.parametrize(("layout", "axes"), [("NCHW", (2, 3)), ("NHWC", (1, 2))])
def test_pooling_keeps_the_channels(layout, axes, maps):
    """Pooling gives one number a channel, wherever the layout has the channels."""
    np.testing.assert_allclose(Pool("max", layout).apply(maps), maps.max(axis=axes))
    np.testing.assert_allclose(Pool("avg", layout).apply(maps), maps.mean(axis=axes), rtol=1e-6)
    assert Pool("avg", layout).shape(maps.shape[1:]) == Pool("avg", layout).apply(maps).shape[1:]


def test_power_keeps_the_sign():
    """A negative number is rooted by its size."""
    np.testing.assert_allclose(Power(0.5).apply(np.array([[-4.0, 9.0]], np.float32)), [[-2, 3]])
    np.testing.assert_allclose(Power(2).apply(np.array([[-4.0, 3.0]], np.float32)), [[-16, 9]])


def test_concat_weighs_its_branches(maps):
    """Branches lie side by side, each times its weight: unit branches weighed .8 and .6 have unit length."""
    both = Concat(((Flatten(), Normalise()), (Pool("max"), Normalise())), (0.8, 0.6))
    vectors = both.apply(maps)
    assert vectors.shape == (5, 20)
    np.testing.assert_allclose(np.linalg.norm(vectors[:, :18], axis=1), 0.8, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)


def test_dim_is_what_apply_gives(every, maps):
    """The dim computed from shapes alone is that of the vectors."""
    assert steps.dim(every, (2, 3, 3)) == steps.apply(every, maps).shape[1] == 6


def test_no_pictures_make_no_vectors(every, maps):
    """Of an empty batch of maps come no rows, of the right width."""
    assert steps.apply(every, maps[:0]).shape == (0, 6)
    assert steps.apply((Flatten(), Top(1)), maps[:0]).shape == (0, 18)


def test_steps_survive_the_journey_through_a_card(every, maps):
    """Written to JSON and arrays and read back, steps compute the same and have the same digest."""
    values, arrays = steps.dump(every)
    back = steps.load(json.loads(json.dumps(values)), arrays)
    np.testing.assert_array_equal(steps.apply(back, maps), steps.apply(every, maps))
    assert steps.digest(back) == steps.digest(every)


def test_the_digest_sees_every_number():
    """A mean that differs in its last bit, or another exponent, gives another digest."""
    mean = np.array([0.5, 0.25], np.float32)
    other = np.nextafter(mean, 1, dtype=np.float32)
    digests = {steps.digest([step]) for step in (Centre(mean), Centre(other), Power(0.5), Power(0.25))}
    assert len(digests) == 4


def test_top_keeps_the_largest():
    """The n largest numbers of a row stay where they are; of equal ones the first; the others are 0."""
    rows = np.array([[0.1, 0.4, 0.2, 0.3], [0.25, 0.25, 0.25, 0.25], [-1, -2, -3, -4]], np.float32)
    kept = Top(2).apply(rows)
    np.testing.assert_array_equal(kept, np.float32([[0, 0.4, 0, 0.3], [0.25, 0.25, 0, 0], [-1, -2, 0, 0]]))
    assert kept.dtype == np.float32
    np.testing.assert_array_equal(Top(9).apply(rows), rows)
    assert rows[0, 0] == np.float32(0.1)


def test_top_survives_the_journey_through_a_card():
    """Its count is written, read, and part of the digest."""
    values, arrays = steps.dump((Top(3),))
    assert steps.load(json.loads(json.dumps(values)), arrays) == (Top(3),)
    assert steps.digest((Top(3),)) != steps.digest((Top(4),))


@pytest.mark.parametrize(
    ("made_of", "shape"),
    [
        ((Normalise(),), (2, 3, 3)),
        ((Top(1),), (2, 3, 3)),
        ((Pool("avg"),), (7,)),
        ((Centre(np.zeros(3, np.float32)),), (4,)),
        ((Linear(np.zeros((3, 2), np.float32)),), (4,)),
        ((), (2, 3, 3)),
    ],
)
def test_steps_that_do_not_fit_are_refused(made_of, shape):
    """A list that can't take the layer's shape, or leaves a map, is a clear error before anything runs."""
    with pytest.raises(ModelError, match="can't be used"):
        steps.dim(made_of, shape)


@pytest.mark.parametrize(
    "values",
    [
        {"step": "power"},
        ["power"],
        [{"step": "exec", "code": "1"}],
        [{"step": ["power"]}],
        [{"step": "power"}],
        [{"step": "power", "exponent": "0.5"}],
        [{"step": "power", "exponent": True}],
        [{"step": "power", "exponent": float("nan")}],
        [{"step": "power", "exponent": 0.5, "more": 1}],
        [{"step": "pool", "kind": "sum", "layout": "NCHW"}],
        [{"step": "pool", "kind": "avg", "layout": "CHWN"}],
        [{"step": "pool", "kind": ["avg"], "layout": "NCHW"}],
        [{"step": "top", "count": 0}],
        [{"step": "top", "count": 1.0}],
        [{"step": "top", "count": True}],
        [{"step": "centre", "mean": "missing"}],
        [{"step": "centre", "mean": ["mean"]}],
        [{"step": "centre", "mean": "doubles"}],
        [{"step": "centre", "mean": "infinite"}],
        [{"step": "linear", "matrix": "row"}],
        [{"step": "concat", "branches": [[]], "weights": []}],
        [{"step": "concat", "branches": 1, "weights": [1]}],
        [{"step": "concat", "branches": [[]], "weights": [float("inf")]}],
        [{"step": "flatten"}] * 100,
    ],
)
def test_a_card_that_says_anything_else_is_refused(values):
    """Whatever a stranger's card says that we would not write ends in a ModelError."""
    arrays = {
        "doubles": np.zeros(2),
        "infinite": np.array([np.inf], np.float32),
        "row": np.zeros(2, np.float32),
    }
    with pytest.raises(ModelError):
        steps.load(values, arrays)


def test_branches_do_not_nest_for_ever():
    """A card nested beyond any use is refused, not recursed into."""
    values = [{"step": "flatten"}]
    for _ in range(50):
        values = [{"step": "concat", "branches": [values], "weights": [1]}]
    with pytest.raises(ModelError, match="more steps than"):
        steps.load(values, {})
