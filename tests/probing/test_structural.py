"""Structural probes: trees, training and scores against hand-worked cases, networkx, scipy and torch."""

import networkx as nx
import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import corpora, progress
from helpers.probing import structural
from helpers.profiles import StructuralRecipe

#  The cat sat on the mat .      the <- cat <- sat -> mat -> (on, the); sat -> .
CAT = np.array([2, 3, 0, 6, 6, 3, 3])
CAT_DEPTHS = [2, 1, 0, 2, 2, 1, 1]
CAT_DISTANCES = [
    [0, 1, 2, 4, 4, 3, 3],
    [1, 0, 1, 3, 3, 2, 2],
    [2, 1, 0, 2, 2, 1, 1],
    [4, 3, 2, 0, 2, 1, 3],
    [4, 3, 2, 2, 0, 1, 3],
    [3, 2, 1, 1, 1, 0, 2],
    [3, 2, 1, 3, 3, 2, 0],
]


def random_heads(n: int, rng: np.random.Generator) -> np.ndarray:
    """Heads of a random tree: every word but the root hangs from one placed before it."""
    order = rng.permutation(n)
    heads = np.zeros(n, int)
    for i in range(1, n):
        heads[order[i]] = order[rng.integers(i)] + 1
    return heads


def graph(heads) -> nx.Graph:
    tree = nx.Graph()
    tree.add_nodes_from(range(len(heads)))
    tree.add_edges_from((i, h - 1) for i, h in enumerate(heads) if h)
    return tree


