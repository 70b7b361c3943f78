"""The language of filters: what is read, what is refused, and what it means."""

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from lookalike.errors import FilterError
from lookalike.stores.where import matches, parse, typed
from lookalike.types import Condition

FIELDS = {
    "folder": "text",
    "brand": "text",
    "taken": "text",
    "my field": "text",
    "width": "integer",
    "price": "real",
}
PICTURE = {"folder": "2024/05", "brand": "acme", "taken": "2024-05-03T10:00:00", "width": 1000, "price": 19.5}


def passes(where, picture=PICTURE):
    return matches(typed(parse(where), FIELDS), picture)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("folder=2024", Condition("folder", "=", ("2024",))),
        ("width>=1000", Condition("width", ">=", ("1000",))),
        ("taken<=2024-05", Condition("taken", "<=", ("2024-05",))),
        (" price < 20 ", Condition("price", "<", ("20",))),
        ("price>20", Condition("price", ">", ("20",))),
        ("brand != x y", Condition("brand", "!=", ("x y",))),
        ("brand==x", Condition("brand", "=", ("x",))),
        ("brand=", Condition("brand", "=", ("",))),
        ("note=a=b", Condition("note", "=", ("a=b",))),
        ("my field=x", Condition("my field", "=", ("x",))),
        ('"my field"=x', Condition("my field", "=", ("x",))),
        ('"a=""b"""!="> x "', Condition('a="b"', "!=", ("> x ",))),
        ("text=two\nlines", Condition("text", "=", ("two\nlines",))),
        ("brand ~ ac", Condition("brand", "~", ("ac",))),
        ("brand=a~b", Condition("brand", "=", ("a~b",))),
        ('"a~b"~c', Condition("a~b", "~", ("c",))),
    ],
)
def test_a_string_is_a_condition(text, condition):
    """Field, operator and value, with or without spaces; quotation marks hold anything."""
    assert parse(text) == parse([text]) == (condition,)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("width", "expected a field"),
        ("", "expected a field"),
        ("=5", "expected a field"),
        ('""=5', "expected a field"),
        ('"width=5', "expected a field"),
        ("width=>5", "=> is no operator"),
        ("width<>5", "<> is no operator"),
        ("width===5", "=== is no operator"),
        ("width>=", "nothing after >="),
    ],
)
def test_what_is_no_condition_is_refused(text, reason):
    """The message quotes what was given, says why, and shows what a condition looks like."""
    with pytest.raises(FilterError, match=reason) as caught:
        parse(text)
    assert repr(text) in str(caught.value)
    assert "width>=1000" in str(caught.value)


def test_the_same_field_with_equals_again_is_or():
    """Two brands will both do, and are one condition where the first stood; all else stays apart."""
    assert parse(["brand=a", "width>1", "width>2", "brand=b", "brand=a", "brand!=c", "brand!=d"]) == (
        Condition("brand", "=", ("a", "b")),
        Condition("width", ">", ("1",)),
        Condition("width", ">", ("2",)),
        Condition("brand", "!=", ("c",)),
        Condition("brand", "!=", ("d",)),
    )


def test_a_mapping_says_the_same():
    """A value, a list of which any will do, an operator with a value, and a list of those, all to hold."""
    where = {
        "folder": "2024",
        "brand": ["a", "b"],
        "width": (">=", 1000),
        "price": [(">", 5), ("<=", 9.5)],
        "size": ("==", 3),
        "colour": ("!=", ["red", "blue"]),
    }
    assert parse(where) == (
        Condition("folder", "=", ("2024",)),
        Condition("brand", "=", ("a", "b")),
        Condition("width", ">=", (1000,)),
        Condition("price", ">", (5,)),
        Condition("price", "<=", (9.5,)),
        Condition("size", "=", (3,)),
        Condition("colour", "!=", ("red",)),
        Condition("colour", "!=", ("blue",)),
    )


def test_no_filter_is_no_condition():
    """None, nothing in a list and nothing in a mapping let every picture pass."""
    assert parse(None) == parse([]) == parse({}) == ()
    assert matches((), {})


def test_what_is_parsed_stays_as_it_is():
    """Conditions pass through, alone, in lists, and beside strings; reading twice changes nothing."""
    once = parse(["brand=a", "width>1", "brand=b"])
    assert parse(once) == parse(list(once)) == once
    assert parse(once[0]) == once[:1]
    assert parse([once[0], "brand=c"]) == (Condition("brand", "=", ("a", "b", "c")),)


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        (5, "not 5"),
        ([("width", ">", 5)], "string such as 'width>=1000'"),
        ({"brand": ("a", "b")}, "several values that will do as a list"),
        ({"brand": (">", 1, 2)}, "a tuple is an operator"),
        ({"brand": []}, "empty list"),
        ({"width": (">", [1, 2])}, "> takes one value"),
        ({"width": ("!=", [])}, "!= takes one value"),
        ({"width": None}, "None; it must be a text or a finite number"),
        ({"width": float("nan")}, "nan; it must be"),
        ({"width": [1, ("<", 2)]}, "must be a text"),
    ],
)
def test_what_python_can_not_mean_is_refused(where, reason):
    """Values that have no meaning as a filter are errors that name them."""
    with pytest.raises(FilterError, match=reason):
        parse(where)


def test_numbers_of_other_libraries_become_pythons_own():
    """A database takes numpy's numbers for bytes, so they are int and float here already."""
    where = parse(
        {"width": np.int64(5), "price": (">", np.float32(0.5)), "size": Fraction(1, 4), "flag": True}
    )
    assert [(type(c.values[0]), c.values[0]) for c in where] == [
        (int, 5),
        (float, 0.5),
        (float, 0.25),
        (int, 1),
    ]


