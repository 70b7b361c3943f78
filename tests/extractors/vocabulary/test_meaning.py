"""What words name: the counts are facts of ImageNet's 1000 classes in WordNet 3.0."""

import pytest

from lookalike.extractors.vocabulary import imagenet, meaning, near, suggest, terms
from lookalike.types import Classes

NAMES = Classes(("0", "1", "2", "3"), ("Polo shirts", "jean", "glass", "glasses"))


def found(words, classes):
    return [(term.text, len(term.classes)) for term in terms(words, classes)]


def test_imagenet_has_a_thousand_classes_in_the_order_of_a_network():
    """Ids are sorted and unique; the numbers of three classes are those every network uses."""
    classes = imagenet()
    assert classes.vocabulary == "imagenet"
    assert classes.ids == tuple(sorted(set(classes.ids)))
    assert len(classes.ids) == len(classes.names) == 1000
    assert [classes.names[number] for number in (0, 285, 967)] == ["tench", "Egyptian cat", "espresso"]


def test_names_repeat_but_ids_do_not():
    """`crane` and `maillot` each name two classes, and only these two do."""
    names = imagenet().names
    assert {name for name in names if names.count(name) > 1} == {"crane", "maillot"}


def test_apostrophes_survive():
    """The orchid keeps its apostrophe, typed straight or curly."""
    assert "yellow lady's slipper" in imagenet().names
    assert meaning("yellow lady's slipper", imagenet()) == meaning("Yellow Lady\u2019s Slippers", imagenet())
    assert meaning("yellow lady's slipper", imagenet()) == {"n12057211"}


@pytest.mark.parametrize(
    ("word", "count"), [("bird", 59), ("dog", 118), ("crane", 2), ("maillot", 2), ("wolf", 4), ("mouse", 1)]
)
def test_a_word_names_all_classes_below_it(word, count):
    """A hypernym's name stands for every class below; two classes of one name are both meant."""
    assert len(meaning(word, imagenet())) == count


@pytest.mark.parametrize(
    ("plural", "singular"),
    [
        ("Dogs", "dog"),
        ("mice", "mouse"),
        ("wolves", "wolf"),
        ("buses", "bus"),
        ("boxes", "box"),
        ("finches", "finch"),
        ("butterflies", "butterfly"),
        ("hot dogs", "hot dog"),
        ("birds of prey", "bird of prey"),
        ("binocular", "binoculars"),
        ("T-SHIRT", "t_shirt"),
        ("great  white shark", "great_white-shark"),
    ],
)
def test_case_plurals_and_hyphens_do_not_matter(plural, singular):
    """Both ways of writing name the same classes, and some class at all."""
    assert meaning(plural, imagenet()) == meaning(singular, imagenet()) != frozenset()


def test_a_name_is_matched_whole():
    """`cars` is no carpet and `dog` no hot dog: parts of names do not count."""
    cars = meaning("cars", imagenet())
    assert len(cars) == 12
    assert meaning("carpet", imagenet()).isdisjoint(cars)
    assert meaning("hot dog", imagenet()) == {"n07697537"}
    assert meaning("hot dog", imagenet()).isdisjoint(meaning("dog", imagenet()))


def test_a_plural_that_is_a_name_means_both():
    """`glasses` are spectacles and drinking glasses; `glass` is no spectacles."""
    glass, glasses = meaning("glass", imagenet()), meaning("glasses", imagenet())
    assert glass < glasses
    assert glasses - glass == meaning("dark glasses", imagenet())


def test_an_id_names_its_class_and_a_hypernyms_id_all_below():
    """`n02012849` is one crane only; the id of the synset of birds covers 59 classes."""
    assert meaning("n02012849", imagenet()) == {"n02012849"}
    assert meaning("n01503061", imagenet()) == meaning("bird", imagenet())


def test_an_unknown_word_names_nothing():
    """No class, and no error."""
    assert meaning("xyzzy", imagenet()) == meaning("", imagenet()) == frozenset()


def test_a_model_with_some_of_the_classes_knows_only_these():
    """With two of ImageNet's classes and one of its own, hypernyms cover what is there."""
    some = Classes(("n02012849", "n02123045", "mine"), ("crane", "tabby", "stork robot"), "imagenet")
    assert meaning("bird", some) == {"n02012849"}
    assert meaning("crane", some) == {"n02012849"}
    assert meaning("stork robots", some) == meaning("mine", some) == {"mine"}
    assert meaning("dog", some) == frozenset()


