"""How sure a number is: bootstrap over sentences, paired differences, seeds, a permutation test of RSA.

Tokens of one sentence are not independent of one another, nor are the pairs of tokens that RSA
correlates, so it is sentences that are resampled: each resample draws as many sentences as there are,
with replacement. All draws come from an explicit whole-number seed; the same seed, number of sentences
and number of resamples give the same draws, which is what makes differences between two estimates
paired (:func:`difference`). Of several fine-tuning seeds there is one interval for seeds and sentences
together (:func:`over_seeds`).
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.special
from numpy.typing import ArrayLike

from helpers import similarity

NORMAL = 1.959964  # half-width of a normal 95 % interval, in standard errors


@dataclass(frozen=True, eq=False)
class Estimate:
    """A value, its 95 % percentile interval, and the resampled values (n_resamples,) it is read off."""

    value: float
    ci_low: float
    ci_high: float
    samples: np.ndarray = field(repr=False)
    draws: tuple[int, int, int]  # seed, n_sentences, n_resamples: equal draws are the same resamples

    def numbers(self) -> dict[str, float]:
        """``value``, ``ci_low`` and ``ci_high``, as results have them in a row."""
        return dict(value=self.value, ci_low=self.ci_low, ci_high=self.ci_high)


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


def interval(samples: ArrayLike) -> tuple[float, float]:
    """95 % percentile interval (Efron 1979) of resampled values (n_resamples,).

    Raises ValueError for samples that are not all finite.
    """
    low, high = np.quantile(_finite(samples, "samples"), [0.025, 0.975])
    return float(low), float(high)


@functools.lru_cache(maxsize=8)
def resamples(n_units: int, n_resamples: int, seed: int) -> np.ndarray:
    """How often each of ``n_units`` sentences is drawn, (n_resamples, n_units) float64, read-only.

    Rows sum to ``n_units``. Raises ValueError for fewer than two sentences or resamples.
    """
    if n_units < 2 or n_resamples < 2:
        raise ValueError(
            f"need at least 2 sentences and 2 resamples to resample, got {n_units} and {n_resamples}"
        )
    generator = np.random.default_rng(seed)
    counts = np.empty((n_resamples, n_units))
    for row in counts:
        row[:] = np.bincount(generator.integers(n_units, size=n_units), minlength=n_units)
    counts.flags.writeable = False
    return counts


def ratio(
    correct: ArrayLike,
    total: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    n_resamples: int = 1000,
    seed: int,
    empty: float | None = None,
) -> Estimate:
    """sum(correct) / sum(total) with its interval by bootstrap over sentences.

    ``correct`` and ``total`` (n,) are counts: correct words and all words for LAS or accuracy; a sentence's
    own score and 1 for a mean such as SQuAD's F1; twice the true positives and predicted + gold for
    micro-averaged F1. ``total`` may be one number for all. ``groups`` (n,) is the sentence of each entry;
    None: each is one of its own. Estimates over as many sentences with one seed are of the same resamples, so
    that :func:`difference` of two systems is paired. A resample in which there is nothing to score gets
    ``empty``. Raises ValueError if that is None, and for arrays that do not fit together.
    """
    correct = _finite(correct, "correct")
    total = _finite(np.broadcast_to(total, correct.shape) if np.ndim(total) == 0 else total, "total")
    if len(total) != len(correct):
        raise ValueError(f"total has {len(total)} entries, correct {len(correct)}")
    if (total < 0).any():
        raise ValueError("total: must not be negative")
    value = _divided(correct.sum(keepdims=True), total.sum(keepdims=True), empty)[0]
    if groups is not None:
        groups = np.asarray(groups)
        if groups.shape != correct.shape:
            raise ValueError(f"groups has shape {groups.shape}, correct {correct.shape}")
        _, group = np.unique(groups, return_inverse=True)
        correct, total = np.bincount(group, weights=correct), np.bincount(group, weights=total)
    weights = resamples(len(total), n_resamples, seed)
    return estimate(value, _divided(weights @ correct, weights @ total, empty), weights, seed)


def _divided(correct: np.ndarray, total: np.ndarray, empty: float | None) -> np.ndarray:
    if empty is None and not total.all():
        raise ValueError("nothing to score, in all sentences or a resample of them: too few have any")
    return np.divide(correct, total, out=np.full(total.shape, empty or 0.0), where=total > 0)


def rsa_bootstrap(
    x: ArrayLike,
    y: ArrayLike,
    groups: ArrayLike,
    *,
    n_resamples: int = 1000,
    seed: int,
) -> Estimate:
    """:func:`helpers.similarity.rsa` (of cosines, Pearson) with its interval by bootstrap over sentences.

    ``x`` (n_tokens, d1), ``y`` (n_tokens, d2), ``groups`` (n_tokens,) the sentence of each token. A
    sentence drawn k times stands for k sentences, whose copies are not compared with one another
    (:func:`helpers.similarity.rsa_weighted`). Estimates made with the same ``groups``, ``seed`` and
    ``n_resamples`` are of the same resamples, so that :func:`difference` of two is paired. A transform
    (:func:`helpers.similarity.transform`) applied before is held fixed. Takes O(n d^2)
    (:func:`helpers.similarity.rsa_resampled`).
    """
    groups = np.asarray(groups)
    weights = resamples(len(np.unique(groups)), n_resamples, seed)
    once = np.ones((1, weights.shape[1]), weights.dtype)  # each sentence once: RSA itself
    value, *samples = similarity.rsa_resampled(x, y, groups, np.concatenate([once, weights]))
    return estimate(value, np.array(samples), weights, seed)


def rsa_gap(
    a: tuple[Any, Any, Any],
    b: tuple[Any, Any, Any],
    *,
    n_resamples: int = 1000,
    n_permutations: int = 1000,
    seed: int,
) -> RsaGap:
    """RSA (cosine, Pearson) of two models on text a minus that on text b, with interval and permutation test.

    ``a`` and ``b`` are (x, y, groups) as in :func:`rsa_bootstrap`: the two models' states (n_tokens, d)
    and the sentence of each token. The interval resamples each text's sentences by themselves, since the
    texts are independent samples. The test exchanges sentences between them: each permutation deals the
    pooled sentences out again, as many to either text as it had, and both RSAs are computed anew over
    all pairs of tokens within each. It is exact for the hypothesis that the sentences of both texts come
    from one distribution; texts that differ in something other than RSA can mislead it, but not the interval.
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
    correlations = similarity.rsa_weighted(
        np.concatenate([x_a, x_b]),
        np.concatenate([y_a, y_b]),
        np.concatenate([sentence_a, sentence_b + n_a]),
        np.concatenate([dealt, 1 - dealt, only_a, only_b]),
    )
    here, there, samples_a, samples_b = np.split(
        correlations, np.cumsum([len(dealt), len(dealt), n_resamples])
    )
    gaps = here - there
    return RsaGap(
        estimate(here[0], samples_a, drawn_a, seed),
        estimate(there[0], samples_b, drawn_b, seed + 1),
        float(gaps[0]),
        *interval(samples_a - samples_b),
        # Rounding must not break ties with the observed gap.
        float(np.mean(np.abs(gaps) >= abs(gaps[0]) - 1e-12)),
        gaps[1:],
    )


