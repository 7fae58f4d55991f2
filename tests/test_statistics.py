"""Intervals and tests against scipy, closed forms, enumeration and simulation."""

import numpy as np
import pytest
import scipy.stats

from helpers import similarity
from helpers.statistics import (
    Estimate,
    combination,
    difference,
    interval,
    over_seeds,
    over_seeds_of_table,
    ratio,
    resamples,
    rsa_bootstrap,
    rsa_gap,
)


def test_interval_is_the_middle_of_the_samples():
    samples = np.random.default_rng(0).permutation(1001) / 1000.0
    assert interval(samples) == pytest.approx((0.025, 0.975))
    with pytest.raises(ValueError, match="samples: entry 1 is NaN"):
        interval([0.0, np.nan])


def test_resamples_are_multinomial_and_repeatable():
    counts = resamples(40, 5000, seed=1)
    assert counts.shape == (5000, 40)
    assert (counts.sum(axis=1) == 40).all()
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.08)
    assert counts.var() == pytest.approx(1 - 1 / 40, rel=0.02)
    assert np.cov(counts[:, 0], counts[:, 1])[0, 1] == pytest.approx(-1 / 40, abs=0.06)
    np.testing.assert_array_equal(counts, resamples(40, 5000, seed=1))
    assert (counts != resamples(40, 5000, seed=2)).any()
    np.testing.assert_array_equal(counts[:10], resamples(40, 10, seed=1))
    with pytest.raises(ValueError, match="at least 2 sentences and 2 resamples"):
        resamples(1, 100, seed=0)


def test_a_mean_agrees_with_scipy_where_every_sentence_is_one_value():
    values = np.random.default_rng(0).exponential(size=200)
    ours = ratio(values, 1, np.arange(200), n_resamples=4000, seed=0)
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(1)
    )
    assert ours.value == pytest.approx(values.mean())
    assert ours.samples.std(ddof=1) == pytest.approx(theirs.standard_error, rel=0.05)
    assert ours.ci_low == pytest.approx(theirs.confidence_interval.low, abs=0.015)
    assert ours.ci_high == pytest.approx(theirs.confidence_interval.high, abs=0.015)


def test_a_mean_of_equal_sentences_has_the_error_of_so_few_values():
    rng = np.random.default_rng(0)
    per_sentence = rng.standard_normal(100)
    ours = ratio(np.repeat(per_sentence, 20), 1, np.repeat(rng.permutation(100), 20), seed=0)
    assert ours.samples.std() == pytest.approx(per_sentence.std() / 10, rel=0.1)


def test_a_mean_in_a_dumb_case():
    ours = ratio([0.5] * 6, 1, [3, 3, 1, 1, 1, 9], seed=0)
    assert (ours.value, ours.ci_low, ours.ci_high) == pytest.approx((0.5, 0.5, 0.5))


def test_a_mean_weighs_long_sentences_more():
    # Sentence a: three values of 1; b: one of 0. A resample is aa, ab or bb: means 1, 3/4 and 0.
    ours = ratio([1, 1, 1, 0], 1, [0, 0, 0, 1], n_resamples=4000, seed=0)
    shares = [np.mean(ours.samples == value) for value in (1, 0.75, 0)]
    assert sum(shares) == 1
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


def scores(n=300, gain=0.03, seed=0):
    """Two systems' right words and lengths of n sentences, system a better by ``gain``."""
    rng = np.random.default_rng(seed)
    words = rng.integers(3, 30, n)
    difficulty = rng.beta(8, 2, n)
    right_b = rng.binomial(words, difficulty)
    right_a = rng.binomial(words, np.clip(difficulty + gain, 0, 1))
    return right_a, words, right_b, words


def paired(right_a, words_a, right_b, words_b, **options):
    """Score of system a minus that of system b, both on the same resampled sentences."""
    return difference(ratio(right_a, words_a, **options), ratio(right_b, words_b, **options))


def test_a_paired_difference_has_the_error_of_the_ratio_estimator():
    right_a, words, right_b, _ = counts = scores()
    ours = paired(*counts, n_resamples=4000, seed=0)
    value = (right_a.sum() - right_b.sum()) / words.sum()
    assert ours.value == pytest.approx(value)
    residuals = (right_a - right_b) - value * words  # the delta method's variance of a ratio of means
    error = np.sqrt(np.sum(residuals**2)) / words.sum()
    assert ours.samples.std() == pytest.approx(error, rel=0.05)
    normal = value - 1.96 * error, value + 1.96 * error
    assert (ours.ci_low, ours.ci_high) == pytest.approx(normal, abs=0.003)


