"""An autoencoder from a folder to vectors and drawings, on tiny settings."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import lookalike
from lookalike import extractors
from lookalike.errors import ModelError, NotFound, UsageError
from lookalike.extractors.decoder import Decoder
from lookalike.training import AutoencoderRecipe, autoencoder
from lookalike.training.autoencoder import train_autoencoder
from lookalike.training.recipes import NO_AUGMENTATION, Augmentation
from lookalike.training.reconstruction import reconstruct
from lookalike.training.result import Epoch

TINY = {
    "size": 32,
    "inner": 16,
    "widths": (8, 16),
    "latent": 4,
    "epochs": 30,
    "batch": 4,
    "rate": 1e-2,
    "varied": 0.2,
}


def recipe(**changes):
    """Tiny settings."""
    return AutoencoderRecipe(**{**TINY, **changes})


def pictures(folder, count, mode="RGB"):
    """A folder of so many pictures, each of one colour with a square of another one."""
    folder.mkdir()
    random = np.random.default_rng(count)
    for number in range(count):
        back, fore = random.integers(0, 256, (2, 3), np.uint8)
        pixels = np.broadcast_to(back, (40, 40, 3)).copy()
        x, y = random.integers(0, 20, 2)
        pixels[y : y + 20, x : x + 20] = fore
        Image.fromarray(pixels).convert(mode).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def whole(shapes, tmp_path_factory):
    """A training that nothing came between."""
    return train_autoencoder(shapes, recipe(), out=tmp_path_factory.mktemp("whole") / "model")


def test_it_learns_to_draw(whole):
    """The loss falls, and what is drawn is nearer than each picture's own mean colour, at full size."""
    losses = whole.history.measures["loss"]
    assert len(losses) == TINY["epochs"]
    assert losses[-1] < losses[0] / 2
    assert whole.measures["train_mse"] < 0.9 * whole.measures["train_own_colour_mse"]
    assert {"test_mse", "test_own_colour_mse"} <= whole.measures.keys()


def test_the_card_says_how_vectors_are_compared(whole):
    """The bare name and the layer mean the same plain numbers by the euclidean distance; no classes."""
    card = json.loads((lookalike.extractors.trained.folder_of(str(whole)) / "model.json").read_text())
    assert card["features"] == "latent_space"
    assert card["training"]["kind"] == "autoencoder"
    assert card["training"]["measures"] == pytest.approx(dict(whole.measures))
    for name in (str(whole), f"{whole}@latent_space"):
        found = extractors.load(name)
        assert (found.dim, found.metric, found.normalized, found.classes) == (4, "euclidean", False, None)
    assert [layer.name for layer in extractors.layers(str(whole))] == [
        "picture", "pooled", "down1", "down2", "flat", "latent_space",
    ]  # fmt: skip


def test_a_gallery_is_searched_by_it(whole, shapes, tmp_path):
    """A picture that is asked with finds itself at distance 0, by the euclidean distance."""
    with lookalike.Gallery.open(shapes, gallery=f"{whole}-gallery", model=str(whole)) as gallery:
        gallery.add()
        hits = gallery.search(shapes / "cross" / "03.png", k=3, include_self=True)
    assert hits.metric == "euclidean"
    assert hits[0].id == "cross/03.png"
    assert hits[0].distance == pytest.approx(0, abs=1e-3)
    assert hits[1].distance > 0


def test_what_is_written_is_what_keras_gives(tmp_path, shapes):
    """Encoder and decoder, in OpenVINO and in Keras, equal to a thousandth."""
    card = autoencoder.blank(recipe(), "model")
    networks = autoencoder.build(recipe())
    random = np.random.default_rng(1)
    given = random.integers(0, 256, (6, 32, 32, 3), np.uint8)
    autoencoder.export_autoencoder(tmp_path / "model", networks, card, given)
    vectors = extractors.load(str(tmp_path / "model"), precision="f32").extract(list(given)).vectors
    wanted = np.asarray(networks.encoder(given / np.float32(255)))
    np.testing.assert_allclose(vectors, wanted, atol=1e-3 * abs(wanted).max())
    drawn = Decoder(tmp_path / "model").pixels(10 * vectors)
    np.testing.assert_allclose(drawn, np.asarray(networks.decoder(10 * vectors)), atol=1e-3 * 255)
    assert drawn.std(axis=(1, 2)).min() > 0


def test_a_decoder_that_draws_something_else_is_noticed(tmp_path):
    """What was written is run and compared before a training ends."""
    networks, other = autoencoder.build(recipe()), autoencoder.build(recipe())
    autoencoder.export_autoencoder(
        tmp_path / "model", networks, autoencoder.blank(recipe(), "model"), _noise(4)
    )
    with pytest.raises(ModelError, match="draws other pictures"):
        autoencoder.compare_decoder(tmp_path / "model", other.decoder, np.full((2, 4), 3, np.float32))


