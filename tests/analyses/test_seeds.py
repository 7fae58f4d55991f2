"""Rows over all seeds, gathered from those of each."""

import numpy as np

from helpers import statistics
from helpers.analyses.seeds import Seeds


def test_rows_over_seeds_are_of_the_same_number():
    rng = np.random.default_rng(0)
    estimates = [statistics.ratio(rng.random(60), 1, n_resamples=300, seed=0) for _ in range(4)]
    common = dict(analysis="rsa", metric="rsa_pearson", model="QA", inputs="wikipedia", layer=3, n=60)
    seeds = Seeds()
    for seed, estimate in enumerate(estimates[:3]):
        row = seeds.row(common | dict(seed=seed), estimate)
        assert row == common | dict(seed=seed) | estimate.numbers()
    seeds.row(common | dict(seed=0, layer=4), estimates[3])  # of one seed only
    seeds.row(common | dict(seed=None, model="Base"), estimates[3])
    (row,) = seeds.over_all()
    value, low, high = statistics.over_seeds(estimates[:3])
    assert row == common | dict(analysis="rsa_over_seeds", value=value, ci_low=low, ci_high=high)
