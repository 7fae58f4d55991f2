"""Numbers with intervals and the comparisons they enter."""

import math

import numpy as np
import pytest
import scipy.stats

from helpers import statistics
from helpers.claims.numbers import Comparison, Number, mean, over_seeds


def test_a_ratio_of_estimates_covers_as_it_should():
    rng = np.random.default_rng(0)
    a, b = rng.normal(-0.3, 0.05, 4000), rng.normal(1.5, 0.1, 4000)
    inside = 0
    for x, y in zip(a, b, strict=True):
        share = Number(x, x - 1.96 * 0.05, x + 1.96 * 0.05) / Number(y, y - 1.96 * 0.1, y + 1.96 * 0.1)
        inside += share.low <= -0.2 <= share.high
    assert inside / 4000 == pytest.approx(0.95, abs=0.012)
    assert Number(2, 1, 4) / Number(4, 4, 4) == Number(0.5, 0.25, 1)
    # A larger denominator makes a positive ratio smaller, a negative one larger.
    assert Number(2, 2, 2) / Number(4, 4, 6) == Number(0.5, 0.25, 0.5)
    assert Number(-2, -2, -2) / Number(4, 4, 6) == Number(-0.5, -0.5, -0.25)


def test_difference_of_estimates_covers_as_it_should():
    rng = np.random.default_rng(0)
    a, b = rng.normal(1, 0.3, 4000), rng.normal(0.2, 0.4, 4000)
    inside = 0
    for x, y in zip(a, b, strict=True):
        less = Number(x, x - 1.96 * 0.3, x + 1.96 * 0.3) - Number(y, y - 1.96 * 0.4, y + 1.96 * 0.4)
        inside += less.low <= 0.8 <= less.high
    assert inside / 4000 == pytest.approx(0.95, abs=0.012)
    less = Number(1, 0.7, 1.6) - Number(0.5, 0.4, 0.9)  # the far ends meet: lower of one, upper of the other
    assert (less.value, less.low, less.high) == pytest.approx((0.5, 0.5 - 0.5, 0.5 + math.hypot(0.6, 0.1)))
    assert Number(1, 0, 3) * -2 == Number(-2, -6, 0)
    assert mean([Number(1, 0, 2), Number(3, 2, 6)]) == Number(2, 1, 4)


def test_a_comparison_holds_or_its_p_value_says_how_far_it_is_beyond_a_bound():
    def states(number, **bounds):
        comparison = Comparison("", ("QA",), number, **bounds)
        return comparison.holds, comparison.p_value < 0.05

    number = Number(0.1, 0.05, 0.2)
    assert states(number, above=0) == (True, False) and states(number, below=0) == (False, True)
    assert states(number, above=0.1) == (False, False)
    assert states(number, above=-0.3, below=0.3) == (True, False)
    assert states(number, above=-0.01, below=0.01) == (False, True)
    assert states(Number(0.1, math.nan, math.nan), above=0) == (False, False)


def test_p_values_are_those_of_a_normal_test_on_the_bounds_side():
    def p_value(number, **bounds):
        return Comparison("", ("QA",), number, **bounds).p_value

    # The interval's lower half, .3, is 1.96 standard errors; the upper one is another.
    number = Number(1.0, 0.7, 5.0)
    assert p_value(number, below=0.5) == pytest.approx(2 * scipy.stats.norm.sf(0.5 / (0.3 / 1.96)))
    assert p_value(Number(-1.0, -5.0, -0.7), above=-0.5) == pytest.approx(p_value(number, below=0.5))
    assert p_value(number, below=0.7) == pytest.approx(0.05, abs=1e-4)  # its end is on the bound
    assert p_value(number, below=1.0) == p_value(number, above=0) == 1
    assert p_value(Number(1, 1, 1), below=0) == 0
    assert math.isnan(p_value(Number(1, math.nan, math.nan), below=0))


def test_numbers_over_seeds_are_of_seeds_and_sentences():
    seeds = [Number(0.5, 0.4, 0.7), Number(0.6, 0.5, 0.8)]
    values, low, high = zip(*[(n.value, n.low, n.high) for n in seeds], strict=True)
    assert over_seeds(seeds) == Number(*statistics.over_seeds_of_table(values, low, high))
    assert over_seeds(seeds[:1]).low == pytest.approx(0.4)


def test_numbers_are_written_as_everywhere_in_the_book():
    number = Number(-0.0049, -0.0151, 0.002)
    assert number.text() == "0.00 [−0.02, 0.00]"
    assert number.text(points=True, signed=True) == "−0.5 [−1.5, +0.2]"
    assert number.text(points=True, interval=False) == "−0.5"
