"""Names of extractors, taken apart."""

import pytest

from lookalike.errors import UsageError
from lookalike.extractors import Name, trained


@pytest.mark.parametrize(
    ("text", "model", "layer", "pool", "options"),
    [
        ("efficientnet-lite0", "efficientnet-lite0", None, None, ()),
        ("efficientnet-lite0@block5c", "efficientnet-lite0", "block5c", None, ()),
        ("keras:VGG16@block5_pool+avg", "keras:VGG16", "block5_pool", "avg", ()),
        ("keras:MobileNet@-2", "keras:MobileNet", "-2", None, ()),
        ("keras:X@a/b:0+max?alpha=0.5", "keras:X", "a/b:0", "max", (("alpha", "0.5"),)),
        ("m?scale=1/255&alpha=0.5", "m", None, None, (("alpha", "0.5"), ("scale", "1/255"))),
        ("/C++/my@home/a:b/net.onnx@features", "/C++/my@home/a:b/net.onnx", "features", None, ()),
        ("/models/net.H5?size=9", "/models/net.H5", None, None, (("size", "9"),)),
        ("keras:VGG16@fc1?weights=/my/net.h5", "keras:VGG16", "fc1", None, (("weights", "/my/net.h5"),)),
    ],
)
def test_a_name_has_four_parts(text, model, layer, pool, options):
    """Model, layer, pooling and options are told apart, also where a path has their signs in it."""
    assert Name.parse(text) == Name(model, layer, pool, options)


@pytest.mark.parametrize("text", ["net.onnx@features", "./net.onnx@features", "up/../net.onnx@features"])
def test_the_path_of_a_file_becomes_absolute(text, tmp_path, monkeypatch):
    """Wherever a gallery is searched from, the name it keeps leads to the same file."""
    monkeypatch.chdir(tmp_path)
    assert str(Name.parse(text)) == f"{tmp_path}/net.onnx@features"
    assert Name.parse(text).is_path
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Name.parse("~/net.keras").model == f"{tmp_path}/net.keras"


@pytest.mark.parametrize("text", ["m@l+avg", "keras:A@1?b=2&c=1/3", "a b/x.onnx@f?k=%26+v", "m?a=1%3D2", "m"])
def test_a_name_is_put_together_as_it_was(text):
    """What `str` gives parses to the same name again."""
    name = Name.parse(text)
    assert Name.parse(str(name)) == name


@pytest.mark.parametrize("text", ["", "@layer", "m@l+sum", "m@l+", "m@", "m?", "m?a", "m?a=1&a=2", "m?=1"])
def test_what_is_no_name_is_refused(text):
    """A missing model, an unknown pooling and options that are not pairs are errors that say so."""
    with pytest.raises(UsageError):
        Name.parse(text)


@pytest.mark.parametrize("text", ["a" * 300, "~nobody-of-that-name/model", "a\0b"])
def test_what_can_be_no_file_is_still_a_name(text):
    """A name too long for a file, or of a user who is not there, is no error of the system."""
    assert Name.parse(text).model.endswith(text)
    assert trained.folder_of(text) is None
