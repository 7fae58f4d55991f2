"""What is taken out is what a linear probe reads, and nothing beside it."""

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression

from helpers.probing import amnesic

K, D = 4, 12


@pytest.fixture(scope="module")
def data():
    """Vectors of four classes in unequal numbers: (train vectors, labels), (held-out vectors, labels)."""
    rng = np.random.default_rng(0)
    means, mixed = rng.standard_normal((K, D)) * 1.5, rng.standard_normal((D, D))

    def drawn(n):
        labels = rng.choice(K, n, p=[0.4, 0.3, 0.2, 0.1])
        return means[labels] + rng.standard_normal((n, D)) @ mixed / 4 + 3, labels

    return drawn(900), drawn(400)


def accuracy(probe, seen, unseen):
    return np.mean(probe.fit(*seen).predict(unseen[0]) == unseen[1])


def test_two_classes_on_a_line():
    """Means (-2, 1) and (2, 1): the first coordinate goes, the second stays."""
    vectors = np.array([[-2.0, 0.0], [-2.0, 2.0], [2.0, 3.0], [2.0, -1.0]])
    found = amnesic.class_means(vectors, ["a", "a", "b", "b"])
    assert found.rank == 1 and found.centre.tolist() == [0, 1]
    np.testing.assert_allclose(np.abs(found.basis), [[1], [0]], atol=1e-12)
    np.testing.assert_allclose(found.projection, [[0, 0], [0, 1]], atol=1e-12)
    np.testing.assert_allclose(found([[5.0, 7.0]]), [[0, 7]], atol=1e-12)
    assert found.share(vectors) == pytest.approx(
        16 / (16 + 10)
    )  # squares around the mean: 4 x 4; 1 + 1 + 4 + 4


def test_three_classes_of_unequal_size_in_a_plane():
    """Means on the line x = y: two classes more, but one direction only."""
    vectors = np.array([[0.0, 0.0, 1.0], [1.0, 1.0, 2.0], [1.0, 1.0, 0.0], [3.0, 3.0, 1.0]])
    found = amnesic.class_means(vectors, [0, 1, 1, 2])
    assert found.rank == 1
    np.testing.assert_allclose(found.projection, [[0.5, -0.5, 0], [-0.5, 0.5, 0], [0, 0, 1]], atol=1e-12)


def test_the_projection_is_symmetric_idempotent_and_of_as_many_directions_as_it_says(data):
    (x, y), _ = data
    found = amnesic.class_means(x, y)
    for one in (found, amnesic.random_directions(found, np.random.default_rng(1))):
        p = one.projection
        np.testing.assert_allclose(p, p.T, atol=1e-12)
        np.testing.assert_allclose(p @ p, p, atol=1e-12)
        assert np.trace(p) == pytest.approx(D - (K - 1)) and np.linalg.matrix_rank(p) == D - one.rank
        np.testing.assert_allclose(one(x), one.centre + (x - one.centre) @ p, atol=1e-9)
        np.testing.assert_allclose(one(one(x)), one(x), atol=1e-9)


def test_classes_have_one_mean_afterwards(data):
    (x, y), _ = data
    erased = amnesic.class_means(x, y)(x)
    for k in range(K):
        np.testing.assert_allclose(erased[y == k].mean(0), x.mean(0), atol=1e-9)


def test_a_linear_probe_finds_nothing_where_the_control_leaves_what_there_was(data):
    seen, unseen = data
    erasure = amnesic.class_means(*seen)
    control = amnesic.random_directions(erasure, np.random.default_rng(0))
    majority = np.mean(unseen[1] == np.bincount(seen[1]).argmax())
    for probe in (LogisticRegression(C=1e3, max_iter=2000), LinearDiscriminantAnalysis()):
        before, after, random = (
            accuracy(probe, (of(seen[0]), seen[1]), (of(unseen[0]), unseen[1]))
            for of in (np.asarray, erasure, control)
        )
        assert before > 0.9 and after == pytest.approx(majority, abs=0.01) and random > 0.85


def test_a_probe_of_other_examples_is_near_the_majority(data):
    """The means of other examples differ a little."""
    seen, unseen = data
    x = amnesic.class_means(*seen)(unseen[0])
    halves = (x[:200], unseen[1][:200]), (x[200:], unseen[1][200:])
    majority = np.mean(halves[1][1] == np.bincount(halves[0][1]).argmax())
    assert accuracy(LinearDiscriminantAnalysis(), *halves) < majority + 0.08


def test_random_directions_take_their_share_of_variance_and_are_not_all_the_same(data):
    (x, y), _ = data
    found = amnesic.class_means(x, y)
    rng = np.random.default_rng(0)
    drawn = [amnesic.random_directions(found, rng) for _ in range(200)]
    assert np.mean([one.share(x) for one in drawn]) == pytest.approx((K - 1) / D, abs=0.03)
    assert found.share(x) > 2 * (K - 1) / D
    assert not np.allclose(drawn[0].projection, drawn[1].projection)


def test_as_many_classes_as_dimensions_leave_nothing():
    rng = np.random.default_rng(0)
    found = amnesic.class_means(rng.standard_normal((50, 3)), np.arange(50) % 10)
    assert found.rank == 3 and found.share(rng.standard_normal((20, 3))) == pytest.approx(1)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"expected vectors \(n, d\) and n labels, got \(3, 2\) and \(2,\)"):
        amnesic.class_means(np.ones((3, 2)), [0, 1])
    with pytest.raises(ValueError, match="at least 2 classes to tell apart, got 1"):
        amnesic.class_means(np.ones((3, 2)), [0, 0, 0])
    with pytest.raises(ValueError, match="vectors: not all are finite"):
        amnesic.class_means([[np.nan, 1], [0, 1]], [0, 1])


def test_an_encoders_last_states_are_changed_and_nothing_else(tiny):
    rng = np.random.default_rng(0)
    found = amnesic.class_means(rng.standard_normal((40, tiny.width)), np.arange(40) % 5)
    inputs = tiny.tokenizer(["the cats", "a dog ran home"], return_tensors="pt", padding=True)
    with torch.inference_mode():
        plain = tiny.model(**inputs)
        erased = amnesic.ErasedEncoder(tiny.model, found)(**inputs)
    expected = found(plain.last_hidden_state.flatten(0, 1).numpy())
    np.testing.assert_allclose(erased.last_hidden_state.flatten(0, 1), expected, atol=1e-5)
    assert torch.equal(erased.pooler_output, plain.pooler_output)
