"""How deep fine-tuning has to reach: layers frozen, cut off or re-initialised, and the task's score.

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
from torch import nn

from helpers import encoders, progress, results, statistics
from helpers.analyses.finetuning import headline, read_records
from helpers.analyses.points import Point
from helpers.analyses.runner import Row, Rows, analysis
from helpers.analyses.seeds import Seeds
from helpers.corpora.records import Record
from helpers.encoders import Encoder
from helpers.finetuning import blocks, training
from helpers.finetuning.blocks import Prefix
from helpers.finetuning.tasks import TASKS
from helpers.profiles import Profile, Task, TuningRecipe
from helpers.statistics import Estimate, interval
from helpers.store import SCRATCH, Store
from helpers.vocabulary import OVER_SEEDS

HELD_OUT = 0.1  # of the training records
TOLERANCE = 0.05  # of the score: a larger drop counts as a loss


class SweepFailed(RuntimeError):
    """No point of a sweep could be computed; the message names them and says why."""


@dataclass(frozen=True, eq=False)
class _TaskData:
    """A task of the sweep with its records: to train on, to choose rates by, to evaluate on."""

    task: Task
    train: list[Record]
    held_out: list[Record]
    evaluation: list[Record]


@dataclass(frozen=True)
class Ablation:
    """What is done to an encoder before one of a sweep's models is fine-tuned."""

    kind: str  # frozen, truncated or reinitialised
    layer: int  # as in the tables
    head_rate: float | None = None  # learning rate of the head; None: the recipe's

    def __str__(self) -> str:
        what = {
            "frozen": f"frozen through {self.layer}",
            "truncated": f"head on layer {self.layer}",
            "reinitialised": f"blocks from {self.layer} on re-initialised",
        }[self.kind]
        return what if self.head_rate is None else f"{what}, head's rate {self.head_rate:g}"

    def recipe(self, task: Task) -> TuningRecipe:
        """The task's recipe with this head's rate."""
        # At its own rate a head needs no setting: other sweeps have the same point.
        own = task.recipe.head_learning_rate or task.recipe.learning_rate
        if self.head_rate in (None, own):
            return task.recipe
        return dataclasses.replace(task.recipe, head_learning_rate=self.head_rate)

    def change(self, encoder: Encoder, seed: int) -> nn.Module | None:
        """The encoder's model with other weights or fewer blocks; None if it stays as it is."""
        last = encoder.layers[-1]
        if self.kind == "truncated" and self.layer < last:
            return blocks.truncated(encoder, self.layer)
        if self.kind == "reinitialised" and self.layer <= last:
            return blocks.reinitialised(encoder, self.layer, seed)
        return None


def _layers(settings: Profile, encoder: Encoder) -> Sequence[int]:
    """The layers that are ablated. Raises ValueError for one that the encoder lacks."""
    known = list(encoder.layers[1:])
    if unknown := set(settings.sweep_layers) - set(known):
        raise ValueError(
            f"sweep_layers: {settings.encoder} has no layer {min(unknown)}; valid: 0 to {known[-1]}"
        )
    return settings.sweep_layers or known


def _frozen(settings: Profile, encoder: Encoder, task: Task) -> list[Ablation]:
    blocks.separable(encoder.model, "frozen in part")
    rates = dict.fromkeys((task.recipe.learning_rate, *settings.head_rates))
    layers = sorted({-1, *_layers(settings, encoder)})
    return [Ablation("frozen", layer, rate) for layer in layers for rate in rates]


def _truncated(settings: Profile, encoder: Encoder, task: Task) -> list[Ablation]:
    layers = sorted({encoder.layers[-1], *_layers(settings, encoder)}, reverse=True)
    return [Ablation("truncated", layer) for layer in layers]


def _reinitialised(settings: Profile, encoder: Encoder, task: Task) -> list[Ablation]:
    blocks.separable(encoder.model, "re-initialised in part")
    n_blocks = len(encoder.layers) - 1
    lowest = {n_blocks, *(layer + 1 for layer in _layers(settings, encoder))}
    return [Ablation("reinitialised", layer) for layer in sorted(lowest, reverse=True)]


Ablations = Callable[[Profile, Encoder, Task], list[Ablation]]


def _points(ablations: Ablations) -> Callable[[Profile], list[Point]]:
    """Function from settings to a sweep's points, as they can be computed apart."""

    def points(settings: Profile) -> list[Point]:
        encoder = encoders.load(settings.encoder)
        return [
            Point(_name(task, seed, ablation), "ablation", _alone, (settings, task, seed, ablation))
            for seed, task in _models(settings)
            for ablation in ablations(settings, encoder, task)
        ]

    return points


def _models(settings: Profile) -> list[tuple[int, Task]]:
    """Seeds and tasks: all tasks of one seed first, so that half a sweep is a whole one of fewer seeds."""
    return [(seed, task) for seed in settings.sweep_seeds for task in settings.sweep or settings.tasks]


def _name(task: Task, seed: int, ablation: Ablation) -> str:
    return f"{task.model}, seed {seed}, {ablation}"


