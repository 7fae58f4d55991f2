"""The registry of analyses, and the one place that times, tabulates, saves and reports them."""

import contextlib
import functools
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pandas as pd

from helpers import progress, provenance, results
from helpers.analyses import points as fan
from helpers.analyses.points import Point
from helpers.corpora import CorpusError
from helpers.corpora.fetch import FetchError
from helpers.encoders import EncoderError
from helpers.executors import Workers
from helpers.profiles import Profile
from helpers.store import DamagedArtifact, DiskFull, NotStored, Store, refusing, remove_temporary
from helpers.validation import unknown

Row = dict[str, Any]  # by column
Rows = Iterable[Row]
Analysis = Callable[[Profile], pd.DataFrame]

Points = Callable[[Profile], Iterable[Point]]

ANALYSES: dict[str, Analysis] = {}  # by the name of the table that each one writes
POINTS: dict[str, Points] = {}  # of the analyses that have any


def analysis(
    name: str, *, points: Points | None = None
) -> Callable[[Callable[[Profile], Rows | tuple[Rows, dict[str, Any]]]], Analysis]:
    """Decorator: make an analysis of a function from settings to the rows of its table, and register it.

    The function returns or yields rows with the keys of :data:`helpers.results.COLUMNS`, or returns such
    rows and a dict of details for ``provenance.json``; of these ``failed``, if not empty, has the table
    computed again next time. The analysis saves ``results/<run>/<name>.csv`` and returns the table.

    ``points`` gives those of its artifacts that other processes or machines may compute beforehand.
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
        if points:
            POINTS[name] = points
        return run

    return register


def tables(settings: Profile, names: Iterable[str]) -> dict[str, pd.DataFrame]:
    """Analyses' tables, by name: as saved with these settings and this code, or computed now."""
    frames = {}
    for name in names:
        saved = results.saved(name, settings)
        frames[name] = ANALYSES[name](settings) if saved is None else saved
    return frames


# What a user can mend: a message in one line says how, and a traceback would only hide it.
MENDABLE = (
    CorpusError,
    EncoderError,
    FetchError,
    DamagedArtifact,
    DiskFull,
    FileNotFoundError,
    PermissionError,
)


class AnalysesFailed(RuntimeError):
    """Some analyses of a run failed; the message names them, and the others are done.

    ``mendable`` is true if the user can fix every cause.
    """

    def __init__(self, message: str, mendable: bool):
        super().__init__(message)
        self.mendable = mendable


def run_all(
    settings: Profile, *, only: Sequence[str] = (), record: str = "", workers: Workers | None = None
) -> None:
    """Run every analysis, or those named; ``record`` is the folder of ``book/recorded/`` to copy tables into.

    With ``workers``, they compute the analyses' points first; the tables are computed here in any case. A
    point that failed there is not tried again here.

    An analysis that fails, or lacks points that failed, is reported and the others go on;
    :class:`AnalysesFailed`, at the end, names them, once for each reason. Raises ValueError for an unknown
    name, listing the valid ones.
    """
    for name in only:
        if name not in ANALYSES:
            raise ValueError(unknown("analysis", name, ANALYSES))
    progress.say(provenance.banner(settings))
    names = only or list(ANALYSES)
    if left := Store().clean() + remove_temporary(results.folder(settings)):
        progress.say(f"deleted leftovers of killed runs: {left} folders and temporary files")
    lost = fan.compute(_points(names, settings), workers) if workers else {}
    expected = _seconds(settings, record)
    failed: dict[str, list[str]] = {}  # by reason
    mendable = True
    for number, name in enumerate(names):
        seconds = sum(expected.get(other, 0) for other in names[number:])
        about = f", about {progress.clock(seconds)} left" if seconds >= 1 else ""
        progress.say(f"analysis {number + 1} of {len(names)}{about}")
        try:
            with refusing(lambda kind, path: lost.get(path, "")):
                frame = ANALYSES[name](settings)
        except NotStored as error:  # said already, when its worker failed
            failed.setdefault(str(error), []).append(name)
            mendable = False
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
                results.record(name, settings, record)
            if points := frame.attrs["failed"]:
                failed.setdefault(f"lacks {len(points)} points that failed", []).append(name)
                mendable = False
    if failed:
        reasons = "; ".join(f"{', '.join(which)} ({reason})" for reason, which in failed.items())
        count = sum(map(len, failed.values()))
        raise AnalysesFailed(f"{count} of {len(names)} analyses failed: {reasons}", mendable)


def _seconds(settings: Profile, record: str) -> dict[str, float]:
    """What the analyses took when they last ran with these settings, or when they were recorded."""
    for folder in (results.folder(settings), results.RECORDED / (record or settings.name)):
        with contextlib.suppress(OSError, ValueError):  # not there, or damaged
            return {name: entry.get("seconds") or 0 for name, entry in provenance.read(folder).items()}
    return {}


def _points(names: Iterable[str], settings: Profile) -> list[Point]:
    points = []
    for name in names:
        # An error here is one of the settings: the analysis will report it.
        with contextlib.suppress(Exception):
            points += POINTS.get(name, lambda settings: [])(settings)
    return points
