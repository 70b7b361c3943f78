"""The measures of a gallery: by hand, against scikit-learn, and however the work is cut up."""

import json

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, ndcg_score, pairwise_distances

from lookalike import Gallery
from lookalike.errors import UsageError
from lookalike.evaluation import evaluate, quality
from lookalike.evaluation.quality import similarity


def test_by_hand(line):
    """Pictures at 0, 1 (label a), 3 and 7 (label b): only the one at 3 finds two wrong ones first."""
    found = evaluate(line, "folder", k=(1, 3))
    assert found.measures == pytest.approx(
        {
            "P@1": 3 / 4,
            "P@3": 1 / 3,
            "recall@3": 1,
            "mAP@100": (1 + 1 + 1 / 3 + 1) / 4,
            "nDCG@3": (1 + 1 + 1 / np.log2(4) + 1) / 4,
        }
    )
    assert [(one.label, one.queries, one.measures["P@1"]) for one in found.by_label] == [
        ("a", 2, 1.0),
        ("b", 2, 0.5),
    ]
    assert (found.pictures, found.queries, found.unlabelled, found.rare) == (4, 4, 0, 0)
    assert (found.model, found.metric) == ("toy?metric=euclidean&normalize=0", "euclidean")


def opened(folder, place, metric="cosine"):
    gallery = Gallery.open(folder, gallery=place, model="toy?grid=2", metric=metric, normalize=True)
    gallery.add()
    return gallery


def by_scikit_learn(gallery):
    """Of each query its relevances and scores over all other pictures, from scikit-learn's distances."""
    ids, vectors, metric = (
        [r.id for r in gallery.records()],
        gallery.vectors(),
        gallery.store.header.space.metric,
    )
    exact = vectors.astype(float)
    scores = exact @ exact.T if metric == "inner" else -pairwise_distances(exact, metric=metric)
    labels = np.array([id_[0] for id_ in ids])
    for row in range(len(ids)):
        others = np.arange(len(ids)) != row
        yield labels[others] == labels[row], scores[row, others].round(9)


METRICS = ["cosine", "euclidean", "inner", "canberra"]


