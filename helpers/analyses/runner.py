"""The registry of analyses, and the one place that times, tabulates, saves and reports them."""

import contextlib
import functools
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pandas as pd

from helpers import progress, provenance, results
from helpers.corpora import CorpusError
from helpers.corpora.fetch import FetchError
from helpers.profiles import Profile
from helpers.store import DamagedArtifact, DiskFull
from helpers.validation import unknown

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
            frame.attrs["failed"] = details.get("failed", {})
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


# What a user can mend: a message in one line says how, and a traceback would only hide it.
MENDABLE = (CorpusError, FetchError, DamagedArtifact, DiskFull, FileNotFoundError, PermissionError)


class AnalysesFailed(RuntimeError):
    """Some analyses of a run failed; the message names them, and the others are done.

    ``mendable`` says whether all did so for want of something that the user can mend.
    """

    def __init__(self, message: str, mendable: bool):
        super().__init__(message)
        self.mendable = mendable


def run_all(settings: Profile, *, only: Sequence[str] = (), record: bool = False) -> None:
    """Run every analysis, or those named; with ``record`` also copy the tables into ``book/recorded/``.

    An analysis that fails, or lacks points that failed, is reported and the others go on;
    :class:`AnalysesFailed`, at the end, names them, once for each reason. Raises ValueError for an unknown
    name, listing the valid ones.
    """
    for name in only:
        if name not in ANALYSES:
            raise ValueError(unknown("analysis", name, ANALYSES))
    progress.say(provenance.banner(settings))
    names = only or list(ANALYSES)
    expected = _seconds(settings)
    failed: dict[str, list[str]] = {}  # by reason
    mendable = True
    for number, name in enumerate(names):
        left = sum(expected.get(other, 0) for other in names[number:])
        about = f", about {progress.clock(left)} left" if left else ""
        progress.say(f"analysis {number + 1} of {len(names)}{about}")
        try:
            frame = ANALYSES[name](settings)
        except MENDABLE as error:
            if str(error) not in failed:
                progress.say(f"{name} failed: {error}")
            failed.setdefault(str(error), []).append(name)
        except Exception as error:
            progress.say("".join(traceback.format_exception(error)))
            failed.setdefault(f"{type(error).__name__}: {error}", []).append(name)
            mendable = False
        else:
            if record:
                results.record(name, settings)
            if points := frame.attrs["failed"]:
                failed.setdefault(f"lacks {len(points)} points that failed", []).append(name)
                mendable = False
    if failed:
        reasons = "; ".join(f"{', '.join(which)} ({reason})" for reason, which in failed.items())
        count = sum(map(len, failed.values()))
        raise AnalysesFailed(f"{count} of {len(names)} analyses failed: {reasons}", mendable)


def _seconds(settings: Profile) -> dict[str, float]:
    """What the analyses took when they last ran with these settings, or when the profile was recorded."""
    for folder in (results.folder(settings), results.RECORDED / settings.name):
        with contextlib.suppress(OSError, ValueError):  # not there, or damaged
            return {name: entry.get("seconds") or 0 for name, entry in provenance.read(folder).items()}
    return {}
