"""Representational similarity of the fine-tuned models to Base, layer by layer."""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import encoders, progress, results, similarity, statistics
from helpers.analyses.finetuning import fine_tuned, headline, read_records, task_records, tunings
from helpers.analyses.points import Point
from helpers.analyses.runner import Row, Rows, analysis
from helpers.analyses.seeds import Seeds
from helpers.encoders import Activations, Encoder
from helpers.finetuning.tasks import TASKS
from helpers.profiles import Profile, TuningRecipe
from helpers.statistics import Estimate
from helpers.store import Store
from helpers.vocabulary import BOOTSTRAP_SEED, RANDOM_SEED

SCHEMA = 2  # raise when a comparison changes for the same inputs
RAW = "rsa_pearson"  # the paper's measure


# -- measures --------------------------------------------------------------------------------------

# Of representations x (n_tokens, d1) and y (n_tokens, d2), the tokens' sentences (n_tokens,) and a number of
# resamples to an estimate or, where a measure has no interval, a value.
Measure = Callable[[np.ndarray, np.ndarray, np.ndarray, int], Estimate | float]


def rsa_measure(transform: str) -> Measure:
    """RSA after a transform of :data:`helpers.similarity.TRANSFORMS`, with its interval over sentences."""

    def measure(x: np.ndarray, y: np.ndarray, sentence: np.ndarray, n_resamples: int) -> Estimate:
        x, y = (similarity.transform(states, transform) for states in (x, y))
        return statistics.rsa_bootstrap(x, y, sentence, n_resamples=n_resamples, seed=BOOTSTRAP_SEED)

    return measure


def plain_measure(function: Callable[[np.ndarray, np.ndarray], float]) -> Measure:
    """A function of x and y, such as :func:`helpers.similarity.cka`, as a measure without an interval."""
    return lambda x, y, sentence, n_resamples: function(x, y)


# By the name of their metric in tables. A new measure of layers is one entry here.
MEASURES: dict[str, Measure] = {
    RAW: rsa_measure("raw"),
    "rsa_pearson_centred": rsa_measure("centred"),
    "rsa_pearson_z_scored": rsa_measure("z-scored"),
}


def compare_layers(
    x: Activations, y: Activations, n_bootstrap: int, measures: Iterable[str] | None = None, *, below: int = 0
) -> pd.DataFrame:
    """Similarity of two encoders' layers by the given measures (default: all), each kept in the store.

    Each layer of ``x`` is compared with the layer of ``y`` that is ``below`` layers lower. Columns:
    ``metric``, ``layer`` (of ``x``), ``value``, ``ci_low``, ``ci_high``.
    """
    names = list(MEASURES if measures is None else measures)
    folders = [_compared(x, y, n_bootstrap, name, below) for name in names]
    frame = pd.concat([pd.read_csv(folder / "layers.csv") for folder in folders], ignore_index=True)
    return frame.sort_values("layer", kind="stable", ignore_index=True)


def layer_estimates(x: Activations, y: Activations, n_bootstrap: int) -> dict[int, Estimate]:
    """RSA of two encoders' layers as :func:`compare_layers` has it, by layer, with the resampled values.

    Of the same tokens the resamples are the same, whatever the encoders: differences are paired.
    """
    folder = _compared(x, y, n_bootstrap, RAW, 0)
    numbers, samples = pd.read_csv(folder / "layers.csv"), np.load(folder / "samples.npy")
    draws = (BOOTSTRAP_SEED, len(np.unique(x.record)), n_bootstrap)
    return {
        line.layer: Estimate(line.value, line.ci_low, line.ci_high, own, draws)
        for line, own in zip(numbers.itertuples(), samples, strict=True)
    }


def spaced(layers: Sequence[int], most: int) -> list[int]:
    """At most ``most`` of the layers, evenly spaced, the first and the last among them."""
    chosen = np.linspace(0, len(layers) - 1, min(most, len(layers))).round().astype(int)
    return [int(layers[index]) for index in chosen]


def _compared(x: Activations, y: Activations, n_bootstrap: int, name: str, below: int) -> Path:
    """Folder in the store with ``layers.csv`` and, of a measure with intervals, ``samples.npy`` (n_layers,
    n_resamples)."""
    spec = {
        "schema": SCHEMA,
        "measure": name,
        "x": x.folder.name,
        "y": y.folder.name,
        "below": below,
        "n_bootstrap": n_bootstrap,
        "seed": BOOTSTRAP_SEED,
    }
    return Store().get("similarity", spec, functools.partial(_compare, x, y, n_bootstrap, name, below))


