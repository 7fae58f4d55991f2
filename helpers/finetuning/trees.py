"""The best dependency tree of a sentence, given a score for every possible arc."""

import numpy as np

from helpers.corpora.files import cycle


def decode(scores: np.ndarray) -> np.ndarray:
    """Heads of the highest-scoring tree with exactly one child of the root: (n_words,) integers.

    ``scores`` is (n_words, n_words + 1): ``scores[i, h]`` is the score of head h for word i + 1, where
    head 0 is the root; what stands at ``scores[i, i + 1]``, a word as its own head, is ignored. Heads
    count words from 1, as in CoNLL-U.

    Exact: Chu & Liu (1965) and Edmonds (1967) by contraction, where one constant taken off all root arcs
    makes a second root child cost more than any rearrangement of the other arcs could gain (the
    reweighting of Stanojevic & Cohen 2021). Raises ValueError for scores of another shape or not finite.
    """
    scores = np.asarray(scores, dtype=np.float64)
    n = len(scores)
    if n == 0 or scores.shape != (n, n + 1):
        raise ValueError(f"expected scores of shape (n_words, n_words + 1), got {scores.shape}")
    weights = np.full((n + 1, n + 1), -np.inf)  # [head, dependent]
    weights[:, 1:] = scores.T
    np.fill_diagonal(weights, -np.inf)
    arcs = weights[np.isfinite(weights)]
    if len(arcs) != n * n:
        raise ValueError("the scores of possible heads must be finite")
    heads = weights.argmax(0)
    if (heads[1:] == 0).sum() == 1 and not cycle(heads[1:].tolist()):
        return heads[1:]  # greedy choice is a tree already, as for nearly every sentence once trained
    weights[0, 1:] -= 1 + n * (arcs.max() - arcs.min())
    return _arborescence(weights)[1:]


def _arborescence(weights: np.ndarray) -> np.ndarray:
    """Heads (k,) of the maximum spanning arborescence from node 0; ``weights[head, dependent]`` (k, k)."""
    levels = []
    while True:
        heads = weights.argmax(0)
        heads[0] = 0
        loop = cycle(heads[1:].tolist())
        if not loop:
            break
        # Contract the cycle to one node, the last. An arc into it is worth what it gains over the arc of
        # the cycle that it replaces.
        inside = np.array(loop)
        outside = np.setdiff1d(np.arange(len(weights)), inside)
        into = weights[np.ix_(outside, inside)] - weights[heads[inside], inside]
        out = weights[np.ix_(inside, outside)]
        entered, left = into.argmax(1), out.argmax(0)
        smaller = np.full((len(outside) + 1,) * 2, -np.inf)
        smaller[:-1, :-1] = weights[np.ix_(outside, outside)]
        smaller[:-1, -1] = into.max(1)
        smaller[-1, :-1] = out.max(0)
        smaller[:, 0] = -np.inf
        levels.append((heads, outside, inside[entered], inside[left]))
        weights = smaller
    for cycle_heads, outside, entered, left in reversed(levels):
        expanded = cycle_heads  # right within the cycle but for the one node entered from outside
        inner = len(outside)
        for node, head in zip(outside[1:], heads[1:-1], strict=True):
            position = np.searchsorted(outside, node)
            expanded[node] = left[position] if head == inner else outside[head]
        source = heads[-1]
        expanded[entered[source]] = outside[source]
        heads = expanded
    return heads
