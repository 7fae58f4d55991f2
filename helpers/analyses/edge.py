"""Edge probes of every model, and how selective probes of its layers are."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from helpers import encoders, progress, statistics
from helpers.analyses.finetuning import probed_models, probing_seeds, tunings
from helpers.analyses.runner import Row, Rows, analysis
from helpers.analyses.seeds import Seeds
from helpers.corpora import edges
from helpers.corpora.records import LabelledSpans
from helpers.encoders import Activations, Encoder
from helpers.probing import edge, selectivity, spans
from helpers.profiles import Profile
from helpers.statistics import Estimate
from helpers.store import Store, digest
from helpers.vocabulary import BASELINES, BOOTSTRAP_SEED, MODELS, RANDOM_SEED

CONTROLS = {"POS": "label", "Dependencies": "head"}  # task -> kind of probe
CONTROL_SEED = 0  # of the random answers

Splits = dict[str, list[LabelledSpans]]


# -- tasks and models ------------------------------------------------------------------------------


def probing_records(settings: Profile, only: tuple[str, ...] = ()) -> dict[str, Splits]:
    """Records by task and split of the suite's tasks whose corpora are there, within the settings' limits.

    ``only`` those of these names, if any are given. Raises ValueError, naming what is missing, if no task of
    the suite has one.
    """
    known = edges.tasks(settings.suite, settings.paths)
    if not known:
        raise ValueError("; ".join(edges.missing(settings.suite, settings.paths).values()))
    names = tuple(name for name in known if not only or name in only)
    paths = tuple(sorted(settings.paths.items()))
    return _records(settings.suite, names, paths, settings.probe_train, settings.probe_eval)


@functools.lru_cache(maxsize=2)
def _records(
    suite: str, names: tuple[str, ...], paths: tuple, train: int | None, evaluation: int | None
) -> dict[str, Splits]:
    limits = {"train": train, "dev": evaluation, "test": evaluation}
    return {
        task: {
            split: edges.load(task, split, suite, paths=dict(paths), limit=n) for split, n in limits.items()
        }
        for task in names
    }


def probing_tasks(settings: Profile) -> pd.DataFrame:
    """What probes are trained and evaluated on: source, labels, sentences and targets of each task."""
    sources = edges.sources(settings.suite, settings.paths)
    rows = []
    for task, splits in probing_records(settings).items():
        row = {"task": task, "source": sources[task], "labels": len(spans.label_list(splits["train"]))}
        for split, records in splits.items():
            row[f"{split} sentences"] = len(records)
            row[f"{split} targets"] = sum(len(r.targets) for r in records)
        rows.append(row)
    return pd.DataFrame(rows).set_index("task")


def reading_of(encoder: Encoder, records: dict[str, Splits]) -> spans.Reading:
    """The sentences of all tasks."""
    return spans.read(encoder.tokenizer, [own for splits in records.values() for own in splits.values()])


@contextlib.contextmanager
def states_of(encoder: Encoder, reading: spans.Reading) -> Iterator[Callable[[], Activations]]:
    """Function that reads an encoder's states when they are first needed.

    They lie on disk only until all that is made of them is done, and longer only if that is interrupted.
    """
    spec = {"encoder": encoder.fingerprint, "precision": encoder.precision}
    spec["sentences"] = digest(reading.sentences)
    with Store().scratch("edge-states", spec) as folder:

        @functools.cache
        def read() -> Activations:
            progress.say(f"reading {len(reading.sentences)} sentences with {encoder.name}")
            return reading.extract(encoder, Store(folder))

        yield read


# -- edge probes -----------------------------------------------------------------------------------


@analysis("edge_probing", points=lambda s: tunings(s, probing_seeds(s)))
def edge_probing(settings: Profile) -> tuple[Rows, dict[str, Any]]:
    """Edge probes of all models on all tasks of the suite, as in the paper's Table 1.

    Analysis ``edge_probing``: models Base, Dep, NLI, QA (each fine-tuning seed), Random (random weights) and
    Lexical, which is Base's layer -1. ``inputs`` is the task. Metrics: ``micro_f1`` of a probe on the scalar
    mix of all layers, ``micro_f1_top`` on the last layer, ``micro_f1_layer`` on each layer by itself,
    ``micro_f1_clean`` by the labels that Tenney et al. (2019) score (mix), ``mix_weight`` of each layer and
    ``centre_of_gravity``, the layer at which they balance. ``edge_probing_delta``: model - Base, paired; of
    Lexical, which is one layer, to Base's mix and to its last layer. ``edge_probing_contrast``: a tuned
    model's difference minus half of a baseline's, on the mix, paired too; metrics
    ``micro_f1_minus_half_lexical`` and ``micro_f1_minus_half_random``. ``edge_probing_probe_seeds``: probe
    seeds other than the first, with the probe's seed in ``seed``, of Base (and so of Lexical), Random and
    each model's first fine-tuning seed. Intervals: 95 %, bootstrap over the n test sentences. The differences
    and contrasts also have rows over all fine-tuning seeds, under their names with ``_over_seeds``
    (:class:`.seeds.Seeds`).
    """
    progress.say(f"loading the probing tasks of the suite {settings.suite}")
    records = probing_records(settings)
    reading = reading_of(encoders.load(settings.encoder), records)
    tasks = {
        name: edge.prepare(splits, reading, edges.clean(name, settings.suite))
        for name, splits in records.items()
    }
    details = dict(
        suite=settings.suite,
        tasks=probing_tasks(settings).to_dict("index"),
        data={name: task.digest for name, task in tasks.items()},
    )
    return _edge_rows(settings, reading, tasks), details


def _edge_rows(settings: Profile, reading: spans.Reading, tasks: dict[str, edge.EdgeTask]) -> Rows:
    base: dict[str, Scores] = {}
    baselines: dict[str, dict[str, Estimate]] = {}  # their differences from Base by task
    seeds = Seeds()
    for model, corpus, seed, encoder in probed_models(settings):
        once = seed not in (None, probing_seeds(settings)[0], RANDOM_SEED)
        with states_of(encoder, reading) as read:
            for name, task in tasks.items():
                common = dict(model=model, task=corpus, inputs=name, n=len(task.splits["test"]))
                for probe_seed in settings.probe_seeds[: 1 if once else None]:
                    progress.say(f"probing {encoder.name}: {name}, probe seed {probe_seed}")
                    probes = edge.EdgeProbes.trained(
                        task, encoder.fingerprint, read, settings.edge, seed=probe_seed, cache=Store()
                    )
                    scores = compared = _scores(probes, settings.n_bootstrap)
                    main = probe_seed == settings.probe_seeds[0]
                    row = common | dict(analysis="edge_probing", seed=seed)
                    if not main:
                        row |= dict(analysis="edge_probing_probe_seeds", seed=probe_seed)
                    yield from [*_rows(row, scores), *_mix_rows(row, probes)]
                    if model == "Base":
                        base.setdefault(name, scores)  # of the first probe seed
                        row |= dict(model="Lexical")
                        compared = _one(probes, 0, settings.n_bootstrap)  # on the embeddings
                        yield from _rows(row, compared)
                    if main:
                        gaps = _gaps(compared, base[name])
                        yield from _rows(row | dict(analysis="edge_probing_delta"), gaps, seeds)
                        change = gaps["micro_f1", None]
                        if row["model"] in BASELINES:
                            baselines.setdefault(name, {})[row["model"]] = change
                        else:
                            row |= dict(analysis="edge_probing_contrast")
                            yield from _rows(row, _minus_half(change, baselines[name]), seeds)
    yield from seeds.over_all()


Scores = dict[tuple[str, int | None], Estimate]  # by metric and layer


def _scores(probes: edge.Result, n_bootstrap: int) -> Scores:
    scores = _one(probes, -1, n_bootstrap)  # the mix
    *layers, _ = probes.report["layers"]
    for number, layer in enumerate(layers):
        scores["micro_f1_layer", layer] = f1_estimate(probes.counts(number), n_bootstrap)
    scores["micro_f1_top", layers[-1]] = scores["micro_f1_layer", layers[-1]]
    return scores


def _one(probes: edge.Result, probe: int, n_bootstrap: int) -> Scores:
    """Scores of a single probe, as of a model's only one."""
    scores: Scores = {("micro_f1", None): f1_estimate(probes.counts(probe), n_bootstrap)}
    if probes.has_clean:
        scores["micro_f1_clean", None] = f1_estimate(probes.counts(probe, clean=True), n_bootstrap)
    return scores