def _compare(x: Activations, y: Activations, n_bootstrap: int, name: str, below: int, folder: Path) -> None:
    rows, samples = [], []
    for number, layer in enumerate(x.layers[below:], start=1):
        pair = np.asarray(x.layer(layer)), np.asarray(y.layer(layer - below))
        found = MEASURES[name](*pair, x.record, n_bootstrap)
        if isinstance(found, Estimate):
            samples.append(found.samples)
        numbers = found.numbers() if isinstance(found, Estimate) else {"value": found}
        rows.append(dict(metric=name, layer=layer) | numbers)
        progress.steps(f"{name}, layers", number, len(x.layers) - below)
    columns = ["metric", "layer", "value", "ci_low", "ci_high"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "layers.csv", index=False)
    if samples:
        np.save(folder / "samples.npy", np.array(samples))


# -- on running text -------------------------------------------------------------------------------


def sample_rows(counts: np.ndarray, n_tokens: int, seed: int) -> np.ndarray:
    """Numbers of ``n_tokens`` rows drawn without replacement from all rows, increasing.

    ``counts`` (n_records,) are the rows of each record. Raises ValueError if there are too few.
    """
    total = int(counts.sum())
    if n_tokens > total:
        raise ValueError(f"{n_tokens} tokens asked for, the {len(counts)} sentences have {total}")
    return np.sort(np.random.default_rng(seed).choice(total, n_tokens, replace=False))


def reader(settings: Profile) -> Callable[[Encoder], Activations]:
    """Function from an encoder to its states at the sampled tokens, the same tokens for every encoder."""
    records = read_records(settings, settings.text, "all", settings.n_sentences)
    counts = encoders.row_counts(encoders.load(settings.encoder), records)
    rows = sample_rows(counts, settings.n_tokens, settings.sample_seed)
    return lambda encoder: encoders.extract(encoder, records, Store(), rows=rows)


def rsa_of(settings: Profile, model: str) -> pd.DataFrame:
    """Similarity of one tuned model (first seed) to Base on running text: its rows of analysis ``rsa``."""
    read, seed = reader(settings), settings.seeds[0]
    tuned = read(encoders.load(fine_tuned(settings, model, seed).encoder))
    compared = compare_layers(tuned, read(encoders.load(settings.encoder)), settings.n_bootstrap)
    common: Row = dict(analysis="rsa", model=model, task=settings.task(model).corpus, inputs=settings.text)
    common |= dict(seed=seed, n=settings.n_tokens)
    return results.table([common | line for line in compared.to_dict("records")])


@analysis("rsa", points=tunings)
def rsa_to_base(settings: Profile) -> Rows:
    """Similarity of each tuned model to Base on running text, layer by layer, with floor and ceiling.

    Analyses ``rsa`` (models Dep, NLI, QA and, the floor, Random: a randomly initialised encoder) and
    ``rsa_between_seeds`` (the ceiling: two fine-tuning seeds of one model against each other). The same
    sampled wordpieces serve all; special pieces are not sampled. Metrics: :data:`MEASURES`, RSA as in the
    paper (``rsa_pearson``), and with features centred or z-scored first. Analysis ``rsa_contrast``:
    differences of ``rsa_pearson``, paired (:func:`contrasts`). Intervals: 95 %, bootstrap over sentences.
    Analyses ``rsa_over_seeds`` and ``rsa_contrast_over_seeds``: ``rsa_pearson`` and its contrasts over all
    seeds (:class:`.seeds.Seeds`).
    """
    read = reader(settings)
    base = read(encoders.load(settings.encoder))
    random = read(encoders.load(settings.encoder, random_init=RANDOM_SEED))
    floor: Row = dict(analysis="rsa", model="Random", task="", seed=RANDOM_SEED)
    parts = [(floor, random, base)]
    estimates: dict[str, dict[int, Curve]] = {}
    for task in settings.tasks:
        tuned = [
            read(encoders.load(fine_tuned(settings, task.model, seed).encoder)) for seed in settings.seeds
        ]
        row: Row = dict(model=task.model, task=task.corpus)
        for seed, states in zip(settings.seeds, tuned, strict=True):
            parts.append((row | dict(analysis="rsa", seed=seed), states, base))
            curve = layer_estimates(states, base, settings.n_bootstrap)
            estimates.setdefault(task.model, {})[seed] = curve
        if len(tuned) > 1:
            parts.append((row | dict(analysis="rsa_between_seeds"), tuned[0], tuned[1]))
    for row, x, y in parts:
        for line in compare_layers(x, y, settings.n_bootstrap).to_dict("records"):
            yield row | dict(inputs=settings.text, n=settings.n_tokens) | line
    seeds, common = Seeds(), dict(metric=RAW, n=settings.n_tokens)
    for model, by_seed in estimates.items():
        common["task"] = settings.task(model).corpus
        for seed, curve in by_seed.items():
            row = common | dict(analysis="rsa", model=model, seed=seed, inputs=settings.text)
            for layer, estimate in curve.items():
                seeds.row(row | dict(layer=layer), estimate)
    for row, contrast in contrasts(estimates):
        row |= common | dict(analysis="rsa_contrast", task=settings.task(row["model"]).corpus)
        of_two_seeds = row["inputs"].startswith("minus seed")
        yield row | contrast.numbers() if of_two_seeds else seeds.row(row, contrast)
    yield from seeds.over_all()


