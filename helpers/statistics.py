"""How sure a number is: bootstrap by sentence, permutation tests, spread over seeds.

Tokens of one sentence are not independent of one another, nor are the pairs of tokens that RSA
correlates, so it is sentences that are resampled: each resample draws as many sentences as there are,
with replacement. All draws come from an explicit whole-number seed; the same seed, number of sentences
and number of resamples give the same draws, which is what makes differences between two estimates
paired (:func:`difference`).
"""

from dataclasses import dataclass, field

import numpy as np
import scipy.stats

from helpers import similarity


@dataclass(frozen=True, eq=False)
class Estimate:
    """A value, its 95 % percentile interval, and the resampled values (n_resamples,) it is read off."""

    value: float
    ci_low: float
    ci_high: float
    samples: np.ndarray = field(repr=False)
    draws: tuple[int, int, int]  # seed, n_sentences, n_resamples: equal draws are the same resamples


@dataclass(frozen=True)
class Spread:
    """Mean over seeds with its 95 % interval (Student's t), standard deviation (n - 1) and range."""

    mean: float
    ci_low: float
    ci_high: float
    sd: float
    minimum: float
    maximum: float
    n: int


@dataclass(frozen=True, eq=False)
class RsaGap:
    """RSA on two independent texts, a and b: each one's own, the gap a - b, and a test of it.

    ``permuted`` (n_permutations,) are the gaps after random exchanges of sentences between the texts,
    ``p_value`` the two-sided share of them that are at least as large as the gap.
    """

    a: Estimate
    b: Estimate
    gap: float
    ci_low: float
    ci_high: float
    p_value: float
    permuted: np.ndarray = field(repr=False)


