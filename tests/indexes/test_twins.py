"""Equal rows: found by their digests, and expanded from the one that stands for them."""

from __future__ import annotations

import numpy as np

from lookalike.indexes.approximate import Digests, Twins, digests


def test_equal_rows_have_equal_digests():
    """Rows that are equal have one digest, also with a negative zero; others have another."""
    rows = np.array([[1, 0], [1, -0.0], [0, 1], [1, 1e-30]], np.float32)
    made = digests(rows).tolist()
    assert made[0] == made[1]
    assert len(set(made)) == 3


def test_the_first_of_equal_rows_is_found_across_blocks():
    """Whatever block a row is in, and after a part is read again, its first is the first of all."""
    rows = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)[[0, 1, 0, 2, 1, 0, 3, 2, 4, 0]]
    one = Digests(np.empty(0, np.uint64))
    before, firsts = one.add(rows[:4])
    assert firsts.tolist() == [0, 1, 0, 3]
    for known in (one, Digests(before)):
        assert known.add(rows[4:])[1].tolist() == [1, 0, 6, 3, 8, 0]


def test_a_row_stands_for_its_equals():
    """Firsts stand once for all that are equal to them; who has none stands alone."""
    twins = Twins(np.array([0, 1, 0, 3, 1, 0, 6]))
    assert twins.others.tolist() == [2, 4, 5]
    assert twins.first(np.array([2, 4, 5, 6])).tolist() == [0, 1, 6]
    assert [twins.all_of(place).tolist() for place in (0, 1, 3)] == [[0, 2, 5], [1, 4], [3]]
    assert twins.stand_alone(np.array([0, 1, 3, 6])).tolist() == [False, False, True, True]
    alone = Twins(np.arange(4))
    assert alone.first(np.array([3, 1])).tolist() == [3, 1]
    assert alone.stand_alone(np.arange(4)).all()
