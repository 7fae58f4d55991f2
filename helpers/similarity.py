"""How alike two sets of representations of the same tokens are: RSA, CKA, Procrustes, SVCCA, PWCCA, cosine.

Every measure takes ``x`` of shape (n_tokens, d1) and ``y`` of shape (n_tokens, d2), row i of both
standing for token i, in any numeric type (float16 from the store included); the arithmetic is float64.
All of them raise ValueError for shapes that do not fit and for NaN or infinity, naming the row.

RSA (Kriegeskorte et al. 2008; as Merchant et al. 2020 use it) is the correlation between the strict
upper triangles of two n x n similarity matrices. For the cosine and its kin with Pearson's
correlation neither matrix is ever made: with rows z_i = mu + c_i, where the c_i sum to zero,

    z_i . z_j - |mu|^2  =  a_i + a_j + c_i . c_j,    a_i = mu . c_i,

and over all pairs, the diagonal included, two such matrices have the inner product
2 n sum_i a_i b_i + |Cx' Cy|_F^2: products of d x d size. What the diagonal adds is then subtracted.
Since each term is centred before it is squared, nothing is lost to cancellation when all cosines are
close to 1, as they are in a language model's upper layers.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import scipy.linalg
import scipy.stats
from numpy.typing import ArrayLike

_BLOCK = 256  # rows of a similarity matrix held at once
_REPLICATES = 256  # resamples weighted at once

Entry = TypeVar("Entry")


# Representations before they are compared -----------------------------------------------------------


def _raw(x: np.ndarray) -> np.ndarray:
    return x


def _centred(x: np.ndarray) -> np.ndarray:
    out = np.empty(x.shape, np.result_type(x, np.float32))
    return np.subtract(x, x.mean(axis=0, dtype=np.float64), out=out, casting="same_kind")


def _z_scored(x: np.ndarray) -> np.ndarray:
    out = _centred(x)
    deviation = np.sqrt(np.mean(np.square(out, dtype=np.float64), axis=0))
    constant = x.min(axis=0) == x.max(axis=0)
    out[:, constant] = 0
    deviation[constant] = 1
    return np.divide(out, deviation, out=out, casting="same_kind")


TRANSFORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "raw": _raw,
    "centred": _centred,
    "z-scored": _z_scored,
}


def transform(x: ArrayLike, how: str) -> np.ndarray:
    """``x`` (n_tokens, d) with its features left "raw", "centred", or "z-scored" over the tokens.

    A few features of large mean or variance dominate every cosine between raw representations; the
    other two variants remove the means, or the means and the scales. A constant feature becomes 0.
    Returns float32, or float64 where ``x`` has it; "raw" returns ``x`` itself. Raises ValueError for an
    unknown name, listing the valid ones.
    """
    return _lookup("transform", how, TRANSFORMS)(_array(x, "x"))


# RSA ------------------------------------------------------------------------------------------------


def _as_they_are(z: np.ndarray, name: str) -> None:
    pass


def _unit_rows(z: np.ndarray, name: str) -> None:
    length = np.sqrt(np.einsum("ij,ij->i", z, z))
    if not length.all():
        raise ValueError(f"{name}: row {np.argmin(length)} is all zeros, so its cosine is undefined")
    z /= length[:, None]


def _unit_deviations(z: np.ndarray, name: str) -> None:
    constant = z.min(axis=1) == z.max(axis=1)
    if constant.any():
        raise ValueError(
            f"{name}: row {np.argmax(constant)} is constant, so its correlation with others is undefined"
        )
    z -= z.mean(axis=1, keepdims=True)
    _unit_rows(z, name)


@dataclass(frozen=True)
class Kernel:
    """A similarity of two tokens: the inner product of their rows, or minus the distance of them."""

    rows: Callable[[np.ndarray, str], None]  # what is first done to all rows, in place
    distance: bool = False


KERNELS: dict[str, Kernel] = {
    "cosine": Kernel(_unit_rows),
    "correlation": Kernel(_unit_deviations),
    "dot": Kernel(_as_they_are),
    "euclidean": Kernel(_as_they_are, distance=True),
}


@dataclass(frozen=True)
class _Side:
    """One of the two representations, ready for its similarity matrix (up to a constant)."""

    name: str
    rows: np.ndarray  # (n, d) float64, features centred
    offset: np.ndarray  # (n,): a_i of the module's docstring; for a distance the rows' squared lengths
    scale: float  # what rounding errors of a similarity are relative to
    distance: bool

    def similarities(self, start: int, stop: int) -> np.ndarray:
        """Similarity of rows start..stop to rows start..n, (stop - start, n - start)."""
        block = self.rows[start:stop] @ self.rows[start:].T
        if self.distance:
            block *= -2
        block += self.offset[start:stop, None]
        block += self.offset[start:]
        if self.distance:
            np.maximum(block, 0, out=block)
            np.sqrt(block, out=block)
            np.negative(block, out=block)
        return block


def _side(x: np.ndarray, name: str, kernel: Kernel) -> _Side:
    rows = np.array(x, dtype=np.float64, order="C")
    kernel.rows(rows, name)
    squares = np.einsum("ij,ij->i", rows, rows)
    mean = rows.mean(axis=0)
    rows -= mean
    if kernel.distance:  # distances do not change when all rows move
        offset = np.einsum("ij,ij->i", rows, rows)
        scale = float(np.sqrt(squares.mean()))
    else:
        offset = rows @ mean
        scale = float(squares.mean())
    return _Side(name, rows, offset, scale, kernel.distance)


def rsa(x: ArrayLike, y: ArrayLike, *, kernel: str = "cosine", compare: str = "pearson") -> float:
    """Representational similarity: correlation of the upper triangles of two similarity matrices.

    ``x`` (n_tokens, d1), ``y`` (n_tokens, d2). ``kernel``, the similarity of two tokens: "cosine" (the
    paper's), "correlation" (the cosine of rows each centred on its own mean), "dot", or "euclidean"
    (minus the distance). ``compare``: "pearson" (the paper's) or "spearman". The n(n-1)/2 pairs are
    not independent: for an interval resample sentences (:func:`helpers.statistics.rsa_bootstrap`).

    Inner-product kernels with Pearson take O(n d^2) time (O(n^2 d) where n < d) and two float64 copies
    of the inputs; "euclidean" takes O(n^2 d) time in the same memory; "spearman" holds and ranks
    all pairs, about 70 bytes each. Raises ValueError for an unknown name (listing the valid ones), fewer
    than 3 tokens, a row whose cosine or correlation is undefined, or similarities that are all equal.
    """
    kind = _lookup("kernel", kernel, KERNELS)
    correlate = _lookup("comparison", compare, COMPARISONS)
    x, y = _matched(x, y, at_least=3)
    return correlate(_side(x, "x", kind), _side(y, "y", kind))


def _pearson(x: _Side, y: _Side) -> float:
    n = len(x.rows)
    if x.distance:
        return float(_weighted_pearson(x, y, np.zeros(n, int), np.ones((1, 1)))[0])
    diagonal_x = 2 * x.offset + np.einsum("ij,ij->i", x.rows, x.rows)
    diagonal_y = 2 * y.offset + np.einsum("ij,ij->i", y.rows, y.rows)
    pairs = n * (n - 1)

    def off_diagonal(
        a: np.ndarray, b: np.ndarray, diagonal_a: np.ndarray, diagonal_b: np.ndarray, products: float
    ) -> float:
        everywhere = 2 * n * (a @ b) + products
        return everywhere - diagonal_a @ diagonal_b - diagonal_a.sum() * diagonal_b.sum() / pairs

    products_xx, products_yy, products_xy = _squared_products(x.rows, y.rows)
    xx = off_diagonal(x.offset, x.offset, diagonal_x, diagonal_x, products_xx)
    yy = off_diagonal(y.offset, y.offset, diagonal_y, diagonal_y, products_yy)
    xy = off_diagonal(x.offset, y.offset, diagonal_x, diagonal_y, products_xy)
    _require_spread(x, xx, diagonal_x @ diagonal_x, pairs)
    _require_spread(y, yy, diagonal_y @ diagonal_y, pairs)
    return _within(xy / np.sqrt(xx * yy))


def _spearman(x: _Side, y: _Side) -> float:
    ranks_x, ranks_y = _pair_ranks(x), _pair_ranks(y)
    return _within(ranks_x @ ranks_y / np.sqrt((ranks_x @ ranks_x) * (ranks_y @ ranks_y)))


COMPARISONS: dict[str, Callable[[_Side, _Side], float]] = {"pearson": _pearson, "spearman": _spearman}


def _pair_ranks(side: _Side) -> np.ndarray:
    """Centred ranks of all pairs' similarities, (n (n - 1) / 2,) float64."""
    n = len(side.rows)
    # float32 lets similarities that differ by float64's rounding alone tie. Its own resolution is no
    # loss: inner products are centred, so that even cosines all between .999 and 1 stay in order.
    pairs = np.empty(n * (n - 1) // 2, np.float32)
    filled = 0
    for start, stop in _row_blocks(n):
        for row, similarities in enumerate(side.similarities(start, stop)):
            following = similarities[row + 1 :]
            pairs[filled : filled + len(following)] = following
            filled += len(following)
    low, high = float(pairs.min()), float(pairs.max())
    _require_spread(side, (high - low) ** 2, max(low**2, high**2), 1)
    ranks = scipy.stats.rankdata(pairs)
    ranks -= (len(pairs) + 1) / 2
    return ranks


def rsa_weighted(
    x: ArrayLike, y: ArrayLike, groups: ArrayLike, weights: ArrayLike, *, kernel: str = "cosine"
) -> np.ndarray:
    """RSA (Pearson) under many weightings of the sentences that the tokens come from.

    ``x`` (n_tokens, d1), ``y`` (n_tokens, d2); ``groups`` (n_tokens,) whole numbers, the sentence of each
    token; ``weights`` (n_resamples, n_sentences) >= 0, columns in the order of ``np.unique(groups)``.
    Returns (n_resamples,) correlations in which a pair of tokens from sentences s and t counts
    weight(s) x weight(t) times, and a pair of different tokens of one sentence s weight(s) times. With
    whole weights that is the RSA of a sample that holds each sentence that many times, in which no copy of a
    sentence is compared with another copy of it: such pairs would be tokens with themselves, or make
    pairs within a sentence twice as frequent as in the data and shift every resample by order
    1 / n_sentences (as much as the interval is wide where RSA is close to 1).

    Every pair is visited once, whatever the number of resamples: the similarities' sums, squares and
    products are added up by pairs of sentences and each resample is a quadratic form in them. Raises
    ValueError as :func:`rsa` does, and where a resample leaves fewer than two pairs that differ.
    """
    return _weighted_pearson(*_weighting(x, y, groups, weights, kernel))


def rsa_resampled(
    x: ArrayLike, y: ArrayLike, groups: ArrayLike, weights: ArrayLike, *, kernel: str = "cosine"
) -> np.ndarray:
    """:func:`rsa_weighted` to first order in the weights' distance from 1, for inner-product kernels.

    RSA is a function of five sums over pairs. A sentence's share in each is a product of d x d size, so
    no pair is ever formed: O(n d^2) time and O(n d) memory, then O(n_resamples x n_sentences). What is
    left out, the products of two sentences' deviations from 1, averages to zero over resamples and is of
    order 1 / n_sentences beside what is kept (the Hajek projection of a U-statistic; van der Vaart 1998,
    chapter 12). Raises ValueError as :func:`rsa_weighted` does, and for a distance.
    """
    side_x, side_y, sentence, weights = _weighting(x, y, groups, weights, kernel)
    if side_x.distance:
        raise ValueError(f"kernel {kernel!r} is a distance, which has no sums by sentence; use rsa_weighted")
    n = len(sentence)
    # Constants do not matter to a correlation; without them the squares' sums do not cancel.
    a, b = side_x.offset - side_x.offset.mean(), side_y.offset - side_y.offset.mean()
    diagonal_x = 2 * a + np.einsum("ij,ij->i", side_x.rows, side_x.rows)
    diagonal_y = 2 * b + np.einsum("ij,ij->i", side_y.rows, side_y.rows)

    def products(
        left: np.ndarray, a: np.ndarray, right: np.ndarray, b: np.ndarray, diagonals: np.ndarray
    ) -> np.ndarray:
        """Sum over j != i of similarity(i, j) x similarity'(i, j), (n,); a and b sum to zero."""
        sums = np.einsum("ij,ij->i", left @ (left.T @ right), right)
        sums += n * a * b + a @ b + right @ (a @ right) + left @ (b @ left)
        return sums - diagonals

    totals = np.stack(
        [
            n * a - diagonal_x,
            n * b - diagonal_y,
            products(side_x.rows, a, side_x.rows, a, diagonal_x**2),
            products(side_y.rows, b, side_y.rows, b, diagonal_y**2),
            products(side_x.rows, a, side_y.rows, b, diagonal_x * diagonal_y),
            np.full(n, n - 1.0),
        ]
    )
    starts = np.flatnonzero(np.diff(sentence, prepend=-1))
    totals = np.add.reduceat(totals, starts, axis=1)
    within = _within_sentences(side_x.rows, a, side_y.rows, b, sentence)
    # A sentence's pairs with the others change twice, as rows and as columns; those within it once.
    sums = totals.sum(axis=1)[:, None] + (2 * totals - within) @ (weights - 1.0).T
    return _correlations(side_x, side_y, sums[:5], sums[5])


def _within_sentences(
    x: np.ndarray, a: np.ndarray, y: np.ndarray, b: np.ndarray, sentence: np.ndarray
) -> np.ndarray:
    """Sums over ordered pairs of different tokens of one sentence, and those pairs' number, (6, n_sentences).

    The sums are those of :func:`_moments`; ``sentence`` (n_tokens,) ascends from 0.
    """
    n_sentences = int(sentence[-1]) + 1
    sums = np.zeros((6, n_sentences))
    for apart in range(1, int(np.bincount(sentence).max())):
        first = np.flatnonzero(sentence[apart:] == sentence[:-apart])
        second = first + apart
        pair_x = np.einsum("ij,ij->i", x[first], x[second]) + a[first] + a[second]
        pair_y = np.einsum("ij,ij->i", y[first], y[second]) + b[first] + b[second]
        for number, moment in enumerate((*_moments(pair_x, pair_y), np.ones(len(first)))):
            sums[number] += 2 * np.bincount(sentence[first], moment, n_sentences)
    return sums


def _weighting(
    x: ArrayLike, y: ArrayLike, groups: ArrayLike, weights: ArrayLike, kernel: str
) -> tuple[_Side, _Side, np.ndarray, np.ndarray]:
    """Both sides with their tokens in the sentences' order, each token's sentence from 0, the weights."""
    kind = _lookup("kernel", kernel, KERNELS)
    x, y = _matched(x, y, at_least=3)
    groups = np.asarray(groups)
    if groups.shape != (len(x),) or groups.dtype.kind not in "iu":
        raise ValueError(
            f"groups: expected {len(x)} whole numbers, one per token, got {groups.dtype} {groups.shape}"
        )
    names, sentence = np.unique(groups, return_inverse=True)
    weights = np.asarray(weights)
    if weights.ndim != 2 or weights.shape[1] != len(names):
        raise ValueError(
            f"weights: expected (n_resamples, {len(names)}), a column per sentence, got {weights.shape}"
        )
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("weights: must be finite and not negative")
    order = np.argsort(sentence, kind="stable")
    return _side(x[order], "x", kind), _side(y[order], "y", kind), sentence[order], weights


def _weighted_pearson(x: _Side, y: _Side, sentence: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """As :func:`rsa_weighted`; ``sentence`` (n_tokens,) ascends from 0, ``weights`` has a column for each."""
    n = len(sentence)
    sums = np.zeros((5, len(weights)))  # of x, y, xx, yy, xy over all pairs i < j
    shift_x = shift_y = 0.0
    for start, stop in _row_blocks(n):
        block_x, block_y = x.similarities(start, stop), y.similarities(start, stop)
        if start == 0:  # any number near the mean will do: it keeps the squares' sums from cancelling
            shift_x, shift_y = block_x.mean(), block_y.mean()
        block_x -= shift_x
        block_y -= shift_y
        rows, columns = sentence[start:stop], sentence[start:]
        done = np.tri(len(rows), dtype=bool)  # the diagonal, and pairs met before
        block_x[:, : len(rows)][done] = 0
        block_y[:, : len(rows)][done] = 0
        row_starts = np.flatnonzero(np.diff(rows, prepend=-1))
        column_starts = np.flatnonzero(np.diff(columns, prepend=-1))
        for number, value in enumerate(_moments(block_x, block_y)):
            by_sentence = np.add.reduceat(value, column_starts, axis=1)
            by_sentence = np.add.reduceat(by_sentence, row_starts, axis=0)
            for first in range(0, len(weights), _REPLICATES):
                some = weights[first : first + _REPLICATES, rows[0] :].astype(np.float64)
                here = some[:, : len(by_sentence)]
                total = np.einsum("rs,rs->r", here @ by_sentence, some)
                # Rows and columns start at the same sentence, so this diagonal is the pairs within one.
                total -= (here * here - here) @ np.diagonal(by_sentence)
                sums[number, first : first + _REPLICATES] += total
    sizes = np.bincount(sentence).astype(np.float64)
    across = (weights @ sizes) ** 2 - np.square(weights, dtype=np.float64) @ sizes**2
    pairs = (across + weights @ (sizes * (sizes - 1))) / 2
    return _correlations(x, y, sums, pairs)


def _correlations(x: _Side, y: _Side, sums: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Pearson's correlations from sums of x, y, xx, yy, xy over pairs, (5, n_resamples), and their number."""
    if not (pairs > 1).all():
        raise ValueError(f"resample {np.argmin(pairs)} leaves fewer than two pairs of different tokens")
    sum_x, sum_y, xx, yy, xy = sums
    spread_x = xx - sum_x**2 / pairs
    spread_y = yy - sum_y**2 / pairs
    _require_spread(x, spread_x, xx, pairs)
    _require_spread(y, spread_y, yy, pairs)
    return np.clip((xy - sum_x * sum_y / pairs) / np.sqrt(spread_x * spread_y), -1, 1)


def _moments(x: np.ndarray, y: np.ndarray) -> Iterator[np.ndarray]:
    yield x
    yield y
    yield x * x
    yield y * y
    yield x * y


def _row_blocks(n: int) -> Iterator[tuple[int, int]]:
    for start in range(0, n - 1, _BLOCK):
        yield start, min(start + _BLOCK, n)


def _require_spread(
    side: _Side, spread: float | np.ndarray, taken_away: float | np.ndarray, pairs: float | np.ndarray
) -> None:
    """Refuse a sum of squared deviations that is rounding error: of what it is the rest of, or of 0."""
    equal = np.less_equal(spread, np.maximum(1e-12 * taken_away, pairs * (1e-13 * side.scale) ** 2))
    if np.any(equal):
        where = f" in resample {np.argmax(equal)}" if np.size(equal) > 1 else ""
        raise ValueError(
            f"{side.name}: all tokens are equally similar to one another{where}, so RSA is undefined"
        )


# CKA, Procrustes, SVCCA, PWCCA ----------------------------------------------------------------------


def cka(x: ArrayLike, y: ArrayLike, *, debiased: bool = True) -> float:
    """Linear centred kernel alignment (Kornblith et al. 2019).

    ``x`` (n_tokens, d1), ``y`` (n_tokens, d2). The plain estimate lies in [0, 1] but is far from 0 for
    independent data unless n is many times d. ``debiased`` (the default) puts the unbiased estimator of
    HSIC (Song et al. 2012) in all three places: near 0 for independent data, at times slightly
    below, and never beyond [-1, 1]; the quotient itself keeps a small bias. Unchanged by rotations,
    reflections, shifts and one common scaling of the features.

    Raises ValueError for fewer than 3 tokens (4 if debiased) or representations all equal.
    """
    x, y = _matched(x, y, at_least=4 if debiased else 3)
    x, y = _centred_rows(x, "x"), _centred_rows(y, "y")
    n = len(x)
    xx, yy, xy = _squared_products(x, y)
    if debiased:
        # The kernel matrices' diagonals are what correlates by chance. With centred features all row
        # sums of the kernel matrices are zero, which leaves these two terms of Song's three.
        squares_x, squares_y = np.einsum("ij,ij->i", x, x), np.einsum("ij,ij->i", y, y)

        def unbiased(products: float, p: np.ndarray, q: np.ndarray) -> float:
            return products - n / (n - 2) * (p @ q) + p.sum() * q.sum() / ((n - 1) * (n - 2))

        floors = 1e-12 * xx, 1e-12 * yy
        xx, yy = unbiased(xx, squares_x, squares_x), unbiased(yy, squares_y, squares_y)
        xy = unbiased(xy, squares_x, squares_y)
        for name, value, floor in zip("xy", (xx, yy), floors, strict=True):
            if value <= floor:
                raise ValueError(f"{name}: all tokens are equally far apart, so debiased CKA is undefined")
    return _within(xy / np.sqrt(xx * yy))


def procrustes(x: ArrayLike, y: ArrayLike) -> float:
    """Similarity in [0, 1] left after the best rotation or reflection of one space onto the other.

    ``x`` (n_tokens, d1), ``y`` (n_tokens, d2) are centred and scaled to unit Frobenius norm; their
    Procrustes distance is then d^2 = 2 - 2 |X'Y|_* (nuclear norm; Ding et al. 2021). Returned is
    1 - d^2 / 2 = |X'Y|_*: 1 where the two differ only by rotation, reflection, shift and one
    common scale. Independent data do not score 0 unless n is many times d.

    Raises ValueError for fewer than 3 tokens or representations all equal.
    """
    x, y = _matched(x, y, at_least=3)
    x, y = _centred_rows(x, "x"), _centred_rows(y, "y")
    nuclear = scipy.linalg.svdvals(x.T @ y).sum()
    return _within(nuclear / (np.linalg.norm(x) * np.linalg.norm(y)))


def svcca(x: ArrayLike, y: ArrayLike, *, variance: float = 0.99) -> float:
    """Mean canonical correlation of the leading principal components (Raghu et al. 2017), in [0, 1].

    Of ``x`` (n_tokens, d1) and ``y`` (n_tokens, d2), centred, each keeps the fewest principal components
    that hold ``variance`` (a share in (0, 1]) of its variance. Raises ValueError unless n > d1 and
    n > d2, as canonical correlations are then 1 whatever the data; warns where n is
    under ten times the number of components kept, as independent data then score above .3 or so.

    The authors' code (google/svcca) gives other numbers: what ``get_cca_similarity`` returns as "mean" leaves
    out the smallest correlations, all beyond those that sum to 98 % of their sum (its ``threshold``), and
    takes no principal components itself. On 1000 independent tokens of 50 dimensions it says .22 where the
    mean of all correlations, here ``variance=1``, is .19. With a threshold that leaves out none they agree.
    """
    if not 0 < variance <= 1:
        raise ValueError(f"variance must lie in (0, 1], got {variance!r}")
    x, y = _matched(x, y, at_least=3)
    bases = []
    for name, z in (("x", x), ("y", y)):
        basis, spectrum, _ = principal(z, name)
        bases.append(basis[:, : leading(spectrum, variance)])
    _warn_if_few_tokens(*bases)
    return _within(scipy.linalg.svdvals(bases[0].T @ bases[1]).mean())


def pwcca(x: ArrayLike, y: ArrayLike) -> float:
    """Projection-weighted mean canonical correlation (Morcos et al. 2018), in [0, 1].

    ``x`` (n_tokens, d1), ``y`` (n_tokens, d2), centred. The weight of the k-th correlation is
    sum_j |<h_k, x_j>|, h_k being the k-th canonical variate of x and x_j its j-th feature, so that
    directions count by how much of ``x`` they carry: the measure is NOT symmetric, and depends on the
    features' basis. Where x has more dimensions than y, the variates without a partner carry no weight.
    Raises and warns as :func:`svcca`; with n <= d1 + d2 several correlations are 1 whatever the data and
    their variates, hence weights, arbitrary.

    The authors' code (google/svcca, ``compute_pwcca``) gives other numbers. For h_k it takes other vectors
    than the canonical variates, since it leaves out the inverse square root of the covariance and adds the
    features' means, which it leaves in ``x`` too. With the variates in their place, and the features centred,
    it gives the number of this function. It fails where ``x`` has more features than ``y``.
    """
    x, y = _matched(x, y, at_least=3)
    basis_x, spectrum, directions = principal(x, "x")
    basis_y, _, _ = principal(y, "y")
    _warn_if_few_tokens(basis_x, basis_y)
    left, correlations, _ = scipy.linalg.svd(basis_x.T @ basis_y, full_matrices=False)
    # Variates are basis_x @ left and x is basis_x @ diag(spectrum) @ directions; basis_x cancels.
    weights = np.abs(left.T @ (spectrum[:, None] * directions)).sum(axis=1)
    return _within(weights @ correlations / weights.sum())


def cosine(x: ArrayLike, y: ArrayLike) -> float:
    """Mean over the tokens of the cosine between a token's row in ``x`` and its row in ``y``, in [-1, 1].

    ``x`` and ``y`` (n_tokens, d). Unlike the other measures it takes feature k of both to be the same thing,
    as it is in an encoder before and after fine-tuning: a rotation of one of them changes it. It is unchanged
    by the rows' lengths. Raises ValueError for unequal widths or a row of zeros.
    """
    x, y = _matched(x, y, at_least=1)
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"cosine needs x and y of the same width, got {x.shape[1]} and {y.shape[1]}")
    return _within(np.einsum("ij,ij->i", unit_rows(x, "x"), unit_rows(y, "y")).mean())


# Parts of the measures, for comparisons of many layers with one another ----------------------------


def unit_rows(x: np.ndarray, name: str) -> np.ndarray:
    """``x`` (n_tokens, d) with each row scaled to length 1, float64.

    Raises ValueError for a row of zeros, with the array's ``name``.
    """
    rows = np.array(x, dtype=np.float64, order="C")
    _unit_rows(rows, name)
    return rows


def leading(spectrum: np.ndarray, variance: float) -> int:
    """How many of the singular values (descending) hold a share ``variance`` of the sum of their squares."""
    share = np.cumsum(spectrum**2) / np.sum(spectrum**2)
    # Compared with a little slack, or rounding keeps a component too many at variance = 1.
    return min(int(np.searchsorted(share, variance - 1e-12)) + 1, len(spectrum))


def principal(x: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Singular value decomposition of the centred features, without directions of no variance.

    Of ``x`` (n_tokens, d) of rank r: orthonormal columns (n_tokens, r), singular values (r,) descending and
    directions (r, d). Raises ValueError unless n_tokens > d.
    """
    n, d = x.shape
    if n <= d:
        raise ValueError(
            f"{name}: {n} tokens for {d} dimensions; canonical correlations need more tokens than "
            "dimensions (with fewer they are 1 whatever the data)"
        )
    left, spectrum, right = scipy.linalg.svd(_centred_rows(x, name), full_matrices=False)
    rank = int(np.sum(spectrum > spectrum[0] * n * np.finfo(np.float64).eps))
    return left[:, :rank], spectrum[:rank], right[:rank]


def _warn_if_few_tokens(basis_x: np.ndarray, basis_y: np.ndarray) -> None:
    n, dimensions = len(basis_x), max(basis_x.shape[1], basis_y.shape[1])
    if n < 10 * dimensions:
        # The squared canonical correlations of independent data average to (larger dimension) / (n - 1).
        chance = min(1.0, (dimensions / (n - 1)) ** 0.5)
        warnings.warn(
            f"{n} tokens for {dimensions} dimensions: independent data would have canonical correlations "
            f"of about {chance:.2f} (root mean square); take at least ten times as many tokens as dimensions",
            stacklevel=3,
        )


# Shared ---------------------------------------------------------------------------------------------


def _squared_products(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """|X'X|^2, |Y'Y|^2 and |X'Y|^2 (Frobenius) by whichever matrices are smaller, d x d or n x n."""
    if len(x) < max(x.shape[1], y.shape[1]):
        gram_x, gram_y = x @ x.T, y @ y.T
        return np.vdot(gram_x, gram_x), np.vdot(gram_y, gram_y), np.vdot(gram_x, gram_y)
    norms = []
    for a, b in ((x, x), (y, y), (x, y)):
        product = a.T @ b
        norms.append(np.vdot(product, product))
    return norms[0], norms[1], norms[2]


def _centred_rows(x: np.ndarray, name: str) -> np.ndarray:
    if (x == x[0]).all():
        raise ValueError(f"{name}: all tokens have the same representation")
    z = np.array(x, dtype=np.float64, order="C")
    z -= z.mean(axis=0)
    return z


def _matched(x: ArrayLike, y: ArrayLike, *, at_least: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = _array(x, "x"), _array(y, "y")
    if len(x) != len(y):
        raise ValueError(f"x has {len(x)} rows and y {len(y)}; row i of both must stand for the same token")
    if len(x) < at_least:
        raise ValueError(f"need at least {at_least} tokens, got {len(x)}")
    return x, y


def _array(x: ArrayLike, name: str) -> np.ndarray:
    x = np.asarray(x)
    if x.ndim != 2 or not x.size:
        raise ValueError(f"{name}: expected an array (n_tokens, d), got shape {x.shape}")
    if x.dtype.kind not in "fiu":
        raise ValueError(f"{name}: expected real numbers, got {x.dtype}")
    for start in range(0, len(x), 4096):
        finite = np.isfinite(x[start : start + 4096]).all(axis=1)
        if not finite.all():
            raise ValueError(f"{name}: row {start + np.argmin(finite)} holds NaN or infinity")
    return x


def _lookup(what: str, name: str, registry: dict[str, Entry]) -> Entry:
    if name not in registry:
        raise ValueError(f"unknown {what} {name!r}; valid: {', '.join(registry)}")
    return registry[name]


def _within(value: float) -> float:
    """A correlation without the last digits' overshoot."""
    return float(min(1.0, max(-1.0, value)))
