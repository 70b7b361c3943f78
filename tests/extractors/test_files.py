"""Models of one's own: opened, described where they have no card, cut anywhere; and what is no model."""

import json
import os
import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

from lookalike import extractors
from lookalike.errors import ModelError, UnknownLayer, UnknownModel, UsageError
from lookalike.extractors import runtime


def load(path, rest="", **options):
    """The extractor of a file in float32."""
    return extractors.load(f"{path}{rest}", precision="f32", **options)


def vector(extractor, picture):
    """The vector of one picture."""
    return extractor.extract([extractor.prepare(picture)]).vectors[0]


def test_every_operation_can_be_cut(network, tmp_path, picture, by_hand, unit):
    """By the operation's name, by its tensor's name, by number from either end: as by hand."""
    path = network(tmp_path / "net.onnx")
    maps, pooled, logits, scores = by_hand(unit)
    expected = {
        "picture": unit.transpose(2, 0, 1).ravel(), "0": unit.transpose(2, 0, 1).ravel(),
        "relu": maps.ravel(), "relu_out": maps.ravel(), "same+avg": pooled, "relu+max": maps.max(axis=(1, 2)),
        "gap": pooled, "-3": pooled, "fc_out": logits, "-2": logits, "soft_out": scores, "-1": scores,
    }  # fmt: skip
    for layer, numbers in expected.items():
        plain = load(path, f"@{layer}", normalize=False)
        np.testing.assert_allclose(vector(plain, picture), numbers, rtol=1e-4, atol=1e-5)
        assert plain.dim == len(numbers)
        unit_length = vector(load(path, f"@{layer}"), picture)
        np.testing.assert_allclose(unit_length, numbers / np.linalg.norm(numbers), rtol=1e-3, atol=1e-5)


def test_layers_are_listed(network, tmp_path):
    """Number, name, type, shape and parameters of each, without what computes shapes."""
    found = extractors.layers(str(network(tmp_path / "net.onnx")))
    assert [layer.number for layer in found] == list(range(len(found)))
    assert [layer.name for layer in found] == [
        "picture", "conv", "relu", "same", "gap", "flat", "fc_out", "soft_out",
    ]  # fmt: skip
    by_name = {layer.name: layer for layer in found}
    assert by_name["conv"][2:] == ("Convolution", (4, 15, 15), 108)
    assert by_name["fc_out"][2:] == ("MatMul", (5,), 20)
    assert sum(layer.parameters for layer in found) == 128


def test_an_unknown_layer_is_an_error_that_lists_them(network, tmp_path):
    """The message names the layers there are; weights are no layer."""
    path = network(tmp_path / "net.onnx")
    for layer in ("nowhere", "99", "kernel"):
        with pytest.raises(UnknownLayer, match="relu"):
            load(path, f"@{layer}")


def test_the_card_is_written_and_used(network, tmp_path, picture):
    """A missing card is written beside the model, with notes; corrected, it is what counts."""
    path = network(tmp_path / "net.onnx")
    first = load(path)
    assert any("net.json" in note for note in first.notes)
    assert any("0 to 1" in note and "assumed" in note for note in first.notes)
    again = load(path)
    assert again.notes == ()
    assert again.digest == first.digest
    np.testing.assert_array_equal(vector(again, picture), vector(first, picture))
    content = json.loads((tmp_path / "net.json").read_text())
    content |= {"channels": "BGR", "classes": {"ids": list("abcde"), "names": ["crane"] * 5}}
    (tmp_path / "net.json").write_text(json.dumps(content))
    changed = load(path)
    assert changed.classes.ids == tuple("abcde")
    assert changed.digest != first.digest
    mirrored = Image.fromarray(np.asarray(picture)[:, :, ::-1])
    np.testing.assert_allclose(vector(changed, mirrored), vector(first, picture), rtol=1e-5)


def test_where_nothing_can_be_written_the_card_is_kept(network, tmp_path, cache, monkeypatch):
    """A folder that can't be written, or a foreign net.json: the card goes to the cache, and is used."""
    path = network(tmp_path / "net.onnx", classes=11)
    (tmp_path / "net.json").write_text('{"class_name": "Functional"}')
    first = load(path)
    assert any(str(cache) in note for note in first.notes)
    assert load(path).notes == ()
    assert json.loads((tmp_path / "net.json").read_text()) == {"class_name": "Functional"}
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("LOOKALIKE_CACHE", str(tmp_path / "file" / "cache"))
    assert any("none could be written" in note for note in load(path).notes)


def test_a_model_that_changed_is_noticed(network, tmp_path):
    """Its card describes another file now: an error that says what to do."""
    path = network(tmp_path / "net.onnx")
    before = load(path).digest
    network(path, classes=6)
    with pytest.raises(ModelError, match=r"delete .*net\.json"):
        load(path)
    (tmp_path / "net.json").unlink()
    assert load(path).digest != before