Curve = dict[int, Estimate]  # RSA to Base by layer


def contrasts(estimates: dict[str, dict[int, Curve]]) -> Iterator[tuple[Row, Estimate]]:
    """Differences that statements about RSA curves rest on, all of the same tokens, so paired.

    ``estimates``: model -> fine-tuning seed -> curve. Each with a row: ``model, seed, layer`` and, in
    ``inputs``, what the number is:

    - ``minus the last layer``: RSA at a layer minus that at the last;
    - ``bend``: the fall per layer from 1, at the embeddings, to this layer, minus that from here to the
      last: below 0 where the curve is steeper above;
    - ``minus NLI`` (any model): RSA at a layer minus that model's, of the same seed;
    - ``minus seed 1`` (any seed): RSA at a layer minus that of the same model's other seed.
    """
    for model, by_seed in estimates.items():
        others = list(estimates)[list(estimates).index(model) + 1 :]
        for seed, curve in by_seed.items():
            last = max(curve)
            for layer, here in curve.items():
                named = {}
                if layer < last:
                    named["minus the last layer"] = statistics.difference(here, curve[last])
                if 0 <= layer < last:
                    below, above = 1 / (layer + 1), 1 / (last - layer)
                    terms = [(-below - above, here), (above, curve[last])]
                    named["bend"] = statistics.combination(terms, below)
                for other in others:
                    named[f"minus {other}"] = statistics.difference(here, estimates[other][seed][layer])
                for later in (other for other in by_seed if other > seed):
                    named[f"minus seed {later}"] = statistics.difference(here, by_seed[later][layer])
                for inputs, contrast in named.items():
                    yield dict(model=model, seed=seed, layer=layer, inputs=inputs), contrast


@analysis("rsa_between_layers")
def rsa_between_layers(settings: Profile) -> Rows:
    """RSA of each of Base's layers to the one below on running text (analysis ``rsa_between_layers``).

    How much each block changes: of one that does nothing it is 1. Metric ``rsa_pearson``; ``layer`` is the
    upper one. Intervals: 95 %, bootstrap over sentences.
    """
    states = reader(settings)(encoders.load(settings.encoder))
    common: Row = dict(analysis="rsa_between_layers", model="Base", inputs=settings.text, n=settings.n_tokens)
    for line in compare_layers(states, states, settings.n_bootstrap, [RAW], below=1).to_dict("records"):
        yield common | line


def _tunings_by_rate(settings: Profile) -> list[Point]:
    rates = settings.tuning_rates
    return [point for rate in rates for point in tunings(_all_at(rate, settings), settings.seeds[:1])]


@analysis("rsa_by_rate", points=_tunings_by_rate)
def rsa_by_rate(settings: Profile) -> Rows:
    """RSA to Base of models tuned at one learning rate after another (analysis ``rsa_by_rate``).

    Tasks are mostly tuned at different rates, and a larger rate moves an encoder further, whatever the task.
    Here each task has all of the settings' ``tuning_rates``, its head's rate scaled alike; ``inputs`` names
    the rate. Metrics: ``rsa_pearson`` by layer, and the headline score on the task. First fine-tuning seed;
    intervals: 95 %, bootstrap over sentences. Without rates the table is empty.
    """
    if not settings.tuning_rates:  # nothing to read
        return
    seed, read = settings.seeds[0], reader(settings)
    base = read(encoders.load(settings.encoder))
    for rate in settings.tuning_rates:
        same = _all_at(rate, settings)
        for task in same.tasks:
            tuned = fine_tuned(same, task.model, seed)
            evaluation = task_records(settings, task.model, "eval")
            score = headline(evaluation, tuned.predictions(), settings).numbers()
            common: Row = dict(analysis="rsa_by_rate", model=task.model, task=task.corpus, seed=seed)
            common |= dict(inputs=f"rate {rate:g}")
            yield common | dict(metric=TASKS[task.model].metric, n=len(evaluation)) | score
            states = read(encoders.load(tuned.encoder))
            for line in compare_layers(states, base, settings.n_bootstrap, [RAW]).to_dict("records"):
                yield common | dict(n=settings.n_tokens) | line


def _all_at(rate: float, settings: Profile) -> Profile:
    """The settings with all tasks' recipes at a learning rate."""
    return replace(settings, tasks=tuple(replace(t, recipe=_at(rate, t.recipe)) for t in settings.tasks))


def _at(rate: float, recipe: TuningRecipe) -> TuningRecipe:
    """The recipe at a learning rate, its head's rate scaled alike."""
    head = recipe.head_learning_rate and recipe.head_learning_rate * rate / recipe.learning_rate
    return replace(recipe, learning_rate=rate, head_learning_rate=head)
