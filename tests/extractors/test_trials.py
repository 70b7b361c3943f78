"""Networks of strangers that come to no end, or want more than there is, are refused in time and in words."""

from __future__ import annotations

import shutil
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lookalike import Gallery, extractors
from lookalike.cli import run
from lookalike.errors import ModelError, UnknownLayer, UsageError
from lookalike.extractors import runtime, trained
from lookalike.extractors.cards import Card
from lookalike.extractors.decoder import Decoder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """A cache of the test's own: a verdict is not asked for twice."""
    monkeypatch.setenv("LOOKALIKE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def nobody(monkeypatch):
    """From when it is called on, no process can be started."""
    return lambda: monkeypatch.setattr(sys, "executable", "/nonexistent/python")


def _write(path, nodes, numbers=()):
    """An ONNX file of nodes from `x`, a picture of 32 pixels, to `z`, whose mean a channel is the vector."""
    last = [
        helper.make_node("GlobalAveragePool", ["z"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["y"]),
    ]
    picture = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 32, 32])
    vector = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in dict(numbers).items()]
    graph = helper.make_graph([*nodes, *last], "g", [picture], [vector], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, path)
    return path


def endless(path):
    """A loop whose condition is always true."""
    return _write(path, [loop("x", "z")], {"true": np.True_})


