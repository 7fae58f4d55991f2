"""Every kind of interval that the book prints covers the truth in 95 % of simulated studies.

Each simulation draws a fresh sample of sentences from a population whose true value is known, and asks
whether the interval holds it. ``python tests/test_coverage.py`` does so thousands of times; the suite settles
for fewer, and for what chance then allows (four standard errors beyond 95 +- 2 %).
"""

import sys
from collections.abc import Callable

import numpy as np
import pytest

from helpers import statistics
from helpers.probing import structural

N_RESAMPLES = 1000
Interval = tuple[float, float]
Study = Callable[[np.random.Generator], tuple[Interval, float]]


def seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def sentences(rng: np.random.Generator, n: int) -> np.ndarray:
    """Lengths as in a treebank: many short sentences, few long ones."""
    return np.clip(rng.geometric(1 / 14, n) + 2, 3, 60)


def accuracy(rng):
    """Words right of a sentence's words; some sentences are easier than others."""
    total = sentences(rng, 200)
    correct = rng.binomial(total, rng.beta(8, 2, 200))
    found = statistics.ratio(correct, total, n_resamples=N_RESAMPLES, seed=seed(rng))
    return (found.ci_low, found.ci_high), 0.8


def paired_difference(rng):
    """The difference of two models on the same sentences, on which both tend to err."""
    total = sentences(rng, 200)
    ease = rng.beta(8, 2, 200)
    draws = dict(n_resamples=N_RESAMPLES, seed=seed(rng))
    a, b = (statistics.ratio(rng.binomial(total, ease * share), total, **draws) for share in (1, 0.95))
    found = statistics.difference(a, b)
    return (found.ci_low, found.ci_high), 0.8 * 0.05


def mean_over_lengths(rng):
    """Spearman correlations averaged by length; some lengths occur once."""
    lengths = sentences(rng, 300)
    values = np.clip(0.75 - 0.008 * lengths + rng.normal(0, 0.15, 300), -1, 1)
    counts = lengths.astype(float)[:, None]
    samples = structural.resampled_means(
        lengths, values[:, None] * counts, counts, n_resamples=N_RESAMPLES, seed=seed(rng)
    )
    occurring = np.intersect1d(lengths, structural.LENGTHS)
    return statistics.interval(samples[:, 0]), float(np.mean(0.75 - 0.008 * occurring))


def _seeds(rng, deviation: float) -> tuple[list[statistics.Estimate], float]:
    """Accuracies of three fine-tuning seeds on one test set, and the mean over all seeds there might be."""
    total, ease = sentences(rng, 200), rng.beta(8, 2, 200)
    draws = dict(n_resamples=N_RESAMPLES, seed=seed(rng))
    shares = np.clip(0.7 + rng.normal(0, deviation, 3), 0, 1)
    runs = [statistics.ratio(rng.binomial(total, ease * share), total, **draws) for share in shares]
    return runs, 0.8 * 0.7


def seeds_differ_much(rng, deviation=0.08):
    runs, truth = _seeds(rng, deviation)
    _, low, high = statistics.over_seeds(runs)
    return (low, high), truth


def seeds_differ_little(rng):
    return seeds_differ_much(rng, 0.003)


def _states(rng, n_sentences: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two models' vectors of the tokens of sentences, whose tokens are alike."""
    group = np.repeat(np.arange(n_sentences), 4)
    shared = rng.normal(size=(n_sentences, 5))[group] + rng.normal(size=(len(group), 5))
    x, y = (shared + 0.7 * rng.normal(size=shared.shape) for _ in range(2))
    return x, y, group


def rsa(rng):
    x, y, group = _states(rng, 120)
    found = statistics.rsa_bootstrap(x, y, group, n_resamples=N_RESAMPLES, seed=seed(rng))
    return (found.ci_low, found.ci_high), TRUE_RSA


def _true_rsa() -> float:
    from helpers import similarity

    rng = np.random.default_rng(0)
    return float(np.mean([similarity.rsa(*_states(rng, 500)[:2]) for _ in range(20)]))


TRUE_RSA = _true_rsa()
STUDIES: dict[str, tuple[Study, int]] = {
    "accuracy": (accuracy, 300),
    "difference": (paired_difference, 300),
    "mean over lengths": (mean_over_lengths, 300),
    "RSA": (rsa, 150),
    "seeds and sentences, of which seeds differ more": (seeds_differ_much, 300),
    "seeds and sentences, of which sentences differ more": (seeds_differ_little, 300),
}


def coverage(study: Study, n: int) -> float:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(n):
        (low, high), truth = study(rng)
        covered += low <= truth <= high
    return covered / n


@pytest.mark.parametrize("name", STUDIES)
def test_intervals_cover(name):
    study, n = STUDIES[name]
    chance = 4 * np.sqrt(0.95 * 0.05 / n)
    assert abs(coverage(study, n) - 0.95) < 0.02 + chance


def test_resampled_seeds_would_not_pass():
    """Three seeds drawn with replacement, each resample with its own sentences: about 75 %."""
    rng, covered = np.random.default_rng(1), 0
    for _ in range(200):
        runs, truth = _seeds(rng, 0.08)
        samples = np.array([run.samples for run in runs])
        drawn = samples[rng.integers(3, size=(N_RESAMPLES, 3)), np.arange(N_RESAMPLES)[:, None]].mean(1)
        low, high = statistics.interval(drawn)
        covered += low <= truth <= high
    assert covered / 200 < 0.88


def test_a_plain_bootstrap_of_means_over_lengths_would_not_pass():
    """So that the test above can fail: resampling sentences whatever their length covers too little."""
    rng, covered = np.random.default_rng(1), 0
    for _ in range(100):
        lengths = sentences(rng, 150)
        values = np.clip(0.75 - 0.008 * lengths + rng.normal(0, 0.15, 150), -1, 1)[:, None]
        samples = []
        for _ in range(200):
            drawn = rng.integers(150, size=150)
            counts = lengths[drawn].astype(float)[:, None]
            samples.append(structural.mean_over_lengths(lengths[drawn], values[drawn] * counts, counts)[0])
        occurring = np.intersect1d(lengths, structural.LENGTHS)
        low, high = statistics.interval(samples)
        covered += low <= np.mean(0.75 - 0.008 * occurring) <= high
    assert covered < 93


if __name__ == "__main__":
    for name, (study, _) in STUDIES.items():
        n = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
        print(f"{name:<20} {coverage(study, n):.3f} of {n}")
