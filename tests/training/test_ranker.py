"""The map that a ranker learns: its formula, its loss, and the check that it is better."""

import numpy as np
import pytest

from lookalike.extractors import steps
from lookalike.training import maps, model_selection, trials
from lookalike.training.maps import Descent, Factors, Scatter, Strength, Triples
from lookalike.training.model_selection import ClosedForm, PairwiseLoss
from lookalike.training.trials import Fold, LabelTrials

DIM = 24


def mixture(labels, pictures, *, seed=0, nuisance=2.5):
    """Unit vectors of labels whose pictures differ mostly along four directions that say nothing of them."""
    random = np.random.default_rng(seed)
    axes = np.linalg.qr(random.standard_normal((DIM, 4)))[0]
    means = random.standard_normal((labels, DIM))
    given = np.repeat(np.arange(labels), pictures)
    noise = 0.5 * random.standard_normal((len(given), DIM))
    sideways = nuisance * random.standard_normal((len(given), 4)) @ axes.T
    vectors = means[given] + noise + sideways
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit.astype(np.float32), [frozenset([f"label {number}"]) for number in given]


def labelled(vectors, labels):
    """Trials of vectors that are left as they are."""
    return LabelTrials(vectors, "cosine", vectors, labels=labels)


def by_the_formula(vectors, labels, strength):
    """The closed form as it is written, with plain matrices: what `Scatter` does another way."""
    z, names = vectors.astype(float), sorted({of for several in labels for of in several})
    number = np.array([names.index(next(iter(several))) for several in labels])
    means = np.stack([z[number == place].mean(0) for place in range(len(names))])
    counts = np.bincount(number)
    within = (z - means[number]).T @ (z - means[number]) / len(z)
    apart = (means - z.mean(0)) * np.sqrt(counts / len(z))[:, None]
    s = strength.within * within + (1 - strength.within) * np.trace(within) / DIM * np.eye(DIM)
    sizes, turned = np.linalg.eigh(s)
    w = turned / np.sqrt(sizes) @ turned.T
    roots, axes = np.linalg.eigh(w @ apart.T @ apart @ w)
    roots, axes = roots[::-1][: len(names) - 1], axes[:, ::-1][:, : len(names) - 1]
    a = w @ axes * np.sqrt(roots / (roots + 1))
    share = strength.between * min(1, len(names) / 40) * min(1, len(z) / len(names) / 10)
    near, along = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (z @ w, z @ a))
    return np.concatenate([np.sqrt(1 - share) * near, np.sqrt(share) * along], axis=1)


@pytest.mark.parametrize("pictures", [2, 12])
def test_the_steps_are_the_formula(pictures):
    """Few vectors or many, the steps give the scores of the closed form as it is written."""
    vectors, labels = mixture(6, pictures)
    strength = Strength(0.1, 0.2)
    made = steps.apply(Scatter.of_labels(vectors, labels).map(strength).steps(), vectors)
    wanted = by_the_formula(vectors, labels, strength)
    assert np.allclose(made @ made.T, wanted @ wanted.T, atol=1e-5)
    assert np.allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)


def test_the_check_scores_as_the_steps_do():
    """What the check judges is what is written into the card."""
    vectors, labels = mixture(6, 8)
    method, every = ClosedForm((0.1, 0.3)), np.arange(len(vectors))
    given = labelled(vectors, labels)
    for name, scores in method.scores(given, Fold(every, every[:5], every[:5] < 0)):
        made = steps.apply(method.steps(given, name), vectors)
        assert np.allclose(scores, made[:5] @ made.T, atol=1e-5), name


def test_a_picture_of_several_labels_counts_for_each_in_part():
    """Half a picture here and half there is as if it stood twice with half the weight."""
    vectors, labels = mixture(3, 4)
    both = [labels[0] | labels[4], *labels[1:]]
    map_ = Scatter.of_labels(vectors, both).map(Strength(0.1, 0.2))
    assert np.isfinite(map_.matrix).all()
    alone = Scatter.of_labels(vectors, labels).map(Strength(0.1, 0.2))
    assert not np.allclose(map_.matrix, alone.matrix)


@pytest.mark.parametrize("labels", [[{"a"}, {"b"}, {"c"}], [{"a"}] * 3])
def test_what_says_nothing_changes_nothing(labels):
    """Labels of one picture each, or one label of all with nothing in it that differs, leave scores alone."""
    vectors = np.eye(3, DIM, dtype=np.float32) if labels[0] != labels[1] else np.ones((3, DIM), np.float32)
    map_ = Scatter.of_labels(vectors, labels).map(Strength(0.2, 0.0))
    assert np.allclose(map_.matrix, np.eye(DIM))


