"""Structural probes of every model and layer: how much of the dependency tree the layers show."""

import dataclasses
import functools
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import encoders, results, statistics
from helpers.analyses.finetuning import BOOTSTRAP_SEED, load_records, say_nothing
from helpers.analyses.models import probed_models, probing_seeds
from helpers.corpora.records import Sentence
from helpers.encoders import Encoder
from helpers.probing import structural
from helpers.profiles import Profile
from helpers.statistics import Estimate
from helpers.store import Store, digest

SCHEMA = 1  # raise when a probe or its scores change for the same inputs
SPLITS = ("train", "dev", "test")
RATIOS = ("uuas", "root_acc")  # metrics that are sums over sums; the others are averaged over lengths


@dataclass(frozen=True, eq=False)
class Treebank:
    """Sentences with trees to train probes on, to stop their training by, and to judge them on."""

    parts: dict[str, list[Sentence]]  # train, dev, test
    digest: str

    def arrays(self, part: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Heads, lengths and words that are no punctuation, as by :func:`structural.arrays`."""
        return structural.arrays(self.parts[part])


def treebank(settings: Profile) -> Treebank:
    """The parts of the parser's treebank that structural probes use, as the settings limit them.

    Raises ValueError if the corpus has a sentence without a tree or tags.
    """
    corpus = settings.task("Dep").corpus
    limits = (settings.probe_train, settings.probe_eval, settings.probe_eval)
    return _treebank(corpus, settings.paths.get(corpus), limits)


@functools.lru_cache(maxsize=4)
def _treebank(corpus: str, path: str | None, limits: tuple) -> Treebank:
    parts = {s: load_records(corpus, s, path, limit) for s, limit in zip(SPLITS, limits, strict=True)}
    for split, records in parts.items():
        for record in records:
            if not len(record.words) == len(record.heads) == len(record.upos) > 0:
                raise ValueError(f"{corpus} ({split}): sentence {record.id!r} has no tree or no UPOS tags")
    return Treebank(parts, digest([[[r.words, r.heads, r.upos] for r in parts[s]] for s in SPLITS]))


def probes(
    settings: Profile, encoder: Encoder, seeds: Iterable[int], report: Callable = say_nothing
) -> dict[tuple[str, int], Path]:
    """Folders of an encoder's trained and judged probes, by (kind, probe seed), from the store or made now.

    Each holds ``B.npy`` (n_layers, rank, d), ``training.csv`` (a row a layer) and ``scores.npz``, what
    :func:`structural.evaluate` gives on the test part. The encoder's states lie on disk only as long as a
    probe is to be trained on them.
    """
    bank = treebank(settings)
    source = {"encoder": encoder.fingerprint, "precision": encoder.precision, "treebank": bank.digest}
    states = Store().path("structural-states", source)

    def build(folder: Path, kind: str, seed: int) -> None:
        train, dev, test = (_parsed(bank, part, encoder, Store(states), report) for part in SPLITS)

        def progress(epoch: int, epochs: int) -> None:
            report(f"{kind} probes on {encoder.name}: epoch {epoch} of at most {epochs}")

        trained = structural.fit(
            kind,
            train,
            dev,
            rank=settings.probe_rank,
            recipe=settings.structural,
            seed=seed,
            folder=folder,
            progress=progress,
        )
        epoch = -(-len(train.lengths) // settings.structural.batch_size)
        training = {
            "layer": encoder.layers,
            "dev_loss": np.negative(trained.scores),
            "best_epoch": np.array(trained.best_steps) // epoch,
            "epochs": np.array(trained.steps) // epoch,
        }
        weights = trained.parameters["B"].cpu()
        scores = structural.evaluate(kind, weights, test, bank.arrays("test")[2])
        np.save(folder / "B.npy", weights.numpy())
        pd.DataFrame(training).to_csv(folder / "training.csv", index=False)
        np.savez_compressed(folder / "scores.npz", **scores)

    recipe = {"rank": settings.probe_rank, "recipe": dataclasses.asdict(settings.structural)}
    found = {}
    for seed in seeds:
        for kind in structural.KINDS:
            spec = {"schema": SCHEMA, "kind": kind, "seed": seed} | source | recipe
            found[kind, seed] = Store().get(
                "structural-probe", spec, functools.partial(build, kind=kind, seed=seed)
            )
    shutil.rmtree(states, ignore_errors=True)
    return found


def _parsed(bank: Treebank, part: str, encoder: Encoder, cache: Store, report: Callable) -> structural.Parsed:
    report(f"reading the {part} part with {encoder.name}")
    heads, lengths, _ = bank.arrays(part)
    states = encoders.extract(encoder, bank.parts[part], cache, pool="mean")
    return structural.Parsed([states.layer(layer) for layer in states.layers], heads, lengths)


def estimates(folder: Path, kind: str, lengths: np.ndarray, n_bootstrap: int) -> dict[str, list[Estimate]]:
    """Scores of the probes in a folder, metric -> an estimate a layer, by bootstrap over sentences.

    ``lengths`` (n_sentences,) of the test sentences. A mean over lengths is taken anew in each resample.
    All estimates are of the same resamples, so differences of two are paired.
    """
    weights = _resamples(len(lengths), n_bootstrap)
    draws = (BOOTSTRAP_SEED, len(lengths), n_bootstrap)
    found = {}
    with np.load(folder / "scores.npz") as scores:
        for metric in structural.METRICS[kind]:
            sums, counts = scores[f"{metric}_sum"], scores[f"{metric}_count"]
            if metric in RATIOS:
                value, samples = sums.sum(0) / counts.sum(0), (weights @ sums) / (weights @ counts)
            else:
                value = structural.mean_over_lengths(lengths, sums, counts)[0]
                samples = structural.mean_over_lengths(lengths, sums, counts, weights)
            found[metric] = [
                Estimate(float(v), *statistics.interval(s), s, draws)
                for v, s in zip(value, samples.T, strict=True)
            ]
    return found


@functools.lru_cache(maxsize=2)
def _resamples(n_sentences: int, n_bootstrap: int) -> np.ndarray:
    return statistics.resamples(n_sentences, n_bootstrap, BOOTSTRAP_SEED).astype(np.float64)


def structural_probes(settings: Profile, report: Callable = say_nothing) -> pd.DataFrame:
    """Structural probes of all layers of all models on the parser's treebank, as in the paper's Figure 1.

    Probes are trained on its train part, stopped by its dev part and judged on its test part. Analysis
    ``structural_probe``: models Base, Dep, NLI, QA (each fine-tuning seed), Random (random weights) and
    Lexical, which is Base's layer -1. Metrics: ``root_acc`` and ``depth_spearman`` of the depth probe,
    ``uuas`` and ``distance_spearman`` (the self pair included, as published) of the distance probe, and
    ``distance_spearman_no_self``. Punctuation (UPOS PUNCT) is left out of ``root_acc`` and ``uuas`` and kept
    in the correlations. ``structural_probe_delta``: model - Base at the same layer, paired; Lexical's is
    layer -1 against each. ``structural_probe_probe_seeds``: probe seeds other than the first, of Base and
    each model's first seed, with the probe's seed in ``seed``. Intervals: 95 %, bootstrap over sentences.
    """
    began, rows, base = time.time(), [], {}
    _, lengths, _ = treebank(settings).arrays("test")
    first_seed = settings.probe_seeds[0]
    for model, task, seed, encoder in probed_models(settings, report):
        once = seed not in (None, probing_seeds(settings)[0])
        folders = probes(settings, encoder, settings.probe_seeds[: 1 if once else None], report)
        report(f"scores of {encoder.name}")
        about = dict(model=model, task=task, n=len(lengths))
        for (kind, probe_seed), folder in folders.items():
            main = probe_seed == first_seed
            for metric, found in estimates(folder, kind, lengths, settings.n_bootstrap).items():
                for layer, estimate in zip(encoder.layers, found, strict=True):
                    row = about | dict(metric=metric, layer=layer, seed=seed)
                    if not main:
                        row |= dict(analysis="structural_probe_probe_seeds", seed=probe_seed)
                        rows.append(row | _numbers(estimate))
                        continue
                    rows.append(row | dict(analysis="structural_probe") | _numbers(estimate))
                    delta = row | dict(analysis="structural_probe_delta")
                    if model != "Base":
                        rows.append(delta | _numbers(statistics.difference(estimate, base[metric, layer])))
                        continue
                    base[metric, layer] = estimate
                    lexical = base[metric, encoder.layers[0]]
                    if layer == encoder.layers[0]:
                        rows.append(rows[-1] | dict(model="Lexical"))
                    else:
                        gap = _numbers(statistics.difference(lexical, estimate))
                        rows.append(delta | dict(model="Lexical") | gap)
    frame = results.table(rows)
    bank = treebank(settings)
    results.save(
        "structural_probe",
        frame,
        settings,
        seconds=round(time.time() - began, 1),
        treebank=settings.task("Dep").corpus,
        sentences={part: len(records) for part, records in bank.parts.items()},
        data=bank.digest,
    )
    return frame


def _numbers(estimate: Estimate) -> dict:
    return dict(value=estimate.value, ci_low=estimate.ci_low, ci_high=estimate.ci_high)


@dataclass(frozen=True, eq=False)
class Drawn:
    """A sentence with its tree and those that models' probes predict: pairs of positions of words.

    ``gold`` and each of ``predicted`` (model -> edges) are (n_edges, 2); punctuation has no edges.
    """

    id: str
    words: tuple[str, ...]
    gold: np.ndarray
    predicted: dict[str, np.ndarray]


def predicted_trees(
    settings: Profile,
    n_sentences: int,
    layer: int,
    *,
    words: range = range(5, 16),
    report: Callable = say_nothing,
) -> list[Drawn]:
    """The first test sentences that have so many ``words``, with the trees of Base and the tuned models.

    All at one layer, of the first fine-tuning seed and the first probe seed. Raises ValueError for an
    unknown layer or if there are too few such sentences.
    """
    bank = treebank(settings)
    heads, lengths, keep = bank.arrays("test")
    chosen = [i for i, n in enumerate(lengths) if n in words][:n_sentences]
    if len(chosen) < n_sentences:
        raise ValueError(
            f"{n_sentences} sentences of {words.start} to {words[-1]} words asked for, {len(chosen)} found"
        )
    starts = np.cumsum(lengths) - lengths
    kept = [keep[start : start + n] for start, n in zip(starts, lengths, strict=True)]
    ends = np.cumsum([max(int(k.sum()) - 1, 0) for k in kept])
    found = []
    for i in chosen:
        gold = structural.tree_distances(heads[starts[i] : starts[i] + lengths[i]])
        record = bank.parts["test"][i]
        found.append(Drawn(record.id, record.words, structural.spanning_edges(gold, kept[i]), {}))
    for model, _, _, encoder in probed_models(settings, report, probing_seeds(settings)[:1]):
        if model == "Random":
            continue
        if layer not in encoder.layers:
            raise ValueError(f"unknown layer {layer}; valid: {encoder.layers[0]} to {encoder.layers[-1]}")
        seed = settings.probe_seeds[0]
        folder = probes(settings, encoder, [seed], report)["distance", seed]
        with np.load(folder / "scores.npz") as scores:
            edges = scores["edges"][encoder.layers.index(layer)]
        for i, drawn in zip(chosen, found, strict=True):
            drawn.predicted[model] = edges[ends[i] - len(drawn.gold) : ends[i]]
    return found
