"""Recipes: what can be set of a training, as it is typed."""

import json

import pytest

from lookalike.errors import UsageError
from lookalike.training import AutoencoderRecipe, ClassifierRecipe, RankerRecipe

ALL = (AutoencoderRecipe, ClassifierRecipe, RankerRecipe)


@pytest.mark.parametrize("kind", ALL)
def test_every_field_can_be_set_as_text(kind):
    """Whatever a recipe has can be typed as it is shown, and is then the same."""
    recipe = kind()
    texts = {
        name: ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        for name, value in recipe.settings().items()
    }
    assert recipe.changed(texts) == recipe


@pytest.mark.parametrize("kind", ALL)
def test_kept_as_json(kind):
    """A recipe goes into a card as plain JSON, under its kind."""
    content = json.loads(json.dumps(kind(seed=3).as_dict()))
    assert (content["kind"], content["seed"]) == (kind.kind, 3)


def test_parts_are_set_by_a_dot():
    """What has parts is set part by part; a number may stand for a layer where its name may."""
    recipe = ClassifierRecipe().changed(
        {"augmentation.flip": "false", "augmentation.zoom": "0.5", "unfreeze": "279", "size": "none"}
    )
    assert (recipe.augmentation.flip, recipe.augmentation.zoom) == (False, 0.5)
    assert (recipe.unfreeze, recipe.size) == (279, None)
    assert ClassifierRecipe().changed({"unfreeze": "block6a"}).unfreeze == "block6a"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"speed": "1"}, "no 'speed' to set; there are seed, limit"),
        ({"augmentation": "1"}, "no 'augmentation' to set"),
        ({"augmentation.size": "1"}, "augmentation has no 'size'"),
        ({"epochs": "many"}, "epochs can't be 'many'; expected a whole number"),
        ({"best": "1"}, "expected true or false"),
        ({"limit": "1"}, "limit is 1"),
        ({"test": "0.9"}, "below 1"),
        ({"batch": "0"}, "batch is 0"),
        ({"seed": "-1"}, "seed is -1; expected a number from 0"),
        ({"size": "0"}, "size is 0"),
        ({"rate": "nan"}, "rate is nan"),
        ({"dense": "-1"}, "dense is -1"),
        ({"fewest": "0"}, "fewest is 0"),
        ({"dropout": "5"}, "dropout is 5.0; expected a share"),
        ({"smoothing": "1"}, "smoothing is 1"),
        ({"augmentation.zoom": "-3"}, "zoom is -3.0; expected a share"),
    ],
)
def test_what_cant_be_set(settings, said):
    """An unknown field, or a value that can't be meant, is told with what there is."""
    with pytest.raises(UsageError, match=said):
        ClassifierRecipe().changed(settings)


@pytest.mark.parametrize(
    ("name", "value"), [("size", 8192), ("latent", 10**9), ("varied", 2.0), ("rate", 0.0)]
)
def test_networks_that_cant_be(name, value):
    """A network that fits into no memory is refused before anything is made."""
    with pytest.raises(UsageError, match=f"{name} is "):
        AutoencoderRecipe(**{name: value})
