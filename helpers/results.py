"""Results as tidy tables: one row per number, scores as fractions of 1.

The columns are spelled as in the table of the paper's own numbers, so that the two join.
"""

import io
import math
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pandas as pd

from helpers import progress, provenance, store
from helpers.profiles import Profile
from helpers.validation import unknown
from helpers.vocabulary import LAST, MODELS, ORDER

COLUMNS = [
    "analysis", "metric", "model", "task", "inputs", "layer", "value", "ci_low", "ci_high", "seed", "n",
]  # fmt: skip
_INTEGERS = {"layer": "Int64", "seed": "Int64", "n": "Int64"}
PAPER = Path(__file__).parent / "assets" / "paper_results.csv"
RECORDED = Path(__file__).resolve().parents[1] / "book" / "recorded"
RUN = "minilm"  # the recorded run that the book's pages speak of


# -- tables --------------------------------------------------------------------------------------------


def table(rows: list[dict]) -> pd.DataFrame:
    """Rows as a table with all of :data:`COLUMNS`, empty where a row has no value.

    Raises ValueError for a column that results do not have.
    """
    unknown = {key for row in rows for key in row} - set(COLUMNS)
    if unknown:
        raise ValueError(f"unknown columns {sorted(unknown)}; results have {', '.join(COLUMNS)}")
    return pd.DataFrame(rows, columns=COLUMNS).astype(_INTEGERS)


def select(frame: pd.DataFrame, **wanted: Any) -> pd.DataFrame:
    """The rows that have the given values in the columns of these names, in their order.

    Each value may be one or several (any iterable but a string). ``None`` leaves a column alone; ``pd.NA``
    matches rows that are empty in it, as Base's are in ``seed``. Raises ValueError, listing the valid ones,
    for a column that results lack or a value that does not occur in its column.
    """
    keep = pd.Series(True, index=frame.index)
    for column, values in wanted.items():
        if column not in COLUMNS:
            raise ValueError(unknown("column", column, COLUMNS))
        if values is not None:
            keep &= _matches(frame[column], list(values) if pd.api.types.is_list_like(values) else [values])
    return frame[keep]


def _matches(column: pd.Series, values: list[Hashable]) -> pd.Series:
    empty, known = column.isna(), set(column.dropna())
    named = {value for value in values if not pd.isna(value)}
    with_empty = len(named) < len(values) and any(map(pd.isna, values))
    if named - known or (with_empty and not empty.any()):
        absent = ", ".join(sorted(repr(value) for value in named - known)) or "missing"
        valid = ", ".join(str(value) for value in sorted(known))
        raise ValueError(f"no row has {column.name} {absent}; this table has: {valid or 'none'}")
    matches = column.isin(named)
    return matches | empty if with_empty else matches


