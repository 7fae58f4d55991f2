"""Representational similarity of the fine-tuned models to Base, layer by layer."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import encoders, results, similarity, statistics
from helpers.analyses.finetuning import (
    BOOTSTRAP_SEED,
    fine_tuned,
    headline,
    load_records,
    say_nothing,
    task_records,
)
from helpers.encoders import Activations, Encoder
from helpers.profiles import Profile
from helpers.store import Store
from helpers.verdicts import HEADLINE

SCHEMA = 1  # raise when a comparison changes for the same inputs
VARIANTS = {"raw": "rsa_pearson", "centred": "rsa_pearson_centred", "z-scored": "rsa_pearson_z_scored"}
RANDOM_SEED = 1000  # of the randomly initialised encoder


def sample_rows(counts: np.ndarray, n_tokens: int, seed: int) -> np.ndarray:
    """Numbers of ``n_tokens`` rows drawn without replacement from all rows, increasing.

    ``counts`` (n_records,) are the rows that each record has. Raises ValueError if there are too few.
    """
    total = int(counts.sum())
    if n_tokens > total:
        raise ValueError(f"{n_tokens} tokens asked for, the {len(counts)} sentences have {total}")
    return np.sort(np.random.default_rng(seed).choice(total, n_tokens, replace=False))


def _reader(settings: Profile, report: Callable) -> Callable[[Encoder], Activations]:
    """Function from an encoder to its states at the sampled tokens, the same tokens for every encoder."""
    records = load_records(settings.text, "all", settings.paths.get(settings.text), settings.n_sentences)
    counts = encoders.row_counts(encoders.load(settings.encoder), records)
    rows = sample_rows(counts, settings.n_tokens, settings.sample_seed)

    def read(encoder: Encoder) -> Activations:
        report(f"reading {settings.n_tokens} tokens with {encoder.name}")
        return encoders.extract(encoder, records, Store(), rows=rows)

    return read


def rsa_of(settings: Profile, model: str, report: Callable = say_nothing) -> pd.DataFrame:
    """RSA of one tuned model (first seed) to Base on running text, layer by layer (analysis ``rsa``)."""
    read, seed = _reader(settings, report), settings.seeds[0]
    tuned = read(encoders.load(fine_tuned(settings, model, seed, report).encoder))
    compared = compare_layers(tuned, read(encoders.load(settings.encoder)), settings.n_bootstrap, report)
    return results.table(
        [
            dict(
                analysis="rsa", model=model, task=settings.task(model).corpus, inputs=settings.text, seed=seed
            )
            | dict(n=settings.n_tokens)
            | line
            for line in compared.to_dict("records")
        ]
    )


def rsa_to_base(settings: Profile, report: Callable = say_nothing) -> pd.DataFrame:
    """RSA of each tuned model to Base on running text, layer by layer, with floor and ceiling.

    Analyses ``rsa`` (models Dep, NLI, QA and, the floor, Random: a randomly initialised encoder) and
    ``rsa_between_seeds`` (the ceiling: two fine-tuning seeds of one model against each other). The same
    sampled wordpieces serve all; special pieces are not sampled. Metrics: ``rsa_pearson`` as in the
    paper, and with features centred or z-scored first. Intervals: 95 %, bootstrap over sentences.
    """
    began, read = time.time(), _reader(settings, report)
    base = read(encoders.load(settings.encoder))
    random = read(encoders.load(settings.encoder, random_init=RANDOM_SEED))
    parts = [(dict(analysis="rsa", model="Random", task="", seed=RANDOM_SEED), random, base)]
    for task in settings.tasks:
        tuned = [
            read(encoders.load(fine_tuned(settings, task.model, seed, report).encoder))
            for seed in settings.seeds
        ]
        row = dict(model=task.model, task=task.corpus)
        for seed, states in zip(settings.seeds, tuned, strict=True):
            parts.append((row | dict(analysis="rsa", seed=seed), states, base))
        if len(tuned) > 1:
            parts.append((row | dict(analysis="rsa_between_seeds"), tuned[0], tuned[1]))
    common, rows = dict(inputs=settings.text, n=settings.n_tokens), []
    for row, x, y in parts:
        compared = compare_layers(x, y, settings.n_bootstrap, report)
        rows += [common | row | line for line in compared.to_dict("records")]
    frame = results.table(rows)
    results.save("rsa", frame, settings, seconds=round(time.time() - began, 1))
    return frame


def rsa_by_rate(settings: Profile, report: Callable = say_nothing) -> pd.DataFrame:
    """RSA to Base of models tuned at one learning rate after another (analysis ``rsa_by_rate``).

    Tasks are mostly tuned at different rates, and a larger one moves an encoder further whatever the task.
    Here each task has all of the settings' ``tuning_rates``, its head's rate scaled alike; ``inputs`` names
    the rate. Metrics: ``rsa_pearson`` by layer, and the headline score on the task. First fine-tuning seed;
    intervals: 95 %, bootstrap over sentences. Without rates the table is empty.
    """
    began, rows, seed = time.time(), [], settings.seeds[0]
    if settings.tuning_rates:  # else there is nothing to read
        read = _reader(settings, report)
        base = read(encoders.load(settings.encoder))
    for rate in settings.tuning_rates:
        tasks = []
        for task in settings.tasks:
            recipe = task.recipe
            head = recipe.head_learning_rate and recipe.head_learning_rate * rate / recipe.learning_rate
            recipe = replace(recipe, learning_rate=rate, head_learning_rate=head)
            tasks.append(replace(task, recipe=recipe))
        same = replace(settings, tasks=tuple(tasks))
        for task in tasks:
            tuned = fine_tuned(same, task.model, seed, report)
            judged = task_records(settings, task.model, "eval")
            score = headline(judged, tuned.predictions(), settings)
            common = dict(analysis="rsa_by_rate", model=task.model, task=task.corpus, inputs=f"rate {rate:g}")
            common |= dict(seed=seed)
            interval = dict(value=score.value, ci_low=score.ci_low, ci_high=score.ci_high)
            rows.append(common | dict(metric=HEADLINE[task.model], n=len(judged)) | interval)
            compared = compare_layers(read(encoders.load(tuned.encoder)), base, settings.n_bootstrap, report)
            compared = compared[compared["metric"] == VARIANTS["raw"]]
            rows += [common | dict(n=settings.n_tokens) | line for line in compared.to_dict("records")]
    frame = results.table(rows)
    results.save("rsa_by_rate", frame, settings, seconds=round(time.time() - began, 1))
    return frame


def rsa_between_layers(settings: Profile, report: Callable = say_nothing) -> pd.DataFrame:
    """RSA of each of Base's layers to the one below on running text: how much its block changes.

    Columns ``metric`` (``rsa_pearson``), ``layer`` (of the upper one), ``value, ci_low, ci_high``: 95 %,
    bootstrap over sentences. Kept in the store.
    """
    states = _reader(settings, report)(encoders.load(settings.encoder))
    spec = {"schema": SCHEMA, "states": states.folder.name, "n_bootstrap": settings.n_bootstrap}
    blocks = states.layers[1:]

    def build(folder: Path) -> None:
        rows = []
        for layer in blocks:
            report(f"comparing layers {layer - 1} and {layer}")
            pair = (np.asarray(states.layer(k)) for k in (layer, layer - 1))
            rows.append(_compared(*pair, "raw", states.record, settings.n_bootstrap) | dict(layer=layer))
        pd.DataFrame(rows).to_csv(folder / "rsa.csv", index=False)

    return pd.read_csv(Store().get("rsa-between-layers", spec | {"seed": BOOTSTRAP_SEED}, build) / "rsa.csv")


def compare_layers(
    x: Activations, y: Activations, n_bootstrap: int, report: Callable = say_nothing
) -> pd.DataFrame:
    """RSA of corresponding layers, ``metric, layer, value, ci_low, ci_high``, kept in the store."""
    spec = {
        "schema": SCHEMA,
        "x": x.folder.name,
        "y": y.folder.name,
        "n_bootstrap": n_bootstrap,
        "seed": BOOTSTRAP_SEED,
    }

    def build(folder: Path) -> None:
        rows = []
        for layer in x.layers:
            report(f"comparing layer {layer}")
            pair = np.asarray(x.layer(layer)), np.asarray(y.layer(layer))
            for variant in VARIANTS:
                rows.append(_compared(*pair, variant, x.record, n_bootstrap) | dict(layer=layer))
        pd.DataFrame(rows).to_csv(folder / "rsa.csv", index=False)

    return pd.read_csv(Store().get("rsa", spec, build) / "rsa.csv")


def _compared(x: np.ndarray, y: np.ndarray, variant: str, record: np.ndarray, n_bootstrap: int) -> dict:
    found = statistics.rsa_bootstrap(
        similarity.transform(x, variant),
        similarity.transform(y, variant),
        record,
        n_resamples=n_bootstrap,
        seed=BOOTSTRAP_SEED,
    )
    return dict(metric=VARIANTS[variant], value=found.value, ci_low=found.ci_low, ci_high=found.ci_high)