def _gaps(scores: Scores, base: Scores) -> Scores:
    """Differences from Base; those of the embeddings, a single layer, also from Base's last layer."""
    gaps = {key: statistics.difference(scores[key], base[key]) for key in scores}
    top = next(key for key in base if key[0] == "micro_f1_top")
    return gaps | ({} if top in gaps else {top: statistics.difference(scores["micro_f1", None], base[top])})


def _minus_half(change: Estimate, baselines: dict[str, Estimate]) -> Scores:
    """A model's difference from Base minus half of each baseline's."""
    return {
        (f"micro_f1_minus_half_{name.lower()}", None): statistics.combination([(1.0, change), (-0.5, lost)])
        for name, lost in baselines.items()
    }


def f1_estimate(counts: np.ndarray, n_bootstrap: int) -> Estimate:
    """Micro-averaged F1 with its interval by bootstrap over sentences.

    ``counts`` (3, n_sentences): true positives, predicted, gold. A resample with nothing to find scores 0.
    """
    right, predicted, gold = counts
    return statistics.ratio(
        2 * right, predicted + gold, n_resamples=n_bootstrap, seed=BOOTSTRAP_SEED, empty=0.0
    )


def mix_scores(
    settings: Profile, encoder: Encoder, records: dict[str, Splits]
) -> Iterator[tuple[str, Estimate, int]]:
    """Probing tasks, each with the F1 of an encoder's probe on the mix of all layers, of the first probe
    seed, and of how many test sentences it is."""
    options: Any = dict(seed=settings.probe_seeds[0], cache=Store())
    reading = reading_of(encoder, records)
    with states_of(encoder, reading) as read:
        for name, splits in records.items():
            progress.say(f"probing {encoder.name}: {name}")
            task = edge.prepare(splits, reading, edges.clean(name, settings.suite))
            probes = edge.EdgeProbes.trained(task, encoder.fingerprint, read, settings.edge, **options)
            yield name, f1_estimate(probes.counts(-1), settings.n_bootstrap), len(task.splits["test"])


