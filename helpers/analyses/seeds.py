"""Rows over all fine-tuning seeds, beside those of each."""

from collections.abc import Iterator

from helpers import statistics
from helpers.analyses.runner import Row
from helpers.statistics import Estimate
from helpers.vocabulary import OVER_SEEDS


class Seeds:
    """The estimates of one analysis, gathered while their rows are written."""

    def __init__(self) -> None:
        self._rows: dict[tuple, Row] = {}
        self._estimates: dict[tuple, list[Estimate]] = {}

    def row(self, common: Row, estimate: Estimate) -> Row:
        """The row of one seed, ``common`` with the estimate's numbers; remembers both."""
        shared = {name: value for name, value in common.items() if name != "seed"}
        key = tuple(sorted(shared.items()))
        self._rows.setdefault(key, shared)
        self._estimates.setdefault(key, []).append(estimate)
        return common | estimate.numbers()

    def over_all(self) -> Iterator[Row]:
        """Rows over all seeds of what has several, ``seed`` empty, the analysis named ``<name>_over_seeds``.

        Intervals are of seeds and sentences (:func:`helpers.statistics.over_seeds`).
        """
        for key, estimates in self._estimates.items():
            if len(estimates) > 1:
                value, low, high = statistics.over_seeds(estimates)
                row = self._rows[key]
                named = dict(analysis=f"{row['analysis']}{OVER_SEEDS}", value=value, ci_low=low, ci_high=high)
                yield row | named
