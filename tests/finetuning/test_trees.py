"""Trees against exhaustive search and networkx."""

import itertools

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from helpers.finetuning.trees import decode


def _total(scores, heads):
    return sum(scores[i, h] for i, h in enumerate(heads))


def _is_tree(heads) -> bool:
    """Exactly one child of the root, and every word reaches the root."""
    graph = networkx.DiGraph((h, i + 1) for i, h in enumerate(heads))
    return list(heads).count(0) == 1 and networkx.is_arborescence(graph)


def _best_exhaustively(scores) -> float:
    n = len(scores)
    trees = (heads for heads in itertools.product(range(n + 1), repeat=n) if heads.count(0) == 1)
    return max(_total(scores, heads) for heads in trees if _is_tree(heads))


def _best_by_networkx(scores) -> float:
    """The best over the root's children, each tried by itself."""
    n = len(scores)
    found = []
    for child in range(n):
        graph = networkx.DiGraph()
        graph.add_edge(0, child + 1, weight=scores[child, 0])
        for i in set(range(n)) - {child}:
            graph.add_weighted_edges_from((j + 1, i + 1, scores[i, j + 1]) for j in range(n) if j != i)
        tree = networkx.maximum_spanning_arborescence(graph)
        found.append(tree.size(weight="weight"))
    return max(found)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_best_of_all_trees(n):
    rng = np.random.default_rng(n)
    for trial in range(25 if n < 5 else 3):
        scores = rng.normal(size=(n, n + 1))
        scores[:, 0] += (0, 4, -4)[trial % 3]  # root arcs all tempting, or none
        heads = decode(scores)
        assert _is_tree(heads)
        assert _total(scores, heads) == pytest.approx(_best_exhaustively(scores))


@pytest.mark.parametrize("n", [8, 20])
def test_agrees_with_networkx_over_every_root(n):
    rng = np.random.default_rng(n)
    for _ in range(3):
        scores = rng.normal(size=(n, n + 1)) * 100
        heads = decode(scores)
        assert _is_tree(heads)
        assert _total(scores, heads) == pytest.approx(_best_by_networkx(scores))


def test_several_tempting_roots_leave_one():
    # Every word prefers the root by far; the tree has to keep the one root that loses least.
    scores = np.array([[9.0, 0, 1, 0], [9.0, 2, 0, 0], [9.0, 0, 8, 0]])
    assert decode(scores).tolist() == [0, 1, 2]


def test_nested_cycles():
    # Greedy: 1 <-> 2, and 3 <-> 4; both pairs then choose one another.
    scores = np.full((4, 5), -10.0)
    scores[0, 2] = scores[1, 1] = scores[2, 4] = scores[3, 3] = 10
    scores[0, 3] = scores[2, 1] = 5
    scores[3, 0] = -1
    heads = decode(scores)
    assert _total(scores, heads) == pytest.approx(_best_exhaustively(scores))


@pytest.mark.parametrize("n", [1, 60, 150])
def test_finds_a_planted_tree(n):
    rng = np.random.default_rng(n)
    planted = np.array([rng.integers(i) if i else -1 for i in range(n)]) + 1  # heads before dependents
    scores = rng.uniform(0, 0.5, (n, n + 1))
    scores[np.arange(n), planted] += 1
    assert decode(scores).tolist() == planted.tolist()


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 9).flatmap(lambda n: arrays(float, (n, n + 1), elements=st.integers(-50, 50))))
def test_invariant_to_a_constant_for_each_word(scores):
    """Log-probabilities and raw scores have the same best tree."""
    shifted = scores + np.arange(len(scores))[:, None] * 7.0
    heads = decode(shifted)
    assert _is_tree(heads)
    assert _total(scores, heads) == pytest.approx(_total(scores, decode(scores)))


def test_own_place_is_ignored():
    scores = np.random.default_rng(0).normal(size=(6, 7))
    other = scores.copy()
    np.fill_diagonal(other[:, 1:], 1e6)
    assert decode(scores).tolist() == decode(other).tolist()
    np.fill_diagonal(other[:, 1:], -np.inf)
    assert decode(scores).tolist() == decode(other).tolist()


def test_wrong_input():
    with pytest.raises(ValueError, match=r"\(3, 3\)"):
        decode(np.zeros((3, 3)))
    with pytest.raises(ValueError, match=r"\(0, 1\)"):
        decode(np.zeros((0, 1)))
    with pytest.raises(ValueError, match="finite"):
        decode(np.array([[0.0, 0.0, np.nan], [0.0, 0.0, 0.0]]))
