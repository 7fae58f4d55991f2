"""How Base becomes a fine-tuned model: along the steps of training, and with more records to train on.

Measured at each point: the score on the task, similarity to Base, what probes find, and how far the weights
have moved. Fewer records mean fewer steps as well, so models are tuned on them in two ways, in as many passes
as on all records and in as many steps.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from helpers import encoders, progress, results, statistics
from helpers.analyses import edge as edges
from helpers.analyses import rsa, structural
from helpers.analyses.finetuning import fine_tuned, headline, task_records, tunings
from helpers.analyses.points import Point
from helpers.analyses.runner import Row, Rows, analysis
from helpers.corpora import sample
from helpers.encoders import Encoder
from helpers.finetuning import training
from helpers.finetuning.tasks import TASKS
from helpers.finetuning.training import FineTuned, finetune
from helpers.profiles import Profile, Task
from helpers.statistics import Estimate
from helpers.store import Store

AXES = ("step", "same passes", "same steps")
EFFECTS = ("more steps", "more records")
MOVED = 0.95  # RSA to Base below which a layer counts as moved
_NOT_TRIED = "not tried on fewer records"
_POINT = re.compile(r"(step) (\d+)|(\d+) records, (same passes|same steps)")


# -- points along the way --------------------------------------------------------------------------


def spaced(total: int, n: int) -> list[int]:
    """At most ``n`` different steps from 1 to ``total``, both included, as even on a log scale as can be."""
    return sorted({round(step) for step in np.geomspace(1, total, n)})


def place(inputs: str) -> tuple[str, int]:
    """The axis of :data:`AXES` on which a row lies, and its step or number of records, from its ``inputs``.

    Raises ValueError for a text of another form.
    """
    found = _POINT.fullmatch(inputs)
    if found is None:
        forms = "'step 32', '300 records, same passes' or '300 records, same steps'"
        raise ValueError(f"{inputs!r} is no point; expected a text such as {forms}")
    step, number, records, axis = found.groups()
    return step or axis, int(number or records)


def followed(settings: Profile) -> list[Task]:
    """The tasks whose models are followed."""
    return [task for task in settings.tasks if task.model in settings.dynamics_models]


def sizes(settings: Profile, model: str) -> list[int]:
    """Numbers of records to tune on, below that of all, increasing."""
    n = len(task_records(settings, model, "train"))
    return sorted(size for size in settings.dynamics_sizes if size < n)


def states(settings: Profile, model: str) -> dict[int, FineTuned]:
    """The models between Base and the tuned one (first seed), by step, from the store or trained now."""
    task, seed = settings.task(model), settings.seeds[0]
    train, evaluation = (task_records(settings, model, part) for part in ("train", "eval"))
    *early, _ = spaced(training.count_steps(task, settings.encoder, train), settings.dynamics_points)
    options: Any = dict(seed=seed, cache=Store())
    return training.states(task, settings.encoder, train, evaluation, steps=early, **options) if early else {}


def tuned_on_fewer(settings: Profile, model: str, size: int, axis: str) -> FineTuned:
    """The encoder tuned on ``size`` of the records, in the ``same passes`` or ``same steps`` as on all.

    A smaller sample lies within a larger; one of all records gives the tuned model. First seed.
    """
    task, seed = settings.task(model), settings.seeds[0]
    every, evaluation = (task_records(settings, model, part) for part in ("train", "eval"))
    if size >= len(every):
        return fine_tuned(settings, model, seed)
    train = sample(every, size)
    if axis == "same steps":
        wanted = training.count_steps(task, settings.encoder, every)
        in_one_pass = training.count_steps(_passes(task, 1), settings.encoder, train)
        task = _passes(task, wanted / in_one_pass)
    return finetune(task, settings.encoder, train, evaluation, seed=seed, cache=Store())


def _passes(task: Task, epochs: float) -> Task:
    return replace(task, recipe=replace(task.recipe, epochs=epochs))


def models(settings: Profile, model: str) -> Iterator[tuple[str, FineTuned]]:
    """All models to be measured, by ``inputs`` of their rows; the last on each axis is the tuned model."""
    whole = fine_tuned(settings, model, settings.seeds[0])
    for step, tuned in states(settings, model).items():
        yield f"step {step}", tuned
    yield f"step {whole.report['training']['steps']}", whole
    for axis in AXES[1:]:
        for size in sizes(settings, model):
            yield f"{size} records, {axis}", tuned_on_fewer(settings, model, size, axis)
        yield f"{len(task_records(settings, model, 'train'))} records, {axis}", whole


def _points(settings: Profile) -> list[Point]:
    seed, points = settings.seeds[0], []
    for task in followed(settings):
        model, label = task.model, f"{task.model}, seed {seed}"
        points += tunings(settings, [seed], [model])
        points.append(Point(f"{label}, states on the way", training.STATES, states, (settings, model)))
        points += [
            Point(f"{label}, {n} records, {axis}", "finetuned", tuned_on_fewer, (settings, model, n, axis))
            for n in sorted(settings.dynamics_sizes)
            for axis in AXES[1:]
        ]
    return points


# -- what is measured ------------------------------------------------------------------------------


def weight_distance(moved: nn.Module, start: nn.Module) -> float:
    """Frobenius norm of the difference of two modules' parameters, relative to that of ``start``'s.

    0 for equal ones, 1 for ones that have doubled. Raises ValueError for modules that differ in form.
    """
    before, after = (
        {name: p.detach().double() for name, p in module.named_parameters()} for module in (start, moved)
    )
    if {n: p.shape for n, p in before.items()} != {n: p.shape for n, p in after.items()}:
        raise ValueError("the modules' parameters differ in names or shapes")
    gaps = [float((after[name] - p).norm()) for name, p in before.items()]
    return float(np.linalg.norm(gaps) / np.linalg.norm([float(p.norm()) for p in before.values()]))


def weight_distances(moved: Encoder, start: Encoder) -> dict[int, float]:
    """:func:`weight_distance` of the embeddings (layer -1) and of each block.

    Where all blocks are one set of weights, so are their distances.
    """
    family, distances = start.family, {}
    for layer in start.layers:
        block = 0 if family.one_block else layer
        name = f"{family.blocks}.{block}" if layer >= 0 else "embeddings"
        parts = (encoder.model.get_submodule(name) for encoder in (moved, start))
        distances[layer] = weight_distance(*parts)
    return distances


Measures = dict[tuple[str, int | None], tuple[Estimate, int]]  # by metric and layer, each with its n


class _Measuring:
    """Measures of encoders on the settings' text, treebank and probing tasks."""

    def __init__(self, settings: Profile):
        self.settings, self.base = settings, encoders.load(settings.encoder)
        sizes = (settings.n_sentences, 2), (settings.n_tokens, 10)
        n_sentences, self.n_tokens = (max(least, round(settings.domain_share * n)) for n, least in sizes)
        self.read = rsa.reader(replace(settings, n_sentences=n_sentences, n_tokens=self.n_tokens))

    @cached_property
    def before(self) -> Any:
        """Base's states on running text."""
        return self.read(self.base)

    def similarity(self, encoder: Encoder) -> Measures:
        """RSA to Base by layer."""
        curve = rsa.layer_estimates(self.read(encoder), self.before, self.settings.n_bootstrap)
        return {(rsa.RAW, layer): (one, self.n_tokens) for layer, one in curve.items()}

    def probed(self, encoder: Encoder) -> Measures:
        """UUAS by layer, if there is a parser's treebank, and F1 on the mix of the suite's probing tasks."""
        settings, found = self.settings, Measures()
        if any(task.model == "Dep" for task in settings.tasks):
            scores, n = structural.distance_scores(settings, structural.treebank(settings), encoder)
            found |= {("uuas", layer): (one, n) for layer, one in scores["uuas"].items()}
        wanted = settings.dynamics_probing
        records = edges.probing_records(settings, wanted) if wanted else {}
        if not records:
            return found
        for name, estimate, n in edges.mix_scores(settings, encoder, records):
            found[f"micro_f1_{name.lower()}", None] = estimate, n
        return found

    def all_of(self, model: str, tuned: FineTuned) -> tuple[Measures, dict[int, float]]:
        """All measures of a model, and the distances of its weights by layer."""
        encoder, evaluation = encoders.load(tuned.encoder), task_records(self.settings, model, "eval")
        score = headline(evaluation, tuned.predictions(), self.settings)
        measures: Measures = {(TASKS[model].metric, None): (score, len(evaluation))}
        measures |= self.similarity(encoder) | self.probed(encoder)
        return measures, weight_distances(encoder, self.base)


