"""Numbers with intervals and the comparisons they enter."""

import math

import numpy as np
import pytest

from helpers.claims.numbers import Comparison, Number, mean


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


def test_a_comparison_holds_fails_or_is_open():
    def states(number, **bounds):
        comparison = Comparison("", ("QA",), number, **bounds)
        return comparison.holds, comparison.fails

    number = Number(0.1, 0.05, 0.2)
    assert states(number, above=0) == (True, False) and states(number, below=0) == (False, True)
    assert states(number, above=0.1) == (False, False)
    assert states(number, above=-0.3, below=0.3) == (True, False)
    assert states(number, above=-0.01, below=0.01) == (False, True)
    assert states(Number(0.1, math.nan, math.nan), above=0) == (False, False)


def test_numbers_are_written_as_everywhere_in_the_book():
    number = Number(-0.0049, -0.0151, 0.002)
    assert number.text() == "0.00 [−0.02, 0.00]"
    assert number.text(points=True, signed=True) == "−0.5 [−1.5, +0.2]"
    assert number.text(points=True, interval=False) == "−0.5"
