"""The book's analyses: from settings to a table of results, each part kept in the store.

Every function here may be called first, in any order: what it needs and the store lacks is computed.
"""

import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import corpora, encoders, results, similarity, statistics
from helpers.corpora import baselines
from helpers.corpora.records import Record
from helpers.encoders import Activations, Encoder
from helpers.finetuning.training import FineTuned, finetune
from helpers.profiles import Profile
from helpers.store import Store

SCHEMA = 1  # raise when an analysis's table changes for the same inputs
VARIANTS = {"raw": "rsa_pearson", "centred": "rsa_pearson_centred", "z-scored": "rsa_pearson_z_scored"}
BOOTSTRAP_SEED = 0
RANDOM_SEED = 1000  # of the randomly initialised encoder


def say_nothing(message: str) -> None:
    """The default reporter."""


# -- fine-tuning -----------------------------------------------------------------------------------


def task_records(settings: Profile, model: str, part: str) -> list[Record]:
    """Records that a model is tuned (``train``) or judged (``eval``) on, as the settings limit them."""
    task = settings.task(model)
    split, limit = {
        "train": (task.train_split, task.train_limit),
        "eval": (task.eval_split, task.eval_limit),
    }[part]
    return _load(task.corpus, split, settings.paths.get(task.corpus), limit)


@functools.lru_cache(maxsize=16)
def _load(name: str, split: str, path: str | None, limit: int | None) -> list[Record]:
    """A corpus read once a process: one analysis asks for it many times."""
    return corpora.load(name, split, path=path, limit=limit)


def fine_tuned(settings: Profile, model: str, seed: int, report: Callable = say_nothing) -> FineTuned:
    """The encoder tuned for ``model`` (Dep, NLI or QA) with this seed, from the store or trained now."""
    task = settings.task(model)

    def progress(done: int, total: int) -> None:
        if done % max(1, total // 10) == 0:
            report(f"fine-tuning {model} on {task.corpus}, seed {seed}: step {done} of {total}")

    return finetune(
        task,
        settings.encoder,
        task_records(settings, model, "train"),
        task_records(settings, model, "eval"),
        seed=seed,
        cache=Store(),
        progress=progress,
    )


def headline(
    records: Sequence[Record], predictions: Sequence[dict], settings: Profile
) -> statistics.Estimate:
    """A task's headline score with its interval by bootstrap over sentences, premises or contexts.

    ``predictions`` are rows of :meth:`FineTuned.predictions`. What shares a sentence, a premise or a
    context is resampled together.
    """
    values, groups, numbers = [], [], {}
    for record, row in zip(records, predictions, strict=True):
        source = getattr(record, "premise", None) or getattr(record, "context", None) or record.id
        number = numbers.setdefault(source, len(numbers))
        # Words of a sentence one by one: right or wrong; pairs and questions have a total of 1.
        words = (
            [1.0] * row["correct"] + [0.0] * (row["total"] - row["correct"]) if row["total"] != 1 else None
        )
        values += [row["correct"]] if words is None else words
        groups += [number] * (1 if words is None else len(words))
    return statistics.bootstrap_mean(values, groups, n_resamples=settings.n_bootstrap, seed=BOOTSTRAP_SEED)


def fine_tuning(settings: Profile, report: Callable = say_nothing) -> pd.DataFrame:
    """Scores of every model and seed, and of the baselines beside them (analysis ``finetuning``).

    ``inputs`` is ``in_domain`` for the tuned models' scores, as in the paper's table; a baseline has its
    name there (``majority``, ``untrained``, ...). The headline score, first for each model, has an interval.
    """
    began, rows = time.time(), []
    for task in settings.tasks:
        for seed in settings.seeds:
            tuned = fine_tuned(settings, task.model, seed, report)
            judged = task_records(settings, task.model, "eval")
            main = headline(judged, tuned.predictions(), settings)
            common = dict(analysis="finetuning", model=task.model, task=task.corpus, n=len(judged), seed=seed)
            for number, (metric, value) in enumerate(tuned.scores.items()):
                row = common | dict(metric=metric, inputs="in_domain", value=value)
                rows.append(row | (dict(ci_low=main.ci_low, ci_high=main.ci_high) if number == 0 else {}))
            for name, scores in tuned.baselines.items():
                rows += [common | dict(metric=m, inputs=name, value=v) for m, v in scores.items()]
    frame = results.table(rows)
    results.save("finetuning", frame, settings, seconds=round(time.time() - began, 1))
    return frame


def corpus_baselines(settings: Profile, report: Callable = say_nothing) -> pd.DataFrame:
    """What the NLI and QA corpora give away (analysis ``corpus_baselines``).

    Scores of predictors that are denied what the task is about: the commonest label, the hypothesis
    without its premise, the context without its question (:mod:`helpers.corpora.baselines`); trained and
    judged on the same records as the tuned models. ``inputs`` is the baseline's name.
    """
    rows = []
    for model, score in (("NLI", baselines.nli), ("QA", baselines.qa)):
        report(f"baselines of {settings.task(model).corpus}")
        train, judged = (task_records(settings, model, part) for part in ("train", "eval"))
        for name, scores in score(train, judged).items():
            common = dict(analysis="corpus_baselines", model=model, task=settings.task(model).corpus)
            common |= dict(inputs=name, n=len(judged))
            rows += [common | dict(metric=metric, value=value) for metric, value in scores.items()]
    frame = results.table(rows)
    results.save("corpus_baselines", frame, settings)
    return frame


# -- representational similarity -------------------------------------------------------------------


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
    records = _load(settings.text, "all", settings.paths.get(settings.text), settings.n_sentences)
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
            a, b = np.asarray(x.layer(layer)), np.asarray(y.layer(layer))
            for variant, metric in VARIANTS.items():
                found = statistics.rsa_bootstrap(
                    similarity.transform(a, variant),
                    similarity.transform(b, variant),
                    x.record,
                    n_resamples=n_bootstrap,
                    seed=BOOTSTRAP_SEED,
                )
                row = dict(metric=metric, layer=layer, value=found.value)
                rows.append(row | dict(ci_low=found.ci_low, ci_high=found.ci_high))
        pd.DataFrame(rows).to_csv(folder / "rsa.csv", index=False)

    return pd.read_csv(Store().get("rsa", spec, build) / "rsa.csv")


# -- everything ------------------------------------------------------------------------------------

ANALYSES: dict[str, Callable] = {
    "finetuning": fine_tuning,
    "corpus_baselines": corpus_baselines,
    "rsa": rsa_to_base,
}


def run_all(settings: Profile, *, record: bool = False, report: Callable = print) -> None:
    """Run every analysis; with ``record`` also write the tables into ``book/recorded/<profile>/``."""
    for name, analysis in ANALYSES.items():
        report(f"== {name}")
        analysis(settings, report)
        if record:
            results.record(name, settings)
