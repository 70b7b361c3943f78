"""How networks are built: by a child, once, after the options of a name; and what can go wrong."""

import os
import re
import subprocess
import sys

import keras
import numpy as np
import pytest

from lookalike.errors import MissingExtra, ModelError, UsageError, WeightsMissing
from lookalike.extractors import keras as extractors
from lookalike.extractors.keras import child, recipes
from lookalike.extractors.names import Name
from lookalike.system.imports import install_command

# Keras converts arrays in a way that numpy 2 will not know for ever.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn:DeprecationWarning")

# A tenth of MobileNet, and small pictures: what is built here again and again.
SMALL = "keras:MobileNet?weights=none&alpha=0.1&include_top=false&size=48x32"

TEN = "keras:MobileNet?weights=none&alpha=0.1&size=32&classes=10"

FROM_FILE = "keras:MobileNet?weights={weights}/mine%s&alpha=0.1&include_top=false&size=32"
BUILT = (
    SMALL + "&seed=1",
    "keras:MobileNet?alpha=0.25",
    FROM_FILE % ".weights.h5",
    FROM_FILE % ".h5",
    "keras:MobileNet?weights={weights}/other.weights.h5",
    "keras:MobileNet?weights={weights}/text.h5",
    "keras:MobileNet?weights=none&size=8&include_top=false",
    TEN,
    TEN + "&classifier_activation=none",
    TEN + "&dropout=0.5",
)
"""What one child is asked for."""

# A process without Keras and TensorFlow that fills a gallery and searches it.
WITHOUT_KERAS = """
import sys
sys.modules["keras"] = sys.modules["tensorflow"] = None
from lookalike import Gallery
from lookalike.extractors import keras
from lookalike.extractors.names import Name
folder, name = sys.argv[1:]
extractor = keras.load(Name.parse(name), "f32")
assert [layer.name for layer in extractor.layers()][:2] == ["input_layer", "conv1"]
with Gallery.open(folder, model=extractor) as gallery:
    gallery.add()
    (hit, *_) = gallery.search(f"{folder}/chelsea.png", k=1, include_self=True)
    print(hit.id)
"""


def load(name):
    """An extractor in float32 by its name."""
    return extractors.load(Name.parse(name), "f32")


def run(code, *words, **environment):
    """Standard output of a process that ended well."""
    surroundings = os.environ | environment
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, env=surroundings, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def small(cache):
    """A small network, in the cache from here on."""
    return load(SMALL)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder with weights of a small network, in both kinds of file and as a model, and that network."""
    folder = tmp_path_factory.mktemp("weights")
    keras.backend.clear_session()
    original = keras.applications.MobileNet(
        weights=None, alpha=0.1, include_top=False, input_shape=(32, 32, 3)
    )
    original.save_weights(folder / "mine.weights.h5")
    original.save(folder / "mine.h5")
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    other.save_weights(folder / "other.weights.h5")
    (folder / "text.h5").write_text("no weights")
    return folder, original


@pytest.fixture(scope="module")
def built(small, weights, tmp_path_factory):
    """Load or fail as a name would, out of one child that has built, or failed to build, many.

    The child runs where a file keras.py lies, no server answers, and Keras is set to another backend.
    """
    here, folder = tmp_path_factory.mktemp("here"), tmp_path_factory.mktemp("built")
    (here / "keras.py").write_text("import pathlib; pathlib.Path('ran').touch()")
    names = [text.format(weights=weights[0]) for text in BUILT]
    wanted = {name: recipes.of_application(Name.parse(name)) for name in names}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        patch.setenv("KERAS_BACKEND", "torch")
        patch.setenv("KERAS_HOME", str(here))
        for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            patch.setenv(proxy, "http://127.0.0.1:9")
        child.run(list(wanted.values()), folder)
    assert not (here / "ran").exists()

    def loaded(text):
        name = text.format(weights=weights[0])
        child.kept(wanted[name], lambda _: child.written(wanted[name], folder))
        return load(name)

    return loaded


def test_arguments_and_size_reach_the_constructor(small, photographs):
    """alpha, include_top and size build another network, equal to the one Keras builds with them."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    original = keras.applications.MobileNet(
        weights=None, alpha=0.1, include_top=False, input_shape=(32, 48, 3)
    )
    pixels = small.prepare(photographs["coffee"])
    assert pixels.shape == (32, 48, 3)
    expected = original.predict(pixels[None] / np.float32(127.5) - 1, verbose=0).ravel()
    found = small.extract([pixels])
    np.testing.assert_allclose(found.vectors[0], expected / np.linalg.norm(expected), atol=1e-4)
    assert found.scores is None
    assert small.classes is None


