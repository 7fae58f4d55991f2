"""How deep fine-tuning has to reach: layers frozen, cut off or drawn anew, and the task's score.

A point of a sweep is one fine-tuned model. The last tenth of the training records is held out of all of
them, to choose learning rates of heads by. Points are kept in the store one by one, so an interrupted sweep
repeats none; one that fails is reported, and the table has the others.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats
from torch import nn

from helpers import encoders, progress, results
from helpers.analyses.finetuning import headline, read_records
from helpers.analyses.runner import Rows, analysis
from helpers.corpora.records import Record
from helpers.finetuning import blocks, training
from helpers.finetuning.blocks import Prefix
from helpers.finetuning.tasks import TASKS
from helpers.profiles import Profile, Task
from helpers.statistics import Estimate, interval
from helpers.store import SCRATCH, Store

HELD_OUT = 0.1  # of the training records
TOLERANCE = 0.05  # of the score: a larger loss counts as one

Points = Iterator[tuple[str, int, Estimate]]  # a row's inputs and layer, and its score


class SweepFailed(RuntimeError):
    """No point of a sweep could be computed; the message names them and says why."""


@dataclass(frozen=True, eq=False)
class _TaskData:
    """A task of the sweep with its records: to train on, to choose rates by, to evaluate on."""

    task: Task
    train: list[Record]
    held_out: list[Record]
    evaluation: list[Record]


@analysis("partial_freezing")
def partial_freezing(settings: Profile) -> tuple[Rows, dict[str, Any]]:
    """Scores with embeddings and blocks up to a layer frozen (analysis ``partial_freezing``; Figure 3).

    ``layer`` is the last frozen one, -1 where none is. ``inputs``: ``one_rate``, head and encoder trained at
    the encoder's learning rate, as in the paper; ``tuned_head``, the head at whichever of the settings'
    ``head_rates``, the encoder's included, scores best on the held-out records (metric ``head_rate``).
    Metric: each task's headline score, 95 % intervals by bootstrap over what :func:`headline` resamples.
    Metric ``knee``: the first layer at which the score is over ``TOLERANCE`` below that without freezing, the
    number of blocks if none is; interval by the same resamples.
    """

    def points(sweep: _Sweep, data: _TaskData, seed: int) -> Points:
        prefix = None
        recipe = data.task.recipe
        rates = list(dict.fromkeys((recipe.learning_rate, *settings.head_rates)))
        for layer in sorted({-1, *sweep.layers}):
            if layer >= 0:
                prefix = prefix or Prefix(settings.encoder, Store().root / SCRATCH)
            tried = {}
            for rate in rates:
                # At its own rate a head needs no setting: other sweeps have the same point.
                own = rate == (recipe.head_learning_rate or recipe.learning_rate)
                changed = recipe if own else dataclasses.replace(recipe, head_learning_rate=rate)
                task = dataclasses.replace(data.task, recipe=changed)
                point = f"frozen through {layer}, head's rate {rate:g}"
                with sweep.attempt(data, seed, point):
                    tried[rate] = sweep.scores(
                        data, task, settings.encoder, seed, point, frozen=layer, prefix=prefix
                    )
            if recipe.learning_rate in tried:
                yield "one_rate", layer, tried[recipe.learning_rate][1]
            if len(tried) == len(rates):
                best = max(tried, key=lambda rate: tried[rate][0].value)
                sweep.add(data, seed, metric="head_rate", inputs="tuned_head", layer=layer, value=best)
                yield "tuned_head", layer, tried[best][1]

    return _Sweep("partial_freezing", settings).run(points, whole=-1)


@analysis("truncation")
def truncation(settings: Profile) -> tuple[Rows, dict[str, Any]]:
    """Scores with the head on a lower layer and the blocks above removed (``truncation``; Figure 4).

    ``layer`` is the one that the head reads; the last is the whole encoder. Recipes are the settings' own.
    Metrics as in :func:`partial_freezing`; the knee is the first layer, from above, with such a loss, and -1
    if none has.
    """

    def points(sweep: _Sweep, data: _TaskData, seed: int) -> Points:
        last = sweep.encoder.layers[-1]
        for layer in sorted({last, *sweep.layers}, reverse=True):
            changed = None if layer == last else blocks.truncated(sweep.encoder, layer)
            yield from sweep.changed(data, seed, layer, changed, f"head on layer {layer}")

    return _Sweep("truncation", settings).run(points, whole=None)


@analysis("reinitialisation")
def reinitialisation(settings: Profile) -> tuple[Rows, dict[str, Any]]:
    """Scores with the upper blocks' weights drawn anew before fine-tuning (``reinitialisation``).

    ``layer`` is the lowest block drawn anew; the number of blocks: none. The settings' ``sweep_layers`` are
    the last ones kept, so that a row has its counterpart in :func:`truncation` one layer below. Metrics as
    there.
    """

    def points(sweep: _Sweep, data: _TaskData, seed: int) -> Points:
        n_blocks = len(sweep.encoder.layers) - 1
        for lowest in sorted({n_blocks, *(layer + 1 for layer in sweep.layers)}, reverse=True):
            changed = None if lowest == n_blocks else blocks.reinitialised(sweep.encoder, lowest, seed)
            yield from sweep.changed(data, seed, lowest, changed, f"blocks from {lowest} on drawn anew")

    return _Sweep("reinitialisation", settings).run(points, whole=None)


class _Sweep:
    """The points of one ablation on all tasks and seeds, and the rows that they make."""

    def __init__(self, name: str, settings: Profile):
        self.name, self.settings = name, settings
        self.encoder = encoders.load(settings.encoder)
        known = list(self.encoder.layers[1:])
        unknown = set(settings.sweep_layers) - set(known)
        if unknown:
            raise ValueError(
                f"sweep_layers: {settings.encoder} has no layer {min(unknown)}; valid: 0 to {known[-1]}"
            )
        self.layers: Sequence[int] = settings.sweep_layers or known
        self.rows: list[dict[str, Any]] = []
        self.failed: dict[str, str] = {}

    def run(
        self, points: Callable[["_Sweep", _TaskData, int], Points], whole: int | None
    ) -> tuple[Rows, dict[str, Any]]:
        """Rows and details of all points; ``whole`` is the layer of nothing ablated, None for the highest."""
        parts = [_split(self.settings, task) for task in self.settings.sweep or self.settings.tasks]
        # All tasks of one seed before the next: an interrupted sweep is a whole one of fewer seeds.
        for seed in self.settings.sweep_seeds:
            for data in parts:
                curves: dict[str, dict[int, Estimate]] = {}
                for inputs, layer, estimate in points(self, data, seed):
                    curves.setdefault(inputs, {})[layer] = estimate
                    metric = TASKS[data.task.model].metric
                    self.add(data, seed, metric=metric, inputs=inputs, layer=layer, **estimate.numbers())
                for inputs, curve in curves.items():
                    reference = max(curve) if whole is None else whole
                    order = sorted(set(curve) - {reference}, reverse=whole is None)
                    if reference in curve and order:
                        none = len(self.encoder.layers) - 1 if whole == -1 else -1
                        knee = _knee(curve[reference], {k: curve[k] for k in order}, none)
                        self.add(data, seed, metric="knee", inputs=inputs, **knee)
        failures = "; ".join(f"{point}: {reason}" for point, reason in self.failed.items())
        if not self.rows:
            raise SweepFailed(failures)
        if failures:
            progress.say(f"{len(self.failed)} points of {self.name} failed, the table lacks them: {failures}")
        sizes = {
            data.task.model: [len(data.train), len(data.held_out), len(data.evaluation)] for data in parts
        }
        return self.rows, dict(tolerance=TOLERANCE, records=sizes, failed=self.failed)

    def add(self, data: _TaskData, seed: int, **row: Any) -> None:
        common = dict(analysis=self.name, model=data.task.model, task=data.task.corpus, seed=seed)
        self.rows.append(common | dict(n=len(data.evaluation)) | row)

    def changed(self, data: _TaskData, seed: int, layer: int, model: nn.Module | None, point: str) -> Points:
        """The point of an encoder whose weights were changed, None for the one as it is."""
        scores = None
        with self.attempt(data, seed, point), contextlib.ExitStack() as stack:
            encoder: str | Path = self.settings.encoder
            if model is not None:
                encoder = stack.enter_context(blocks.saved(self.encoder, model))
            scores = self.scores(data, data.task, encoder, seed, point)
        if scores:
            yield "", layer, scores[1]

    def scores(
        self, data: _TaskData, task: Task, encoder: str | Path, seed: int, point: str, **options: Any
    ) -> tuple[Estimate, Estimate]:
        """Headline scores on the held-out records and on those to evaluate on."""
        progress.say(f"fine-tuning {task.model}, seed {seed}, {point}")
        rows = training.predictions(
            task,
            encoder,
            data.train,
            [*data.held_out, *data.evaluation],
            seed=seed,
            cache=Store(),
            **options,
        )
        n = len(data.held_out)
        parts = (data.held_out, rows[:n]), (data.evaluation, rows[n:])
        held_out, evaluated = (headline(records, own, self.settings) for records, own in parts)
        return held_out, evaluated

    @contextlib.contextmanager
    def attempt(self, data: _TaskData, seed: int, point: str) -> Iterator[None]:
        """A point that may fail: reported and saved with the table instead of ending the sweep."""
        try:
            yield
        except Exception as error:
            point, reason = f"{data.task.model}, seed {seed}, {point}", f"{type(error).__name__}: {error}"
            self.failed[point] = reason
            progress.say(f"{point} failed ({reason}); going on with the others")


def _split(settings: Profile, task: Task) -> _TaskData:
    train = read_records(settings, task.corpus, task.train_split, task.train_limit)
    evaluation = read_records(settings, task.corpus, task.eval_split, task.eval_limit)
    held_out = max(1, round(HELD_OUT * len(train)))
    if len(train) < 2:
        raise ValueError(f"{task.corpus}: {len(train)} training records; a sweep needs at least 2")
    return _TaskData(task, train[:-held_out], train[-held_out:], evaluation)


def _knee(whole: Estimate, curve: dict[int, Estimate], none: int) -> dict[str, float]:
    """The first layer of the curve, in its order, that loses over the tolerance, and its 95 % interval."""
    layers = np.array([*curve, none])

    def first(losses: np.ndarray) -> np.ndarray:
        beyond = np.vstack([losses > TOLERANCE, np.ones(losses.shape[1:], bool)[None]])
        return layers[beyond.argmax(0)]

    value = first(np.array([[whole.value - estimate.value] for estimate in curve.values()]))[0]
    samples = first(np.array([whole.samples - estimate.samples for estimate in curve.values()]))
    low, high = interval(samples)
    return dict(value=float(value), ci_low=low, ci_high=high)


def over_seeds(frame: pd.DataFrame) -> pd.DataFrame:
    """The headline scores of an ablation's table, averaged over fine-tuning seeds.

    The interval is Student's, 95 %, for the mean of the seeds' values, as if they were draws from a normal
    distribution; with a single seed it is that seed's own.
    """
    scores = frame[frame["metric"].isin([task.metric for task in TASKS.values()])]
    keys = ["analysis", "metric", "model", "task", "inputs", "layer"]
    rows = []
    for _, same in scores.groupby(keys, sort=False, dropna=False):
        row = same.iloc[0].to_dict()
        values = same["value"].to_numpy(dtype=float)
        if len(values) > 1:
            mean = values.mean()
            half = scipy.stats.t.ppf(0.975, len(values) - 1) * scipy.stats.sem(values)
            row |= dict(value=mean, ci_low=mean - half, ci_high=mean + half, seed=None)
        rows.append(row)
    return results.table(rows)


def from_above(cut: pd.DataFrame, drawn: pd.DataFrame) -> pd.DataFrame:
    """Tables of :func:`truncation` and :func:`reinitialisation` on one axis.

    ``layer`` is the highest block kept as it was, ``inputs`` the analysis.
    """
    frame = pd.concat([cut, drawn.assign(layer=drawn["layer"] - 1)], ignore_index=True)
    return frame.assign(inputs=frame["analysis"])


def knees(*frames: pd.DataFrame) -> pd.DataFrame:
    """Where the curves of ablations bend, as text with the 95 % interval; "none" where they do not.

    One row per model and seed, one column per analysis and its ``inputs``.
    """

    def spelled(value: float, layers: pd.Series) -> str:
        number = round(float(value))
        return str(number) if 0 <= number <= layers.max() else "none"

    rows = []
    for frame in frames:
        for row in frame[frame["metric"] == "knee"].to_dict("records"):
            value, low, high = (spelled(row[c], frame["layer"]) for c in ("value", "ci_low", "ci_high"))
            text = value if low == high == value else f"{value} [{low}, {high}]"
            kind = "" if pd.isna(row["inputs"]) else row["inputs"]
            rows.append([row["analysis"], kind, row["model"], row["seed"], text])
    columns = ["analysis", "inputs", "model", "seed", "knee"]
    return pd.DataFrame(rows, columns=columns).pivot_table(
        index=columns[2:4], columns=columns[:2], values="knee", aggfunc="first", sort=False
    )
