"""The models of a profile, their scores, and what their corpora give away."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

from helpers import corpora, encoders, progress, statistics
from helpers.analyses.points import Point
from helpers.analyses.runner import Rows, analysis
from helpers.corpora.records import Record
from helpers.encoders import Encoder
from helpers.finetuning import tasks
from helpers.finetuning.training import FineTuned, finetune
from helpers.profiles import Profile
from helpers.statistics import Estimate
from helpers.store import Store
from helpers.vocabulary import BOOTSTRAP_SEED, RANDOM_SEED

# -- records and models ----------------------------------------------------------------------------


@functools.lru_cache(maxsize=16)
def load_records(name: str, split: str, path: str | None, limit: int | None) -> list[Any]:
    """A corpus, read once per process: one analysis asks for it many times."""
    return corpora.load(name, split, path=path, limit=limit)


def read_records(settings: Profile, corpus: str, split: str, limit: int | None = None) -> list[Any]:
    """Records of a corpus, from the settings' local folder if they have one for it."""
    return load_records(corpus, split, settings.paths.get(corpus), limit)


def task_records(settings: Profile, model: str, part: str) -> list[Any]:
    """Records a model is tuned on (``part`` train) or evaluated on (eval), as the settings limit them."""
    task = settings.task(model)
    splits = {"train": (task.train_split, task.train_limit), "eval": (task.eval_split, task.eval_limit)}
    return read_records(settings, task.corpus, *splits[part])


def source(record: Record) -> str:
    """What a record shares with others that are not independent of it: its premise or context, or its id."""
    return getattr(record, "premise", None) or getattr(record, "context", None) or record.id


def fine_tuned(settings: Profile, model: str, seed: int, *, shuffled: bool = False) -> FineTuned:
    """The encoder tuned for ``model`` (Dep, NLI or QA) with this seed, from the store or trained now.

    ``shuffled``: on labels that say nothing of the texts (:meth:`TaskDefinition.shuffled`).
    """
    train, evaluation = (task_records(settings, model, part) for part in ("train", "eval"))
    if shuffled:
        train = tasks.get(model).shuffled(train, seed)
    return finetune(settings.task(model), settings.encoder, train, evaluation, seed=seed, cache=Store())


def tunings(
    settings: Profile, seeds: Sequence[int] | None = None, models: Sequence[str] | None = None
) -> list[Point]:
    """The fine-tunings of seeds and models, by default all of the settings', all models of a seed first."""
    chosen = [task.model for task in settings.tasks if models is None or task.model in models]
    return [
        Point(f"{model}, seed {seed}", "finetuned", fine_tuned, (settings, model, seed))
        for seed in (settings.seeds if seeds is None else seeds)
        for model in chosen
    ]


def probing_seeds(settings: Profile) -> tuple[int, ...]:
    """Seeds of the fine-tuned models that are probed; extra analyses are of the first."""
    return settings.probe_tuning_seeds or settings.seeds


def probed_models(
    settings: Profile, seeds: Sequence[int] | None = None
) -> Iterator[tuple[str, str, int | None, Encoder]]:
    """The encoders that are probed: model, corpus it was tuned on, fine-tuning seed, encoder.

    ``seeds`` of the fine-tuned models; None: all that are probed. All models of one seed come before
    those of the next, so that what an interrupted run has done is a whole run of fewer seeds.
    """
    yield "Base", "", None, encoders.load(settings.encoder)
    yield "Random", "", RANDOM_SEED, encoders.load(settings.encoder, random_init=RANDOM_SEED)
    for seed in probing_seeds(settings) if seeds is None else seeds:
        for task in settings.tasks:
            tuned = fine_tuned(settings, task.model, seed)
            yield task.model, task.corpus, seed, encoders.load(tuned.encoder)


def headline(records: Sequence[Record], predictions: Sequence[dict], settings: Profile) -> Estimate:
    """A task's headline score with its interval by bootstrap over sentences, premises or contexts.

    ``predictions`` are rows of :meth:`FineTuned.predictions`. What shares a sentence, a premise or a
    context is resampled together.
    """
    numbers: dict[str, int] = {}
    groups = [numbers.setdefault(source(record), len(numbers)) for record in records]
    correct, total = ([row[key] for row in predictions] for key in ("correct", "total"))
    return statistics.ratio(correct, total, groups, n_resamples=settings.n_bootstrap, seed=BOOTSTRAP_SEED)


# -- analyses --------------------------------------------------------------------------------------


@analysis("finetuning", points=tunings)
def fine_tuning(settings: Profile) -> Rows:
    """Scores of every model and seed, and of the baselines beside them (analysis ``finetuning``).

    ``inputs`` is ``in_domain`` for the tuned models' scores, as in the paper's table; a baseline has its
    name there (``majority``, ``untrained``, ...). The headline score, first for each model, has an interval.
    """
    for task in settings.tasks:
        for seed in settings.seeds:
            tuned = fine_tuned(settings, task.model, seed)
            evaluation = task_records(settings, task.model, "eval")
            main = headline(evaluation, tuned.predictions(), settings).numbers()
            common = dict(analysis="finetuning", model=task.model, task=task.corpus, seed=seed)
            common |= dict(n=len(evaluation))
            for number, (metric, value) in enumerate(tuned.scores.items()):
                row = common | dict(metric=metric, inputs="in_domain")
                yield row | (main if number == 0 else {}) | dict(value=value)
            for name, scores in tuned.baselines.items():
                for metric, value in scores.items():
                    yield common | dict(metric=metric, inputs=name, value=value)


@analysis("corpus_baselines")
def corpus_baselines(settings: Profile) -> Rows:
    """What the corpora give away (analysis ``corpus_baselines``).

    Scores of predictors that are denied part of the input, such as the hypothesis without its premise or the
    context without its question, and of readers of the whole input without an encoder
    (:meth:`TaskDefinition.partial_baselines`), trained and evaluated on the same records as the tuned models.
    ``inputs`` is the baseline's name.
    """
    for task in settings.tasks:
        progress.say(f"baselines of {task.corpus}")
        train, evaluation = (task_records(settings, task.model, part) for part in ("train", "eval"))
        for name, scores in tasks.get(task.model).partial_baselines(train, evaluation).items():
            common = dict(analysis="corpus_baselines", model=task.model, task=task.corpus, inputs=name)
            for metric, value in scores.items():
                yield common | dict(metric=metric, value=value, n=len(evaluation))
