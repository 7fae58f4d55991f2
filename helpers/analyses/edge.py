"""Edge probes of every model, and how selective probes of its layers are."""

import contextlib
import functools
import shutil
import time
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from helpers import encoders, results, statistics
from helpers.analyses.finetuning import BOOTSTRAP_SEED, say_nothing
from helpers.analyses.models import probed_models, probing_seeds
from helpers.analyses.rsa import RANDOM_SEED
from helpers.corpora import edges
from helpers.corpora.records import LabelledSpans
from helpers.encoders import Activations, Encoder
from helpers.probing import controls, edge, spans
from helpers.profiles import MODELS, Profile
from helpers.statistics import Estimate
from helpers.store import Store, digest

CONTROLS = {"POS": "label", "Dependencies": "head"}  # task -> kind of probe
CONTROL_SEED = 0  # of the random answers

Splits = dict[str, list[LabelledSpans]]


# -- tasks and models ------------------------------------------------------------------------------


def probing_records(settings: Profile) -> dict[str, Splits]:
    """Records by task and split of the suite, as the settings limit them, of the tasks whose corpus is there.

    Raises ValueError, naming what is missing, if no task of the suite has its corpus.
    """
    paths = tuple(sorted(settings.paths.items()))
    return _records(settings.suite, paths, settings.probe_train, settings.probe_eval)


@functools.lru_cache(maxsize=2)
def _records(suite: str, paths: tuple, train: int | None, judged: int | None) -> dict[str, Splits]:
    folders = dict(paths)
    names = edges.tasks(suite, folders)
    if not names:
        raise ValueError("; ".join(edges.missing(suite, folders).values()))
    limits = {"train": train, "dev": judged, "test": judged}
    return {
        task: {split: edges.load(task, split, suite, paths=folders, limit=n) for split, n in limits.items()}
        for task in names
    }


def probing_tasks(settings: Profile) -> pd.DataFrame:
    """What probes are trained and judged on: a row a task, with source, labels, sentences and targets."""
    sources = {row["task"]: row["source"] for row in edges.describe(settings.suite, settings.paths)}
    rows = []
    for task, splits in probing_records(settings).items():
        row = {"task": task, "source": sources[task], "labels": len(spans.label_list(splits["train"]))}
        for split, records in splits.items():
            row[f"{split} sentences"] = len(records)
            row[f"{split} targets"] = sum(len(r.targets) for r in records)
        rows.append(row)
    return pd.DataFrame(rows).set_index("task")


@contextlib.contextmanager
def _states(
    encoder: Encoder, reading: spans.Reading, report: Callable
) -> Iterator[Callable[[], Activations]]:
    """Function that reads an encoder's states when they are first needed.

    They lie on disk only until all that is made of them is done, and longer only if that is interrupted.
    """
    spec = {"encoder": encoder.fingerprint, "precision": encoder.precision}
    folder = Store().path("edge-states", spec | {"sentences": digest(reading.sentences)})

    @functools.cache
    def read() -> Activations:
        report(f"reading {len(reading.sentences)} sentences with {encoder.name}")
        return reading.extract(encoder, Store(folder))

    yield read
    shutil.rmtree(folder, ignore_errors=True)


# -- edge probes -----------------------------------------------------------------------------------


def edge_probing(settings: Profile, report: Callable = say_nothing) -> pd.DataFrame:
    """Edge probes of all models on all tasks of the suite, as in the paper's Table 1.

    Analysis ``edge_probing``: models Base, Dep, NLI, QA (each fine-tuning seed), Random (random weights)
    and Lexical, which is Base's layer -1. ``inputs`` is the task. Metrics: ``micro_f1`` of a probe on the
    scalar mix of all layers, ``micro_f1_top`` on the last layer, ``micro_f1_layer`` on each layer by
    itself, ``micro_f1_clean`` by the labels that Tenney et al. (2019) score (mix), ``mix_weight`` of each
    layer and ``centre_of_gravity``, the layer at which they balance. ``edge_probing_delta``: model - Base,
    paired; of Lexical, which is one layer, to Base's mix and to its last layer.
    ``edge_probing_probe_seeds``: probe seeds other than the first, with the probe's seed in ``seed``,
    of Base and each model's first fine-tuning seed. Intervals: 95 %, bootstrap over the n test sentences.
    """
    began, rows, base = time.time(), [], {}
    reading, tasks = _prepared(settings, report)
    for model, corpus, seed, encoder in probed_models(settings, report):
        others = settings.probe_seeds[1:] if seed in (None, probing_seeds(settings)[0], RANDOM_SEED) else ()
        with _states(encoder, reading, report) as read:
            for name, task in tasks.items():
                common = dict(analysis="edge_probing", model=model, task=corpus, inputs=name, seed=seed)
                common |= dict(n=len(task.splits["test"]))
                for probe_seed in (settings.probe_seeds[0], *others):
                    report(f"probing {encoder.name}: {name}, probe seed {probe_seed}")
                    found = edge.probe(
                        task, encoder.fingerprint, read, settings.edge, seed=probe_seed, cache=Store()
                    )
                    scores = _scores(found, settings.n_bootstrap)
                    if probe_seed in others:
                        common |= dict(analysis="edge_probing_probe_seeds", seed=probe_seed)
                    rows += _rows(common, scores) + _mix_rows(common, found)
                    if model == "Base":
                        lexical = _one(found, 0, settings.n_bootstrap)  # of the embeddings
                        rows += _rows(common | dict(model="Lexical"), lexical)
                    if probe_seed not in others:
                        delta = common | dict(analysis="edge_probing_delta")
                        if model == "Base":
                            base[name] = scores
                            rows += _rows(delta | dict(model="Lexical"), _gaps(lexical, scores))
                        else:
                            rows += _rows(delta, _gaps(scores, base[name]))
    frame = results.table(rows)
    results.save(
        "edge_probing",
        frame,
        settings,
        seconds=round(time.time() - began, 1),
        suite=settings.suite,
        tasks=probing_tasks(settings).to_dict("index"),
        data={name: task.digest for name, task in tasks.items()},
    )
    return frame


