"""Dependency trees against networkx."""

import networkx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.corpora.recast.tree import Tree, unbroken
from helpers.corpora.uds import Graph


@st.composite
def graphs(draw):
    """Trees of up to nine words: each word hangs on an earlier one, then the words are shuffled."""
    n = draw(st.integers(1, 9))
    heads = [0, *(draw(st.integers(1, i)) for i in range(1, n))]
    order = draw(st.permutations(range(1, n + 1)))
    place = dict(zip(range(1, n + 1), order, strict=True)) | {0: 0}
    shuffled = [0] * n
    for i, head in enumerate(heads, 1):
        shuffled[place[i] - 1] = place[head]
    plain = tuple("w" for _ in range(n))
    return Graph("g", "d-1", "d", plain, plain, plain, plain, tuple(shuffled), ("nmod:poss",) * n, (), (), ())


@given(graphs(), st.data())
def test_subtrees(graph, data):
    tree, n = Tree(graph), len(graph.words)
    nodes = networkx.DiGraph((head, i) for i, head in enumerate(graph.heads, 1))
    position = data.draw(st.integers(1, n))
    below = networkx.descendants(nodes, position) | {position}
    assert tree.subtree(position) == sorted(below)
    leaving = data.draw(st.sets(st.integers(1, n))) - {position}
    left = nodes.subgraph(set(nodes) - leaving)
    assert tree.without(position, leaving) == sorted(networkx.descendants(left, position) | {position})
    ancestor = data.draw(st.integers(1, n))
    towards = [child for child in tree.children[ancestor] if position in tree.subtree(child)]
    assert tree.child_towards(ancestor, position) == (towards[0] if towards else 0)
    assert tree.dependents(position, ("nmod",)) == sorted(nodes.successors(position))


@pytest.mark.parametrize(
    ("position", "allowed", "run"), [(3, {3}, (3, 3)), (3, {1, 2, 3, 5}, (1, 3)), (4, {2, 4, 5, 6}, (4, 6))]
)
def test_an_unbroken_run(position, allowed, run):
    assert unbroken(position, allowed) == run
