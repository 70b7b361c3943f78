"""From vectors back to pictures, by a decoder that is computed by hand."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lookalike.errors import ModelError, UnknownModel, UsageError
from lookalike.extractors import cards, runtime, trained
from lookalike.extractors.cards import Card
from lookalike.extractors.decoder import Decoder

openvino = runtime.openvino()
ops = openvino.opset13
HEIGHT, WIDTH, DIM = 2, 4, 3


def encoder():
    """The mean colour of a picture."""
    picture = ops.parameter([1, 8, 8, 3], np.float32, name="picture")
    mean = ops.reduce_mean(picture, [1, 2], keep_dims=False, name="mean")
    mean.output(0).set_names({"mean"})
    return openvino.Model([mean], [picture], "mean")


def decoder(shape=(1, HEIGHT, WIDTH, 3)):
    """A vector of three numbers as a colour, on every pixel; row by row 100 more."""
    numbers = ops.parameter([1, DIM], np.float32, name="numbers")
    rows = 100 * np.arange(HEIGHT, dtype=np.float32).reshape(1, HEIGHT, 1, 1)
    spread = ops.broadcast(ops.reshape(numbers, [1, 1, 1, DIM], special_zero=False), shape)
    return openvino.Model([ops.add(spread, ops.constant(rows))], [numbers], "decoder")


def card(**changes):
    """Of the encoder."""
    values = {"name": "mean", "weights": "0", "size": (8, 8), "layers": ("mean",), "features": "mean"}
    return Card(**{**values, "licence": "none", "layout": "NHWC", "metric": "euclidean", **changes})


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The folder of a model with a decoder."""
    folder = tmp_path_factory.mktemp("trained") / "model"
    trained.write(folder, encoder(), card(), decoder=decoder())
    return folder


def test_every_vector_becomes_its_picture(model):
    """Rows are in the order of the vectors, width and height are not mixed up."""
    found = Decoder(model)
    assert (found.dim, found.size, found.folder) == (DIM, (WIDTH, HEIGHT), model)
    pictures = found.pictures(np.array([[1, 2, 3], [40, 50, 60.0]]))
    assert pictures.shape == (2, HEIGHT, WIDTH, 3)
    assert pictures.dtype == np.uint8
    np.testing.assert_array_equal(pictures[1, 0], [[40, 50, 60]] * WIDTH)
    np.testing.assert_array_equal(pictures[1, 1], [[140, 150, 160]] * WIDTH)


def test_numbers_are_rounded_and_held_between_black_and_white(model):
    """1.6 is nearer to 2; nothing wraps around at 0 or 255."""
    picture = Decoder(model).pictures(np.array([[1.6, -30, 170]], np.float32))[0]
    assert picture[0, 0].tolist() == [2, 0, 170]
    assert picture[1, 0].tolist() == [102, 70, 255]
    np.testing.assert_allclose(Decoder(model).pixels(np.array([[1.6, -30, 170]]))[0, 0, 0], [1.6, -30, 170])


def test_no_vectors_give_no_pictures(model):
    """An empty array has a result of the same shape otherwise."""
    assert Decoder(model).pictures(np.zeros((0, DIM))).shape == (0, HEIGHT, WIDTH, 3)


def test_threads_share_a_decoder(model):
    """Each gets what it asked for."""
    found = Decoder(model)
    vectors = np.arange(40 * DIM, dtype=np.float32).reshape(40, DIM)
    with ThreadPoolExecutor(4) as pool:
        pictures = list(pool.map(lambda vector: found.pixels(vector[None])[0], vectors))
    np.testing.assert_array_equal([picture[0, 0] for picture in pictures], vectors)


@pytest.mark.parametrize(
    "vectors", [np.zeros((2, DIM + 1)), np.zeros(DIM), np.full((1, DIM), np.nan), np.zeros((1, 1, DIM))]
)
def test_vectors_that_are_none_of_this_model_are_refused(model, vectors):
    """The message says which shape is expected."""
    with pytest.raises(UsageError, match=rf"\(n, {DIM}\)"):
        Decoder(model).pictures(vectors)


def test_a_model_without_a_decoder_says_so(tmp_path):
    """A trained classifier has vectors, but nothing that draws them."""
    trained.write(tmp_path / "model", encoder(), card())
    with pytest.raises(ModelError, match="train autoencoder"):
        Decoder(tmp_path / "model")


@pytest.mark.parametrize("name", ["efficientnet-lite0", "nowhere", "./nowhere"])
def test_what_is_no_trained_model_is_unknown(name):
    """The message says what is expected."""
    with pytest.raises(UnknownModel, match=r"model\.json"):
        Decoder(name)


def test_a_damaged_decoder_is_noticed(model, tmp_path):
    """The card knows the digests of the decoder's files, too."""
    copy = shutil.copytree(model, tmp_path / "model")
    with (copy / "model.decoder.xml").open("a") as file:
        file.write("<!-- changed -->")
    with pytest.raises(ModelError, match="damaged"):
        Decoder(copy)


def test_files_that_are_no_network_are_refused(model, tmp_path):
    """Even where the card was changed with them."""
    copy = shutil.copytree(model, tmp_path / "model")
    (copy / "model.decoder.xml").write_text("nothing")
    cards.write(card(), copy / "model.json", endings=(".xml", ".bin", *cards.DECODER))
    with pytest.raises(ModelError, match="no network that can be read"):
        Decoder(copy)


def test_a_decoder_that_draws_no_pictures_is_refused(tmp_path):
    """A network in the decoder's place must go from one vector to one picture."""
    for name, other in (("same", encoder()), ("two", decoder((2, HEIGHT, WIDTH, 3)))):
        trained.write(tmp_path / name, encoder(), card(), decoder=other)
        with pytest.raises(ModelError, match="one vector"):
            Decoder(tmp_path / name)