def _prepared(settings: Profile, report: Callable) -> tuple[spans.Reading, dict[str, edge.Task]]:
    """The sentences of all tasks and the tasks in arrays."""
    report(f"loading the probing tasks of the suite {settings.suite}")
    records = probing_records(settings)
    everything = [own for splits in records.values() for own in splits.values()]
    reading = spans.read(encoders.load(settings.encoder).tokenizer, everything)
    tasks = {
        name: edge.prepare(splits, reading, edges.clean(name, settings.suite))
        for name, splits in records.items()
    }
    return reading, tasks


Scores = dict[tuple[str, int | None], Estimate]  # by metric and layer


def _scores(found: edge.Result, n_bootstrap: int) -> Scores:
    scores = _one(found, -1, n_bootstrap)  # the mix
    *layers, _ = found.report["layers"]
    for number, layer in enumerate(layers):
        scores["micro_f1_layer", layer] = f1_estimate(found.counts(number), n_bootstrap)
    scores["micro_f1_top", layers[-1]] = scores["micro_f1_layer", layers[-1]]
    return scores


def _one(found: edge.Result, probe: int, n_bootstrap: int) -> Scores:
    """Scores of a single probe, as of a model's only one."""
    scores = {("micro_f1", None): f1_estimate(found.counts(probe), n_bootstrap)}
    if found.has_clean:
        scores["micro_f1_clean", None] = f1_estimate(found.counts(probe, clean=True), n_bootstrap)
    return scores


def _gaps(scores: Scores, base: Scores) -> Scores:
    """Differences to Base; of what is a single layer, the embeddings, to Base's last layer too."""
    gaps = {key: statistics.difference(scores[key], base[key]) for key in scores}
    top = next(key for key in base if key[0] == "micro_f1_top")
    return gaps | ({} if top in gaps else {top: statistics.difference(scores["micro_f1", None], base[top])})


def f1_estimate(counts: np.ndarray, n_bootstrap: int) -> Estimate:
    """Micro-averaged F1 with its interval by bootstrap over sentences.

    ``counts`` (3, n_sentences): true positives, predicted, gold. Estimates over as many sentences are of
    the same resamples, so that differences are paired. A resample with nothing to find scores 0.
    """
    n_sentences = counts.shape[1]
    weights = _resamples(n_sentences, n_bootstrap)
    found, total = weights @ (2.0 * counts[0]), weights @ (counts[1] + counts[2]).astype(float)
    samples = np.divide(found, total, out=np.zeros(n_bootstrap), where=total > 0)
    draws = (BOOTSTRAP_SEED, n_sentences, n_bootstrap)
    return Estimate(edge.micro_f1(counts), *statistics.interval(samples), samples, draws)


@functools.lru_cache(maxsize=16)
def _resamples(n_sentences: int, n_bootstrap: int) -> np.ndarray:
    return statistics.resamples(n_sentences, n_bootstrap, BOOTSTRAP_SEED).astype(np.float64)


def _rows(common: dict, scores: Scores) -> list[dict]:
    return [
        common | dict(metric=metric, layer=layer, value=e.value, ci_low=e.ci_low, ci_high=e.ci_high)
        for (metric, layer), e in scores.items()
    ]


def _mix_rows(common: dict, found: edge.Result) -> list[dict]:
    weights = {int(layer): share for layer, share in found.report["weights"].items()}
    centre = sum(layer * share for layer, share in weights.items())
    shares = [common | dict(metric="mix_weight", layer=k, value=share) for k, share in weights.items()]
    return [common | dict(metric="centre_of_gravity", value=centre), *shares]


