"""Structural probes of every model and layer: how much of the dependency tree the layers show."""

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from helpers import encoders, progress, statistics
from helpers.analyses.finetuning import probed_models, probing_seeds, read_records, tunings
from helpers.analyses.runner import Rows, analysis
from helpers.analyses.seeds import Seeds
from helpers.corpora.records import Sentence
from helpers.encoders import Encoder
from helpers.probing import structural
from helpers.profiles import Profile
from helpers.statistics import Estimate
from helpers.store import Store, digest
from helpers.vocabulary import BOOTSTRAP_SEED

SCHEMA = 1  # raise when a probe or its scores change for the same inputs
SPLITS = ("train", "dev", "test")
RATIOS = ("uuas", "root_acc")  # metrics that are sums over sums; the others are averaged over lengths


@dataclass(frozen=True, eq=False)
class Treebank:
    """Sentences with trees to train probes on, to stop their training by, and to evaluate them on."""

    parts: dict[str, list[Sentence]]  # train, dev, test
    digest: str

    def arrays(self, part: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Heads, lengths and words that are no punctuation, as by :func:`structural.arrays`."""
        return structural.arrays(self.parts[part])


def treebank(settings: Profile) -> Treebank:
    """The parts of the parser's treebank that structural probes use, as the settings limit them.

    Raises ValueError if the corpus has a sentence without a tree or tags.
    """
    corpus, parts = settings.task("Dep").corpus, {}
    for split, limit in zip(SPLITS, (settings.probe_train, *[settings.probe_eval] * 2), strict=True):
        parts[split] = read_records(settings, corpus, split, limit)
        for record in parts[split]:
            if not len(record.words) == len(record.heads) == len(record.upos) > 0:
                raise ValueError(f"{corpus} ({split}): sentence {record.id!r} has no tree or no UPOS tags")
    return Treebank(parts, digest([[[r.words, r.heads, r.upos] for r in parts[s]] for s in SPLITS]))


def probes(
    settings: Profile,
    bank: Treebank,
    encoder: Encoder,
    seeds: Iterable[int],
    kinds: Iterable[str] = structural.KINDS,
) -> dict[tuple[str, int], Path]:
    """Folders of an encoder's trained and evaluated probes, by (kind, probe seed), in the store.

    Each holds ``B.npy`` (n_layers, rank, d), ``training.csv`` (one row per layer) and ``scores.npz``, what
    :func:`structural.evaluate` gives on the test part. The encoder's states lie on disk only as long as a
    probe is to be trained on them.
    """
    source = {"encoder": encoder.fingerprint, "precision": encoder.precision, "treebank": bank.digest}

    def build(folder: Path, kind: str, seed: int, states: Path) -> None:
        progress.say(f"{kind} probes on {encoder.name}, seed {seed}")
        train, dev, test = (_parsed(bank, part, encoder, Store(states)) for part in SPLITS)
        options: Any = dict(rank=settings.probe_rank, recipe=settings.structural, seed=seed, folder=folder)
        trained = structural.fit(kind, train, dev, **options)
        epoch = -(-len(train.lengths) // settings.structural.batch_size)
        training = {
            "layer": encoder.layers,
            "dev_loss": np.negative(trained.scores),
            "best_epoch": np.array(trained.best_steps) // epoch,
            "epochs": np.array(trained.steps) // epoch,
        }
        weights = trained.parameters["B"].cpu()
        scores: Any = structural.evaluate(kind, weights, test, bank.arrays("test")[2])
        np.save(folder / "B.npy", weights.numpy())
        pd.DataFrame(training).to_csv(folder / "training.csv", index=False)
        np.savez_compressed(folder / "scores.npz", **scores)

    recipe = {"rank": settings.probe_rank, "recipe": dataclasses.asdict(settings.structural)}
    folders = {}
    with Store().scratch("structural-states", source) as states:
        for seed in seeds:
            for kind in kinds:
                spec = {"schema": SCHEMA, "kind": kind, "seed": seed} | source | recipe
                make = functools.partial(build, kind=kind, seed=seed, states=states)
                folders[kind, seed] = Store().get("structural-probe", spec, make)
    return folders


def _parsed(bank: Treebank, part: str, encoder: Encoder, cache: Store) -> structural.Parsed:
    heads, lengths, _ = bank.arrays(part)
    states = encoders.extract(encoder, bank.parts[part], cache, pool="mean")
    return structural.Parsed([states.layer(layer) for layer in states.layers], heads, lengths)


def estimates(folder: Path, kind: str, lengths: np.ndarray, n_bootstrap: int) -> dict[str, list[Estimate]]:
    """Scores of the probes in a folder, metric -> an estimate for each layer, by bootstrap over sentences.

    ``lengths`` (n_sentences,) of the test sentences. Means over lengths are resampled within lengths
    (:func:`structural.resampled_means`). All estimates of a metric are of the same resamples, so differences
    of two are paired.
    """
    draws = dict(n_resamples=n_bootstrap, seed=BOOTSTRAP_SEED)
    weights = statistics.resamples(len(lengths), **draws)
    by_metric = {}
    with np.load(folder / "scores.npz") as scores:
        for metric in structural.METRICS[kind]:
            sums, counts = scores[f"{metric}_sum"], scores[f"{metric}_count"]
            if metric in RATIOS:
                by_metric[metric] = [
                    statistics.ratio(*layer, **draws) for layer in zip(sums.T, counts.T, strict=True)
                ]
            else:
                values = structural.mean_over_lengths(lengths, sums, counts)
                samples = structural.resampled_means(lengths, sums, counts, **draws)
                by_metric[metric] = [
                    statistics.estimate(value, own, weights, BOOTSTRAP_SEED)
                    for value, own in zip(values, samples.T, strict=True)
                ]
    return by_metric


def distance_scores(
    settings: Profile, bank: Treebank, encoder: Encoder
) -> tuple[dict[str, dict[int, Estimate]], int]:
    """Scores of an encoder's distance probes of the first probe seed, by metric and layer, and of how many
    test sentences they are."""
    seed, lengths = settings.probe_seeds[0], bank.arrays("test")[1]
    folder = probes(settings, bank, encoder, [seed], ["distance"])["distance", seed]
    scores = estimates(folder, "distance", lengths, settings.n_bootstrap)
    by_layer = {metric: dict(zip(encoder.layers, own, strict=True)) for metric, own in scores.items()}
    return by_layer, len(lengths)


@analysis("structural_probe", points=lambda s: tunings(s, probing_seeds(s)))
def structural_probes(settings: Profile) -> tuple[Rows, dict[str, Any]]:
    """Structural probes of all layers of all models on the parser's treebank, as in the paper's Figure 1.

    Probes are trained on its train part, stopped by its dev part and evaluated on its test part. Analysis
    ``structural_probe``: models Base, Dep, NLI, QA (each fine-tuning seed), Random (random weights) and
    Lexical, which is Base's layer -1. Metrics: ``root_acc`` and ``depth_spearman`` of the depth probe,
    ``uuas`` and ``distance_spearman`` (the self pair included, as published) of the distance probe, and
    ``distance_spearman_no_self``. Punctuation (UPOS PUNCT) is left out of ``root_acc`` and ``uuas`` and kept
    in the correlations. ``structural_probe_delta``: model - Base at the same layer, paired; Lexical's is
    layer -1 against each. ``structural_probe_contrast``: that difference at the last layer minus its mean
    over the layers from 0 up to ``layer``, paired too. ``structural_probe_probe_seeds``: probe seeds other
    than the first, of Base and each model's first seed, with the probe's seed in ``seed``. Intervals: 95 %,
    bootstrap over sentences. The first three also have rows over all fine-tuning seeds, under their names
    with ``_over_seeds`` (:class:`.seeds.Seeds`).
    """
    bank = treebank(settings)
    details = dict(
        treebank=settings.task("Dep").corpus,
        sentences={part: len(records) for part, records in bank.parts.items()},
        lengths=len(np.intersect1d(bank.arrays("test")[1], structural.LENGTHS)),  # in the means over lengths
        data=bank.digest,
    )
    return rows(settings, bank), details


def rows(
    settings: Profile,
    bank: Treebank,
    *,
    tuned: Sequence[int] | None = None,
    kinds: Sequence[str] = structural.KINDS,
) -> Rows:
    """The rows of :func:`structural_probes`, of probes of these kinds and these fine-tuning seeds."""
    _, lengths, _ = bank.arrays("test")
    base: dict[tuple[str, int], Estimate] = {}
    seeds = Seeds()
    for model, task, seed, encoder in probed_models(settings, tuned):
        once = seed not in (None, probing_seeds(settings)[0])
        bottom = encoder.layers[0]
        folders = probes(settings, bank, encoder, settings.probe_seeds[: 1 if once else None], kinds)
        for (kind, probe_seed), folder in folders.items():
            for metric, by_layer in estimates(folder, kind, lengths, settings.n_bootstrap).items():
                gaps: dict[int, Estimate] = {}
                for layer, estimate in zip(encoder.layers, by_layer, strict=True):
                    row = dict(model=model, task=task, metric=metric, layer=layer, n=len(lengths))
                    if probe_seed != settings.probe_seeds[0]:
                        row |= dict(analysis="structural_probe_probe_seeds", seed=probe_seed)
                        yield row | estimate.numbers()
                        continue
                    row |= dict(analysis="structural_probe", seed=seed)
                    yield seeds.row(row, estimate)
                    compared = estimate
                    if model == "Base":
                        base[metric, layer] = estimate
                        compared = base[metric, bottom]
                        row |= dict(model="Lexical")
                        if layer == bottom:
                            yield row | estimate.numbers()
                            continue
                    gap = gaps[layer] = statistics.difference(compared, base[metric, layer])
                    yield seeds.row(row | dict(analysis="structural_probe_delta"), gap)
                row |= dict(analysis="structural_probe_contrast")
                for layer, contrast in last_minus_lower(gaps).items() if task and gaps else ():
                    yield seeds.row(row | dict(layer=layer), contrast)
    yield from seeds.over_all()


def last_minus_lower(gaps: dict[int, Estimate]) -> dict[int, Estimate]:
    """The last layer's estimate minus the mean of those of layers 0 to k, for each lower layer k."""
    *lower, last = sorted(layer for layer in gaps if layer >= 0)
    return {
        k: statistics.combination([(1.0, gaps[last]), *((-1 / (k + 1), gaps[j]) for j in range(k + 1))])
        for k in lower
    }


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
    settings: Profile, n_sentences: int, layer: int, *, words: range = range(5, 16)
) -> list[Drawn]:
    """The first test sentences of that many ``words``, with the trees of Base and the tuned models.

    All at one layer, of the first fine-tuning seed and the first probe seed. Raises ValueError for an
    unknown layer or if there are too few such sentences.
    """
    bank = treebank(settings)
    heads, lengths, keep = bank.arrays("test")
    chosen = [i for i, n in enumerate(lengths) if n in words][:n_sentences]
    if len(chosen) < n_sentences:
        raise ValueError(
            f"{n_sentences} sentences of {words.start} to {words[-1]} words asked for, "
            f"there are {len(chosen)}"
        )
    starts = np.cumsum(lengths) - lengths
    kept = [keep[start : start + n] for start, n in zip(starts, lengths, strict=True)]
    ends = np.cumsum([max(int(k.sum()) - 1, 0) for k in kept])
    trees = []
    for i in chosen:
        gold = structural.tree_distances(heads[starts[i] : starts[i] + lengths[i]])
        record = bank.parts["test"][i]
        trees.append(Drawn(record.id, record.words, structural.spanning_edges(gold, kept[i]), {}))
    for model, _, _, encoder in probed_models(settings, probing_seeds(settings)[:1]):
        if model == "Random":
            continue
        if layer not in encoder.layers:
            raise ValueError(f"unknown layer {layer}; valid: {encoder.layers[0]} to {encoder.layers[-1]}")
        seed = settings.probe_seeds[0]
        folder = probes(settings, bank, encoder, [seed], ["distance"])["distance", seed]
        with np.load(folder / "scores.npz") as scores:
            edges = scores["edges"][encoder.layers.index(layer)]
        for i, drawn in zip(chosen, trees, strict=True):
            drawn.predicted[model] = edges[ends[i] - len(drawn.gold) : ends[i]]
    return trees
