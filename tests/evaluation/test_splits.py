"""Pictures divided into those that are learnt from, those that choose, and those that are never seen."""

from collections import Counter

import pytest

from lookalike.errors import UsageError
from lookalike.evaluation.splits import Split, split

SIZES = {"cat": 20, "dog": 10, "owl": 3, "eel": 2, "yak": 1}
IDS = [f"{label}/{number:02}.jpg" for label, size in SIZES.items() for number in range(size)]
LABELS = [id_.split("/")[0] for id_ in IDS]


def by_label(made):
    return Counter((id_.split("/")[0], part) for id_, part in made.part_of.items())


def test_each_label_is_divided_by_itself():
    """A label has its share in every part; one of three has one in each."""
    counted = by_label(split(IDS, LABELS, test=0.2, validation=0.3))
    assert [counted["cat", part] for part in ("train", "validation", "test")] == [10, 6, 4]
    assert [counted["owl", part] for part in ("train", "validation", "test")] == [1, 1, 1]
    assert counted["eel", "train"] >= 1
    assert counted["yak", "train"] == 1


def test_the_seed_decides():
    """The same seed gives the same split in whatever order pictures come, another seed another one."""
    made = split(IDS, LABELS, seed=4)
    assert made == split(IDS[::-1], LABELS[::-1], seed=4)
    assert made != split(IDS, LABELS, seed=5)


def test_a_new_picture_moves_few_others():
    """What was never seen is mostly still not when pictures come in later."""
    before, after = split(IDS, LABELS), split([*IDS, "cat/new.jpg"], [*LABELS, "cat"])
    assert sum(before.part_of[id_] != after.part_of[id_] for id_ in IDS) <= 2


@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_together(seed):
    """Pictures that are next to identical are in one part, also where their labels differ."""
    groups = [[0, 1, 2], [3, 25], [20, 21, 22, 23]]
    made = split(IDS, LABELS, groups=groups, seed=seed)
    for rows in groups:
        assert len({made.part_of[IDS[row]] for row in rows}) == 1


def test_a_group_too_large_for_a_part_is_learnt_from():
    """One group of nearly everything leaves something to learn from, and the rest is still divided."""
    made = split(IDS[:20], groups=[list(range(15))])
    assert made.counts()["train"] >= 15
    assert made.counts()["test"] >= 1


def test_without_labels():
    """Pictures without labels are divided as one."""
    assert split(IDS, test=0.25, validation=0.25).counts() == {"train": 18, "validation": 9, "test": 9}


@pytest.mark.parametrize("shares", [(0.6, 0.4), (-0.1, 0.2), (1.0, 0.0)])
def test_shares_that_leave_nothing(shares):
    """Shares that leave nothing to learn from are refused."""
    with pytest.raises(UsageError, match="learn from"):
        split(IDS, test=shares[0], validation=shares[1])


def test_saved_and_read(tmp_path):
    """A split comes back as it was, with ids that hold commas, line ends and bytes that are no text."""
    made = Split({'a,"b".jpg': "test", "line\nend.jpg": "train", "caf\udce9.jpg": "validation"})
    made.save(tmp_path / "split.csv")
    assert Split.read(tmp_path / "split.csv") == made
    assert made.ids("train") == ["line\nend.jpg"]


@pytest.mark.parametrize(
    "content", [None, "", "id,part\na.jpg,exam\n", "id;part\n", 'id,part\n"a', "id,part\na,test\na,train\n"]
)
def test_a_file_that_is_no_split(tmp_path, content):
    """Anything else is refused by its name."""
    path = tmp_path / "split.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match="split"):
        Split.read(path)


def test_any_id_is_read_back_as_it_was(tmp_path):
    """Line breaks of either kind, quotes, commas, and bytes that are no UTF-8 come back."""
    ids = ["a\rb.png", "a\nb.png", 'a"b, c.png', "caf\udce9.png", ""]
    made = Split(dict.fromkeys(ids, "test"))
    made.save(tmp_path / "split.csv")
    assert Split.read(tmp_path / "split.csv") == made