def test_other_vocabularies_know_their_own_names_only():
    """Names of one's own fold alike, in both directions, and have no hypernyms."""
    assert meaning("polo shirt", NAMES) == meaning("polo-shirts", NAMES) == meaning("0", NAMES) == {"0"}
    assert meaning("jeans", NAMES) == {"1"}
    assert meaning("glass", NAMES) == {"2"}
    assert meaning("garment", NAMES) == frozenset()


def test_the_longest_name_is_one_term():
    """Words that make one name together stay together, all others stand alone."""
    assert found("hot dog", imagenet()) == [("hot dog", 1)]
    assert found("yellow lady's slipper", imagenet()) == [("yellow lady's slipper", 1)]
    assert found("dog beach", imagenet()) == [("dog", 118), ("beach", 0)]
    assert found("  holiday  Hot Dogs crane", imagenet()) == [("holiday", 0), ("Hot Dogs", 1), ("crane", 2)]


def test_quotes_make_a_phrase_and_commas_end_one():
    """Quotation marks join what is no name; a comma parts what would be one; strays are ignored."""
    assert found('"dog beach" sand', imagenet()) == [("dog beach", 0), ("sand", 0)]
    assert found("\u201csea  lion\u201d", imagenet()) == [("sea lion", 1)]
    assert found("hot, dog", imagenet()) == [("hot", 0), ("dog", 118)]
    assert found('"", ; dog "', imagenet()) == [("dog", 118)]
    assert terms(" ", imagenet()) == []


def test_a_term_is_asked_for_once():
    """The same word twice is one thing to satisfy."""
    assert found("dog dog", imagenet()) == [("dog", 118)]


def test_without_classes_every_word_is_text():
    """No classes, no phrases but quoted ones."""
    assert found('hot dog "sea lion"', None) == [("hot", 0), ("dog", 0), ("sea lion", 0)]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("elefant", "elephant"), ("brid", "bird"), ("yelow ladys slipper", "yellow lady's slipper")],
)
def test_the_likeliest_correction_comes_first(typed, meant):
    """One slip of a letter or two, or two letters swapped, is found among names and hypernyms."""
    assert suggest(typed, imagenet())[0] == meant


def test_suggestions_come_from_extra_words_too():
    """Words of the gallery itself are suggested as they are written; the word itself never is."""
    assert suggest("holidya", imagenet(), ["Holiday", "holidya"]) == ["Holiday"]
    assert suggest("polo shrit", NAMES) == ["Polo shirts"]
    assert suggest("holidya", None, ["Holiday"]) == ["Holiday"]
    assert suggest("xyzzyplugh", imagenet()) == []
    assert len(suggest("catt", imagenet(), most=2)) == 2


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("sailboat", ["yawl", "schooner"]),
        ("Sailing boats", ["yawl", "schooner"]),
        ("beach", ["sandbar", "lakeside", "breakwater", "promontory", "seashore"]),
        ("kitchen", ["microwave", "toaster", "waffle iron"]),
        ("kettles", ["caldron", "coffeepot", "teapot"]),
        ("dog", []),
        ("democracy", []),
        ("", []),
    ],
)
def test_what_comes_near_to_an_everyday_word(word, names):
    """Sisters by definition, and classes defined by the word; none for ideas, or for many of its own."""
    assert [imagenet().by_id[id_] for id_ in near(word, imagenet())] == names


def test_nothing_comes_near_to_what_the_model_does_not_know():
    """Classes that are not ImageNet's have no neighbours, and of ImageNet's only those a model has."""
    assert near("beach", NAMES) == []
    few = Classes(("n09428293", "n02009912"), ("seashore", "American egret"), "imagenet")
    assert near("beach", few) == ["n09428293"]


def test_terms_may_be_taken_widely():
    """A word then means what it names and what comes near, a phrase of two words among them."""
    (boat,) = terms("sailing boat", imagenet(), widely=True)
    assert {imagenet().by_id[id_] for id_ in boat.classes} == {"catamaran", "trimaran", "yawl", "schooner"}
    assert found("sailing boat", imagenet()) == [("sailing boat", 2)]
    assert [(term.text, len(term.classes)) for term in terms("dog beach", imagenet(), widely=True)] == [
        ("dog", 118),
        ("beach", 5),
    ]
