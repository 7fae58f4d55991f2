"""Structural probes (Hewitt and Manning 2019): is there a linear map under which a layer shows the tree?

A probe is a matrix B (rank, d). The distance probe asks that the squared distance of two words' vectors
under B be the number of edges between them in the dependency tree; the depth probe that the squared norm
of a word's vector be its depth. The probes of all layers are trained at once, on the same sentences in
the same order, each with its own optimiser state, rate and end: the result is that of training each alone.

Squared distances come from Gram matrices, |p_i|^2 + |p_j|^2 - 2 p_i.p_j with p = B h, so that nothing of
shape (n_words, n_words, rank) ever exists, and the gradients are written out: with S the signs of the
errors, divided as the loss divides them, dL/dp_i = 4 (p_i sum_j S_ij - sum_j S_ij p_j).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from helpers import precision
from helpers.corpora.records import Sentence
from helpers.probing import layerwise
from helpers.profiles import StructuralRecipe

KINDS = ("distance", "depth")
METRICS = {
    "distance": ("uuas", "distance_spearman", "distance_spearman_no_self"),
    "depth": ("root_acc", "depth_spearman"),
}
PUNCTUATION = "PUNCT"  # UD's tag of the words that UUAS and root accuracy leave out
NEAREST = 30  # sentences of similar length that a length's spread is estimated by
LENGTHS = range(5, 51)  # of the sentences over which correlations are averaged
GAIN = 1e-4  # a fall of the loss on held-out data that counts as one
GROUPS = 4  # of similar length that a batch is split into, each padded separately
EVALUATION_WORDS = 2048  # in a batch that is only looked at


@dataclass(frozen=True, eq=False)
class Parsed:
    """The words of sentences, one after the other, with a vector per layer, and the sentences' trees.

    ``states`` holds for each layer an array (n_words, d), memory-mapped or not; ``heads`` (n_words,) the
    1-based position of each word's head in its sentence, 0 for the root; ``lengths`` (n_sentences,).
    Raises ValueError if these do not fit together.
    """

    states: Sequence[np.ndarray]
    heads: np.ndarray
    lengths: np.ndarray

    def __post_init__(self) -> None:
        n_words = int(np.sum(self.lengths))
        sizes = {len(self.heads), *(len(layer) for layer in self.states)}
        if not len(self.lengths) or min(self.lengths) < 1 or sizes != {n_words}:
            raise ValueError(
                f"{len(self.lengths)} sentences of {n_words} words in all, but {len(self.heads)} heads and "
                f"vectors of {[len(layer) for layer in self.states]} words; no sentence may be empty"
            )

    @cached_property
    def starts(self) -> np.ndarray:
        """Position of each sentence's first word, (n_sentences,)."""
        return np.cumsum(self.lengths) - self.lengths

    @property
    def n_layers(self) -> int:
        return len(self.states)

    @property
    def width(self) -> int:
        return self.states[0].shape[1]


# -- trees -----------------------------------------------------------------------------------------


