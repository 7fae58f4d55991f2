"""Fine-tuned models of a profile, their scores, and what their corpora give away."""

import functools
import time
from collections.abc import Callable, Sequence

import pandas as pd

from helpers import corpora, results, statistics
from helpers.corpora import baselines
from helpers.corpora.records import Record
from helpers.finetuning.training import FineTuned, finetune
from helpers.profiles import Profile
from helpers.store import Store

BOOTSTRAP_SEED = 0


def say_nothing(message: str) -> None:
    """The default reporter."""


def task_records(settings: Profile, model: str, part: str) -> list[Record]:
    """Records that a model is tuned (``train``) or judged (``eval``) on, as the settings limit them."""
    task = settings.task(model)
    split, limit = {
        "train": (task.train_split, task.train_limit),
        "eval": (task.eval_split, task.eval_limit),
    }[part]
    return load_records(task.corpus, split, settings.paths.get(task.corpus), limit)


@functools.lru_cache(maxsize=16)
def load_records(name: str, split: str, path: str | None, limit: int | None) -> list[Record]:
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