# -- control tasks ---------------------------------------------------------------------------------


def control_tasks(settings: Profile, report: Callable = say_nothing) -> pd.DataFrame:
    """Selectivity of probes of every layer (analysis ``control_task``; Hewitt and Liang 2019).

    ``inputs`` POS, with a linear probe for the tag, and Dependencies, with a bilinear one for the head; of
    the suite's, those that it has. Metrics: ``accuracy``, ``control_accuracy`` on random answers by word
    type, and ``selectivity``, their difference, paired. Models: Base, Dep, NLI, QA (first fine-tuning seed)
    and Random; ``seed`` is the fine-tuning seed. Intervals: 95 %, bootstrap over the n test sentences.

    Raises ValueError if the suite has neither task.
    """
    began, rows = time.time(), []
    records = {name: own for name, own in probing_records(settings).items() if name in CONTROLS}
    if not records:
        raise ValueError(f"the suite {settings.suite} has no task with a control: {', '.join(CONTROLS)}")
    tokenizer = encoders.load(settings.encoder).tokenizer
    reading = spans.read(tokenizer, [own for splits in records.values() for own in splits.values()])
    tasks = {}
    for name, splits in records.items():
        kind = CONTROLS[name]
        real = controls.heads(splits) if kind == "head" else splits
        draw = controls.head_control if kind == "head" else controls.label_control
        drawn = draw(real, tokenizer, CONTROL_SEED)
        tasks[name] = [controls.prepare(answers, reading, kind) for answers in (real, drawn)]
    for model, corpus, seed, encoder in probed_models(settings, report, probing_seeds(settings)[:1]):
        with _states(encoder, reading, report) as read:
            for name, pair in tasks.items():
                report(f"control task on {encoder.name}: {name}")
                real, drawn = (
                    controls.probe(
                        task,
                        encoder.fingerprint,
                        read,
                        settings.structural,
                        seed=settings.probe_seeds[0],
                        cache=Store(),
                    )
                    for task in pair
                )
                common = dict(analysis="control_task", model=model, task=corpus, inputs=name, seed=seed)
                common |= dict(n=len(pair[0].splits["test"]))
                for number, layer in enumerate(real.report["layers"]):
                    accuracies = [
                        _accuracy(*result.correct(number), settings.n_bootstrap) for result in (real, drawn)
                    ]
                    scores = {
                        ("accuracy", layer): accuracies[0],
                        ("control_accuracy", layer): accuracies[1],
                        ("selectivity", layer): statistics.difference(*accuracies),
                    }
                    rows += _rows(common, scores)
    frame = results.table(rows)
    seconds = round(time.time() - began, 1)
    results.save("control_task", frame, settings, seconds=seconds, suite=settings.suite)
    return frame


def _accuracy(correct: np.ndarray, total: np.ndarray, n_bootstrap: int) -> Estimate:
    weights = _resamples(len(total), n_bootstrap)
    samples = (weights @ correct) / (weights @ total)
    draws = (BOOTSTRAP_SEED, len(total), n_bootstrap)
    return Estimate(float(correct.sum() / total.sum()), *statistics.interval(samples), samples, draws)


def spreads(frame: pd.DataFrame) -> pd.DataFrame:
    """How uncertain the changes in micro-F1 of probes on a mix are, in points: a row for each task.

    From a table of :func:`edge_probing`. Columns, each a mean over models: ``fine-tuning seeds``, the
    range of a model's change over them; ``probe seeds``, the range of a score over them (the first
    fine-tuning seed's, and Base and Random); ``half an interval over sentences``, of a change. NaN where
    there is one seed only.
    """
    mix = frame[(frame["metric"] == "micro_f1") & (frame["model"] != "Lexical")]
    change = mix[(mix["analysis"] == "edge_probing_delta") & mix["model"].isin(MODELS)]
    others = mix[mix["analysis"] == "edge_probing_probe_seeds"]
    seeds = change.groupby("model")["seed"].min()
    once = mix["seed"].eq(mix["model"].map(seeds)) | ~mix["model"].isin(MODELS)
    probed = pd.concat([others, mix[(mix["analysis"] == "edge_probing") & once]])
    found = {
        "fine-tuning seeds": _range(change),
        "probe seeds": _range(probed),
        "half an interval over sentences": (change["ci_high"] - change["ci_low"])
        .groupby(change["inputs"], sort=False)
        .mean()
        / 2,
    }
    return 100 * pd.DataFrame(found).astype(float).loc[list(dict.fromkeys(change["inputs"]))]


def _range(rows: pd.DataFrame) -> pd.Series:
    """Highest less lowest value of each task and model with several, averaged over models."""
    values = rows.groupby(["inputs", "model"])["value"]
    several = (values.max() - values.min())[values.size() > 1]
    return several.groupby("inputs").mean()