def interval(samples, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval (Efron 1979) of resampled values (n_resamples,): the middle ``level`` of them."""
    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1), got {level!r}")
    samples = _finite(samples, "samples")
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def resamples(n_units: int, n_resamples: int, seed: int) -> np.ndarray:
    """How often each of ``n_units`` sentences is drawn, (n_resamples, n_units) int32; rows sum to n_units."""
    if n_units < 2 or n_resamples < 2:
        raise ValueError(
            f"need at least 2 sentences and 2 resamples to resample, got {n_units} and {n_resamples}"
        )
    generator = np.random.default_rng(seed)
    counts = np.empty((n_resamples, n_units), np.int32)
    for row in counts:
        row[:] = np.bincount(generator.integers(n_units, size=n_units), minlength=n_units)
    return counts


def bootstrap_mean(values, groups, *, n_resamples: int = 1000, seed: int) -> Estimate:
    """Mean of ``values`` (n,) with its interval by bootstrap over ``groups`` (n,), the sentence of each."""
    values = _finite(values, "values")
    groups = np.asarray(groups)
    if groups.shape != values.shape:
        raise ValueError(f"groups has shape {groups.shape}, values {values.shape}; give one group a value")
    _, group = np.unique(groups, return_inverse=True)
    sums, sizes = np.bincount(group, weights=values), np.bincount(group)
    weights = resamples(len(sizes), n_resamples, seed)
    return _estimate(values.mean(), _ratios(weights, sums, sizes), weights, seed)


def paired_bootstrap(
    correct_a, total_a, correct_b, total_b, *, n_resamples: int = 1000, seed: int
) -> Estimate:
    """Score of system a less that of system b, both on the same resampled sentences.

    All arguments are (n_sentences,), sentence i the same for both systems; a score is
    sum(correct) / sum(total). LAS or accuracy: words right, words. Means such as SQuAD's F1: the
    sentence's own score, 1. Micro-averaged F1: twice the true positives, predicted + gold.
    """
    counts = _counts(correct_a, total_a, correct_b, total_b)
    correct_a, total_a, correct_b, total_b = counts
    weights = resamples(len(correct_a), n_resamples, seed)
    value = correct_a.sum() / total_a.sum() - correct_b.sum() / total_b.sum()
    samples = _ratios(weights, correct_a, total_a) - _ratios(weights, correct_b, total_b)
    return _estimate(value, samples, weights, seed)


def permutation_test(
    correct_a, total_a, correct_b, total_b, *, n_permutations: int = 10_000, seed: int
) -> float:
    """Two-sided p-value of the difference in score that :func:`paired_bootstrap` estimates.

    Under the hypothesis of no difference the two systems' outputs on a sentence may be swapped. The
    share of random swaps that part the scores at least as far as observed, the observed one counted among
    them (so never 0; Phipson and Smyth 2010). With equal totals this flips the signs of differences.
    """
    correct_a, total_a, correct_b, total_b = _counts(correct_a, total_a, correct_b, total_b)
    if n_permutations < 1:
        raise ValueError(f"n_permutations must be at least 1, got {n_permutations}")
    generator = np.random.default_rng(seed)
    correct, total = correct_b - correct_a, total_b - total_a

    def gap(moved_correct, moved_total):
        score_a = (correct_a.sum() + moved_correct) / (total_a.sum() + moved_total)
        return score_a - (correct_b.sum() - moved_correct) / (total_b.sum() - moved_total)

    # Swaps that leave the difference as it is must count as ties whatever order the sums were made in.
    observed = abs(gap(0.0, 0.0)) - 1e-12
    extreme = 0
    for first in range(0, n_permutations, 1000):
        size = (min(1000, n_permutations - first), len(correct))
        swapped = generator.integers(2, size=size, dtype=np.int8).astype(np.float64)
        extreme += int(np.sum(np.abs(gap(swapped @ correct, swapped @ total)) >= observed))
    return (extreme + 1) / (n_permutations + 1)


def rsa_bootstrap(x, y, groups, *, kernel: str = "cosine", n_resamples: int = 1000, seed: int) -> Estimate:
    """:func:`helpers.similarity.rsa` (Pearson) with its interval by bootstrap over sentences.

    ``x`` (n_tokens, d1), ``y`` (n_tokens, d2), ``groups`` (n_tokens,) the sentence of each token. A
    sentence drawn k times stands for k sentences, whose copies are not compared with one another
    (:func:`helpers.similarity.rsa_weighted`). Estimates made with the same ``groups``, ``seed`` and
    ``n_resamples`` are of the same resamples, so that :func:`difference` of two is paired. A transform
    (:func:`helpers.similarity.transform`) applied before is held fixed.

    Inner-product kernels take :func:`helpers.similarity.rsa_resampled`'s O(n d^2), "euclidean" visits all
    pairs.
    """
    groups = np.asarray(groups)
    weights = resamples(len(np.unique(groups)), n_resamples, seed)
    distance = kernel in similarity.KERNELS and similarity.KERNELS[kernel].distance
    resample = similarity.rsa_weighted if distance else similarity.rsa_resampled
    samples = resample(x, y, groups, weights, kernel=kernel)
    return _estimate(similarity.rsa(x, y, kernel=kernel), samples, weights, seed)


def rsa_gap(a, b, *, n_resamples: int = 1000, n_permutations: int = 1000, seed: int) -> RsaGap:
    """RSA (cosine, Pearson) of two models on text a less that on text b, with interval and permutation test.

    ``a`` and ``b`` are (x, y, groups) as in :func:`rsa_bootstrap`: the two models' states (n_tokens, d)
    and the sentence of each token. The interval resamples each text's sentences by themselves, since the
    texts are independent samples. The test exchanges sentences between them: each permutation deals the
    pooled sentences out again, as many to either text as it had, and both RSAs are computed anew over
    all pairs of tokens within each. It is exact for the hypothesis that the sentences of both texts come
    from one distribution; texts that differ in something else than RSA can mislead it, the interval not.
    The observed gap counts among the permutations, so p is never 0 (Phipson and Smyth 2010).

    Every pair of tokens is visited once for all resamples and permutations together
    (:func:`helpers.similarity.rsa_weighted`): a text's RSA is that of the pooled tokens with weight 0 on the
    other text's sentences. Same groups and seed: same permutations, whatever the states.
    """
    (x_a, y_a, groups_a), (x_b, y_b, groups_b) = a, b
    sentence_a = np.unique(groups_a, return_inverse=True)[1]
    sentence_b = np.unique(groups_b, return_inverse=True)[1]
    n_a, n_b = int(sentence_a.max()) + 1, int(sentence_b.max()) + 1
    if n_permutations < 1:
        raise ValueError(f"n_permutations must be at least 1, got {n_permutations}")
    drawn_a, drawn_b = resamples(n_a, n_resamples, seed), resamples(n_b, n_resamples, seed + 1)
    generator = np.random.default_rng(seed)
    dealt = np.zeros((n_permutations + 1, n_a + n_b), np.int32)  # 1: the sentence is text a's
    dealt[:, :n_a] = 1
    generator.permuted(dealt[1:], axis=1, out=dealt[1:])
    only_a = np.pad(drawn_a, ((0, 0), (0, n_b)))
    only_b = np.pad(drawn_b, ((0, 0), (n_a, 0)))
    found = similarity.rsa_weighted(
        np.concatenate([x_a, x_b]),
        np.concatenate([y_a, y_b]),
        np.concatenate([sentence_a, sentence_b + n_a]),
        np.concatenate([dealt, 1 - dealt, only_a, only_b]),
    )
    here, there, samples_a, samples_b = np.split(found, np.cumsum([len(dealt), len(dealt), n_resamples]))
    gaps = here - there
    return RsaGap(
        _estimate(here[0], samples_a, drawn_a, seed),
        _estimate(there[0], samples_b, drawn_b, seed + 1),
        float(gaps[0]),
        *interval(samples_a - samples_b),
        # Rounding must not break ties with the observed gap.
        float(np.mean(np.abs(gaps) >= abs(gaps[0]) - 1e-12)),
        gaps[1:],
    )


def difference(a: Estimate, b: Estimate) -> Estimate:
    """``a - b`` with its interval, resample by resample.

    Raises ValueError unless both were drawn with the same seed, number of sentences and number of
    resamples. That the sentences too were the same is for the caller to see to.
    """
    if a.draws != b.draws:
        raise ValueError(
            f"estimates from different resamples: (seed, sentences, resamples) {a.draws} and {b.draws}"
        )
    samples = a.samples - b.samples
    return Estimate(a.value - b.value, *interval(samples), samples, a.draws)


def seed_spread(values) -> Spread:
    """Summary of one score over seeds, ``values`` (n_seeds,); with one seed sd and interval are NaN."""
    values = _finite(values, "values")
    n, mean = len(values), float(values.mean())
    sd = float(values.std(ddof=1)) if n > 1 else float("nan")
    half = float(scipy.stats.t.ppf(0.975, n - 1)) * sd / n**0.5 if n > 1 else float("nan")
    return Spread(mean, mean - half, mean + half, sd, float(values.min()), float(values.max()), n)


def _estimate(value: float, samples: np.ndarray, weights: np.ndarray, seed: int) -> Estimate:
    n_resamples, n_units = weights.shape
    return Estimate(float(value), *interval(samples), samples, (seed, n_units, n_resamples))


def _ratios(weights: np.ndarray, correct: np.ndarray, total: np.ndarray) -> np.ndarray:
    totals = weights @ total
    if not totals.all():
        raise ValueError(f"resample {np.argmin(totals)} holds nothing to score: too few sentences have any")
    return (weights @ correct) / totals


def _counts(correct_a, total_a, correct_b, total_b) -> list[np.ndarray]:
    names = ("correct_a", "total_a", "correct_b", "total_b")
    arrays = [
        _finite(v, name) for v, name in zip((correct_a, total_a, correct_b, total_b), names, strict=True)
    ]
    for name, array in zip(names, arrays, strict=True):
        if len(array) != len(arrays[0]):
            raise ValueError(f"{name} has {len(array)} sentences, correct_a {len(arrays[0])}")
        if name.startswith("total") and ((array < 0).any() or not array.any()):
            raise ValueError(f"{name}: totals must not be negative, nor all zero")
    return arrays


def _finite(values, name: str) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"{name}: expected a list of numbers, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: entry {np.argmin(np.isfinite(values))} is NaN or infinite")
    return values
