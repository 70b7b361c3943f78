"""Recipes: what can be set of a training, as it is typed."""

import json

import pytest

from lookalike.errors import UsageError
from lookalike.training import AutoencoderRecipe, ClassifierRecipe, DeepRankerRecipe, RankerRecipe

ALL = (AutoencoderRecipe, ClassifierRecipe, RankerRecipe, DeepRankerRecipe)


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
    ],
)
def test_what_cant_be_set(settings, said):
    """An unknown field, or a value that can't be meant, is told with what there is."""
    with pytest.raises(UsageError, match=said):
        ClassifierRecipe().changed(settings)