def test_counts_by_sentence_are_their_words_one_by_one():
    right_a, words, right_b, _ = scores(n=50)
    longest = words.max()
    sentence = np.repeat(np.arange(50), words)

    def per_word(right):
        return (np.arange(longest) < right[:, None])[np.arange(longest) < words[:, None]].astype(float)

    a, b = (ratio(per_word(right), 1, sentence, seed=4) for right in (right_a, right_b))
    counted = paired(right_a, words, right_b, words, seed=4)
    apart = difference(a, b)
    np.testing.assert_allclose(apart.samples, counted.samples, atol=1e-12)
    assert apart.numbers() == pytest.approx(counted.numbers())
    assert counted.samples.std() < np.hypot(a.samples.std(), b.samples.std())  # what pairing is for
    for changed in (dict(seed=5), dict(seed=4, n_resamples=500)):
        with pytest.raises(ValueError, match="different resamples"):
            difference(a, ratio(per_word(right_b), 1, sentence, **changed))


def test_a_system_does_not_differ_from_itself():
    right_a, words, _, _ = scores()
    same = paired(right_a, words, right_a, words, seed=0)
    assert same.numbers() == dict(value=0, ci_low=0, ci_high=0)


def test_a_resample_with_nothing_to_score_has_the_value_asked_for():
    rare = np.zeros(20)
    rare[3] = 1
    with pytest.raises(ValueError, match="nothing to score"):
        ratio(rare, rare, seed=0)
    estimate = ratio(rare, rare, seed=0, empty=0.0)
    without = resamples(20, 1000, 0)[:, 3] == 0
    assert estimate.value == 1 and 0 < without.mean() < 1
    np.testing.assert_array_equal(estimate.samples, ~without)
    assert ratio(0 * rare, 0 * rare, seed=0, empty=0.0).value == 0


# RSA ------------------------------------------------------------------------------------------------


def representations(rng, n_sentences, per_sentence=5, d=8):
    """Tokens that share something within their sentence, in two related spaces."""
    sentence = rng.standard_normal((n_sentences, 1, d))
    x = 1 + sentence + 0.5 * rng.standard_normal((n_sentences, per_sentence, d))
    y = 1 + sentence * np.array([1, 1, 1, 1, -1, -1, 0.3, 0.3])
    y = y + 0.7 * rng.standard_normal((n_sentences, 1, d))
    y = y + 0.5 * rng.standard_normal((n_sentences, per_sentence, d))
    n = n_sentences * per_sentence
    return x.reshape(n, d), y.reshape(n, d), np.repeat(np.arange(n_sentences), per_sentence)


def test_rsa_intervals_have_the_true_sampling_error():
    """Against 400 fresh samples of 60 sentences; resampling tokens would claim half the error."""
    rng = np.random.default_rng(0)
    values = [similarity.rsa(*representations(rng, 60)[:2]) for _ in range(400)]
    samples = [representations(rng, 60) for _ in range(60)]
    by_sentence = [rsa_bootstrap(*s, n_resamples=200, seed=i) for i, s in enumerate(samples)]
    error = np.std(values)
    assert np.mean([e.samples.std() for e in by_sentence]) == pytest.approx(error, rel=0.12)
    shifts = [e.samples.mean() - e.value for e in by_sentence]
    assert abs(np.mean(shifts)) < error / 10  # copies compared with each other would shift by half of it
    covered = [e.ci_low <= np.mean(values) <= e.ci_high for e in by_sentence]
    assert np.mean(covered) > 0.85
    by_token = [rsa_bootstrap(x, y, np.arange(len(x)), n_resamples=200, seed=0) for x, y, _ in samples[:10]]
    assert np.mean([e.samples.std() for e in by_token]) < 0.75 * error


def test_rsa_bootstrap_point_estimate_and_seeds():
    x, y, groups = representations(np.random.default_rng(1), 30)
    shuffled = np.random.default_rng(2).permutation(len(x))
    ours = rsa_bootstrap(x, y, groups, n_resamples=50, seed=7)
    assert ours.value == pytest.approx(similarity.rsa(x, y), abs=1e-12)
    assert ours.ci_low < ours.value < ours.ci_high
    assert ours.samples.shape == (50,)
    again = rsa_bootstrap(x[shuffled], y[shuffled], groups[shuffled], n_resamples=50, seed=7)
    np.testing.assert_allclose(again.samples, ours.samples, atol=1e-10)
    other = rsa_bootstrap(x, y, groups, n_resamples=50, seed=8)
    assert not np.allclose(other.samples, ours.samples)