def test_two_models_of_one_stem_have_cards_of_their_own(network, tmp_path):
    """net.onnx and net.xml side by side: the second one's card goes to the cache."""
    path = network(tmp_path / "net.onnx")
    load(path)
    other = network(tmp_path / "other.onnx", classes=7)
    runtime.openvino().serialize(runtime.core().read_model(other), tmp_path / "net.xml")
    assert len(load(tmp_path / "net.xml").classes.ids) == 7
    assert len(load(path).classes.ids) == 5


def test_openvinos_own_form(network, tmp_path, picture):
    """An .xml with its .bin gives what the ONNX file gives; without its .bin it is an error."""
    path = network(tmp_path / "net.onnx")
    ir = tmp_path / "ir.xml"
    runtime.openvino().serialize(runtime.core().read_model(path), ir)
    np.testing.assert_allclose(
        vector(load(ir, "@relu"), picture), vector(load(path, "@relu"), picture), atol=1e-6
    )
    ir.with_suffix(".bin").unlink()
    with pytest.raises(ModelError, match=r"ir\.bin"):
        load(ir)


def test_a_real_network_as_a_file(tmp_path, default, cache, photographs):
    """The default network as a file without its card: told its settings, it gives the default's features."""
    (folder,) = (cache / "models").glob("efficientnet-lite0-*")
    for ending in (".xml", ".bin"):
        shutil.copy(folder / f"model{ending}", tmp_path / f"own{ending}")
    own = load(tmp_path / "own.xml", "@features?mean=127&scale=1/128&resize=bicubic")
    ours = extractors.load("efficientnet-lite0@features?resize=bicubic", precision="f32")
    np.testing.assert_allclose(
        vector(own, photographs["coffee"]), vector(ours, photographs["coffee"]), atol=1e-5
    )
    assert len(own.classes.ids) == 1000
    assert own.card.features == "pool"


def test_a_path_is_a_name_too(network, tmp_path):
    """A `Path` is taken as its text; what is for live models only is refused beside a name."""
    path = network(tmp_path / "net.onnx")
    assert extractors.load(path, precision="f32").name == str(path)
    with pytest.raises(UsageError, match="@LAYER"):
        extractors.load(path, layer="relu")


def test_paths_may_hold_anything(network, tmp_path, monkeypatch):
    """Spaces, colons, at signs and capital endings in a path; a relative one is kept as absolute."""
    folder = tmp_path / "a b@c:d+e"
    folder.mkdir()
    path = network(folder / "net@1.ONNX")
    assert load(path, "@relu+avg").name == f"{path}@relu+avg"
    monkeypatch.chdir(folder)
    extractor = load("net@1.ONNX", "@relu+avg")
    monkeypatch.chdir(tmp_path)
    assert load(extractor.name).digest == extractor.digest


def test_numbers_in_another_file(network, tmp_path):
    """External data counts: another number there is another digest, and a missing file is an error."""
    path = network(tmp_path / "net.onnx", external=True)
    before = load(path).digest
    data = tmp_path / "net.onnx.data"
    numbers = bytearray(data.read_bytes())
    numbers[3] ^= 1
    data.write_bytes(numbers)
    assert load(path).digest != before
    data.unlink()
    with pytest.raises(ModelError, match="export it again"):
        load(path)


class Runs:
    """Leaves a file behind if it is ever unpickled."""

    def __reduce__(self):
        """What unpickling would do."""
        return os.system, ("touch HACKED",)


FOREIGN = {
    "empty": b"",
    "text": b"this is no model at all\n" * 9,
    "pickle": pickle.dumps(Runs()),
    "zip": b"PK\x03\x04" + bytes(100),
    "xml": b"<?xml version='1.0'?><net name='x' version='11'></net>",
}


@pytest.mark.parametrize("content", FOREIGN)
@pytest.mark.parametrize("ending", [".onnx", ".xml"])
def test_what_is_no_model_is_refused(content, ending, tmp_path, monkeypatch, capfd):
    """Foreign bytes under a model's ending: one line that says what to do, nothing run, nothing printed."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"net{ending}"
    path.write_bytes(FOREIGN[content])
    path.with_suffix(".bin").write_bytes(b"")
    with pytest.raises(ModelError, match=r"export it") as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert "net" in str(caught.value)
    assert not (tmp_path / "HACKED").exists()
    assert not (tmp_path / "net.json").exists()
    assert capfd.readouterr() == ("", "")


def test_a_broken_file_is_refused(network, tmp_path):
    """A file cut short anywhere is an error, or at least never a model of other numbers."""
    path = network(tmp_path / "whole.onnx")
    whole = path.read_bytes()
    expected = load(path).digest
    broken = tmp_path / "broken.onnx"
    for length in range(0, len(whole), 97):
        broken.write_bytes(whole[:length])
        with pytest.raises(ModelError):
            load(broken)
    shutil.copy(path, broken)
    assert load(broken).digest == expected


def test_a_file_that_is_not_there(tmp_path):
    """No file there is an error that names it."""
    with pytest.raises(UnknownModel, match=r"gone\.onnx"):
        load(tmp_path / "gone.onnx")