def test_values_are_fitted_to_their_fields():
    """Numbers are read where the field holds numbers, written as text where it holds text."""
    where = {
        "width": [" 1000", "1e3", 99.5],
        "price": "20",
        "brand": 7,
        "folder": [2024, "./a/", ".", "/", "/b/"],
    }
    assert [condition.values for condition in typed(parse(where), FIELDS)] == [
        (1000, 1000.0, 99.5),
        (20,),
        ("7",),
        ("2024", "a", "", "/", "/b"),
    ]


def test_numbers_beyond_a_databases_are_floats():
    """Whole numbers of more than 64 bits compare as floats, which every store can hold."""
    for given in (2**63, str(2**63), -(2**70)):
        (condition,) = typed([Condition("width", "<", (given,))], FIELDS)
        assert type(condition.values[0]) is float
    assert typed([Condition("width", "<", (2**63 - 1,))], FIELDS)[0].values == (2**63 - 1,)


@pytest.mark.parametrize("value", ["abc", "", "nan", "inf", "1" + "0" * 400, "9" * 5000])
def test_a_value_must_fit_its_field(value):
    """What is no number, or none that can be compared, is refused by fields of numbers."""
    with pytest.raises(FilterError, match="the field width holds whole numbers"):
        typed([Condition("width", ">=", (value,))], FIELDS)


def test_an_unknown_field_names_those_there_are():
    """The likeliest is suggested, and all are listed."""
    with pytest.raises(
        FilterError, match=r"no field widht .* [Dd]id you mean width\? There are: brand, folder, "
    ):
        typed(parse("widht>5"), FIELDS)
    with pytest.raises(FilterError, match=r"no field xyzzy to filter by\. There are: "):
        typed(parse("xyzzy=5"), FIELDS)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("width>=1000", True),
        ("width>1000", False),
        ("width<1000.5", True),
        ("width=1e3", True),
        ("price!=19.5", False),
        ("taken>=2024-05", True),
        ("taken<2024-05", False),
        ("taken<=2024-05", True),
        ("taken=2024", True),
        ("taken=2024-05-03", True),
        ("taken!=2024-05", False),
        ("taken>2024-05", False),
        ("taken>2024-05-02", True),
        ("brand>ACME", True),
        ("brand=ACME", False),
        (["brand=apex", "brand=acme"], True),
        (["brand=acme", "width<1000"], False),
        ({"brand": ("!=", ["apex", "acme"])}, False),
    ],
)
def test_comparisons(where, expected):
    """Numbers as numbers, texts by code points, dates in the order of time, every condition to be met."""
    assert passes(where) is expected


@pytest.mark.parametrize(
    ("folder", "inside"),
    [
        ("2024", ["2024", "2024/05", "2024/05/a"]),
        ("2024/", ["2024", "2024/05", "2024/05/a"]),
        ("2024/05", ["2024/05", "2024/05/a"]),
        ("", ["", "2024", "2024/05", "2024/05/a", "2024b"]),
        (".", ["", "2024", "2024/05", "2024/05/a", "2024b"]),
        ("/", ["/elsewhere/2024"]),
        ("/elsewhere", ["/elsewhere/2024"]),
        ("202_", []),
    ],
)
def test_a_folder_is_itself_and_what_is_below(folder, inside):
    """`2024` has `2024/05` and not `2024b`; the root has every relative folder; `!=` is all the others."""
    folders = ["", "2024", "2024/05", "2024/05/a", "2024b", "/elsewhere/2024"]
    assert [each for each in folders if passes({"folder": folder}, {"folder": each})] == inside
    others = [each for each in folders if passes({"folder": ("!=", folder)}, {"folder": each})]
    assert others == [each for each in folders if each not in inside]


def test_folders_have_no_order():
    """A picture is in a folder or not; anything else is refused, with what to write."""
    with pytest.raises(FilterError, match=r"folder >=: .* folder=2024"):
        typed(parse("folder>=2024"), FIELDS)


@pytest.mark.parametrize("sign", ["=", "<", "<=", ">", ">="])
def test_a_field_that_is_missing_is_only_unequal(sign):
    """Pictures without a brand pass `brand!=x`, and no other test of it."""
    assert not passes({"brand": (sign, "x")}, {})
    assert passes({"brand": ("!=", "x")}, {})
    assert passes({"folder": ("!=", "")}, {})


def test_a_text_and_a_number_differ():
    """Of a text and a number neither is the larger, and they are not equal."""
    picture = {"brand": 5}
    assert [sign for sign in ("=", "!=", "<", ">=") if passes({"brand": (sign, "5")}, picture)] == ["!="]


def test_importing_is_light():
    """Filters are read before anything heavy is loaded."""
    code = "import sys, lookalike.stores.where; print({'numpy', 'difflib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("brand~CM", True),
        ("brand~x", False),
        ("folder~24/0", True),
        ("folder~.", False),
        ("taken~T10", True),
        ("my field~a", False),
        ({"brand": ("~", ["x", "ME"])}, True),
        ({"brand": [("~", "a"), ("~", "x")]}, False),
    ],
)
def test_contains(where, expected):
    """`~` is passed by a text that contains another; of several in a list any will do."""
    assert passes(where) is expected


def test_numbers_contain_nothing():
    """A field of numbers can't be looked into."""
    with pytest.raises(FilterError, match="it holds whole numbers, not text"):
        passes("width~10")