def one_seed(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the first fine-tuning seed, with those of models that are not tuned and those that belong
    to no single seed."""
    tuned = frame["model"].isin(MODELS)
    first = frame.loc[tuned, "seed"].min()
    return frame[~tuned | frame["seed"].isna() | frame["seed"].isin([first])]


def wide(frame: pd.DataFrame, index: str, columns: str = "model", values: str = "value") -> pd.DataFrame:
    """One row per value of ``index``, one column per value of ``columns``; models in the book's order."""
    grid = frame.pivot(index=index, columns=columns, values=values)
    for axis, name in enumerate((index, columns)):
        if name == "model":
            grid = grid.reindex([model for model in ORDER if model in grid.axes[axis]], axis=axis)
    return grid


# -- files ---------------------------------------------------------------------------------------------


def folder(settings: Profile) -> Path:
    """Where a run's tables are saved: ``results/<run>`` in the store's home."""
    return store.home() / "results" / provenance.run_name(settings)


def read(path: Path) -> pd.DataFrame:
    """A table of results. Raises FileNotFoundError, or ValueError naming the columns that are missing."""
    return _parsed(path, path.read_bytes())


def _parsed(path: Path, content: bytes) -> pd.DataFrame:
    frame = pd.read_csv(io.BytesIO(content), dtype=_INTEGERS)
    missing = [c for c in COLUMNS if c not in frame]
    if missing:
        raise ValueError(f"{path}: lacks the columns {', '.join(missing)}")
    return frame


def save(analysis: str, frame: pd.DataFrame, settings: Profile, **details: Any) -> Path:
    """Write ``results/<run>/<analysis>.csv`` and the analysis's entry in ``provenance.json`` beside it.

    ``details`` are added to the entry: seconds, hashes of the data, what was left out.
    """
    path = folder(settings) / f"{analysis}.csv"
    content = frame.to_csv(index=False, float_format="%.6g", lineterminator="\n").encode()
    provenance.add_entry(path.parent, analysis, provenance.entry(settings) | details, content)
    return path


def saved(analysis: str, settings: Profile) -> pd.DataFrame | None:
    """The table of an analysis as last saved; None if it is not there, lacks points that failed, or is of
    other settings, code, weights or data.

    Also None, with a message, if the table or its entry in ``provenance.json`` is damaged.
    """
    path = folder(settings) / f"{analysis}.csv"
    entry, content, problem = None, None, ""
    try:
        if (path.parent / provenance.FILE).exists():
            entry = provenance.read(path.parent).get(analysis)
        if path.exists():
            content = path.read_bytes()
    except (ValueError, OSError) as error:
        problem = str(error)
    if entry is None and content is None and not problem:
        return None
    problem = problem or provenance.damage(entry, content)
    if problem or entry is None or content is None:
        progress.say(f"{path}: {problem}; computed again")
        return None
    if entry.get("failed") or not provenance.is_current(entry, settings):
        return None
    return _parsed(path, content)


def record(analysis: str, settings: Profile, run: str) -> None:
    """Copy an analysis's table and provenance into ``book/recorded/<run>/``.

    Raises ValueError if either is damaged.
    """
    path = folder(settings) / f"{analysis}.csv"
    entry, content = provenance.read(path.parent)[analysis], path.read_bytes()
    if problem := provenance.damage(entry, content):
        raise ValueError(f"{path}: {problem}")
    provenance.add_entry(RECORDED / run, analysis, entry, content)


def recorded(run: str, analysis: str) -> tuple[pd.DataFrame, dict]:
    """Results committed with the book and their provenance.

    Raises FileNotFoundError listing the recorded runs that there are, and ValueError for a table that is not
    the recorded one.
    """
    path = RECORDED / run / f"{analysis}.csv"
    if not path.exists():
        there = sorted(f"{p.parent.name}/{p.stem}" for p in RECORDED.glob("*/*.csv"))
        raise FileNotFoundError(f"no recorded run {run}/{analysis}; there are: {', '.join(there) or 'none'}")
    entry = provenance.read(path.parent).get(analysis, {})
    return _recorded_table(path, entry), entry


def _recorded_table(path: Path, entry: dict) -> pd.DataFrame:
    content = path.read_bytes()
    hashed = "table" in entry or "checksum" in entry  # the oldest are not
    if hashed and (problem := provenance.damage(entry, content)):
        raise ValueError(f"{path}: {problem}; restore both from the repository")
    return _parsed(path, content)


def recorded_run(run: str = RUN) -> dict[str, pd.DataFrame]:
    """The tables of one run recorded with the book: file's name -> table.

    Raises KeyError for a run that there is not.
    """
    paths = sorted((RECORDED / run).glob("*.csv"))
    if not paths:
        raise KeyError(run)
    return {path.stem: recorded(run, path.stem)[0] for path in paths}


def recorded_settings(run: str = RUN) -> dict[str, Any]:
    """The settings that a run recorded with the book was fine-tuned with; ``encoder`` is one of them.

    Raises KeyError for a run that there is not.
    """
    return provenance.read(RECORDED / run)["finetuning"]["settings"]


def recorded_runs() -> dict[str, dict[str, pd.DataFrame]]:
    """The tables of every run recorded with the book: run -> file's name -> table.

    A folder counts as a run of the analyses if it has the models' scores.
    """
    return {name: recorded_run(name) for name in _run_names()}


def _run_names() -> list[str]:
    return sorted(scores.parent.name for scores in RECORDED.glob("*/finetuning.csv"))


def run_with(*analyses: str) -> str:
    """The name of the recorded run that pages show these analyses of: :data:`RUN`, or another that has them.

    Raises FileNotFoundError if no recorded run has them all.
    """
    for name in (RUN, *_run_names()):
        if all((RECORDED / name / f"{analysis}.csv").exists() for analysis in analyses):
            return name
    raise FileNotFoundError(f"no recorded run has {', '.join(analyses)}")


def paper(analysis: str, last: int | None = None) -> pd.DataFrame:
    """The paper's numbers for an analysis, with the columns ``exhibit``, ``tolerance`` and ``source``.

    ``source`` distinguishes numbers read in its text or tables from those digitised from its figures, to
    within ``tolerance``. With ``last``, the last layer of another encoder, layers are numbered as in that
    one at the same share of depth, as fractions. Raises ValueError listing the analyses that the paper has.
    """
    frame = pd.read_csv(PAPER, dtype={"layer": "Int64"})
    if analysis not in set(frame["analysis"]):
        valid = ", ".join(sorted(set(frame["analysis"])))
        raise ValueError(f"the paper has no analysis {analysis!r}; it has {valid}")
    frame = frame[frame["analysis"] == analysis].reset_index(drop=True)
    if last is not None:
        frame["layer"] = (frame["layer"].astype("Float64") + 1) * (last + 1) / (LAST + 1) - 1
    return frame


# -- numbers as text -----------------------------------------------------------------------------------


def by_interval(low: float, high: float, *, above: str, below: str, neither: str, bound: float = 0) -> str:
    """The text that an interval speaks for: it lies wholly above ``bound``, wholly below it, or does not."""
    return above if low > bound else below if high < bound else neither


def clear(frame: pd.DataFrame) -> tuple[int, int]:
    """How many of a table's intervals lie wholly below zero, and how many wholly above it."""
    return int((frame["ci_high"] < 0).sum()), int((frame["ci_low"] > 0).sum())


def format_number(
    value: float,
    low: float = math.nan,
    high: float = math.nan,
    *,
    points: bool = False,
    signed: bool = False,
) -> str:
    """A number as text, with its interval if it has one: a fraction of 1 with two digits, or points
    (percent) with one."""
    digits, scale = (1, 100) if points else (2, 1)

    def one(number: float) -> str:
        text = f"{number * scale:{'+' if signed else ''}.{digits}f}"
        return (f"{0:.{digits}f}" if float(text) == 0 else text).replace("-", "−")

    return one(value) if math.isnan(low) else f"{one(value)} [{one(low)}, {one(high)}]"


def format_rows(frame: pd.DataFrame, *, points: bool = False, signed: bool = False) -> list[str]:
    """``value [ci_low, ci_high]`` of each row as text."""
    numbers = frame[["value", "ci_low", "ci_high"]].to_numpy(dtype=float)
    return [format_number(*row, points=points, signed=signed) for row in numbers]