def test_the_gradient_is_the_slope_of_the_loss():
    """The gradient written by hand agrees with differences of the loss, in every number of U and V."""
    random = np.random.default_rng(0)
    vectors = random.standard_normal((7, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    triples = Triples(np.array([0, 3]), np.array([0, 0, 1]), np.array([1, 3, 2]), np.array([4, 5, 0]))
    factors = Factors(random.standard_normal((5, 2)), random.standard_normal((5, 2)))

    def value(changed):
        return maps.loss(vectors, triples, changed, temperature=3.0, held=0.1)[0]

    _, gradient = maps.loss(vectors, triples, factors, temperature=3.0, held=0.1)
    for part in range(2):
        for place in np.ndindex(5, 2):
            step = np.zeros((5, 2))
            step[place] = 1e-6
            up, down = ([*factors] for _ in range(2))
            up[part], down[part] = up[part] + step, down[part] - step
            slope = (value(Factors(*up)) - value(Factors(*down))) / 2e-6
            assert gradient[part][place] == pytest.approx(slope, abs=1e-6)


def test_a_descent_orders_what_was_not_in_order():
    """After it the loss is lower, and the same seed gives the same numbers."""
    vectors, labels = mixture(6, 8)
    descent = Descent(steps=30, rank=4)
    draw = maps.triples_of_labels(vectors, labels, descent)
    triples = draw(np.random.default_rng(1))
    start = Factors(*(np.zeros((DIM, 4), np.float32) for _ in range(2)))
    found = [maps.descend(vectors, draw, descent, seed=0) for _ in range(2)]
    before, after = (
        maps.loss(vectors, triples, each, temperature=10.0, held=0.03)[0] for each in (start, found[0])
    )
    assert after < 0.9 * before
    assert np.array_equal(found[0].up, found[1].up)


def test_triples_have_a_better_and_a_worse_picture():
    """The better one shares a label with the query and is not the query; the worse one shares none."""
    vectors, labels = mixture(5, 4)
    triples = maps.triples_of_labels(vectors, labels, Descent())(np.random.default_rng(0))
    for number, better, worse in zip(triples.query, triples.better, triples.worse, strict=True):
        query = triples.asking[number]
        assert labels[query] == labels[better]
        assert query != better
        assert labels[query] != labels[worse]


@pytest.mark.parametrize("method", [ClosedForm((0.1, 0.2, 0.3)), PairwiseLoss(0)])
def test_a_map_is_chosen_that_helps_labels_never_seen(method):
    """Learnt on ten labels, what the check chose finds pictures of ten others better, too."""
    vectors, labels = mixture(20, 12)
    seen, others = np.arange(120), np.arange(120, 240)
    learned = labelled(vectors[seen], labels[:120])
    verdict = model_selection.select(learned, [method])
    assert verdict.chosen is not None
    moved = steps.apply(method.steps(learned, verdict.chosen.name), vectors[others])
    gained = labelled(vectors[others], labels[120:]).gain(moved)
    assert gained["test_p5"] > gained["base_test_p5"] + 0.05
    assert gained["test_map100"] > gained["base_test_map100"] + 0.05


@pytest.mark.parametrize("seed", range(5))
def test_labels_by_chance_leave_vectors_as_they_are(seed):
    """Where labels say nothing, the check takes no map."""
    vectors, labels = mixture(20, 8, nuisance=1.0)
    order = np.random.default_rng(seed).permutation(len(labels))
    shuffled = [labels[row] for row in order]
    method = ClosedForm((0.1, 0.2, 0.3))
    assert model_selection.select(labelled(vectors, shuffled), [method], seed).chosen is None


def test_a_map_that_harms_labels_never_seen_is_not_taken():
    """A method that knows all labels it has seen by heart, and no other, is refused."""

    class Blind:
        """Knows the labels it has seen by heart, and no other."""

        rounds = 2

        def scores(self, given, fold):
            asked = fold.asked
            own = np.array([labels[row] == labels[other] for row in asked for other in range(len(given))])
            known = {labels[row] for row in fold.learned}
            told = np.array([labels[row] in known for row in asked])[:, None]
            scores = np.where(
                told, own.reshape(len(asked), -1), np.random.default_rng(0).random((len(asked), 1))
            )
            yield "blind", scores.astype(np.float32)

    vectors, labels = mixture(12, 8)
    verdict = model_selection.select(labelled(vectors, labels), [Blind()])
    (choice,) = verdict.choices
    assert choice.gains["seen"].after[0] == pytest.approx(1)
    assert choice.gains["unseen"].after[0] < choice.gains["unseen"].before[0]
    assert verdict.chosen is None


def test_pictures_next_to_identical_are_held_out_together():
    """In no division is one of a group learnt from while another one asks."""
    _, labels = mixture(4, 6)
    groups = [[0, 1, 2], [5, 6, 11]]  # one of two labels
    for learned, asked, _ in trials.label_folds(labels, groups, 2, 0):
        for group in groups:
            assert not (set(group) & set(learned.tolist()) and set(group) & set(asked.tolist()))


def test_every_picture_asks_once_seen_and_once_unseen():
    """A round holds out each label once, and each picture of a label that is learnt from at most once."""
    _, labels = mixture(7, 9)
    asked = [(row, new) for _, rows, unseen in trials.label_folds(labels, [], 1, 0)
             for row, new in zip(rows.tolist(), unseen.tolist(), strict=True)]  # fmt: skip
    assert len(set(asked)) == len(asked)
    assert {row for row, new in asked if new} == set(range(len(labels)))


def test_the_error_over_labels_is_that_of_independent_means():
    """By hand: two labels of two queries each, with labels fixed and with labels drawn."""
    gained, label = np.array([[0.0], [2.0], [4.0], [6.0]]), np.array([0, 0, 1, 1])
    mean, error = model_selection.mean_by_kind(gained, label, fixed=True)
    assert (mean[0], error[0]) == (3, pytest.approx(np.sqrt(2 * (1 / 2 + 1 / 2) / 4) * 1.4))
    mean, error = model_selection.mean_by_kind(gained, label, fixed=False)
    assert (mean[0], error[0]) == (3, pytest.approx(2 * 1.8))


def test_many_pictures_are_looked_at_in_part():
    """Of a large collection each label gives its share, at least four pictures."""
    labels = [frozenset([name]) for name, count in (("a", 900), ("b", 90), ("c", 10)) for _ in range(count)]
    rows = trials.sample(labels, 0, most=100)
    kept = [next(iter(labels[row])) for row in rows]
    assert [kept.count(name) for name in "abc"] == [90, 9, 4]
    assert len(set(rows.tolist())) == len(rows)