# -- the table -------------------------------------------------------------------------------------


@analysis("training_dynamics", points=_points)
def training_dynamics(settings: Profile) -> tuple[Rows, dict[str, Any]]:
    """Models on their way through fine-tuning, and models tuned on fewer records.

    ``inputs`` is the point (:func:`place` reads it): ``step 32``, after 32 optimiser steps, or ``300 records,
    same passes`` or ``same steps``, tuned on so many, in as many passes over them or in as many steps as the
    tuned model took. Steps, their largest the tuned model's, are spaced evenly on a log scale; numbers of
    records end with all of them, which again is the tuned model. Analysis ``training_dynamics``, by metric:

    - the headline score; at ``step 0`` that of a new head on Base, without an interval;
    - ``rsa_pearson`` to Base by layer, on ``domain_share`` of the sentences and tokens of the other chapters;
    - ``uuas`` by layer, if Dep is among the tasks, and ``micro_f1_pos`` and the like, of edge probes on the
      mix of all layers, of ``dynamics_probing`` as far as the suite has them; also of model Base, without
      ``inputs``;
    - ``weight_distance`` to Base of each block (:func:`weight_distance`), without an interval.

    ``training_dynamics_delta``: probes' scores minus Base's. ``training_dynamics_to_end``: the tuned model's
    number minus the point's, what was still to come. ``training_dynamics_more_steps``: of each number of
    records, the number with the same steps minus that with the same passes. All three are paired. Models of
    ``dynamics_models``, first fine-tuning and probe seed; intervals: 95 %, bootstrap over sentences. Without
    models the table is empty.
    """
    tasks = followed(settings)
    details = {
        "records": {task.model: len(task_records(settings, task.model, "train")) for task in tasks},
    }
    return _rows(settings, tasks), details


