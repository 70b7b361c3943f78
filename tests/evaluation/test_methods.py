"""Methods as they are typed."""

import pytest

from lookalike.errors import UsageError
from lookalike.evaluation import Method


@pytest.mark.parametrize(
    ("text", "method"),
    [
        ("efficientnet-lite0", Method("efficientnet-lite0")),
        ("keras:VGG16@fc1#euclidean", Method("keras:VGG16@fc1", "euclidean")),
        ("toy?grid=2#inner,normalize", Method("toy?grid=2", "inner", normalize=True)),
        ("toy#no-normalize", Method("toy", normalize=False)),
        ("nets/a#1.onnx", Method("nets/a#1.onnx")),
        ("nets/a#b.onnx@fc#cosine", Method("nets/a#b.onnx@fc", "cosine")),
    ],
)
def test_methods_are_read_and_written(text, method):
    """A metric and a normalisation follow the model; a # in a path is none of it."""
    assert Method.parse(text) == method
    assert str(method) == text


@pytest.mark.parametrize("text", ["toy#inner,cosine", "toy#normalize,no-normalize", "toy#inner,"])
def test_methods_that_can_not_be_meant(text):
    """Two metrics, both normalisations, or a comma too many are an error that shows the form."""
    with pytest.raises(UsageError, match="expected MODEL#METRIC"):
        Method.parse(text)