@pytest.mark.parametrize("metric", METRICS)
def test_average_precision_is_that_of_scikit_learn(noise, tmp_path, metric):
    """Where no two pictures tie, mAP over the whole ranking is the mean of scikit-learn's, by any metric."""
    with opened(noise, tmp_path / metric, metric) as gallery:
        expected = np.mean([average_precision_score(*query) for query in by_scikit_learn(gallery)])
        assert evaluate(gallery, "folder")["mAP@100"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_gain_with_ties_is_that_of_scikit_learn(twins, tmp_path, metric):
    """Where pictures tie, nDCG is the mean of scikit-learn's, which averages over ties, too."""
    with opened(twins, tmp_path / metric, metric) as gallery:
        expected = np.mean(
            [ndcg_score(right[None], scores[None], k=10) for right, scores in by_scikit_learn(gallery)]
        )
        assert evaluate(gallery, "folder")["nDCG@10"] == pytest.approx(expected, abs=1e-6)


def test_blocks_change_nothing(twins, tmp_path, monkeypatch):
    """Three queries and seven pictures at a time give the numbers of all at once, ties and all."""
    with opened(twins, tmp_path / "gallery") as gallery:
        whole = evaluate(gallery, "folder", depth=20)
        monkeypatch.setattr(quality, "_NUMBERS", 10 * gallery.store.header.space.dim)
        monkeypatch.setattr(quality, "_PICTURES", 7)
        monkeypatch.setattr(quality, "_SCORES", 3 * 7)
        assert evaluate(gallery, "folder", depth=20) == whole


@pytest.mark.parametrize("metric", METRICS)
def test_equal_vectors_have_equal_scores(metric):
    """A vector scores the same wherever it stands among others, and euclidean with itself exactly 0."""
    rng = np.random.default_rng(0)
    pictures = rng.normal(size=(50, 1001)).astype(np.float32)
    pictures[[7, 20, 49]] = pictures[0]
    scores = similarity(pictures[:9], pictures, metric)
    assert (scores[:, [7, 20, 49]] == scores[:, :1]).all()
    if metric == "euclidean":
        assert scores[0, 49] == scores[7, 7] == 0


def test_a_split_asks_with_one_part_for_the_other(line):
    """By ids or by filter: the picture at 3 asks, is not found, and finds 1 before 0 and 7."""
    found = evaluate(line, "folder", split=["b/3.png"], k=(1, 3))
    assert (found.queries, found.pictures) == (1, 3)
    assert found["mAP@100"] == pytest.approx(1 / 3)
    line.update({"b/3.png": {"part": "test"}})
    assert evaluate(line, "folder", split="part=test", k=(1, 3)) == found


def test_a_split_by_chance_is_decided_by_the_seed(noise, tmp_path):
    """A share of the pictures asks, the rest is searched; another seed draws others."""
    with opened(noise, tmp_path / "gallery") as gallery:
        first, same, other = (evaluate(gallery, "folder", split=0.25, seed=seed) for seed in (1, 1, 2))
    assert (first.queries, first.pictures) == (15, 45)
    assert first == same
    assert first.measures != other.measures


def test_queries_can_be_fewer(noise, tmp_path):
    """At most so many of each label ask, and all others can be found."""
    with opened(noise, tmp_path / "gallery") as gallery:
        found = evaluate(gallery, "folder", queries=3)
    assert [one.queries for one in found.by_label] == [3, 3, 3, 3]
    assert found.pictures == 60


def test_only_some_pictures(line):
    """Pictures that are not to be looked at neither ask nor are found."""
    found = evaluate(line, "folder", only={"a/0.png", "a/1.png", "b/3.png"})
    assert (found.pictures, found.queries, found.rare) == (3, 2, 1)


def test_rare_and_unlabelled_pictures_do_not_ask(line):
    """They are counted and spoken of; a label of one picture leaves no picture to find."""
    labels = {"a/0.png": "a", "a/1.png": "a", "b/3.png": "b"}
    found = evaluate(line, labels)
    assert (found.queries, found.unlabelled, found.rare, found.pictures) == (2, 1, 1, 4)
    assert ["no label" in found.notes[0], "fewer than 2" in found.notes[1]] == [True, True]
    with pytest.raises(UsageError, match="nothing to ask: of the 4 pictures, with 2 labels"):
        evaluate(line, labels, at_least=3)


def test_a_picture_may_have_several_labels(line):
    """Pictures that share any label are relevant to each other, and a query counts for each of its own."""
    labels = {"a/0.png": "a|far", "a/1.png": "a", "b/3.png": ["b"], "b/7.png": ["b", "far"]}
    found = evaluate(line, labels, k=(1, 3))
    # 0 finds 1 3 7 (right, wrong, right), 1 finds 0, 3 finds 1 0 7, and 7 finds 3 1 0.
    expected = [(1 + 2 / 3) / 2, 1, 1 / 3, (1 + 2 / 3) / 2]
    assert found["mAP@100"] == pytest.approx(np.mean(expected))
    by_label = {one.label: one.measures["mAP@100"] for one in found.by_label}
    assert by_label == pytest.approx(
        {
            "a": np.mean(expected[:2]),
            "b": np.mean(expected[2:]),
            "far": np.mean([expected[0], expected[3]]),
        }
    )


def test_one_label_says_nothing(line):
    """Where everything is right the measures are 1, and a note says why."""
    found = evaluate(line, dict.fromkeys(("a/0.png", "a/1.png", "b/3.png", "b/7.png"), "all"))
    assert found["mAP@100"] == found["nDCG@10"] == 1
    assert "only one label" in found.notes[-1]


@pytest.mark.parametrize(
    "wish",
    [{"k": ()}, {"k": (0,)}, {"at_least": 1}, {"depth": 0}, {"queries": 0}, {"split": 2.0}, {"split": ["x"]}],
)
def test_what_can_not_be_meant(line, wish):
    """No ranks, labels of one picture, a split of more than all or of nobody: errors."""
    with pytest.raises(UsageError, match=r"expected|names no picture"):
        evaluate(line, "folder", **wish)


def test_it_turns_into_json(line):
    """Everything is in it, and JSON can hold it."""
    found = evaluate(line, "folder", k=(1,))
    content = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert content["measures"] == dict(found.measures)
    assert content["by_label"][1]["label"] == "b"


def test_depth_decides_what_average_precision_sees(line):
    """mAP@1 looks at the first rank alone, and is called so."""
    assert evaluate(line, "folder", depth=1)["mAP@1"] == 0.75