def _alone(settings: Profile, task: Task, seed: int, ablation: Ablation) -> None:
    """Compute a point into the store."""
    encoder = encoders.load(settings.encoder)
    _predictions(settings, _split(settings, task), seed, ablation, ablation.change(encoder, seed), encoder)


def _predictions(
    settings: Profile,
    data: _TaskData,
    seed: int,
    ablation: Ablation,
    changed: nn.Module | None,
    encoder: Encoder,
    prefix: Prefix | None = None,
) -> list[dict[str, Any]]:
    """What a point's model predicts for the held-out records and those to evaluate on, one after another."""
    task = dataclasses.replace(data.task, recipe=ablation.recipe(data.task))
    with contextlib.ExitStack() as stack:
        source: str | Path = settings.encoder
        if changed is not None:
            source = stack.enter_context(blocks.saved(encoder, changed))
        return training.predictions(
            task,
            source,
            data.train,
            [*data.held_out, *data.evaluation],
            seed=seed,
            cache=Store(),
            frozen=ablation.layer if ablation.kind == "frozen" else -1,
            prefix=prefix,
        )


# -- tables ----------------------------------------------------------------------------------------


@analysis("partial_freezing", points=_points(_frozen))
def partial_freezing(settings: Profile) -> tuple[Rows, dict[str, Any]]:
    """Scores with embeddings and blocks up to a layer frozen (analysis ``partial_freezing``; Figure 3).

    ``layer`` is the last frozen one, -1 where none is. ``inputs``: ``one_rate``, head and encoder trained at
    the encoder's learning rate, as in the paper; ``tuned_head``, the head at whichever of the settings'
    ``head_rates``, the encoder's included, scores best on the held-out records (metric ``head_rate``).
    Metric: each task's headline score, 95 % intervals by bootstrap over what :func:`headline` resamples.
    Metric ``loss``: the score with none frozen minus that with these, by the same resamples. Metric ``knee``:
    the first layer at which the score is over ``TOLERANCE`` below that without freezing, the number of blocks
    if none is. Scores and losses over all seeds: ``partial_freezing_over_seeds`` (:class:`.seeds.Seeds`).
    """
    return _Sweep("partial_freezing", settings).run(_frozen, whole=-1)


@analysis("truncation", points=_points(_truncated))
def truncation(settings: Profile) -> tuple[Rows, dict[str, Any]]:
    """Scores with the head on a lower layer and the blocks above removed (``truncation``; Figure 4).

    ``layer`` is the one that the head reads; the last is the whole encoder. Recipes are the settings' own.
    Metrics as in :func:`partial_freezing`; the knee is the first layer, from above, with such a loss, and -1
    if none has.
    """
    return _Sweep("truncation", settings).run(_truncated, whole=None)


@analysis("reinitialisation", points=_points(_reinitialised))
def reinitialisation(settings: Profile) -> tuple[Rows, dict[str, Any]]:
    """Scores with the upper blocks' weights re-initialised before fine-tuning (``reinitialisation``).

    ``layer`` is the lowest block re-initialised; the number of blocks: none. The settings' ``sweep_layers``
    are the last ones kept, so that a row has its counterpart in :func:`truncation` one layer below. Metrics
    as there.
    """
    return _Sweep("reinitialisation", settings).run(_reinitialised, whole=None)