def test_differences_of_two_rsas_are_paired():
    rng = np.random.default_rng(3)
    x, y, groups = representations(rng, 60)
    near = y + 0.05 * rng.standard_normal(y.shape)
    a = rsa_bootstrap(x, y, groups, n_resamples=200, seed=0)
    b = rsa_bootstrap(x, near, groups, n_resamples=200, seed=0)
    gap = difference(a, b)
    assert isinstance(gap, Estimate)
    assert gap.value == pytest.approx(a.value - b.value)
    assert gap.samples.std() < 0.2 * a.samples.std()  # what the two share cancels


# The gap between two texts --------------------------------------------------------------------------


def two_models(rng, noise, n_sentences=25, per_sentence=3, d=6):
    """A text's states in two models, (x, y, groups): sentences have centres, y is x with noise."""
    groups = np.repeat(np.arange(n_sentences), per_sentence)
    x = rng.normal(size=(n_sentences, d))[groups] + rng.normal(size=(len(groups), d))
    return x, x + noise * rng.normal(size=x.shape), groups


def test_the_gap_is_of_the_two_texts_own_rsa_and_its_interval_of_their_bootstraps():
    rng = np.random.default_rng(0)
    a, b = two_models(rng, 0.3, 60), two_models(rng, 0.8, 50, d=6)
    found = rsa_gap(a, b, n_resamples=800, n_permutations=5, seed=1)
    for estimate, (x, y, groups) in ((found.a, a), (found.b, b)):
        assert estimate.value == pytest.approx(similarity.rsa(x, y), abs=1e-12)
        alone = rsa_bootstrap(x, y, groups, n_resamples=800, seed=estimate.draws[0])
        # The same draws; there the resampled values are kept to first order only.
        assert np.corrcoef(alone.samples, estimate.samples)[0, 1] > 0.97
    assert found.gap == found.a.value - found.b.value
    spread = np.hypot(found.a.samples.std(), found.b.samples.std())
    assert (found.ci_high - found.ci_low) == pytest.approx(2 * 1.96 * spread, rel=0.15)


def test_permutations_deal_whole_sentences_and_compare_all_pairs_of_tokens():
    rng = np.random.default_rng(1)
    a, b = two_models(rng, 0.3, 3, 4), two_models(rng, 0.5, 3, 2)
    found = rsa_gap(a, b, n_resamples=2, n_permutations=200, seed=0)
    x, y = (np.concatenate([a[i], b[i]]) for i in (0, 1))
    sentence = np.concatenate([a[2], b[2] + 3])
    possible = []
    for first in range(6):
        for second in range(first + 1, 6):
            for third in range(second + 1, 6):
                ours = np.isin(sentence, [first, second, third])
                possible.append(similarity.rsa(x[ours], y[ours]) - similarity.rsa(x[~ours], y[~ours]))
    distance = np.abs(found.permuted[:, None] - np.array(possible))
    assert distance.min(axis=1).max() < 1e-9
    assert len(set(distance.argmin(axis=1))) == 20  # all of them occur
    share = np.mean(np.abs(possible) >= abs(found.gap) - 1e-9)
    assert found.p_value == pytest.approx(share, abs=0.11)


def test_p_is_uniform_where_the_texts_are_alike_and_small_where_they_are_not():
    rng = np.random.default_rng(2)
    null = []
    for seed in range(120):
        a, b = two_models(rng, 0.7), two_models(rng, 0.7)
        null.append(rsa_gap(a, b, n_resamples=2, n_permutations=99, seed=seed).p_value)
    assert scipy.stats.kstest(null, "uniform").pvalue > 0.01
    assert 1 <= np.sum(np.array(null) <= 0.05) <= 14  # 6 expected
    planted = [
        rsa_gap(two_models(rng, 1.5), two_models(rng, 0.5), n_resamples=200, n_permutations=99, seed=s)
        for s in range(10)
    ]
    assert all(found.p_value <= 0.05 and found.ci_high < 0 for found in planted)