def _rows(common: Row, scores: Scores, seeds: Seeds | None = None) -> list[Row]:
    """One row per score, to be gathered with those of other ``seeds``."""
    seeds = seeds or Seeds()
    return [seeds.row(common | dict(metric=metric, layer=k), e) for (metric, k), e in scores.items()]


def _mix_rows(common: Row, probes: edge.Result) -> list[Row]:
    weights = {int(layer): share for layer, share in probes.report["weights"].items()}
    centre = sum(layer * share for layer, share in weights.items())
    shares = [common | dict(metric="mix_weight", layer=k, value=share) for k, share in weights.items()]
    return [common | dict(metric="centre_of_gravity", value=centre), *shares]


# -- control tasks ---------------------------------------------------------------------------------


@analysis("control_task", points=lambda s: tunings(s, probing_seeds(s)[:1]))
def control_tasks(settings: Profile) -> tuple[Rows, dict[str, Any]]:
    """Selectivity of probes of every layer (analysis ``control_task``; Hewitt and Liang 2019).

    ``inputs``: POS, with a linear probe for the tag, and Dependencies, with a bilinear one for the head, as
    far as the suite has them. Metrics: ``accuracy``, ``control_accuracy`` on random answers by word
    type, and ``selectivity``, their difference, paired. Models: Base, Dep, NLI, QA (first fine-tuning seed)
    and Random; ``seed`` is the fine-tuning seed. Intervals: 95 %, bootstrap over the n test sentences.

    Raises ValueError if the suite has neither task.
    """
    records = {name: own for name, own in probing_records(settings).items() if name in CONTROLS}
    if not records:
        raise ValueError(f"the suite {settings.suite} has no task with a control: {', '.join(CONTROLS)}")
    plain = encoders.load(settings.encoder)
    reading = reading_of(plain, records)
    tasks = {}
    for name, splits in records.items():
        pair = selectivity.with_control(splits, CONTROLS[name], plain.tokenizer, CONTROL_SEED)
        tasks[name] = [selectivity.prepare(answers, reading, CONTROLS[name]) for answers in pair]
    return _control_rows(settings, reading, tasks), dict(suite=settings.suite)


def _control_rows(
    settings: Profile, reading: spans.Reading, tasks: dict[str, list[selectivity.ChoiceTask]]
) -> Rows:
    options: Any = dict(seed=settings.probe_seeds[0], cache=Store())
    draws = dict(n_resamples=settings.n_bootstrap, seed=BOOTSTRAP_SEED)
    for model, corpus, seed, encoder in probed_models(settings, probing_seeds(settings)[:1]):
        with states_of(encoder, reading) as read:
            for name, pair in tasks.items():
                progress.say(f"control task on {encoder.name}: {name}")
                own, control = (
                    selectivity.ChoiceProbes.trained(
                        task, encoder.fingerprint, read, settings.structural, **options
                    )
                    for task in pair
                )
                common = dict(analysis="control_task", model=model, task=corpus, inputs=name, seed=seed)
                common |= dict(n=len(pair[0].splits["test"]))
                for number, layer in enumerate(own.report["layers"]):
                    accuracies = [statistics.ratio(*r.correct(number), **draws) for r in (own, control)]
                    estimates = [*accuracies, statistics.difference(*accuracies)]
                    names = [(m, layer) for m in ("accuracy", "control_accuracy", "selectivity")]
                    yield from _rows(common, dict(zip(names, estimates, strict=True)))


def spreads(frame: pd.DataFrame) -> pd.DataFrame:
    """How uncertain the changes in micro-F1 of probes on a mix are, in points: one row per task.

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
    width = (change["ci_high"] - change["ci_low"]).groupby(change["inputs"], sort=False).mean()
    columns = {
        "fine-tuning seeds": _range(change),
        "probe seeds": _range(probed),
        "half an interval over sentences": width / 2,
    }
    return 100 * pd.DataFrame(columns).astype(float).loc[list(dict.fromkeys(change["inputs"]))]


def _range(rows: pd.DataFrame) -> pd.Series:
    """Highest minus lowest value of each task and model with several, averaged over models."""
    values = rows.groupby(["inputs", "model"])["value"]
    several = (values.max() - values.min())[values.size() > 1]
    return several.groupby("inputs").mean()
