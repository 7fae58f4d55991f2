"""How deep fine-tuning has to reach: layers frozen, cut off or drawn anew, and the task's score.

A point of a sweep is one fine-tuned model. The last tenth of the training records is held out of all of
them, and serves to choose learning rates of heads. Points are kept in the store one by one, so a sweep that
was interrupted repeats none; one that fails is reported, and the table has the others.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch import nn

from helpers import ablations, encoders, results
from helpers.analyses.finetuning import headline, load_records, say_nothing
from helpers.corpora.records import Record
from helpers.finetuning.frozen import Prefix
from helpers.profiles import Profile, Task
from helpers.statistics import Estimate, interval, seed_spread
from helpers.store import Store
from helpers.vocabulary import HEADLINE

HELD_OUT = 0.1  # of the training records
TOLERANCE = 0.05  # of the score: a larger loss counts as one


class SweepFailed(RuntimeError):
    """No point of a sweep could be computed; the message names them and says why."""


@dataclass(frozen=True, eq=False)
class _Data:
    """A task of the sweep with its records: to train on, to choose rates by, to judge by."""

    task: Task
    train: list[Record]
    held_out: list[Record]
    judged: list[Record]


def partial_freezing(settings: Profile, report: Callable = say_nothing) -> pd.DataFrame:
    """Scores with embeddings and blocks up to a layer frozen (analysis ``partial_freezing``; Figure 3).

    ``layer`` is the last frozen one, -1 where none is. ``inputs``: ``one_rate``, head and encoder trained at
    the encoder's learning rate, as in the paper; ``tuned_head``, the head at that of the settings'
    ``head_rates``, the encoder's included, which scores best on the held-out records (metric
    ``head_rate``). Metric: each task's headline score, 95 % intervals by bootstrap over what :func:`headline`
    resamples. Metric ``knee``: the first layer at which the score is over ``TOLERANCE`` below that without
    freezing, the number of blocks if none is; interval by the same resamples.
    """

    def points(sweep: _Sweep, own: _Data, seed: int) -> Iterator[tuple[str, int, Estimate]]:
        prefix = None
        for layer in sorted({-1, *sweep.layers}):
            if layer >= 0:
                prefix = prefix or Prefix(settings.encoder, Store().root / "sweep-states")
            usual = own.task.recipe.learning_rate
            tried = {}
            for rate in dict.fromkeys((usual, *settings.head_rates)):
                recipe = own.task.recipe
                if rate != (recipe.head_learning_rate or usual):  # else other sweeps have the same point
                    recipe = dataclasses.replace(recipe, head_learning_rate=rate)
                task = dataclasses.replace(own.task, recipe=recipe)
                told = f"frozen through {layer}, head's rate {rate:g}"
                with sweep.attempt(own, seed, told):
                    options = dict(frozen=layer, prefix=prefix)
                    tried[rate] = sweep.scores(own, task, settings.encoder, seed, told, **options)
            if usual in tried:
                yield "one_rate", layer, tried[usual][1]
            if len(tried) == 1 + len(set(settings.head_rates) - {usual}):
                best = max(tried, key=lambda rate: tried[rate][0].value)
                sweep.add(own, seed, metric="head_rate", inputs="tuned_head", layer=layer, value=best)
                yield "tuned_head", layer, tried[best][1]

    return _Sweep("partial_freezing", settings, report).run(points, whole=-1)


def truncation(settings: Profile, report: Callable = say_nothing) -> pd.DataFrame:
    """Scores with the head on a lower layer and the blocks above removed (``truncation``; Figure 4).

    ``layer`` is the one that the head reads; the last is the whole encoder. Recipes are the settings' own.
    Metrics as in :func:`partial_freezing`; the knee is the first layer, from above, with such a loss, and -1
    if none has.
    """

    def points(sweep: _Sweep, own: _Data, seed: int) -> Iterator[tuple[str, int, Estimate]]:
        last = sweep.encoder.layers[-1]
        for layer in sorted({last, *sweep.layers}, reverse=True):
            changed = None if layer == last else ablations.truncated(sweep.encoder, layer)
            yield from sweep.changed(own, seed, layer, changed, f"head on layer {layer}")

    return _Sweep("truncation", settings, report).run(points, whole=None)


def reinitialisation(settings: Profile, report: Callable = say_nothing) -> pd.DataFrame:
    """Scores with the upper blocks' weights drawn anew before fine-tuning (``reinitialisation``).

    ``layer`` is the lowest block drawn anew; the number of blocks: none. The settings' ``sweep_layers`` are
    the last ones kept, so that a row has its counterpart in :func:`truncation` one layer below. Metrics as
    there.
    """

    def points(sweep: _Sweep, own: _Data, seed: int) -> Iterator[tuple[str, int, Estimate]]:
        n_blocks = len(sweep.encoder.layers) - 1
        for lowest in sorted({n_blocks, *(layer + 1 for layer in sweep.layers)}, reverse=True):
            changed = None if lowest == n_blocks else ablations.reinitialised(sweep.encoder, lowest, seed)
            yield from sweep.changed(own, seed, lowest, changed, f"blocks from {lowest} on drawn anew")

    return _Sweep("reinitialisation", settings, report).run(points, whole=None)


class _Sweep:
    """The points of one ablation on all tasks and seeds, and the table that they make."""

    def __init__(self, analysis: str, settings: Profile, report: Callable):
        self.analysis, self.settings, self.report = analysis, settings, report
        self.encoder = encoders.load(settings.encoder)
        blocks = list(self.encoder.layers[1:])
        unknown = set(settings.sweep_layers) - set(blocks)
        if unknown:
            raise ValueError(
                f"sweep_layers: {settings.encoder} has no layer {min(unknown)}; valid: 0 to {blocks[-1]}"
            )
        self.layers: Sequence[int] = settings.sweep_layers or blocks
        self.rows: list[dict] = []
        self.failed: dict[str, str] = {}

    def run(self, points: Callable, whole: int | None) -> pd.DataFrame:
        """The table of all points; ``whole`` is the layer of nothing ablated, None for the highest."""
        began = time.time()
        data = [_data(self.settings, task) for task in self.settings.sweep or self.settings.tasks]
        # All tasks of one seed before the next: an interrupted sweep is a whole one of fewer seeds.
        for seed in self.settings.sweep_seeds:
            for own in data:
                found: dict[str, dict[int, Estimate]] = {}
                for inputs, layer, estimate in points(self, own, seed):
                    found.setdefault(inputs, {})[layer] = estimate
                    interval = dict(value=estimate.value, ci_low=estimate.ci_low, ci_high=estimate.ci_high)
                    metric = HEADLINE[own.task.model]
                    self.add(own, seed, metric=metric, inputs=inputs, layer=layer, **interval)
                for inputs, curve in found.items():
                    reference = max(curve) if whole is None else whole
                    order = sorted(set(curve) - {reference}, reverse=whole is None)
                    if reference in curve and order:
                        none = len(self.encoder.layers) - 1 if whole == -1 else -1
                        knee = _knee(curve[reference], {k: curve[k] for k in order}, none)
                        self.add(own, seed, metric="knee", inputs=inputs, **knee)
        told = "; ".join(f"{point}: {why}" for point, why in self.failed.items())
        if not self.rows:
            raise SweepFailed(told)
        frame = results.table(self.rows)
        results.save(
            self.analysis,
            frame,
            self.settings,
            seconds=round(time.time() - began, 1),
            tolerance=TOLERANCE,
            records={
                own.task.model: [len(part) for part in (own.train, own.held_out, own.judged)] for own in data
            },
            failed=self.failed,
        )
        if told:
            self.report(f"{len(self.failed)} points of {self.analysis} failed, the table lacks them: {told}")
        return frame

    def add(self, own: _Data, seed: int, **row) -> None:
        common = dict(analysis=self.analysis, model=own.task.model, task=own.task.corpus, seed=seed)
        self.rows.append(common | dict(n=len(own.judged)) | row)

    def changed(self, own: _Data, seed: int, layer: int, model: nn.Module | None, told: str):
        """The point of an encoder whose weights were changed, None for the one as it is."""
        found = []
        with self.attempt(own, seed, told), contextlib.ExitStack() as stack:
            encoder = self.settings.encoder
            if model is not None:
                encoder = stack.enter_context(ablations.saved(self.encoder, model))
            found.append(("", layer, self.scores(own, own.task, encoder, seed, told)[1]))
        return found

    def scores(
        self, own: _Data, task: Task, encoder, seed: int, told: str, **options
    ) -> tuple[Estimate, Estimate]:
        """Headline scores on the held-out records and on those to judge by."""
        name = f"{task.model}, seed {seed}, {told}"
        self.report(f"fine-tuning {name}")

        def progress(done: int, total: int) -> None:
            if done % max(1, total // 4) == 0:
                self.report(f"fine-tuning {name}: step {done} of {total}")

        rows = ablations.predictions(
            task,
            encoder,
            own.train,
            [*own.held_out, *own.judged],
            seed=seed,
            cache=Store(),
            progress=progress,
            **options,
        )
        n = len(own.held_out)
        return headline(own.held_out, rows[:n], self.settings), headline(own.judged, rows[n:], self.settings)

    @contextlib.contextmanager
    def attempt(self, own: _Data, seed: int, told: str) -> Iterator[None]:
        """A point that may fail: told, and written down with the table, instead of ending the sweep."""
        try:
            yield
        except Exception as error:
            point, why = f"{own.task.model}, seed {seed}, {told}", f"{type(error).__name__}: {error}"
            self.failed[point] = why
            self.report(f"{point} failed ({why}); going on with the others")


def _data(settings: Profile, task: Task) -> _Data:
    place = settings.paths.get(task.corpus)
    train = load_records(task.corpus, task.train_split, place, task.train_limit)
    judged = load_records(task.corpus, task.eval_split, place, task.eval_limit)
    held_out = max(1, round(HELD_OUT * len(train)))
    if len(train) < 2:
        raise ValueError(f"{task.corpus}: {len(train)} training records; a sweep needs at least 2")
    return _Data(task, train[:-held_out], train[-held_out:], judged)


def _knee(whole: Estimate, curve: dict[int, Estimate], none: int) -> dict:
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
    distribution; of one seed it is that seed's own.
    """
    scores = frame[frame["metric"].isin(HEADLINE.values())]
    keys = ["analysis", "metric", "model", "task", "inputs", "layer"]
    rows = []
    for _, same in scores.groupby(keys, sort=False, dropna=False):
        row = same.iloc[0].to_dict()
        values = same["value"].to_numpy(dtype=float)
        if len(values) > 1:
            spread = seed_spread(values)
            row |= dict(value=spread.mean, ci_low=spread.ci_low, ci_high=spread.ci_high, seed=None)
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

    A row for each model and seed, a column for each analysis and its ``inputs``.
    """

    def told(value: float, layers: pd.Series) -> str:
        number = round(float(value))
        return str(number) if 0 <= number <= layers.max() else "none"

    rows = []
    for frame in frames:
        for row in frame[frame["metric"] == "knee"].to_dict("records"):
            value, low, high = (told(row[c], frame["layer"]) for c in ("value", "ci_low", "ci_high"))
            text = value if low == high == value else f"{value} [{low}, {high}]"
            kind = "" if pd.isna(row["inputs"]) else row["inputs"]
            rows.append([row["analysis"], kind, row["model"], row["seed"], text])
    columns = ["analysis", "inputs", "model", "seed", "knee"]
    return pd.DataFrame(rows, columns=columns).pivot_table(
        index=columns[2:4], columns=columns[:2], values="knee", aggfunc="first", sort=False
    )
