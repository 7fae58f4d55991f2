"""How many bits the probes of each layer save in sending labels: how easily a label is read, not how well."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from helpers import encoders, progress, statistics
from helpers.analyses.edge import CONTROL_SEED, Splits, probing_records, states_of
from helpers.analyses.finetuning import probed_models, probing_seeds, tunings
from helpers.analyses.runner import Row, Rows, analysis
from helpers.corpora.records import LabelledSpans, Target
from helpers.probing import description_length as online
from helpers.probing import selectivity
from helpers.probing.description_length import LabelTask, OnlineCodes, Result
from helpers.profiles import Profile
from helpers.statistics import Estimate
from helpers.store import Store
from helpers.vocabulary import BOOTSTRAP_SEED

LABELS = ("POS", "Dependencies")  # probing tasks that give every word a label: its tag, its relation
SENT = "POS"  # what is sent
# Of the probes. At the 1e-3 of structural probes the few steps of a small run stop far from convergence:
# codes are nearly twice as long (2.8 bits per POS tag against 1.6), and longer for an encoder with shorter
# vectors.
LEARNING_RATE = 5e-3
STOP_AFTER = 2  # validations without a gain: probes of few sentences soon overfit


def word_labels(settings: Profile) -> dict[str, Splits]:
    """Words with one label each, by task and split: POS, and of Dependencies each word's relation.

    As far as the suite has these tasks, within the settings' limits. A relation is labelled without its head:
    what a word is, not where it hangs. Raises ValueError if the suite has neither.
    """
    records = {name: own for name, own in probing_records(settings).items() if name in LABELS}
    if not records:
        raise ValueError(f"the suite {settings.suite} has no task that labels words: {', '.join(LABELS)}")
    return {
        name: {split: [_of_words(r) for r in records] for split, records in splits.items()}
        for name, splits in records.items()
    }


def _of_words(record: LabelledSpans) -> LabelledSpans:
    return LabelledSpans(
        record.id, record.words, tuple(Target(t.span1, None, t.labels) for t in record.targets)
    )


@analysis("description_length", points=lambda s: tunings(s, probing_seeds(s)[:1]))
def description_lengths(settings: Profile) -> tuple[Rows, dict[str, Any]]:
    """Online codes of labels under probes of every layer (Voita and Titov 2020).

    Analysis ``description_length``. ``inputs``: POS; the tags of the ``n`` training sentences are sent.
    Metrics: ``codelength``, bits per label; ``compression``, the bits without a probe over these; both also
    of the control task's labels, ``control_codelength`` and ``control_compression``; and ``codelength_gap``,
    control minus task, paired. Models: Base, Dep, NLI, QA (first fine-tuning seed) and Random; ``seed`` is
    the fine-tuning seed. ``description_length_delta``: model - Base at the same layer, paired.
    ``description_length_probe_seeds``: Base's metrics with the probe seeds other than the first, which also
    draw the order in which sentences are sent, with that seed in ``seed``. Intervals: 95 %, bootstrap over
    the sentences sent; probes and order are those of the run. Details: ``labels``, how many are possible and
    how many were sent.

    Raises ValueError if the suite has no POS task.
    """
    records = word_labels(settings).get(SENT)
    if records is None:
        raise ValueError(f"the suite {settings.suite} has no task {SENT}")
    tokenizer = encoders.load(settings.encoder).tokenizer
    control = selectivity.label_control(records, tokenizer, CONTROL_SEED)
    reading = online.read(records)
    tasks = [online.prepare(splits, reading) for splits in (records, control)]
    labels = dict(possible=len(tasks[0].labels), sent=int(tasks[0].splits["train"].row[-1]))
    return _rows(settings, reading, tasks), dict(suite=settings.suite, labels=labels)


def _rows(settings: Profile, reading: Any, tasks: list[LabelTask]) -> Rows:
    base: dict[tuple[int, str], Estimate] = {}
    recipe = dataclasses.replace(settings.structural, learning_rate=LEARNING_RATE, stop_after=STOP_AFTER)
    first, *others = settings.probe_seeds
    for model, corpus, seed, encoder in probed_models(settings, probing_seeds(settings)[:1]):
        progress.say(f"codes of {SENT} on {encoder.name}")
        common: Row = dict(model=model, task=corpus, inputs=SENT, n=len(tasks[0].splits["train"]))
        with states_of(encoder, reading) as read:
            options: Any = dict(recipe=recipe, cache=Store())
            for probe_seed in (first, *(others if model == "Base" else ())):
                codes = [
                    OnlineCodes.trained(task, encoder.fingerprint, read, seed=probe_seed, **options)
                    for task in tasks
                ]
                for layer, metric, estimate in _estimates(settings, codes):
                    row = common | dict(metric=metric, layer=layer)
                    if probe_seed != first:
                        row |= dict(analysis="description_length_probe_seeds", seed=probe_seed)
                        yield row | estimate.numbers()
                        continue
                    row |= dict(seed=seed)
                    yield row | dict(analysis="description_length") | estimate.numbers()
                    if model == "Base":
                        base[layer, metric] = estimate
                    else:
                        change = statistics.difference(estimate, base[layer, metric]).numbers()
                        yield row | dict(analysis="description_length_delta") | change


def _estimates(settings: Profile, codes: list[Result]) -> Iterator[tuple[int, str, Estimate]]:
    """Layer, metric and number of the codes of a task's labels and of its control's."""
    draws: Any = dict(n_resamples=settings.n_bootstrap, seed=BOOTSTRAP_SEED)
    for number, layer in enumerate(codes[0].report["layers"]):
        lengths = []
        for kind, code in zip(("", "control_"), codes, strict=True):
            bits, sent = code.bits(number)
            lengths.append(statistics.ratio(bits, sent, **draws))
            yield layer, f"{kind}codelength", lengths[-1]
            yield layer, f"{kind}compression", statistics.ratio(code.uniform * sent, bits, **draws)
        yield layer, "codelength_gap", statistics.difference(lengths[1], lengths[0])