def combination(terms: Sequence[tuple[float, Estimate]], constant: float = 0.0) -> Estimate:
    """``constant`` plus the estimates times their factors, with its interval, resample by resample.

    Raises ValueError unless all were drawn with the same seed, number of sentences and number of resamples.
    That the sentences too were the same is for the caller to see to.
    """
    draws = terms[0][1].draws
    for _, one in terms:
        if one.draws != draws:
            raise ValueError(
                f"estimates from different resamples: (seed, sentences, resamples) {draws} and {one.draws}"
            )
    factors = np.array([factor for factor, _ in terms])
    samples = constant + factors @ np.array([one.samples for _, one in terms])
    value = constant + float(factors @ [one.value for _, one in terms])
    return Estimate(value, *interval(samples), samples, draws)


def difference(a: Estimate, b: Estimate) -> Estimate:
    """``a - b``, paired: :func:`combination` of the two."""
    return combination([(1.0, a), (-1.0, b)])


def over_seeds(estimates: Sequence[Estimate]) -> tuple[float, float, float]:
    """Mean over fine-tuning seeds and its 95 % interval, of seeds and sentences: value, ci_low, ci_high.

    ``estimates`` are of one number and the same sentences, a seed each. Seeds are drawn above sentences. The
    error of the mean has a part from the sentences, the variance of the seeds' mean in the resamples, and one
    from which seeds were run: the variance of the seeds' values, minus what sentences that tell on single
    seeds add to it, over their number. The interval is Student's for the sum of the two. Its degrees of
    freedom are the number of seeds minus one, times the sum over the seeds' part: few where seeds differ
    most, many where sentences do. With three seeds or more it covers 94 to 97 % in simulations; with the
    usual ones, the square of that ratio (Satterthwaite 1946), 92 % where both parts count. Of one seed it is
    its own interval, over sentences alone; of two it is wide, and covers 91 % where only seeds differ.

    Resampling the seeds as well (a hierarchical bootstrap) would be simpler, but three of them resampled do
    not reach beyond the largest and the smallest: where seeds differ most, it covers 75 to 80 %.

    Raises ValueError for estimates of different resamples.
    """
    if len(estimates) == 1:
        return estimates[0].value, estimates[0].ci_low, estimates[0].ci_high
    n, mean = len(estimates), combination([(1 / len(estimates), one) for one in estimates])
    off = np.array([one.samples - one.value for one in estimates]) - (mean.samples - mean.value)
    single = float(np.mean(np.sum((off - off.mean(1, keepdims=True)) ** 2, axis=0)) / (n - 1))
    return _student([one.value for one in estimates], float(mean.samples.var()), single)


