"""Numbers with 95 % intervals, their arithmetic, and the bounds that a claim puts on them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from helpers import results, statistics


@dataclass(frozen=True)
class Number:
    """A value and its 95 % interval; without one the interval is NaN, and no comparison is decided."""

    value: float
    low: float
    high: float

    def __sub__(self, other: "Number") -> "Number":
        """Difference of two estimates, with the interval of Zou and Donner (2008; "MOVER").

        It takes the two as independent: for estimates on different sentences, and where a table has no row
        for the paired difference. Estimates on the same sentences mostly err alike, and then it is too wide
        rather than too narrow.
        """
        value = self.value - other.value
        low = value - math.hypot(self.value - self.low, other.high - other.value)
        high = value + math.hypot(self.high - self.value, other.value - other.low)
        return Number(value, low, high)

    def __mul__(self, factor: float) -> "Number":
        low, high = sorted((self.low * factor, self.high * factor))
        return Number(self.value * factor, low, high)

    def __truediv__(self, other: "Number") -> "Number":
        """Ratio of two independent estimates, of which the other lies clear of 0: errors to first order."""
        value = self.value / other.value
        parts = (other.high - other.value, other.value - other.low)
        own = [abs(value) * part / abs(other.value) for part in (parts if value > 0 else parts[::-1])]
        ends = sorted(((self.low - self.value) / other.value, (self.high - self.value) / other.value))
        return Number(value, value - math.hypot(ends[0], own[0]), value + math.hypot(ends[1], own[1]))

    def text(self, *, points: bool = False, signed: bool = False, interval: bool = True) -> str:
        """As :func:`helpers.results.format_number` writes it."""
        low, high = (self.low, self.high) if interval else (math.nan, math.nan)
        return results.format_number(self.value, low, high, points=points, signed=signed)


UNKNOWN = Number(math.nan, math.nan, math.nan)


def exactly(value: float) -> Number:
    """A number that is known."""
    return Number(value, value, value)


def mean(numbers: Iterable[Number]) -> Number:
    """Mean of estimates. Its interval is right if they err alike and too wide if they do not."""
    parts = [(n.value, n.low, n.high) for n in numbers]
    return Number(*(sum(part) / len(parts) for part in zip(*parts, strict=True)))


def over_seeds(numbers: Sequence[Number]) -> Number:
    """Mean over fine-tuning seeds, with an interval of seeds and sentences.

    See :func:`helpers.statistics.over_seeds_of_table`.
    """
    values, low, high = zip(*((n.value, n.low, n.high) for n in numbers), strict=True)
    return Number(*statistics.over_seeds_of_table(values, low, high))


@dataclass(frozen=True)
class Comparison:
    """A number that the claim puts between two bounds."""

    label: str
    models: tuple[str, ...]  # fine-tuned models that it is of: nothing is decided if one learnt nothing
    number: Number
    above: float = -math.inf
    below: float = math.inf
    group: str = ""  # comparisons of one group are judged together

    @property
    def margin(self) -> float:
        """How far the interval is inside the bounds: below 0 where part of it is outside, NaN without one."""
        return min(self.number.low - self.above, self.below - self.number.high)

    @property
    def holds(self) -> bool:
        return self.margin > 0

    @property
    def p_value(self) -> float:
        """How likely a number so far beyond a bound would be if the truth lay on the bound, two-sided.

        From the interval, as if errors were normal: its half on the bound's side is 1.96 standard errors. So
        p lies below .05 where the whole interval is beyond the bound. 1 for a number between the bounds, NaN
        for one without an interval.
        """
        number = self.number
        beyond, half = max(
            (self.above - number.value, number.high - number.value),
            (number.value - self.below, number.value - number.low),
        )
        if math.isnan(half):
            return math.nan
        if beyond <= 0:
            return 1.0
        return math.erfc(1.96 * beyond / half / math.sqrt(2)) if half > 0 else 0.0