def arrays(sentences: Sequence[Sentence]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Heads (n_words,), lengths (n_sentences,) and, false for punctuation, keep (n_words,)."""
    heads = np.array([head for sentence in sentences for head in sentence.heads])
    keep = np.array([tag != PUNCTUATION for sentence in sentences for tag in sentence.upos])
    return heads, np.array([len(sentence.words) for sentence in sentences]), keep


def paths(heads: ArrayLike, lengths: ArrayLike) -> np.ndarray:
    """Which words lie on each word's path to the root, itself included: (n_words, longest) of 0 and 1.

    ``heads`` (n_words,) are those of sentences one after the other, 1-based, 0 for the root; column j stands
    for word j of the word's own sentence. Squared distances of the rows of one sentence are the distances
    in its tree, and a row's sum minus one is the word's depth. float32. Raises ValueError for heads out of
    range or in a cycle.
    """
    heads, sizes = np.asarray(heads), np.asarray(lengths)
    longest = int(sizes.max())
    size = np.repeat(sizes, sizes)
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    if (heads < 0).any() or (heads > size).any():
        wrong = int(np.argmax((heads < 0) | (heads > size)))
        raise ValueError(f"head {heads[wrong]} in a sentence of {size[wrong]} words")
    words = np.arange(len(heads))
    on_path = np.zeros((len(heads), longest), np.float32)
    at = words
    for _ in range(longest):
        on_path[words, at - first[words]] = 1
        below = heads[at] > 0  # those whose path goes on
        words, at = words[below], at[below]
        at = first[words] + heads[at] - 1
        if not len(words):
            return on_path
    raise ValueError("the heads of a sentence form a cycle")


def tree_depths(heads: np.ndarray) -> np.ndarray:
    """Edges between each word of a sentence and its root, (n,), given 1-based heads (n,)."""
    return paths(heads, [len(heads)]).sum(1).astype(np.int64) - 1


def tree_distances(heads: np.ndarray) -> np.ndarray:
    """Edges between any two words of a sentence, (n, n), given 1-based heads (n,)."""
    return _distances(paths(heads, [len(heads)])).astype(np.int64)


def _distances(on_path: np.ndarray) -> np.ndarray:
    """Squared distances of rows of 0 and 1, (..., n, n) of (..., n, k)."""
    size = on_path.sum(-1)
    common = on_path @ on_path.swapaxes(-1, -2)
    return size[..., :, None] + size[..., None, :] - 2 * common


# -- training --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Group:
    """Sentences of a batch that are of about one length, padded to the longest, with their distances."""

    at: torch.Tensor  # (m * n,) position of each word in the batch; padding repeats the last word
    gold: torch.Tensor  # (m, n, n)
    weight: torch.Tensor  # (m, n, n) the share of an error in the batch's loss; 0 for padding


@dataclass(frozen=True, eq=False)
class _Batch:
    """Sentences one after the other, with their depths or, in groups, their distances."""

    rows: np.ndarray  # (n_words,) of the states
    depth: torch.Tensor | None = None  # (n_words,)
    weight: torch.Tensor | None = None  # (n_words,) the share of a word's error in the batch's loss
    groups: tuple[_Group, ...] = ()


def _batch(kind: str, data: Parsed, chosen: np.ndarray, device: torch.device) -> _Batch:
    chosen = chosen[np.argsort(data.lengths[chosen], kind="stable")]
    lengths = data.lengths[chosen]
    starts = np.cumsum(lengths) - lengths
    rows = np.arange(lengths.sum()) + np.repeat(data.starts[chosen] - starts, lengths)
    on_path = paths(data.heads[rows], lengths)
    if kind == "depth":
        share = np.repeat(1 / (lengths * len(chosen)), lengths)
        depth, weight = _tensors(device, on_path.sum(1) - 1, share)
        return _Batch(rows, depth, weight)
    groups = []
    for part in np.array_split(np.arange(len(chosen)), min(GROUPS, len(chosen))):
        size = lengths[part][:, None]
        columns = np.arange(size.max())
        at = starts[part][:, None] + np.minimum(columns, size - 1)
        gold = _distances(on_path[at, : len(columns)])
        share = (columns < size) / size
        weight = share[:, :, None] * share[:, None, :] / len(chosen)
        groups.append(_Group(torch.from_numpy(at.ravel()).to(device), *_tensors(device, gold, weight)))
    return _Batch(rows, groups=tuple(groups))


def _tensors(device: torch.device, *arrays: np.ndarray) -> Iterator[torch.Tensor]:
    return (torch.from_numpy(x.astype(np.float32, copy=False)).to(device) for x in arrays)


def _read(
    states: Sequence[np.ndarray], layers: Sequence[int], rows: np.ndarray, device: torch.device
) -> torch.Tensor:
    """Vectors of some words at some layers, (n_layers, n_rows, d) float32."""
    first = states[layers[0]]
    block = np.empty((len(layers), len(rows), first.shape[1]), first.dtype)
    for number, layer in enumerate(layers):
        np.take(states[layer], rows, axis=0, out=block[number], mode="clip")
    return torch.from_numpy(block).to(device).float()


def _losses(projected: torch.Tensor, batch: _Batch, slopes: torch.Tensor | None = None) -> torch.Tensor:
    """Loss of each layer, (n_layers,), of words (n_layers, n_words, rank) as the probes show them.

    ``slopes``, zeros of the same shape, receives the derivatives.
    """
    if batch.depth is not None and batch.weight is not None:
        errors = projected.square().sum(-1) - batch.depth
        if slopes is not None:
            torch.mul(projected, 2 * (errors.sign() * batch.weight)[..., None], out=slopes)
        return errors.abs() @ batch.weight
    n_layers, _, rank = projected.shape
    losses = projected.new_zeros(n_layers)
    for group in batch.groups:
        m, n, _ = group.gold.shape
        vectors = projected.index_select(1, group.at).view(n_layers * m, n, rank)
        errors = _squared_distances(vectors).view(n_layers, m, n, n) - group.gold
        losses += (errors.abs() * group.weight).flatten(1).sum(1)
        if slopes is not None:
            signs = errors.sign_().mul_(group.weight).view(n_layers * m, n, n)
            slope = torch.baddbmm(vectors * signs.sum(-1, keepdim=True), signs, vectors, beta=4, alpha=-4)
            slopes.index_add_(1, group.at, slope.view(n_layers, m * n, rank))
    return losses


def _squared_distances(vectors: torch.Tensor) -> torch.Tensor:
    """Between the rows of each matrix, (k, n, n) of (k, n, rank)."""
    square = vectors.square().sum(-1)
    return (square[:, :, None] + square[:, None, :]).baddbmm_(vectors, vectors.mT, alpha=-2)


class _Loss(torch.autograd.Function):
    """Losses (n_layers,) of probes (n_layers, rank, d) on words (n_layers, n_words, d)."""

    @staticmethod
    def forward(context: Any, weights: torch.Tensor, words: torch.Tensor, batch: _Batch) -> torch.Tensor:
        projected = words @ weights.mT
        slopes = torch.zeros_like(projected)
        losses = _losses(projected, batch, slopes)
        context.save_for_backward(slopes, words)
        return losses

    @staticmethod
    def backward(context: Any, factors: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        slopes, words = context.saved_tensors
        return (slopes * factors[:, None, None]).mT @ words, None, None


def fit(
    kind: str,
    train: Parsed,
    dev: Parsed,
    *,
    rank: int,
    recipe: StructuralRecipe,
    seed: int,
    device: str = "auto",
    folder: Path | None = None,
) -> layerwise.Trained:
    """Train the distance or the depth probes of all layers: parameter ``B`` (n_layers, rank, d).

    The recipe of Hewitt and Manning (2019) and their code: entries of B from U(-.05, .05); the L1 loss of a
    sentence divided by the square of its length (distance) or its length (depth), averaged over the
    sentences of a batch; Adam; after an epoch in which the loss on ``dev`` falls by less than 1e-4 the rate
    is multiplied by ``recipe.decay``, and after ``recipe.stop_after`` such epochs in a row the layer is
    done. Its probe is the one that was best on ``dev``; its score is that loss, negative. ``seed`` draws
    the first B, the same for all layers, and the order of the sentences. With a ``folder`` training
    resumes from what an earlier run left there.

    Raises ValueError for an unknown kind, or for data whose layers or widths differ.
    """
    _check_kind(kind)
    if {x.shape[1] for x in (*train.states, *dev.states)} != {train.width} or train.n_layers != dev.n_layers:
        raise ValueError("train and dev must have the same layers, all of one width")
    place = precision.device(device)
    generator = torch.Generator().manual_seed(seed)
    first = torch.empty(rank, train.width).uniform_(-0.05, 0.05, generator=generator)
    steps = -(-len(train.lengths) // recipe.batch_size)  # in an epoch

    def loss(parameters: layerwise.Parameters, layers: list[int], step: int) -> torch.Tensor:
        epoch, number = divmod(step, steps)
        order = np.random.default_rng([seed, epoch]).permutation(len(train.lengths))
        chosen = order[number * recipe.batch_size : (number + 1) * recipe.batch_size]
        batch = _batch(kind, train, chosen, place)
        return _Loss.apply(parameters["B"], _read(train.states, layers, batch.rows, place), batch)

    def validate(parameters: layerwise.Parameters, layers: list[int]) -> list[float]:
        total = torch.zeros(len(layers), dtype=torch.float64)
        for chosen in _by_length(dev.lengths):
            batch = _batch(kind, dev, chosen, place)
            words = _read(dev.states, layers, batch.rows, place)
            total += _losses(words @ parameters["B"].mT, batch).cpu() * len(chosen)
        return (-total / len(dev.lengths)).tolist()

    return layerwise.train(
        {"B": first.expand(train.n_layers, -1, -1).clone().to(place)},
        loss,
        validate,
        layerwise.Schedule.by_epoch(recipe, steps, GAIN),
        what=f"{kind} probes, training steps",
        folder=folder,
    )


def predictions(
    kind: str, weights: torch.Tensor, data: Parsed, *, device: str = "auto"
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """What probes predict: pairs of (numbers of sentences of one length n, their predictions).

    ``weights`` (n_layers, rank, d). Predictions are (n_layers, n_sentences, n, n) squared distances,
    symmetric with a diagonal of exactly 0, or (n_layers, n_sentences, n) squared norms; float32.
    """
    _check_kind(kind)
    place = precision.device(device)
    maps = torch.as_tensor(weights).to(place).mT
    for n in np.unique(data.lengths):
        same = np.flatnonzero(data.lengths == n)
        for part in np.array_split(same, -(-len(same) * n // EVALUATION_WORDS)):
            rows = (data.starts[part][:, None] + np.arange(n)).ravel()
            vectors = _read(data.states, range(data.n_layers), rows, place) @ maps
            if kind == "depth":
                predicted = vectors.square().sum(-1)
            else:
                predicted = _squared_distances(vectors.view(-1, n, vectors.shape[-1]))
                predicted = ((predicted + predicted.mT) / 2).clamp_(min=0)
                predicted.diagonal(dim1=-2, dim2=-1).zero_()
            shape = (data.n_layers, len(part), *[n] * (1 if kind == "depth" else 2))
            yield part, predicted.view(shape).cpu().numpy()


def _by_length(lengths: np.ndarray) -> Iterator[np.ndarray]:
    """Numbers of the sentences, shortest first, in parts of some ``EVALUATION_WORDS`` words."""
    order = np.argsort(lengths, kind="stable")
    part = np.cumsum(lengths[order]) // EVALUATION_WORDS
    yield from np.split(order, np.flatnonzero(np.diff(part)) + 1)


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"unknown kind of probe {kind!r}; valid: {', '.join(KINDS)}")


# -- scores ----------------------------------------------------------------------------------------


def spanning_edges(distances: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Edges of minimum spanning trees of the words kept, (..., n_kept - 1, 2) positions, first < second.

    ``distances`` (..., n, n) are symmetric, ``keep`` (n,) booleans. Of equal distances the one of the
    earlier words is taken, as in Hewitt and Manning's code, so there is only one such tree. Prim's algorithm
    (1957), on all matrices at once.
    """
    kept = np.flatnonzero(keep)
    size = max(len(kept) - 1, 0)
    first, second = np.triu_indices(len(kept), 1)
    values = np.asarray(distances)[..., kept[first], kept[second]]
    edges = np.zeros((*values.shape[:-1], size, 2), int)
    if size == 0:
        return edges
    values = values.reshape(-1, len(first))
    n_trees = len(values)
    each = np.arange(n_trees)
    # Ranks for distances: no two are alike.
    ranks = np.zeros((n_trees, len(kept), len(kept)))
    order = np.argsort(values, axis=-1, kind="stable")
    ranks[each[:, None], first[order], second[order]] = np.arange(len(first))
    ranks += ranks.swapaxes(1, 2)
    outside = np.ones((n_trees, len(kept)), bool)  # of the tree grown so far
    nearest = np.zeros((n_trees, len(kept)), int)  # word inside that each is nearest to, and how near
    near = np.full((n_trees, len(kept)), np.inf)
    new = np.zeros(n_trees, int)
    flat = edges.reshape(n_trees, size, 2)
    for number in range(size):
        outside[each, new] = False
        near[each, new] = np.inf
        closer = outside & (ranks[each, new] < near)
        np.copyto(near, ranks[each, new], where=closer)
        np.copyto(nearest, new[:, None], where=closer)
        new = near.argmin(1)
        flat[:, number] = kept[np.sort(np.stack([nearest[each, new], new], axis=1), axis=1)]
    in_order = np.lexsort((flat[..., 1], flat[..., 0]))[..., None]
    return np.take_along_axis(flat, in_order, 1).reshape(edges.shape)


def uuas(gold_distances: np.ndarray, predicted_distances: np.ndarray, keep: np.ndarray) -> tuple[int, int]:
    """Correctly predicted edges of a sentence's tree, and all its edges: undirected unlabelled attachment.

    Both distances are (n, n), ``keep`` (n,) is false for words left out (punctuation). Both trees are the
    minimum spanning trees of the words kept (:func:`spanning_edges`). Where a word left out had
    dependents, the gold tree falls apart and is joined again by its next shortest distances, as in Hewitt
    and Manning's code. Sum both numbers over sentences and divide. Raises ValueError for unlike shapes.
    """
    gold, predicted, keep = np.asarray(gold_distances), np.asarray(predicted_distances), np.asarray(keep)
    n = len(keep)
    if gold.shape != (n, n) or predicted.shape != (n, n):
        raise ValueError(f"expected two matrices ({n}, {n}), got {gold.shape} and {predicted.shape}")
    edges = spanning_edges(gold, keep)
    return _in_common(edges, spanning_edges(predicted, keep), n), len(edges)


def _in_common(a: np.ndarray, b: np.ndarray, n: int) -> int:
    return len(np.intersect1d(a @ [n, 1], b @ [n, 1], assume_unique=True))


def root_accuracy(gold_depths: np.ndarray, predicted_depths: np.ndarray, keep: np.ndarray) -> tuple[int, int]:
    """Whether the least deep of the words kept is the root: (1 or 0, 1), or (0, 0) if the root is left out.

    All arguments are (n,). Hewitt and Manning count a sentence whose root is punctuation as wrong; here it
    does not count. Sum both numbers over sentences and divide. Raises ValueError for unlike shapes.
    """
    gold, predicted, keep = np.asarray(gold_depths), np.asarray(predicted_depths), np.asarray(keep)
    if not gold.shape == predicted.shape == keep.shape:
        raise ValueError(f"unlike shapes {gold.shape}, {predicted.shape} and {keep.shape}")
    root = int(gold.argmin())
    if not keep[root]:
        return 0, 0
    return int(np.where(keep, predicted, np.inf).argmin() == root), 1


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Spearman's correlation along the last axis, (...): mid-ranks for ties, NaN if either is constant."""
    n = np.shape(a)[-1]
    if n == 0:
        return np.full(np.broadcast_shapes(np.shape(a), np.shape(b))[:-1], np.nan)
    a, b = (rankdata(x, axis=-1) - (n + 1) / 2 for x in (a, b))  # ranks have that mean, ties or not
    product, norm = (a * b).sum(-1), np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    return np.divide(product, norm, out=np.full(product.shape, np.nan), where=norm > 0)


def row_spearman(gold: np.ndarray, predicted: np.ndarray, *, self_pair: bool = True) -> np.ndarray:
    """Correlation of each word's gold and predicted distances to the words of its sentence, (..., n).

    ``gold`` and ``predicted`` are (..., n, n), leading axes broadcast. With ``self_pair`` a row includes
    the word itself, at distance 0 in both. NaN where a row is constant: always if it has fewer than two
    entries, and without the self pair for a word as far from every other (the root of a flat tree).
    """
    gold, predicted = np.asarray(gold), np.asarray(predicted)
    if not self_pair:
        n = gold.shape[-1]
        others = ~np.eye(n, dtype=bool)
        gold, predicted = (x[..., others].reshape(*x.shape[:-1], n - 1) for x in (gold, predicted))
    return spearman(gold, predicted)


def distance_spearman(
    gold_distances: Sequence[np.ndarray], predicted_distances: Sequence[np.ndarray], *, self_pair: bool = True
) -> float:
    """Mean correlation of gold and predicted distances, as Hewitt and Manning average it.

    Both arguments have one matrix (n, n) per sentence, punctuation included. The correlations of rows
    (:func:`row_spearman`, undefined ones left out) are averaged over all words of the sentences of one
    length, then over the lengths from 5 to 50 that occur. NaN if none does.

    ``self_pair=True`` is the published score: each row then has one entry that any prediction has right,
    which lifts even random predictions, to .5 for sentences of 5 words and to .14 for 20.
    """
    pairs = zip(gold_distances, predicted_distances, strict=True)
    return _average(gold_distances, [row_spearman(g, p, self_pair=self_pair) for g, p in pairs])


def depth_spearman(gold_depths: Sequence[np.ndarray], predicted_depths: Sequence[np.ndarray]) -> float:
    """Mean correlation of gold and predicted depths: a sentence's, averaged as :func:`distance_spearman`.

    Both arguments have one array (n,) per sentence, punctuation included.
    """
    pairs = zip(gold_depths, predicted_depths, strict=True)
    return _average(gold_depths, [spearman(g, p) for g, p in pairs])


def _average(sentences: Sequence[np.ndarray], correlations: list[np.ndarray]) -> float:
    sums = np.array([np.nansum(c) for c in correlations])
    counts = np.array([np.isfinite(c).sum() for c in correlations])
    return float(mean_over_lengths([len(s) for s in sentences], sums, counts))


def mean_over_lengths(lengths: ArrayLike, sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean for each sentence length, then over the lengths 5 to 50 that occur: (...).

    ``lengths`` (n_sentences,); ``sums`` and ``counts`` (n_sentences, ...) of what is averaged. NaN if no such
    length occurs.
    """
    sizes = np.asarray(lengths)
    occurring = np.intersect1d(sizes, LENGTHS)
    if not len(occurring):
        return np.full(sums.shape[1:], np.nan)
    parts = [(sums[sizes == n].sum(0), counts[sizes == n].sum(0)) for n in occurring]
    return np.nanmean([_divided(*part) for part in parts], axis=0)


def _divided(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Means, NaN where there is nothing to average."""
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)


def resampled_means(
    lengths: ArrayLike, sums: np.ndarray, counts: np.ndarray, *, n_resamples: int, seed: int
) -> np.ndarray:
    """Resamples of :func:`mean_over_lengths`, given the lengths that occur: (n_resamples, ...).

    A plain bootstrap loses rare lengths and finds no spread at a length that occurs once: its intervals are
    off centre and cover 85 to 92 %. Here every length keeps its number of sentences, and their deviations
    from the mean of their length are drawn from those of the ``NEAREST`` sentences of similar length. The
    same lengths, seed and number of resamples give the same draws, whatever is averaged.
    """
    sizes = np.asarray(lengths)
    occurring, times = np.unique(sizes[np.isin(sizes, LENGTHS)], return_counts=True)
    several = np.flatnonzero(np.isin(sizes, occurring[times > 1]))
    deviations = np.zeros(sums.shape)
    for n, m in zip(occurring[times > 1], times[times > 1], strict=True):
        here = sizes == n
        mean = _divided(sums[here].sum(0), counts[here].sum(0))
        off = _divided(sums[here], counts[here]) - mean
        deviations[here] = np.nan_to_num(off) * np.sqrt(m / (m - 1))
    generator = np.random.default_rng(seed)
    drawn = np.zeros((n_resamples, len(sizes)))  # how much each sentence's deviation weighs
    for n, m in zip(occurring, times, strict=True):
        order = np.argsort(abs(sizes[several] - n), kind="stable")
        near = several[order[: max(NEAREST, m)]]
        if len(near):
            picks = near[generator.integers(len(near), size=(n_resamples, m))]
            np.add.at(drawn, (np.arange(n_resamples)[:, None], picks), 1 / (m * len(occurring)))
            drawn[:, near] -= 1 / (len(near) * len(occurring))  # their own mean is not quite 0
    return mean_over_lengths(lengths, sums, counts) + np.tensordot(drawn, deviations, 1)


def evaluate(
    kind: str, weights: torch.Tensor, data: Parsed, keep: np.ndarray, *, device: str = "auto"
) -> dict[str, np.ndarray]:
    """All scores of probes by sentence and layer, as sums and counts from which means can be made.

    ``weights`` (n_layers, rank, d); ``keep`` (n_words,) is false for punctuation. For each metric,
    ``<metric>_sum`` and ``<metric>_count`` (n_sentences, n_layers): of a distance probe ``uuas``,
    ``distance_spearman`` (self pair included) and ``distance_spearman_no_self``, of a depth probe
    ``root_acc`` and ``depth_spearman``. uuas and root_acc are sums over sums, the others go to
    :func:`mean_over_lengths`. A distance probe also has ``edges`` (n_layers, n_edges, 2), the predicted
    trees of the sentences one after the other, as positions in their sentences.
    """
    shape = (len(data.lengths), data.n_layers)
    names = METRICS[kind]
    scores = {f"{m}_{what}": np.zeros(shape) for m in names for what in ("sum", "count")}
    trees: list = [None] * len(data.lengths)
    for part, predicted in predictions(kind, weights, data, device=device):
        at = data.starts[part][:, None] + np.arange(data.lengths[part[0]])
        gold = np.stack([(tree_distances if kind == "distance" else tree_depths)(data.heads[w]) for w in at])
        if kind == "distance":
            rows = {m: row_spearman(gold, predicted, self_pair=m == names[1]) for m in names[1:]}
        else:
            rows = {names[1]: spearman(gold, predicted)[..., None]}
        for metric, correlations in rows.items():
            scores[f"{metric}_sum"][part] = np.nansum(correlations, -1).T
            scores[f"{metric}_count"][part] = np.isfinite(correlations).sum(-1).T
        for number, sentence in enumerate(part):
            kept = keep[at[number]]
            if kind == "depth":
                pairs = [root_accuracy(gold[number], layer[number], kept) for layer in predicted]
            else:
                wanted = spanning_edges(gold[number], kept)
                trees[sentence] = spanning_edges(predicted[:, number], kept)
                n = len(kept)
                pairs = [(_in_common(wanted, edges, n), len(wanted)) for edges in trees[sentence]]
            scores[f"{names[0]}_sum"][sentence], scores[f"{names[0]}_count"][sentence] = zip(
                *pairs, strict=True
            )
    if kind == "distance":
        scores["edges"] = np.concatenate(trees, axis=1).astype(np.int16)
    return scores
