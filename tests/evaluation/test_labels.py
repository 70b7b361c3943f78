"""Where labels come from, and what is said of those that can't be read."""

import pytest

from lookalike import Gallery
from lookalike.errors import UsageError
from lookalike.evaluation import labels
from lookalike.evaluation.labels import Pictures, read_table


@pytest.fixture
def shop(tmp_path, paint):
    """A gallery of five pictures in folders and out of them, and a table's fields of some."""
    names = ("men/shirts/polo_1.png", "men/shirts/polo_2.png", "men/boot_1.png", "top_1.png", "a|b.png")
    folder = paint(tmp_path / "shop", {name: 40 * place for place, name in enumerate(names)})
    fields = {"men/boot_1.png": {"kind": "shoe | winter"}, "top_1.png": {"kind": "shirt", "size": 40}}
    with Gallery.open(folder, model="toy") as gallery:
        gallery.add(metadata=fields)
        yield gallery


def read(given, gallery):
    return labels.read(given, Pictures.of(gallery))


def of(given, gallery):
    """The labels of those pictures that have some, sorted."""
    found = read(given, gallery)
    return {id_: sorted(several) for id_, several in zip(found.ids, found.sets, strict=True) if several}


def test_folders(shop):
    """The whole path of the folder, or its first levels; a picture in none has no label."""
    assert of("folder", shop) == {
        "men/boot_1.png": ["men"],
        "men/shirts/polo_1.png": ["men/shirts"],
        "men/shirts/polo_2.png": ["men/shirts"],
    }
    assert set(map(tuple, of("folder:1", shop).values())) == {("men",)}


def test_folders_of_pictures_outside(shop, tmp_path, paint):
    """The folders of an absolute id are counted from the first that has a name."""
    outside = paint(tmp_path / "elsewhere", {"x.png": 200}) / "x.png"
    shop.add([outside])
    first = str(outside).split("/")[1]
    assert of("folder:1", shop)[str(outside)] == [f"/{first}"]


def test_names(shop):
    """The first group of the expression, or all of it; the folder's name is not looked at."""
    assert of("name:^([a-z]+)_", shop)["men/shirts/polo_2.png"] == ["polo"]
    assert of(r"name:\d", shop)["top_1.png"] == ["1"]
    assert "a|b.png" not in of("name:^([a-z]+)_", shop)
    with pytest.raises(UsageError, match="none of the 5 file names"):
        read("name:shirts", shop)
    with pytest.raises(UsageError, match="no regular expression: missing"):
        read("name:(", shop)


def test_fields(shop):
    """A field of the metadata, of which | parts several labels; numbers are labels, too."""
    assert of("kind", shop) == {"men/boot_1.png": ["shoe", "winter"], "top_1.png": ["shirt"]}
    assert of("size", shop) == {"top_1.png": ["40"]}


def test_an_unknown_field_is_told_what_there_is(shop):
    """The message lists the forms and the fields, and speaks of files where the name looks like one."""
    with pytest.raises(UsageError, match=r"expected folder, .* \(this gallery has kind, size\)"):
        read("colour", shop)
    with pytest.raises(UsageError, match=r"no file of that name that ends in \.csv"):
        read("labels.txt", shop)


def test_tables(shop, tmp_path, monkeypatch):
    """By id, by a path from the table, from here or from the root; rows of one picture add up."""
    monkeypatch.chdir(tmp_path)
    table = tmp_path / "labels.csv"
    table.write_text(
        "path,label\ntop_1.png,shirt\ntop_1.png,red|warm\nshop/men/boot_1.png,shoe\n"
        f"{shop.root}/men/shirts/polo_1.png,shirt\nmen/shirts/polo_2.png,\nnowhere.png,x\n"
    )
    expected = {
        "men/boot_1.png": ["shoe"],
        "men/shirts/polo_1.png": ["shirt"],
        "top_1.png": ["red", "shirt", "warm"],
    }
    assert of("labels.csv", shop) == of(table, shop) == expected


def test_columns(tmp_path):
    """The label's column is one of the usual names, the only other one, or the one asked for."""
    table = tmp_path / "t.tsv"
    table.write_text("image\tprice\tlabel\n1.png\t3\tshoe\n")
    assert read_table(table) == {"1.png": {"shoe"}}
    assert read_table(table, "price") == {"1.png": {"3"}}
    table.write_text("image\tkind\n1.png\tshoe\n")
    assert read_table(table) == {"1.png": {"shoe"}}


@pytest.mark.parametrize(
    ("content", "column", "message"),
    [
        ("path,price,size\n", None, "no column for the label.*found path, price, size"),
        ("price,label\n", None, "no column for the path"),
        ("path,label\n", "kind", "no column 'kind'"),
        ("", None, "an empty file"),
        ('path,label\n"a', None, "can't be read as a table"),
    ],
)
def test_tables_that_can_not_be_read(tmp_path, content, column, message):
    """The message names the file, what was expected and what was found."""
    table = tmp_path / "bad.csv"
    table.write_text(content)
    with pytest.raises(UsageError, match=f"bad.csv: .*{message}"):
        read_table(table, column)


def test_a_column_is_asked_for_behind_the_file(shop, tmp_path):
    """`labels.csv:COLUMN` reads that column."""
    table = tmp_path / "labels.csv"
    table.write_text("path,label,price\ntop_1.png,shirt,9\n")
    assert of(f"{table}:price", shop) == {"top_1.png": ["9"]}


def test_labels_that_match_nothing(shop, tmp_path, paint):
    """Whatever has no label for any picture is an error that shows both sides."""
    table = tmp_path / "labels.csv"
    table.write_text("path,label\n17.jpg,shirt\n")
    with pytest.raises(UsageError, match=r"the first is '17.jpg', and 'a|b.png' is a picture"):
        read(table, shop)
    with pytest.raises(UsageError, match="the mapping"):
        read({"17.jpg": "shirt"}, shop)
    with Gallery.open(paint(tmp_path / "flat", {"1.png": 1, "2.png": 200}), model="toy") as flat:
        flat.add()
        with pytest.raises(UsageError, match=r"every picture lies in .*flat itself"):
            read("folder", flat)
    with pytest.raises(UsageError, match="folder:0"):
        read("folder:0", shop)