def over_seeds_of_table(
    values: Sequence[float], low: Sequence[float], high: Sequence[float]
) -> tuple[float, float, float]:
    """As :func:`over_seeds`, from ``values`` (n_seeds,) and their intervals over sentences alone.

    Which errors seeds have in common is not known then: all, as far as the interval goes, which makes it too
    wide rather than too narrow.
    """
    if len(values) == 1:
        return float(values[0]), float(low[0]), float(high[0])
    errors = (np.asarray(high, float) - np.asarray(low, float)) / 2 / NORMAL
    return _student(values, float(np.mean(errors**2)), 0.0)


def _student(values: Sequence[float], of_mean: float, single: float) -> tuple[float, float, float]:
    """Interval of a mean over seeds from the variances of the mean and of single seeds over resamples."""
    n, value, spread = len(values), float(np.mean(values)), float(np.var(values, ddof=1))
    variance = max(0.0, spread - single) / n + of_mean
    freedom = (n - 1) * variance * n / spread if spread > 0 else math.inf
    half = math.sqrt(variance) * (scipy.special.stdtrit(freedom, 0.975) if freedom < 1e6 else NORMAL)
    return value, value - float(half), value + float(half)


def estimate(value: float, samples: np.ndarray, weights: np.ndarray, seed: int) -> Estimate:
    """An estimate from values (n_resamples,) under the ``weights`` that :func:`resamples` drew by a seed."""
    n_resamples, n_units = weights.shape
    return Estimate(float(value), *interval(samples), samples, (seed, n_units, n_resamples))


def _finite(values: ArrayLike, name: str) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"{name}: expected a list of numbers, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: entry {np.argmin(np.isfinite(values))} is NaN or infinite")
    return values