def _rows(settings: Profile, tasks: list[Task]) -> Rows:
    if not tasks:  # nothing to read
        return
    measuring = _Measuring(settings)
    start = measuring.probed(measuring.base)
    yield from _numbers(dict(analysis="training_dynamics", model="Base", task=""), start)
    for task in tasks:
        common: Row = dict(model=task.model, task=task.corpus, seed=settings.seeds[0])
        yield common | _untrained(settings, task.model)
        measured: dict[Path, tuple[Measures, dict[int, float]]] = {}
        points: dict[str, Measures] = {}
        for inputs, tuned in models(settings, task.model):
            if tuned.folder not in measured:
                progress.say(f"measuring {task.model}, {inputs}")
                measured[tuned.folder] = measuring.all_of(task.model, tuned)
            points[inputs], distances = measured[tuned.folder]
            row = common | dict(analysis="training_dynamics", inputs=inputs)
            yield from _numbers(row, points[inputs])
            for layer, distance in distances.items():
                yield row | dict(metric="weight_distance", layer=layer, value=distance)
        *_, end = points.values()
        for inputs, own in points.items():
            row = common | dict(inputs=inputs)
            yield from _numbers(row | dict(analysis="training_dynamics_delta"), _minus(own, start))
            if own is not end:
                yield from _numbers(row | dict(analysis="training_dynamics_to_end"), _minus(end, own))
        for size in sizes(settings, task.model):
            few, many = (points[f"{size} records, {axis}"] for axis in AXES[1:])
            row = common | dict(analysis="training_dynamics_more_steps", inputs=f"{size} records")
            yield from _numbers(row, _minus(many, few))


def _untrained(settings: Profile, model: str) -> Row:
    """The row of step 0."""
    metric, n = TASKS[model].metric, len(task_records(settings, model, "eval"))
    value = fine_tuned(settings, model, settings.seeds[0]).baselines["untrained"][metric]
    return dict(analysis="training_dynamics", metric=metric, inputs="step 0", value=value, n=n)