def _noise(count):
    return np.random.default_rng(2).integers(0, 256, (count, 32, 32, 3), np.uint8)


def test_pictures_are_drawn_without_keras(whole, shapes):
    """Neither Keras nor TensorFlow is loaded for it, and the errors are those of what is drawn."""
    program = (
        "import sys, json\n"
        "from lookalike.training import reconstruct\n"
        "found = reconstruct(sys.argv[2:], sys.argv[1])\n"
        "loaded = [name for name in ('keras', 'tensorflow') if name in sys.modules]\n"
        "print(json.dumps(found.as_dict() | {'loaded': loaded}))"
    )
    paths = [str(shapes / "circle" / "00.png"), str(shapes / "stripes" / "05.png")]
    ran = subprocess.run([sys.executable, "-c", program, str(whole), *paths], capture_output=True, check=True)
    answer = json.loads(ran.stdout)
    assert answer["loaded"] == []
    assert [one["picture"] for one in answer["pictures"]] == paths
    for told, one in zip(answer["pictures"], reconstruct(paths, str(whole)), strict=True):
        unit, drawn = one.given / 255, one.drawn / 255
        assert one.given.shape == one.drawn.shape == (32, 32, 3)
        assert one.mse == pytest.approx(((unit - drawn) ** 2).mean(), rel=1e-4)
        assert one.own_colour_mse == pytest.approx(unit.reshape(-1, 3).var(axis=0).mean(), rel=1e-4)
        assert told["mse"] == pytest.approx(one.mse, rel=1e-3)
        assert told["vector"] == pytest.approx(one.vector.tolist(), abs=1e-3)


def test_pictures_may_be_handed_over_in_any_form(whole, shapes):
    """A path, bytes, a PIL image and an array give the same drawing; one alone needs no list."""
    path = shapes / "cross" / "01.png"
    image = Image.open(path)
    found = reconstruct([path, path.read_bytes(), image, np.asarray(image)], str(whole))
    assert len(found) == 4
    assert len({one.drawn.tobytes() for one in found}) == 1
    np.testing.assert_array_equal(reconstruct(image, str(whole))[0].vector, found[0].vector)


def test_reconstructions_are_plotted(whole, shapes, tmp_path):
    """Ten pairs take two double rows, as wide as eight pairs; each error is said in words once."""
    paths = sorted(shapes.rglob("*.png"))[:10]
    found = reconstruct(paths, str(whole))
    found.save(tmp_path / "out.png")
    reconstruct(paths[:8], str(whole)).save(tmp_path / "eight.png")
    with Image.open(tmp_path / "out.png") as ten, Image.open(tmp_path / "eight.png") as eight:
        assert ten.width == eight.width
        assert 1.8 < ten.height / eight.height < 2.2
    assert str(found).count("MSE") == 10
    with pytest.raises(UsageError, match=r"\.png"):
        found.save(tmp_path / "out.txt")


def test_what_can_not_be_drawn_is_an_error(whole, tmp_path):
    """A missing picture, a vector, and a model without a decoder."""
    with pytest.raises(NotFound, match="nowhere"):
        reconstruct("nowhere.png", str(whole))
    with pytest.raises(UsageError, match="no picture"):
        reconstruct(np.zeros(4, np.float32), str(whole))
    with pytest.raises(lookalike.UnknownModel, match="trained"):
        reconstruct(tmp_path / "a.png", "efficientnet-lite0")


def test_a_training_that_was_stopped_goes_on_as_if_nothing_had_been(shapes, tmp_path):
    """Stopped and resumed: to the bit the weights and the history of the same seed in one go.

    Pictures are changed by chance, and that goes on where it stopped, too.
    """
    changes = {"epochs": 4, "batch": 16}
    straight = train_autoencoder(shapes, recipe(**changes), out=tmp_path / "straight")

    def stop(event):
        if isinstance(event, Epoch) and event.number == 2:
            raise KeyboardInterrupt

    stopped = train_autoencoder(shapes, recipe(**changes), out=tmp_path / "halted", progress=stop)
    assert stopped.stopped
    assert len(stopped.history.epochs) == 2
    assert reconstruct(shapes / "cross" / "00.png", str(stopped))[0].drawn.shape == (32, 32, 3)
    resumed = train_autoencoder(shapes, recipe(**changes), out=tmp_path / "halted", resume=True)
    assert resumed.card.weights == straight.card.weights
    assert resumed.history.measures == straight.history.measures


def test_grey_pictures_are_enough(tmp_path):
    """A folder of grey pictures without a label; what is drawn is nearly grey."""
    folder = pictures(tmp_path / "grey", 14, "L")
    made = train_autoencoder(folder, recipe(epochs=20, varied=0.2), out=tmp_path / "model")
    drawn = reconstruct(folder / "00.png", str(made))[0].drawn.astype(int)
    assert np.ptp(drawn, axis=2).mean() < 25