def test_another_seed_gives_other_weights(small, built):
    """The seed is part of what the network is, and so of its digest."""
    assert built(SMALL + "&seed=1").digest != small.digest


def test_nothing_around_a_child_matters(built):
    """Not Keras' backend here, and no file keras.py among the pictures, which would run."""
    assert built(SMALL + "&seed=1").layers()[1].name == "conv1"


def test_the_order_of_options_does_not_matter(small):
    """The same options in any order are the same network, and one that names a default is, too."""
    other = "keras:mobilenet?size=48x32&include_top=false&dropout=0.001&alpha=1/10&weights=none"
    assert recipes.of_application(Name.parse(other)) == recipes.of_application(Name.parse(SMALL))
    assert load(other).digest == small.digest


def test_search_needs_no_keras(small, photographs, tmp_path):
    """Once built, a network is used in a process where Keras and TensorFlow can't be imported."""
    for name, picture in photographs.items():
        picture.resize((64, 64)).save(tmp_path / f"{name}.png")
    name = SMALL.replace("?", "@conv_pw_2_relu+avg?")
    assert run(WITHOUT_KERAS, str(tmp_path), name) == "chelsea.png"


def test_without_keras_it_says_what_to_install(tmp_path, monkeypatch):
    """A network that is not built yet needs Keras: the message names the extra."""
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['keras'] = None")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(MissingExtra, match=re.escape(install_command("keras"))):
        load(SMALL + "&seed=2")


def test_weights_that_can_not_be_downloaded(built):
    """Without a network: one line that says what to do."""
    with pytest.raises(WeightsMissing, match=r"weights=FILE, or \?weights=none") as raised:
        built("keras:MobileNet?alpha=0.25")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("ending", [".weights.h5", ".h5"])
def test_weights_from_a_file(built, weights, photographs, ending, monkeypatch):
    """A file of weights gives the network they came from; where it lies, or one stands, does not matter."""
    folder, original = weights
    extractor = built(FROM_FILE % ending)
    pixels = extractor.prepare(photographs["coffee"])
    expected = original.predict(pixels[None] / np.float32(127.5) - 1, verbose=0).ravel()
    found = extractor.extract([pixels]).vectors[0]
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-4)
    (folder / f"moved{ending}").write_bytes((folder / f"mine{ending}").read_bytes())
    assert load(extractor.name.replace("mine", "moved")).digest == extractor.digest
    monkeypatch.chdir(folder)
    assert load((FROM_FILE % ending).format(weights=".")).name == extractor.name


@pytest.mark.parametrize(
    ("name", "said"), [("other.weights.h5", "does not fit"), ("text.h5", "no HDF5 file")]
)
def test_a_file_of_other_weights(built, name, said):
    """Weights of another network, and a file of no weights at all: each says so."""
    with pytest.raises(ModelError, match=said):
        built(f"keras:MobileNet?weights={{weights}}/{name}")


def test_a_file_that_is_not_there():
    """Before anything is built."""
    with pytest.raises(WeightsMissing, match="No such file"):
        load("keras:MobileNet?weights=none-there.h5")


def test_the_digest_knows_arguments_without_weights(built):
    """The head's activation is part of what a network is, though it has no weights; dropout is not."""
    ten = built(TEN)
    assert ten.digest != built(TEN + "&classifier_activation=none").digest
    assert ten.digest == built(TEN + "&dropout=0.5").digest


def test_a_head_of_unknown_classes_is_not_the_features(built):
    """With ten classes, whose names nobody knows, the bare name still gives what the classifier reads."""
    assert built(TEN).card.features == "global_average_pooling2d"
    assert built(TEN).classes is None


def test_what_the_network_can_not_be_built_with(built):
    """Keras' own words where its constructor refuses an option."""
    with pytest.raises(UsageError, match="can't be built so: Input size must be at least 32x32"):
        built("keras:MobileNet?weights=none&size=8&include_top=false")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("alph=0.5", "no option 'alph'; there are weights=imagenet, .*alpha=1.0"),
        ("alpha=wide", "alpha=wide; expected a number"),
        ("include_top=maybe", "include_top=maybe; expected true or false"),
        ("classes=ten", "expected a whole number"),
        ("size=big", "size=big"),
        ("seed=5", "expected weights=none"),
        ("weights=none&seed=-5", "expected a whole number from 0"),
    ],
)
def test_options_that_can_not_be_meant(options, said):
    """A wrong option is answered with what there is, before Keras is even started."""
    with pytest.raises(UsageError, match=said):
        load(f"keras:MobileNet?{options}")