def _minus(a: Measures, b: Measures) -> Measures:
    """Differences, paired, of what both have."""
    return {key: (statistics.difference(a[key][0], b[key][0]), a[key][1]) for key in a if key in b}


def _numbers(common: Row, measures: Measures) -> Rows:
    for (metric, layer), (estimate, n) in measures.items():
        yield common | dict(metric=metric, layer=layer, n=n) | estimate.numbers()


# -- reading the table -----------------------------------------------------------------------------


def placed(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table of :func:`training_dynamics` that lie on an axis, with it and the place on it.

    Two more columns: ``axis``, of :data:`AXES`, and ``at``, the step or number of records.
    """
    rows = frame[frame["inputs"].fillna("").str.fullmatch(_POINT)]
    places = [place(inputs) for inputs in rows["inputs"]]
    return rows.assign(axis=[axis for axis, _ in places], at=[at for _, at in places])


def first_moves(frame: pd.DataFrame) -> pd.DataFrame:
    """The measured step from which a layer's RSA to Base, interval and all, stays below :data:`MOVED`.

    One row per layer, one column per model; missing where it is not below at the end.
    """
    rows = placed(frame)
    curves = rows[(rows["analysis"] == "training_dynamics") & (rows["metric"] == rsa.RAW)]
    found = {
        key: _since(own["at"], own["ci_high"] < MOVED)
        for key, own in curves[curves["axis"] == "step"].groupby(["layer", "model"], sort=False)
    }
    return pd.Series(found, dtype="Int64").unstack()


def settled(frame: pd.DataFrame) -> pd.DataFrame:
    """From which step on the score can no longer be told from the last, and what changes after that.

    One row per model: ``step``, the first at which, as at all later ones, the interval of the score still to
    come reaches 0 or below; ``steps``, that of the last; ``moving``, the layers whose RSA to Base changes
    from there to the end by an interval without 0; and ``layer``, ``value``, ``ci_low`` and ``ci_high`` of
    the one that changes most, if there is any.
    """
    rows, found = placed(frame), {}
    left = rows[(rows["analysis"] == "training_dynamics_to_end") & (rows["axis"] == "step")]
    for model, own in left.groupby("model", sort=False):
        last = rows[(rows["model"] == model) & (rows["axis"] == "step")]["at"].max()
        score = own[own["metric"] == TASKS[model].metric]
        step = _since(score["at"], score["ci_low"] <= 0) or last
        change = own[(own["metric"] == rsa.RAW) & (own["at"] == step)]
        change = change[(change["ci_low"] > 0) | (change["ci_high"] < 0)]
        most = change.loc[change["value"].abs().sort_values().index[-1:]]
        numbers = most[["layer", "value", "ci_low", "ci_high"]].to_dict("records") or [{}]
        found[model] = dict(step=step, steps=last, moving=change["layer"].tolist()) | numbers[0]
    columns = ["step", "steps", "moving", "layer", "value", "ci_low", "ci_high"]
    return pd.DataFrame.from_dict(found, orient="index", columns=columns)


def _since(at: pd.Series, true: pd.Series) -> int | None:
    """The place from which on something is true at all places; None if it is not at the last."""
    order = np.argsort(at.to_numpy())
    lasting = np.logical_and.accumulate(true.to_numpy(bool)[order][::-1])
    return int(at.to_numpy()[order][::-1][lasting][-1]) if lasting.any() else None


def steps_or_records(frame: pd.DataFrame) -> pd.DataFrame:
    """What more steps change at each number of records, and what more records change at as many steps.

    The rows of the two differences, with the columns ``records``, ``effect`` (of :data:`EFFECTS`) and
    ``sure``, whether the interval is without 0.
    """
    steps = frame[frame["analysis"] == "training_dynamics_more_steps"]
    steps = steps.assign(records=steps["inputs"].str.split().str[0].astype(int), effect=EFFECTS[0])
    rows = placed(frame[frame["analysis"] == "training_dynamics_to_end"])
    more = rows[rows["axis"] == "same steps"].rename(columns={"at": "records"}).drop(columns="axis")
    both = pd.concat([steps, more.assign(effect=EFFECTS[1])], ignore_index=True)
    return both.assign(sure=(both["ci_low"] > 0) | (both["ci_high"] < 0))


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """What a table of :func:`training_dynamics` says, in words: one row per model.

    Columns: the layers that move first (:func:`first_moves`); where the score is settled, and how many layers
    move after that (:func:`settled`), the embeddings among them; and at how many numbers of records more
    steps, and more records in as many steps, make the last layer less similar to Base or more
    (:func:`steps_or_records`).
    """
    moves, calm, effects, rows = first_moves(frame), settled(frame), steps_or_records(frame), {}
    last = effects[(effects["metric"] == rsa.RAW) & (effects["layer"] == moves.index.max())]
    for model, own in calm.iterrows():
        first = moves[model][moves[model] == moves[model].min()]
        moving, step = f"{len(own['moving'])} of {len(moves)}", f"step {own['step']} of {own['steps']}"
        if own["step"] == own["steps"]:
            moving = "no later point"
        if own["moving"]:
            change = results.format_number(own["value"], own["ci_low"], own["ci_high"], signed=True)
            moving += f" (most in layer {own['layer']:.0f}: {change})"
        rows[model] = {
            "moves first": f"{_listed(first.index)} (step {first.iloc[0]})" if len(first) else "no layer",
            "score settled": step if own["step"] < own["steps"] else f"only at the end, {step}",
            "moving after that": moving,
        }
        for effect in EFFECTS:
            parts = last[(last["model"] == model) & (last["effect"] == effect)]
            rows[model][effect] = _turned(*results.clear(parts), len(parts))
    columns = ["moves first", "score settled", "moving after that", *EFFECTS]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def sentences(frame: pd.DataFrame) -> str:
    """What :func:`summary` says of a table, in sentences, and how far weights move on the fewest records."""
    said, weights = [], _on_fewest(frame)
    for model, (first, step, moving, *effects) in summary(frame).iterrows():
        said.append(
            f"{model} moves first in {first}."
            if first != "no layer"
            else f"No layer of {model} has clearly moved by the end."
        )
        if step.startswith("only"):
            said.append("Its score rises up to the last point, so nothing can be said of change after that.")
        else:
            said.append(f"Its score settles at {step}; layers that still change after that: {moving}.")
        if set(effects) != {_NOT_TRIED}:
            said.append(f"More steps over the same records make the last layer {effects[0]}.")
            said.append(f"More records in the same number of steps make it {effects[1]}.")
        if model in weights:
            n, ratio = weights[model]
            far = f"{ratio:.2f} times as far on {n} records as on all"
            said.append(f"In the same number of steps, weights move {far}.")
    return " ".join(said)


def _turned(less: int, more: int, n: int) -> str:
    """At how many numbers of records a layer becomes less similar to Base, and at how many more similar."""
    if n == 0:
        return _NOT_TRIED
    if not less and not more:
        return "neither clearly less nor clearly more similar to Base"
    if n in (less, more):
        which = f"each of {n} sizes" if n > 1 else "the one size"
        return f"{'less' if less else 'more'} similar to Base at {which}"
    return f"less similar to Base at {less} of {n} sizes, more at {more}"


def _on_fewest(frame: pd.DataFrame) -> dict[str, tuple[int, float]]:
    """By model: the fewest records, and how far the blocks' weights move on them, relative to all records.

    The mean over blocks, of models tuned in the same steps.
    """
    rows = placed(frame[frame["layer"] >= 0])
    rows = rows[(rows["metric"] == "weight_distance") & (rows["axis"] == "same steps")]
    moved = rows.groupby(["model", "at"])["value"].mean()
    ends = {model: own.droplevel("model") for model, own in moved.groupby("model")}
    return {model: (own.index[0], own.iloc[0] / own.iloc[-1]) for model, own in ends.items() if len(own) > 1}


def _listed(layers: Iterable[int]) -> str:
    numbers = list(map(str, layers))
    return f"layer{'s' * (len(numbers) > 1)} {', '.join(numbers)}"