def test_eight_pictures_to_learn_from_are_the_fewest(tmp_path):
    """With seven it ends before any epoch and says how many there are; what can't be read is named."""
    folder = pictures(tmp_path / "few", 7)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
    events = []
    with pytest.raises(UsageError, match=r"on 7 pictures; expected at least 8.*broken\.png"):
        train_autoencoder(folder, recipe(test=0, epochs=1), out=tmp_path / "none", progress=events.append)
    assert not any(isinstance(event, Epoch) for event in events)
    assert not (tmp_path / "none").exists()
    Image.new("RGB", (9, 9)).save(folder / "one-more.png")
    made = train_autoencoder(folder, recipe(test=0, epochs=1), out=tmp_path / "model")
    assert made.split.counts() == {"train": 8, "validation": 0, "test": 0}
    assert [skip.path for skip in made.skipped] == ["broken.png"]


def test_no_epochs(tmp_path):
    """A network that has learnt nothing is a model all the same."""
    made = train_autoencoder(pictures(tmp_path / "few", 12), recipe(epochs=0), out=tmp_path / "model")
    assert made.history.epochs == ()
    assert extractors.load(made.model).dim == 4


@pytest.mark.parametrize(
    ("size", "pool", "inner", "smallest"),
    [(256, 4, 64, 4), (64, 1, 64, 4), (32, 1, 32, 2), (192, 3, 64, 4), (240, 3, 80, 5)],
)
def test_sides_go_together(size, pool, inner, smallest):
    """The network works at no less than the inner side, where the picture is that large."""
    found = autoencoder.Geometry.of(AutoencoderRecipe(size=size, inner=64, widths=(16, 32, 64, 128)))
    assert (found.pool, found.inner, found.map) == (pool, inner, smallest)
    networks = autoencoder.build(AutoencoderRecipe(size=size, inner=64, widths=(2, 2, 2, 2)))
    assert networks.encoder.output_shape == (None, 16)
    assert networks.decoder.output_shape == (None, size, size, 3)


@pytest.mark.parametrize("size", [8, 200, 250])
def test_a_side_that_can_not_be_halved_is_refused(size, tmp_path):
    """Before anything is read; the message names a side that would do."""
    wanted = AutoencoderRecipe(size=size, widths=(16, 32, 64, 128))
    with pytest.raises(UsageError, match=rf"{size} pixels.*multiple of 16, such as (16|192|208|256)"):
        train_autoencoder(tmp_path / "nowhere", wanted, out=tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_pooled_pictures_are_means():
    """Each pixel of the inner size is the mean of its cell, rounded; without a pool nothing is changed."""
    given = _noise(3)
    small = autoencoder.pooled(given, autoencoder.Geometry(32, 2, 16, 4))
    assert small.shape == (3, 16, 16, 3)
    assert abs(small[1, 3, 5] - given[1, 6:8, 10:12].mean((0, 1))).max() <= 0.5
    assert autoencoder.pooled(given, autoencoder.Geometry(32, 1, 32, 8)) is given


def test_what_is_drawn_is_compared_with_the_changed_picture():
    """A shifted picture is to be drawn shifted; to look at, pictures stay as they are."""
    import keras

    shifted = recipe(augmentation=Augmentation(flip=False, rotation=0, zoom=0, shift=0.3, colour=0), varied=1)
    given = _noise(4)[:, ::2, ::2].astype(np.float32)
    networks = autoencoder.build(shifted)
    wanted, drawn = networks.trained(given, training=True)
    assert abs(np.asarray(wanted) - given / 255).max() > 0.1
    loss = networks.trained.compute_loss(y_pred=[wanted, drawn])
    assert float(loss) == pytest.approx(float(keras.ops.mean((wanted - drawn) ** 2)), rel=1e-5)
    np.testing.assert_allclose(networks.trained(given, training=False)[0], given / 255, atol=1e-6)
    plain = autoencoder.build(recipe(augmentation=NO_AUGMENTATION))
    np.testing.assert_allclose(plain.trained(given, training=True)[0], given / 255, atol=1e-6)


def test_some_pictures_are_learnt_as_they_are():
    """Of many pictures that would all be changed, about the share that the recipe names is."""
    given = np.broadcast_to(np.linspace(0, 255, 16, dtype=np.float32)[:, None, None], (400, 16, 16, 3))
    for share in (0.0, 0.25, 1.0):
        sometimes = autoencoder.Sometimes(share, 3, name="sometimes")
        taken = np.asarray(sometimes([given, 255 - given], training=True))
        changed = (taken != given).any(axis=(1, 2, 3))
        np.testing.assert_array_equal(taken[changed], 255 - given[changed])
        assert abs(changed.mean() - share) < 0.08
        np.testing.assert_array_equal(sometimes([given, 255 - given], training=False), given)