def forest(n_sentences: int, seed: int, longest: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Heads, one sentence after the other, and lengths of random trees."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, longest, n_sentences)
    return np.concatenate([random_heads(n, rng) for n in lengths]), lengths


def planted(heads, lengths, seed: int, width: int = 24, noise: float = 0.05) -> np.ndarray:
    """Vectors whose first part, rotated, has squared distances equal to those of the tree."""
    exact = structural.paths(heads, lengths)
    turn = np.linalg.qr(np.random.default_rng(99).standard_normal((width, width)))[0]
    vectors = np.pad(exact, ((0, 0), (0, width - exact.shape[1]))) @ turn
    return vectors + noise * np.random.default_rng(seed).standard_normal(vectors.shape)


# -- trees -----------------------------------------------------------------------------------------


def test_hand_worked_tree():
    np.testing.assert_array_equal(structural.tree_depths(CAT), CAT_DEPTHS)
    np.testing.assert_array_equal(structural.tree_distances(CAT), CAT_DISTANCES)
    assert structural.tree_distances(np.array([0])).tolist() == [[0]]


@given(st.integers(1, 40), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_distances_are_shortest_paths(n, seed):
    heads = random_heads(n, np.random.default_rng(seed))
    expected = dict(nx.all_pairs_shortest_path_length(graph(heads)))
    found = structural.tree_distances(heads)
    assert all(found[i, j] == expected[i][j] for i in range(n) for j in range(n))
    np.testing.assert_array_equal(structural.tree_depths(heads), found[np.argmin(heads)])


def test_paths_of_several_sentences_are_those_of_each():
    heads, lengths = forest(30, seed=1)
    together = structural.paths(heads, lengths)
    start = 0
    for n in lengths:
        alone = structural.paths(heads[start : start + n], [n])
        np.testing.assert_array_equal(together[start : start + n, :n], alone)
        assert not together[start : start + n, n:].any()
        start += n


@pytest.mark.parametrize(
    ("heads", "problem"),
    [
        ([2, 1, 0], "form a cycle"),
        ([1, 0], "form a cycle"),
        ([0, 3], "head 3 in a sentence of 2 words"),
        ([0, -1], "head -1"),
    ],
)
def test_what_is_no_tree_is_refused(heads, problem):
    with pytest.raises(ValueError, match=problem):
        structural.tree_distances(np.array(heads))


def test_real_trees_and_their_punctuation(real_data):
    records = corpora.load("ud-ewt", "dev", path=real_data("ud-english-ewt"))
    roots = 0
    for record in records:
        heads = np.array(record.heads)
        keep = np.array([tag != structural.PUNCTUATION for tag in record.upos])
        distances = structural.tree_distances(heads)
        # In this treebank punctuation has no dependents, so the tree without it is one of its own edges.
        edges = structural.spanning_edges(distances, keep)
        assert len(edges) == max(keep.sum() - 1, 0) and (distances[tuple(edges.T)] == 1).all()
        roots += structural.root_accuracy(structural.tree_depths(heads), structural.tree_depths(heads), keep)[
            1
        ]
    assert len(records) - roots == 14  # sentences that are nothing but punctuation


# -- training --------------------------------------------------------------------------------------


def naive_loss(kind: str, words: torch.Tensor, probe: torch.Tensor, heads, lengths) -> torch.Tensor:
    """The papers' formula, sentence by sentence, with every difference of two words written out."""
    total, start = 0, 0
    for n in lengths:
        projected = words[start : start + n] @ probe.T
        own = heads[start : start + n]
        if kind == "distance":
            predicted = (projected[:, None] - projected[None]).square().sum(-1)
            gold = torch.tensor(structural.tree_distances(own))
            total = total + (predicted - gold).abs().sum() / n**2
        else:
            predicted = projected.square().sum(-1)
            total = total + (predicted - torch.tensor(structural.tree_depths(own))).abs().sum() / n
        start += n
    return total / len(lengths)


@pytest.mark.parametrize("kind", structural.KINDS)
@pytest.mark.parametrize("n_sentences", [1, 3, 20])
def test_loss_and_gradient_are_those_of_the_formula(kind, n_sentences):
    heads, lengths = forest(n_sentences, seed=2)
    rng = np.random.default_rng(0)
    states = [rng.standard_normal((len(heads), 10)).astype(np.float16) for _ in range(3)]
    data = structural.Parsed(states, heads, lengths)
    cpu = torch.device("cpu")
    batch = structural._batch(kind, data, np.arange(n_sentences), cpu)
    probes = torch.tensor(rng.uniform(-0.5, 0.5, (3, 6, 10)), dtype=torch.float32, requires_grad=True)
    words = structural._read(states, range(3), batch.rows, cpu)
    losses = structural._Loss.apply(probes, words, batch)
    (losses * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    for layer, factor in enumerate((1, 2, 3)):
        probe = probes[layer].detach().double().requires_grad_()
        loss = naive_loss(kind, torch.tensor(states[layer]).double(), probe, heads, lengths)
        loss.backward()
        assert losses[layer].item() == pytest.approx(loss.item(), rel=1e-5)
        torch.testing.assert_close(probes.grad[layer].double(), factor * probe.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", structural.KINDS)
def test_all_layers_at_once_are_each_alone(kind):
    parts = []
    for (heads, lengths), seed in ((forest(60, seed=3), 4), (forest(20, seed=18), 19)):
        states = [planted(heads, lengths, seed, noise=noise).astype(np.float16) for noise in (0.05, 0.5, 2.0)]
        states.append(np.random.default_rng(seed).standard_normal(states[0].shape).astype(np.float16))
        parts.append(structural.Parsed(states, heads, lengths))
    recipe = StructuralRecipe(epochs=12, learning_rate=0.05, stop_after=2)
    options = dict(rank=8, recipe=recipe, seed=5, device="cpu")
    together = structural.fit(kind, *parts, **options)
    assert len(set(together.steps)) > 1  # the layers came to their ends at different epochs
    for layer in range(4):
        single = [structural.Parsed(p.states[layer : layer + 1], p.heads, p.lengths) for p in parts]
        alone = structural.fit(kind, *single, **options)
        assert alone.steps[0] == together.steps[layer] and alone.best_steps[0] == together.best_steps[layer]
        torch.testing.assert_close(
            alone.parameters["B"][0], together.parameters["B"][layer], rtol=2e-3, atol=2e-4
        )


@pytest.mark.parametrize("kind", structural.KINDS)
def test_training_is_that_of_the_published_regimen(kind):
    """One layer trained by torch's Adam and ReduceLROnPlateau on the formula as it stands."""
    heads, lengths = forest(45, seed=6)
    dev_heads, dev_lengths = forest(20, seed=7)
    states, dev_states = (
        planted(h, n, seed, noise=0.3).astype(np.float16)
        for h, n, seed in ((heads, lengths, 8), (dev_heads, dev_lengths, 9))
    )
    recipe = StructuralRecipe(epochs=9, learning_rate=0.05)
    train = structural.Parsed([states], heads, lengths)
    dev = structural.Parsed([dev_states], dev_heads, dev_lengths)
    found = structural.fit(kind, train, dev, rank=6, recipe=recipe, seed=1, device="cpu")

    generator = torch.Generator().manual_seed(1)
    probe = torch.nn.Parameter(torch.empty(6, 24).uniform_(-0.05, 0.05, generator=generator))
    adam = torch.optim.Adam([probe], lr=0.05)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        adam, factor=0.1, patience=0, threshold=1e-4, threshold_mode="abs"
    )
    best, rates = float("inf"), set()
    for epoch in range(9):
        order = np.random.default_rng([1, epoch]).permutation(45)
        for first in range(0, 45, 20):
            chosen = order[first : first + 20]
            rows = np.concatenate([np.arange(train.starts[i], train.starts[i] + lengths[i]) for i in chosen])
            adam.zero_grad()
            words = torch.tensor(states[rows]).float()
            naive_loss(kind, words, probe, heads[rows], lengths[chosen]).backward()
            adam.step()
        with torch.no_grad():
            words = torch.tensor(dev_states).float()
            loss = naive_loss(kind, words, probe, dev_heads, dev_lengths).item()
        plateau.step(loss)
        rates.add(adam.param_groups[0]["lr"])
        if loss < best - 1e-4:
            best, kept = loss, probe.detach().clone()
    assert len(rates) > 1  # the rate was lowered on the way
    assert -found.scores[0] == pytest.approx(best, rel=1e-3)
    torch.testing.assert_close(found.parameters["B"][0], kept, rtol=0.02, atol=2e-3)


def test_a_planted_tree_is_found_and_none_in_noise():
    train, test = forest(300, seed=10), forest(80, seed=11)
    rng = np.random.default_rng(2)
    parts = []
    for (heads, lengths), seed in ((train, 12), (test, 13)):
        noise = rng.standard_normal((len(heads), 24))
        layers = [planted(heads, lengths, seed), noise, planted(heads, lengths, seed) * 3]
        parts.append(structural.Parsed([x.astype(np.float16) for x in layers], heads, lengths))
    keep = np.ones(len(test[0]), bool)
    recipe = StructuralRecipe(epochs=12, learning_rate=0.03)
    scores = {}
    for kind in structural.KINDS:
        trained = structural.fit(kind, *parts, rank=24, recipe=recipe, seed=0, device="cpu")
        scores |= structural.evaluate(kind, trained.parameters["B"], parts[1], keep, device="cpu")
    uuas, root = (scores[f"{m}_sum"].sum(0) / scores[f"{m}_count"].sum(0) for m in ("uuas", "root_acc"))
    lengths = test[1]
    distance, depth = (
        structural.mean_over_lengths(lengths, scores[f"{m}_sum"], scores[f"{m}_count"])
        for m in ("distance_spearman_no_self", "depth_spearman")
    )
    for score in (uuas, distance, depth, root):
        assert score[0] > 0.93 and score[2] > 0.93
    chance = np.mean([2 / n for n in lengths])  # share of the pairs that are edges
    assert uuas[1] < chance + 0.08 and root[1] < 0.3
    assert abs(distance[1]) < 0.1 and abs(depth[1]) < 0.15


def test_training_resumes(tmp_path):
    heads, lengths = forest(40, seed=14)
    data = structural.Parsed([planted(heads, lengths, 15).astype(np.float16)], heads, lengths)
    options = dict(rank=4, recipe=StructuralRecipe(epochs=4), seed=0, device="cpu")
    whole = structural.fit("depth", data, data, **options)
    steps = []

    def killed(what, step, total):
        steps.append((step, total))
        if step == 6:
            raise KeyboardInterrupt

    defaults = {"checkpoint_every": 0.0, "folder": None, "what": ""}
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(structural.layerwise.train, "__kwdefaults__", defaults)
        patch.setattr(progress, "steps", killed)
        structural.fit("depth", data, data, folder=tmp_path, **options)
    assert steps == [(2, 8), (4, 8), (6, 8)]  # after each epoch of two
    rest = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, "steps", lambda what, *at: rest.append(at))
        resumed = structural.fit("depth", data, data, folder=tmp_path, **options)
    assert rest[-1] == (8, 8) and len(rest) < 4
    torch.testing.assert_close(resumed.parameters["B"], whole.parameters["B"])


def test_wrong_data_is_refused():
    heads, lengths = forest(5, seed=16)
    states = np.zeros((len(heads), 4), np.float16)
    data = structural.Parsed([states], heads, lengths)
    options = dict(rank=2, recipe=StructuralRecipe(), seed=0)
    with pytest.raises(ValueError, match="unknown kind of probe 'width'; valid: distance, depth"):
        structural.fit("width", data, data, **options)
    with pytest.raises(ValueError, match="same layers, all of one width"):
        structural.fit("depth", data, structural.Parsed([states[:, :2]], heads, lengths), **options)
    with pytest.raises(ValueError, match=f"of {len(heads)} words in all, but {len(heads) - 1} heads"):
        structural.Parsed([states], heads[1:], lengths)


# -- scores ----------------------------------------------------------------------------------------


def kruskal(distances, keep) -> set[tuple[int, int]]:
    """The published code's way: all pairs by distance, first words first, joined unless joined already."""
    part = list(range(len(keep)))
    edges = set()
    pairs = [(i, j) for i in range(len(keep)) for j in range(i + 1, len(keep)) if keep[i] and keep[j]]
    for i, j in sorted(pairs, key=lambda pair: distances[pair]):
        if part[i] != part[j]:
            part = [part[i] if p == part[j] else p for p in part]
            edges.add((i, j))
    return edges


@given(st.integers(1, 14), st.integers(0, 10**6), st.booleans())
@settings(max_examples=60, deadline=None)
def test_spanning_trees_with_ties_and_zeros(n, seed, ties):
    rng = np.random.default_rng(seed)
    distances = rng.integers(0, 4, (2, n, n)).astype(float) if ties else rng.random((2, n, n))
    distances = np.triu(distances, 1) + np.triu(distances, 1).swapaxes(1, 2)
    keep = rng.random(n) < 0.8
    both = structural.spanning_edges(distances, keep)
    assert both.shape == (2, max(keep.sum() - 1, 0), 2)
    for one, found in zip(distances, both, strict=True):
        assert set(map(tuple, found.tolist())) == kruskal(one, keep)
        assert sorted(found.tolist()) == found.tolist()
        complete = nx.Graph()
        complete.add_nodes_from(np.flatnonzero(keep).tolist())
        kept = np.flatnonzero(keep).tolist()
        complete.add_weighted_edges_from((i, j, one[i, j]) for i in kept for j in kept if i < j)
        lightest = nx.minimum_spanning_tree(complete).size("weight")
        assert sum(one[i, j] for i, j in found) == pytest.approx(lightest)


def test_uuas_by_hand():
    gold = structural.tree_distances(CAT)
    keep = np.array([True] * 6 + [False])
    assert structural.uuas(gold, gold, keep) == (5, 5)
    assert structural.uuas(gold, 3.0 * gold + 1, keep) == (5, 5)
    assert structural.uuas(gold, gold, np.ones(7, bool)) == (6, 6)
    chain = np.abs(np.subtract.outer(np.arange(7), np.arange(7)))  # neighbours are joined
    assert structural.uuas(gold, chain, keep) == (3, 5)  # the-cat, cat-sat, the-mat
    assert structural.uuas(gold, gold, np.zeros(7, bool)) == (0, 0)
    with pytest.raises(ValueError, match=r"expected two matrices \(6, 6\)"):
        structural.uuas(gold, gold, keep[:6])


def test_a_gold_tree_that_punctuation_held_together_is_joined_by_its_next_distances():
    # "a , b c": the comma is the head of all; without it only distances of 2 are left.
    gold = structural.tree_distances(np.array([2, 0, 2, 2]))
    keep = np.array([True, False, True, True])
    assert structural.spanning_edges(gold, keep).tolist() == [[0, 2], [0, 3]]  # earlier words first
    assert structural.uuas(gold, gold, keep) == (2, 2)
    # "a , b c": a -> , -> b -> c: the edge b-c is the tree's own, a-b stands for the path over the comma.
    gold = structural.tree_distances(np.array([0, 1, 2, 3]))
    assert structural.spanning_edges(gold, keep).tolist() == [[0, 2], [2, 3]]


def test_root_accuracy_by_hand():
    keep = np.array([True] * 6 + [False])
    depths = np.array(CAT_DEPTHS)
    assert structural.root_accuracy(depths, depths + 0.3, keep) == (1, 1)
    assert structural.root_accuracy(depths, np.array([2, 0.5, 1, 2, 2, 1, 1]), keep) == (0, 1)
    assert structural.root_accuracy(depths, np.array([2, 1, 0.5, 2, 2, 1, -9]), keep) == (1, 1)
    assert structural.root_accuracy(depths, depths, np.arange(7) != 2) == (0, 0)  # its root is left out
    with pytest.raises(ValueError, match="unlike shapes"):
        structural.root_accuracy(depths, depths[1:], keep)


@given(st.integers(2, 12), st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_correlations_are_scipys(n, seed):
    rng = np.random.default_rng(seed)
    gold = structural.tree_distances(random_heads(n, rng))
    predicted = np.round(rng.random((2, n, n)) * 4)  # with ties
    for self_pair in (True, False):
        found = structural.row_spearman(gold, predicted, self_pair=self_pair)
        assert found.shape == (2, n)
        for k in range(2):
            for i in range(n):
                columns = np.arange(n) if self_pair else np.delete(np.arange(n), i)
                a, b = gold[i, columns], predicted[k, i, columns]
                if len(columns) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
                    assert np.isnan(found[k, i])
                else:
                    assert found[k, i] == pytest.approx(scipy.stats.spearmanr(a, b).statistic, abs=1e-12)


def test_undefined_correlations_are_left_out():
    # A flat tree: its root is as far from every other word, so its row is constant without the self pair.
    gold = structural.tree_distances(np.array([0, 1, 1, 1, 1, 1]))
    rows = structural.row_spearman(gold, gold, self_pair=False)
    assert np.isnan(rows[0]) and rows[1:] == pytest.approx(np.ones(5))
    assert structural.distance_spearman([gold], [gold], self_pair=False) == pytest.approx(1)
    tiny = structural.tree_distances(np.array([0, 1]))
    assert structural.row_spearman(tiny, tiny) == pytest.approx([1, 1])
    assert np.isnan(structural.row_spearman(tiny, tiny, self_pair=False)).all()
    assert np.isnan(structural.row_spearman(np.zeros((1, 1)), np.zeros((1, 1)), self_pair=False)).all()
    assert np.isnan(structural.distance_spearman([tiny], [tiny]))  # no sentence of 5 to 50 words


def test_distance_and_depth_correlations_are_averaged_by_length():
    rng = np.random.default_rng(3)
    trees = [random_heads(n, rng) for n in (3, 5, 5, 8, 8, 8, 60)]
    gold = [structural.tree_distances(heads) for heads in trees]
    predicted = [g + rng.random(g.shape) * 3 for g in gold]
    by_length = {5: [], 8: []}
    for g, p in zip(gold, predicted, strict=True):
        if len(g) in by_length:
            by_length[len(g)] += [scipy.stats.spearmanr(a, b).statistic for a, b in zip(g, p, strict=True)]
    expected = np.mean([np.mean(rows) for rows in by_length.values()])
    assert structural.distance_spearman(gold, predicted) == pytest.approx(expected)

    depths = [structural.tree_depths(heads) for heads in trees]
    guessed = [d + rng.random(len(d)) * 2 for d in depths]
    by_length = {5: [], 8: []}
    for d, p in zip(depths, guessed, strict=True):
        if len(d) in by_length:
            by_length[len(d)].append(scipy.stats.spearmanr(d, p).statistic)
    expected = np.mean([np.mean(rows) for rows in by_length.values()])
    assert structural.depth_spearman(depths, guessed) == pytest.approx(expected)


@pytest.mark.parametrize(("n", "lift"), [(5, 0.51), (10, 0.28), (20, 0.14)])
def test_the_self_pair_lifts_random_predictions(n, lift):
    rng = np.random.default_rng(4)
    gold = [structural.tree_distances(random_heads(n, rng)) for _ in range(300)]
    predicted = [np.where(np.eye(n), 0, rng.random((n, n))) for _ in gold]
    assert structural.distance_spearman(gold, predicted) == pytest.approx(lift, abs=0.04)
    assert structural.distance_spearman(gold, predicted, self_pair=False) == pytest.approx(0, abs=0.03)


def test_means_over_lengths_by_hand():
    lengths = np.array([5, 5, 6, 7, 4, 51])
    sums, counts = np.array([1.0, 2, 3, 0, 9, 9])[:, None], np.array([2.0, 2, 6, 0, 1, 1])[:, None]
    # Length 5: 3 of 4; length 6: 3 of 6; at 7 there is nothing to score; 4 and 51 do not count.
    assert structural.mean_over_lengths(lengths, sums, counts) == pytest.approx([(0.75 + 0.5) / 2])
    assert np.isnan(structural.mean_over_lengths(lengths[4:], sums[4:], counts[4:])).all()


def test_resampled_means_keep_every_length_and_are_paired():
    rng = np.random.default_rng(0)
    lengths = np.concatenate([rng.integers(5, 20, 300), [40, 45]])
    counts = np.repeat(lengths[:, None], 2, 1).astype(float)
    sums = rng.random((302, 2)) * counts
    sums[:, 1] = sums[:, 0] + 0.1 * counts[:, 0]  # the second is the first and a tenth more
    options = dict(n_resamples=2000, seed=1)
    samples = structural.resampled_means(lengths, sums, counts, **options)
    assert samples.shape == (2000, 2)
    np.testing.assert_allclose(samples[:, 1] - samples[:, 0], 0.1)
    value = structural.mean_over_lengths(lengths, sums, counts)
    assert abs(samples.mean(0) - value).max() < 3 * samples.std() / np.sqrt(2000)
    assert np.array_equal(samples, structural.resampled_means(lengths, sums, counts, **options))
    # In closed form, were all deviations of one variance: the mean over K lengths of m sentences each.
    _, times = np.unique(lengths, return_counts=True)
    expected = np.sqrt((1 / times).sum() / 12) / len(times)
    assert samples[:, 0].std() == pytest.approx(expected, rel=0.15)


def test_evaluation_gives_what_the_single_scores_give():
    heads, lengths = forest(40, seed=17, longest=9)
    rng = np.random.default_rng(6)
    states = [rng.standard_normal((len(heads), 6)).astype(np.float16) for _ in range(2)]
    data = structural.Parsed(states, heads, lengths)
    keep = rng.random(len(heads)) < 0.8
    probes = torch.tensor(rng.standard_normal((2, 4, 6)), dtype=torch.float32)
    distance = structural.evaluate("distance", probes, data, keep)
    depth = structural.evaluate("depth", probes, data, keep)
    gold, predicted, depths, guessed = [], ([], []), [], ([], [])
    edges = 0
    for i, (start, n) in enumerate(zip(data.starts, lengths, strict=True)):
        at = slice(start, start + n)
        gold.append(structural.tree_distances(heads[at]))
        depths.append(structural.tree_depths(heads[at]))
        more = max(keep[at].sum() - 1, 0)
        for layer in range(2):
            vectors = states[layer][at].astype(np.float64) @ probes[layer].double().numpy().T
            predicted[layer].append(((vectors[:, None] - vectors[None]) ** 2).sum(-1))
            guessed[layer].append((vectors**2).sum(-1))
            counted = structural.uuas(gold[i], predicted[layer][i], keep[at])
            assert counted == (distance["uuas_sum"][i, layer], distance["uuas_count"][i, layer])
            drawn = distance["edges"][layer, edges : edges + more]
            np.testing.assert_array_equal(drawn, structural.spanning_edges(predicted[layer][i], keep[at]))
            counted = structural.root_accuracy(depths[i], guessed[layer][i], keep[at])
            assert counted == (depth["root_acc_sum"][i, layer], depth["root_acc_count"][i, layer])
        edges += more
    assert distance["edges"].shape == (2, edges, 2)
    for layer in range(2):
        for metric, expected in (
            ("distance_spearman", structural.distance_spearman(gold, predicted[layer])),
            (
                "distance_spearman_no_self",
                structural.distance_spearman(gold, predicted[layer], self_pair=False),
            ),
        ):
            sums, counts = distance[f"{metric}_sum"], distance[f"{metric}_count"]
            found = structural.mean_over_lengths(lengths, sums, counts)[layer]
            assert found == pytest.approx(expected, abs=1e-4)
        sums, counts = depth["depth_spearman_sum"], depth["depth_spearman_count"]
        found = structural.mean_over_lengths(lengths, sums, counts)[layer]
        assert found == pytest.approx(structural.depth_spearman(depths, guessed[layer]), abs=1e-4)
