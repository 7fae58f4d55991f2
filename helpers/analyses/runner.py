"""The registry of analyses, and the one place that times, tabulates, saves and reports them."""

import functools
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pandas as pd

from helpers import progress, provenance, results
from helpers.profiles import Profile

Row = dict[str, Any]  # by column
Rows = Iterable[Row]
Analysis = Callable[[Profile], pd.DataFrame]

ANALYSES: dict[str, Analysis] = {}  # by the name of the table that each one writes


def analysis(name: str) -> Callable[[Callable[[Profile], Rows | tuple[Rows, dict[str, Any]]]], Analysis]:
    """Decorator: make an analysis of a function from settings to the rows of its table, and register it.

    The function returns or yields rows with the keys of :data:`helpers.results.COLUMNS`, or returns such
    rows and a dict of details for ``provenance.json``; of these ``failed``, if not empty, has the table
    computed again next time. The analysis saves ``results/<run>/<name>.csv`` and returns the table.
    """

    def register(compute: Callable[[Profile], Rows | tuple[Rows, dict[str, Any]]]) -> Analysis:
        @functools.wraps(compute)
        def run(settings: Profile) -> pd.DataFrame:
            began = time.time()
            progress.say(f"== {name}")
            computed = compute(settings)
            rows, details = computed if isinstance(computed, tuple) else (computed, {})
            frame = results.table(list(rows))
            results.save(name, frame, settings, seconds=round(time.time() - began, 1), **details)
            return frame

        ANALYSES[name] = run
        return run

    return register


def tables(settings: Profile) -> dict[str, pd.DataFrame]:
    """The table of every analysis, by name: as saved with these settings and this code, or computed now."""
    frames = {}
    for name, run in ANALYSES.items():
        saved = results.saved(name, settings)
        frames[name] = run(settings) if saved is None else saved
    return frames


class AnalysesFailed(RuntimeError):
    """Some analyses of a run failed; the message names them, and the others are done."""


def run_all(settings: Profile, *, only: Sequence[str] = (), record: bool = False) -> None:
    """Run every analysis, or those named; with ``record`` also copy the tables into ``book/recorded/``.

    An analysis that fails is reported and the others go on; :class:`AnalysesFailed`, at the
    end, names those that did. Raises ValueError for an unknown name, listing the valid ones.
    """
    for name in only:
        if name not in ANALYSES:
            raise ValueError(f"unknown analysis {name!r}; valid: {', '.join(ANALYSES)}")
    progress.say(provenance.banner(settings))
    failed = {}
    for name in only or ANALYSES:
        try:
            ANALYSES[name](settings)
        except Exception as error:
            progress.say("".join(traceback.format_exception(error)))
            failed[name] = f"{type(error).__name__}: {error}"
        else:
            if record:
                results.record(name, settings)
    if failed:
        reasons = "; ".join(f"{name} ({reason})" for name, reason in failed.items())
        raise AnalysesFailed(f"{len(failed)} of {len(only or ANALYSES)} analyses failed: {reasons}")