def test_the_gaps_interval_covers_the_true_gap():
    rng = np.random.default_rng(3)
    large = [similarity.rsa(*two_models(rng, noise, 3000)[:2]) for noise in (0.9, 0.4)]
    inside = 0
    for seed in range(60):
        a, b = two_models(rng, 0.9, 40), two_models(rng, 0.4, 40)
        found = rsa_gap(a, b, n_resamples=200, n_permutations=1, seed=seed)
        inside += found.ci_low <= large[0] - large[1] <= found.ci_high
    assert inside >= 51  # 57 expected


def test_bad_input_is_named():
    right, words, _, _ = scores(n=20)
    with pytest.raises(ValueError, match="total has 19 entries, correct 20"):
        ratio(right, words[:19], seed=0)
    with pytest.raises(ValueError, match="total: must not be negative"):
        ratio(right, -words, seed=0)
    with pytest.raises(ValueError, match="nothing to score"):
        ratio(right, 0 * words, seed=0)
    with pytest.raises(ValueError, match="correct: expected a list of numbers"):
        ratio([], words, seed=0)
    with pytest.raises(ValueError, match="total: entry 1 is NaN"):
        ratio([1.0, 2.0], [1.0, np.nan], seed=0)
    with pytest.raises(ValueError, match=r"groups has shape \(3,\), correct \(2,\)"):
        ratio([1.0, 2.0], 1, [0, 1, 2], seed=0)


def test_a_combination_is_taken_resample_by_resample():
    a, b = (ratio(values, 1, n_resamples=200, seed=3) for values in np.random.default_rng(0).random((2, 50)))
    found = combination([(2.0, a), (-0.5, b)], 0.25)
    assert found.value == pytest.approx(0.25 + 2 * a.value - 0.5 * b.value)
    expected = 0.25 + 2 * a.samples - 0.5 * b.samples
    assert (found.ci_low, found.ci_high) == pytest.approx(tuple(np.quantile(expected, [0.025, 0.975])))
    nothing = combination([(1.0, a), (-1.0, a)])
    assert (nothing.ci_low, nothing.value, nothing.ci_high) == (0, 0, 0)
    with pytest.raises(ValueError, match="different resamples"):
        combination([(1.0, a), (1.0, b), (1.0, ratio(np.ones(50), 1, n_resamples=200, seed=4))])


SEEDS = [0.5, 0.6, 0.55]


def test_over_seeds_has_students_interval_where_sentences_add_nothing():
    student = scipy.stats.ttest_1samp(SEEDS, 0).confidence_interval(0.95)
    expected = pytest.approx((0.55, student.low, student.high))
    assert over_seeds_of_table(SEEDS, SEEDS, SEEDS) == expected
    assert over_seeds([Estimate(v, v, v, np.full(50, v), (0, 9, 50)) for v in SEEDS]) == expected


def test_over_seeds_has_the_interval_over_sentences_where_seeds_agree():
    one = ratio(np.random.default_rng(0).random(80), 1, n_resamples=2000, seed=0)
    half = 1.96 * one.samples.std()
    assert over_seeds([one] * 3) == pytest.approx((one.value, one.value - half, one.value + half), rel=1e-4)
    assert over_seeds([one]) == (one.value, one.ci_low, one.ci_high)
    assert over_seeds_of_table([0.5] * 3, [0.4] * 3, [0.6] * 3) == pytest.approx((0.5, 0.4, 0.6))
    assert over_seeds_of_table([0.5], [0.4], [0.7]) == (0.5, 0.4, 0.7)


def test_over_seeds_knows_what_sentences_do_to_single_seeds():
    """Seeds that differ only by errors of their own, as on independent test sets: the error of their mean."""
    rng = np.random.default_rng(0)
    own = [ratio(rng.random(400), 1, n_resamples=2000, seed=0) for _ in range(40)]
    _, low, high = over_seeds(own)
    exact = np.std([one.value for one in own], ddof=1) / np.sqrt(40)
    assert (high - low) / 2 / 1.96 == pytest.approx(exact, rel=0.2)
    # A table alone cannot know that the errors are each seed's own.
    _, low, high = over_seeds_of_table(*zip(*[(o.value, o.ci_low, o.ci_high) for o in own], strict=True))
    assert (high - low) / 2 / 1.96 > 4 * exact
    with pytest.raises(ValueError, match="different resamples"):
        over_seeds([own[0], ratio(rng.random(400), 1, n_resamples=2000, seed=1)])