class _Sweep:
    """The points of one ablation on all tasks and seeds, and the rows that they make."""

    def __init__(self, name: str, settings: Profile):
        self.name, self.settings = name, settings
        self.encoder = encoders.load(settings.encoder)
        self.rows: list[dict[str, Any]] = []
        self.failed: dict[str, str] = {}
        self.seeds = Seeds()

    def run(self, ablations: Ablations, whole: int | None) -> tuple[Rows, dict[str, Any]]:
        """Rows and details of all points; ``whole`` is the layer of nothing ablated, None for the highest."""
        parts = {task: _split(self.settings, task) for _, task in _models(self.settings)}
        for seed, task in _models(self.settings):
            data = parts[task]
            scores = self.scores(data, seed, ablations(self.settings, self.encoder, task))
            curves: dict[str, dict[int, Estimate]] = {}
            for inputs, layer, estimate in self.chosen(data, seed, scores):
                curves.setdefault(inputs, {})[layer] = estimate
                row = dict(metric=TASKS[task.model].metric, inputs=inputs, layer=layer)
                self.add_score(data, seed, estimate, **row)
            for inputs, curve in curves.items():
                reference = max(curve) if whole is None else whole
                order = sorted(set(curve) - {reference}, reverse=whole is None)
                for layer in order if reference in curve else ():
                    loss = statistics.difference(curve[reference], curve[layer])
                    self.add_score(data, seed, loss, metric="loss", inputs=inputs, layer=layer)
                if reference in curve and order:
                    none = len(self.encoder.layers) - 1 if whole == -1 else -1
                    knee = _knee(curve[reference], {k: curve[k] for k in order}, none)
                    self.add(data, seed, metric="knee", inputs=inputs, **knee)
        self.rows += self.seeds.over_all()
        failures = "; ".join(f"{point}: {reason}" for point, reason in self.failed.items())
        if not self.rows:
            raise SweepFailed(failures)
        if failures:
            progress.say(f"{len(self.failed)} points of {self.name} failed, the table lacks them: {failures}")
        sizes = {
            task.model: [len(data.train), len(data.held_out), len(data.evaluation)]
            for task, data in parts.items()
        }
        return self.rows, dict(tolerance=TOLERANCE, records=sizes, failed=self.failed)

    def add(self, data: _TaskData, seed: int, **row: Any) -> None:
        self.rows.append(self._common(data, seed) | row)

    def add_score(self, data: _TaskData, seed: int, estimate: Estimate, **row: Any) -> None:
        self.rows.append(self.seeds.row(self._common(data, seed) | row, estimate))

    def _common(self, data: _TaskData, seed: int) -> Row:
        common: Row = dict(analysis=self.name, model=data.task.model, task=data.task.corpus, seed=seed)
        return common | dict(n=len(data.evaluation))

    def scores(
        self, data: _TaskData, seed: int, ablations: list[Ablation]
    ) -> dict[Ablation, tuple[Estimate, Estimate]]:
        """Headline scores of a task's models on the held-out records and on those to evaluate on.

        A point may fail: it is reported, and saved with the table, instead of ending the sweep.
        """
        scores, prefix = {}, None
        for ablation in ablations:
            if ablation.kind == "frozen" and ablation.layer >= 0:
                prefix = prefix or Prefix(self.settings.encoder, Store().root / SCRATCH)
            changed, point = ablation.change(self.encoder, seed), _name(data.task, seed, ablation)
            progress.say(f"fine-tuning {point}")
            try:
                rows = _predictions(self.settings, data, seed, ablation, changed, self.encoder, prefix)
                n = len(data.held_out)
                scores[ablation] = (
                    headline(data.held_out, rows[:n], self.settings),
                    headline(data.evaluation, rows[n:], self.settings),
                )
            except Exception as error:
                self.failed[point] = reason = f"{type(error).__name__}: {error}"
                progress.say(f"{point} failed ({reason}); going on with the others")
        return scores

    def chosen(
        self, data: _TaskData, seed: int, scores: dict[Ablation, tuple[Estimate, Estimate]]
    ) -> Iterator[tuple[str, int, Estimate]]:
        """What the table shows of the scores: ``inputs``, ``layer`` and score.

        Of a layer tried with several rates of the head, the score at the recipe's rate and the one at the
        rate that is best on the held-out records; the latter only if none of its points failed.
        """
        for ablation, (_, evaluated) in scores.items():
            if ablation.head_rate is None:
                yield "", ablation.layer, evaluated
        for layer in dict.fromkeys(a.layer for a in scores if a.head_rate is not None):
            tried = {a.head_rate: own for a, own in scores.items() if a.layer == layer}
            rate = data.task.recipe.learning_rate
            if rate in tried:
                yield "one_rate", layer, tried[rate][1]
            if set(tried) >= {rate, *self.settings.head_rates}:
                best = max(tried, key=lambda rate: tried[rate][0].value)
                self.add(data, seed, metric="head_rate", inputs="tuned_head", layer=layer, value=best)
                yield "tuned_head", layer, tried[best][1]


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
    """The headline scores of an ablation's table over fine-tuning seeds; with a single seed, that seed's.

    A table that was recorded before analyses wrote such rows has them from those of single seeds
    (:func:`helpers.statistics.over_seeds_of_table`).
    """
    scores = frame[frame["metric"].isin([task.metric for task in TASKS.values()])]
    pooled = scores["analysis"].str.endswith(OVER_SEEDS)
    scores = scores.assign(analysis=scores["analysis"].str.removesuffix(OVER_SEEDS), pooled=pooled)
    keys = ["analysis", "metric", "model", "task", "inputs", "layer"]
    rows = []
    for _, same in scores.groupby(keys, sort=False, dropna=False):
        row = same.sort_values("pooled").iloc[-1].drop("pooled").to_dict()
        if len(same) > 1 and not same["pooled"].any():
            numbers = (same[name].to_numpy(dtype=float) for name in ("value", "ci_low", "ci_high"))
            value, low, high = statistics.over_seeds_of_table(*numbers)
            row |= dict(value=value, ci_low=low, ci_high=high, seed=None)
        rows.append(row)
    return results.table(rows)


def from_above(cut: pd.DataFrame, drawn: pd.DataFrame) -> pd.DataFrame:
    """Tables of :func:`truncation` and :func:`reinitialisation` on one axis.

    ``layer`` is the highest block kept as it was, ``inputs`` the analysis.
    """
    frame = pd.concat([cut, drawn.assign(layer=drawn["layer"] - 1)], ignore_index=True)
    return frame.assign(inputs=frame["analysis"].str.removesuffix(OVER_SEEDS))


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