def loop(source, target):
    """The node of such a loop."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["on_"]), helper.make_node("Neg", ["v"], ["v_"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on_", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v_", TensorProto.FLOAT, None),
        ],
    )
    return helper.make_node("Loop", ["", "true", source], [target], body=body)


def long(path, layers=60_000):
    """A chain of so many layers."""
    names = ["x", *(f"a{i}" for i in range(1, layers)), "z"]
    return _write(path, [helper.make_node("Neg", [one], [other]) for one, other in pairwise(names)])


def large(path, kind):
    """One number, or none, made to 100 GB of them, of which the sum is added to the picture."""
    made = (
        helper.make_node("Expand", ["one", "shape"], ["many"])
        if kind == "Expand"
        else helper.make_node("ConstantOfShape", ["shape"], ["many"])
    )
    total = helper.make_node("ReduceSum", ["many", "axis"], ["total"], keepdims=0)
    one = {"one": np.float32([1])} if kind == "Expand" else {}
    shape = {"shape": np.int64([25_000_000_000]), "axis": np.int64([0])}
    return _write(path, [made, total, helper.make_node("Add", ["x", "total"], ["z"])], one | shape)


def plain(path, factor=2.0):
    """A network there is nothing wrong with."""
    return _write(path, [helper.make_node("Mul", ["x", "f"], ["z"])], {"f": np.float32(factor)})


@pytest.mark.parametrize("make", [endless, long])
def test_what_comes_to_no_end_is_stopped(tmp_path, monkeypatch, make):
    """It says what happened and how to allow more; a larger limit is tried, and the verdict is kept."""
    path = make(tmp_path / "net.onnx")
    for seconds in (1, 2):
        monkeypatch.setenv("LOOKALIKE_MODEL_SECONDS", str(seconds))
        with pytest.raises(
            ModelError, match=rf"net\.onnx was not .* within {seconds} seconds.*_MODEL_SECONDS"
        ):
            extractors.load(str(path))
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    for look in (extractors.load, extractors.layers):
        with pytest.raises(ModelError, match="within 2 seconds"):
            look(str(path))


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux alone")
@pytest.mark.parametrize("kind", ["Expand", "ConstantOfShape"])
def test_what_wants_too_much_memory_is_refused(tmp_path, kind):
    """100 GB from a file of 300 bytes are never asked of the machine."""
    path = large(tmp_path / "net.onnx", kind)
    assert path.stat().st_size < 400
    with pytest.raises(ModelError, match=r"net\.onnx can't be used.*8\.0 GB.*LOOKALIKE_MODEL_MEMORY"):
        extractors.load(str(path))


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux alone")
def test_the_limit_of_memory_can_be_changed(tmp_path, monkeypatch):
    """The same 1.2 GB are refused below a limit of 1 GB, and come to an end within the usual one."""
    tile = helper.make_node("Tile", ["x", "times"], ["z"])
    path = _write(tmp_path / "net.onnx", [tile], {"times": np.int64([1, 1, 300, 300])})
    monkeypatch.setenv("LOOKALIKE_MODEL_MEMORY", "1_000_000_000")
    with pytest.raises(ModelError, match=r"1\.0 GB"):
        extractors.load(str(path))
    monkeypatch.delenv("LOOKALIKE_MODEL_MEMORY")
    assert extractors.load(str(path)).dim == 3


def test_the_command_line_says_it_in_one_line(tmp_path, monkeypatch, capsys):
    """`models` and `index` end with a message, and leave nothing behind."""
    monkeypatch.setenv("LOOKALIKE_MODEL_SECONDS", "1")
    path = endless(tmp_path / "net.onnx")
    (tmp_path / "pictures").mkdir()
    for command in (["models", str(path)], ["index", str(tmp_path / "pictures"), "--model", str(path)]):
        run(command)
        told = capsys.readouterr().err
        assert "index" in command or "within 1 seconds" in told
        assert "Traceback" not in told
    assert not (tmp_path / "pictures" / ".lookalike").exists()
    assert not path.with_suffix(".json").exists()


def test_a_network_is_tried_once(tmp_path, nobody):
    """A second use, another layer of it, and a copy elsewhere start no process; a changed file does."""
    path = plain(tmp_path / "net.onnx")
    first = extractors.load(str(path))
    assert first.notes
    (tmp_path / "copy").mkdir()
    copied = Path(shutil.copy(path, tmp_path / "copy" / "other.onnx"))
    nobody()
    for name in (str(path), f"{path}@pooled", str(copied)):
        assert extractors.load(name).dim == 3
    plain(path, factor=3.0)
    path.with_suffix(".json").unlink()
    with pytest.raises(FileNotFoundError):
        extractors.load(str(path))


def test_numbers_in_another_file_are_part_of_what_was_tried(tmp_path, nobody):
    """Where an ONNX file names another one, a change of that is a change of the network."""
    path = plain(tmp_path / "net.onnx")
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="net.data", size_threshold=0)
    extractors.load(str(path))
    nobody()
    assert extractors.load(str(path)).dim == 3
    numbers = tmp_path / "net.data"
    numbers.write_bytes(bytes(numbers.stat().st_size))
    with pytest.raises(FileNotFoundError):
        extractors.load(str(path))


def test_what_was_made_here_is_not_tried(tmp_path, nobody):
    """Neither the default model nor one that was trained on this machine starts a process."""
    nobody()
    assert extractors.load("efficientnet-lite0").dim == 1280
    ops = runtime.openvino().opset13
    picture = ops.parameter([1, 3, 8, 8], np.float32, name="input")
    colours = ops.reduce_mean(picture, np.array([2, 3]), keep_dims=False, name="colours")
    card = Card("colours", "a" * 64, (8, 8), ("input", "colours"), "colours", "none")
    trained.write(
        tmp_path / "mine", runtime.openvino().Model([colours.output(0)], [picture], "colours"), card
    )
    assert extractors.load(str(tmp_path / "mine")).dim == 3


def test_a_trained_model_of_somebody_else_is_tried(tmp_path, monkeypatch):
    """A folder that came from another machine is as foreign as a file."""
    monkeypatch.setenv("LOOKALIKE_MODEL_SECONDS", "2")
    loop = runtime.core().read_model(endless(tmp_path / "net.onnx"))
    network = loop.clone()
    ends = {"input": network.inputs[0], "vector": network.get_results()[0].input(0).get_source_output()}
    for name, port in ends.items():
        port.get_node().set_friendly_name(name)
    card = Card("loop", "a" * 64, (32, 32), ("input", "vector"), "vector", "none")
    trained.write(tmp_path / "theirs", network, card)
    monkeypatch.setenv("LOOKALIKE_CACHE", str(tmp_path / "another"))
    with pytest.raises(ModelError, match="within 2 seconds"):
        extractors.load(str(tmp_path / "theirs"))


def test_a_decoder_of_somebody_else_is_tried(tmp_path, monkeypatch):
    """Of a trained model the network that draws pictures is tried, too, where it was not made here."""
    monkeypatch.setenv("LOOKALIKE_MODEL_SECONDS", "2")
    numbers = {"true": np.True_, "shape": np.int64([1, 1, 1, 3])}
    graph = helper.make_graph(
        [loop("numbers", "w"), helper.make_node("Reshape", ["w", "shape"], ["p"])],
        "g",
        [helper.make_tensor_value_info("numbers", TensorProto.FLOAT, [1, 3])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, [1, 1, 1, 3])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in numbers.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, tmp_path / "decoder.onnx")
    ops = runtime.openvino().opset13
    picture = ops.parameter([1, 3, 8, 8], np.float32, name="input")
    colours = ops.reduce_mean(picture, np.array([2, 3]), keep_dims=False, name="colours")
    card = Card("colours", "a" * 64, (8, 8), ("input", "colours"), "colours", "none")
    encoder = runtime.openvino().Model([colours.output(0)], [picture], "colours")
    drawing = runtime.core().read_model(tmp_path / "decoder.onnx")
    trained.write(tmp_path / "theirs", encoder, card, decoder=drawing)
    monkeypatch.setenv("LOOKALIKE_CACHE", str(tmp_path / "another"))
    with pytest.raises(ModelError, match=r"model\.decoder\.xml was not .* within 2 seconds"):
        Decoder(tmp_path / "theirs")


def test_errors_of_a_network_come_out_as_before(tmp_path):
    """What is no network, or has no such layer, is said as if no other process had been asked."""
    (tmp_path / "net.onnx").write_bytes(b"no network")
    with pytest.raises(ModelError, match=r"net\.onnx is no ONNX file that can be read"):
        extractors.load(str(tmp_path / "net.onnx"))
    with pytest.raises(UnknownLayer, match="nowhere"):
        extractors.load(f"{plain(tmp_path / 'other.onnx')}@nowhere")


@pytest.mark.parametrize("name", ["LOOKALIKE_MODEL_SECONDS", "LOOKALIKE_MODEL_MEMORY"])
def test_a_limit_that_is_none(tmp_path, monkeypatch, name):
    """A variable that is no number above 0 is an error of its own."""
    monkeypatch.setenv(name, "fast")
    with pytest.raises(UsageError, match=f"{name} is 'fast': expected a positive whole number"):
        extractors.load(str(plain(tmp_path / "net.onnx")))
    monkeypatch.setenv(name, "0")
    with Gallery.open(tmp_path, model=str(tmp_path / "net.onnx")) as gallery, pytest.raises(UsageError):
        gallery.extractor()
