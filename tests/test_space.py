"""The space of vectors: whether those of one gallery mean the same as those of another."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lookalike.types import Header, Space

SPACE = Space("toy", "0" * 64, 8, "cosine", "f32", normalized=True, row_type="float16")


@pytest.mark.parametrize("change", [{"precision": "bf16"}, {"row_type": "float32"}])
def test_last_digits(change):
    """Vectors that differ in precision or in the type of the stored numbers are comparable."""
    assert SPACE.comparable(replace(SPACE, **change))


@pytest.mark.parametrize(
    "change", [{"extractor": "b"}, {"digest": "1"}, {"dim": 9}, {"metric": "inner"}, {"normalized": False}]
)
def test_other_meaning(change):
    """Vectors of another model, digest, length, metric or scale are not."""
    assert not SPACE.comparable(replace(SPACE, **change))


def test_with_space():
    """A header's space is changed entry by entry; everything else of the header stays."""
    header = Header(SPACE, "/pictures", format=2)
    assert header.with_space(dim=9) == replace(header, space=replace(SPACE, dim=9))
