"""Six measures of how alike layers are, side by side: to Base by layer, and layers with one another.

All share one decomposition of each layer, and all but RSA one product of each pair of layers. RSA's intervals
are those of analysis ``rsa``. The others' are by jackknife over sentences: these are dealt into
:data:`GROUPS` groups, and each measure is computed anew without each group. A bootstrap would mislead. Its
resamples hold fewer different tokens, and with fewer tokens canonical correlations and Procrustes similarity
are larger: in a simulation of 500 tokens in 64 dimensions PWCCA's resamples lay two standard errors above the
estimate. And expanded to first order in the sentences' weights, as RSA's are, they spread half as far as
samples do.
"""

import contextlib
import functools
import itertools
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.linalg
import scipy.special

from helpers import encoders, progress, similarity, statistics
from helpers.analyses import rsa
from helpers.analyses.finetuning import fine_tuned, tunings
from helpers.analyses.points import Point
from helpers.analyses.runner import Row, Rows, analysis
from helpers.encoders import Activations
from helpers.profiles import Profile
from helpers.statistics import Estimate
from helpers.store import Store
from helpers.vocabulary import BOOTSTRAP_SEED, RANDOM_SEED

SCHEMA = 1  # raise when a comparison changes for the same inputs
VARIANCE = 0.99  # of the principal components that SVCCA keeps
GROUPS = 12  # of sentences, for intervals
MAPPED = 7  # layers of a map, at most: a map of all thirteen takes three times as long and shows no more

# By the name of their metric in tables: what each measures two layers by, on its own.
MEASURES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    rsa.RAW: similarity.rsa,
    "cka": similarity.cka,
    "procrustes": similarity.procrustes,
    "svcca": functools.partial(similarity.svcca, variance=VARIANCE),
    "pwcca": similarity.pwcca,
    "cosine": similarity.cosine,
}
NAMES = dict(zip(MEASURES, ("RSA", "CKA", "Procrustes", "SVCCA", "PWCCA", "cosine"), strict=True))

Numbers = dict[str, float]  # by metric


# -- two layers ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layer:
    """A layer's states at n tokens, decomposed once for all that it is compared with."""

    unit: np.ndarray  # (n, d): each token's vector at length 1
    basis: np.ndarray  # (n, r) orthonormal: principal components of the centred states
    spectrum: np.ndarray  # (r,) their singular values
    directions: np.ndarray  # (r, d)

    @classmethod
    def of(cls, states: np.ndarray, name: str) -> "Layer":
        """From ``states`` (n_tokens, d); raises ValueError, with the ``name``, as the measures do."""
        return cls(similarity.unit_rows(states, name), *similarity.principal(states, name))

    def reordered(self, order: np.ndarray) -> "Layer":
        """With its tokens in another order."""
        return replace(self, unit=self.unit[order], basis=self.basis[order])

    def without(self, dropped: np.ndarray) -> "Layer":
        """As decomposed without the tokens where ``dropped`` (n_tokens,) is true."""
        scores = self.basis[~dropped] * self.spectrum
        scores -= scores.mean(axis=0)
        values, axes = scipy.linalg.eigh(scores.T @ scores)
        spectrum, axes = np.sqrt(values[::-1]), axes[:, ::-1]
        return Layer(self.unit[~dropped], scores @ axes / spectrum, spectrum, axes.T @ self.directions)

    @cached_property
    def kept(self) -> int:
        """How many principal components SVCCA keeps."""
        return similarity.leading(self.spectrum, VARIANCE)

    @cached_property
    def squares(self) -> np.ndarray:
        """Squared lengths of the centred states, (n,)."""
        return self.basis**2 @ self.spectrum**2

    @cached_property
    def cosines(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What all pairs' cosines consist of (see :mod:`helpers.similarity`): c_i, a_i, 2 a_i + c_i . c_i."""
        mean = self.unit.mean(axis=0)
        rows = self.unit - mean
        offset = rows @ mean
        return rows, offset, 2 * offset + np.einsum("ij,ij->i", rows, rows)

    @cached_property
    def own_pairs(self) -> float:
        return _pairs(self, self)

    @cached_property
    def own_hsic(self) -> float:
        return _hsic(self, self, np.diag(self.spectrum**2))


def _pairs(x: Layer, y: Layer) -> float:
    """Inner product of two layers' cosines over all pairs of different tokens, each centred."""
    (rows_x, offset_x, diagonal_x), (rows_y, offset_y, diagonal_y) = x.cosines, y.cosines
    products, n = rows_x.T @ rows_y, len(rows_x)
    everywhere = 2 * n * (offset_x @ offset_y) + np.vdot(products, products)
    return everywhere - diagonal_x @ diagonal_y - diagonal_x.sum() * diagonal_y.sum() / (n * (n - 1))


def _hsic(x: Layer, y: Layer, products: np.ndarray) -> float:
    """The numerator of debiased CKA; ``products`` (r_x, r_y) are the scores' X'Y."""
    n = len(x.squares)
    chance = x.squares @ y.squares * n / (n - 2) - x.squares.sum() * y.squares.sum() / ((n - 1) * (n - 2))
    return float(np.vdot(products, products) - chance)


def compare(x: Layer, y: Layer) -> Numbers:
    """The similarity of two layers by every measure of :data:`MEASURES`."""
    return {rsa.RAW: _within(_pairs(x, y) / np.sqrt(x.own_pairs * y.own_pairs))} | _without_rsa(x, y)


def _without_rsa(x: Layer, y: Layer) -> Numbers:
    correlations = x.basis.T @ y.basis
    products = x.spectrum[:, None] * correlations * y.spectrum
    left, canonical, _ = scipy.linalg.svd(correlations, full_matrices=False)
    # How much of x each canonical variate x.basis @ left carries.
    weights = np.abs(left.T @ (x.spectrum[:, None] * x.directions)).sum(axis=1)
    lengths = np.linalg.norm(x.spectrum) * np.linalg.norm(y.spectrum)
    numbers = {
        "cka": _hsic(x, y, products) / np.sqrt(x.own_hsic * y.own_hsic),
        "procrustes": scipy.linalg.svdvals(products).sum() / lengths,
        "svcca": scipy.linalg.svdvals(correlations[: x.kept, : y.kept]).mean(),
        "pwcca": weights @ canonical / weights.sum(),
        "cosine": np.einsum("ij,ij->i", x.unit, y.unit).mean(),
    }
    return {metric: _within(number) for metric, number in numbers.items()}


def _within(number: float) -> float:
    return float(np.clip(number, -1, 1))


# -- intervals -------------------------------------------------------------------------------------


def dealt(record: np.ndarray) -> np.ndarray:
    """The group of each token, (n_tokens,) from 0; a record's tokens share one, each has as many records."""
    sentence = np.unique(record, return_inverse=True)[1]
    n_sentences = int(sentence.max()) + 1
    order = np.random.default_rng(BOOTSTRAP_SEED).permutation(n_sentences)
    return (order % min(GROUPS, n_sentences))[sentence]


def jackknife(value: float, without: np.ndarray, n_resamples: int) -> Estimate:
    """An estimate from its values (n_groups,) without each of the groups, as if these had been resampled.

    Its samples are a bootstrap of the groups to first order, stretched to the jackknife's variance (Efron and
    Stein 1981) and from there to Student's distribution with a degree of freedom less than there are groups.
    Of equally many groups they are of the same resamples, so that differences are paired.
    """
    n = len(without)
    weights = statistics.resamples(n, n_resamples, BOOTSTRAP_SEED)
    stretched = np.sqrt((n - 1) / n) * scipy.special.stdtrit(n - 1, 0.975) / statistics.NORMAL
    samples = value + (weights - 1) @ (without.mean() - without) * stretched
    return statistics.estimate(value, np.clip(samples, -1, 1), weights, BOOTSTRAP_SEED)


# -- encoders --------------------------------------------------------------------------------------

Layers = Callable[[int], Layer]  # an encoder's decomposed layers by number
Curve = dict[tuple[str, int], Estimate]  # by metric and layer


def _layer(states: Activations, number: int) -> Layer:
    return Layer.of(states.layer(number), f"layer {number}")


def curves(tuned: Mapping[str, Activations], base: Activations, n_bootstrap: int) -> dict[str, Curve]:
    """Similarity of encoders' layers to those of ``base`` by every measure with intervals; kept in the store.

    Raises ValueError where a jackknife would leave no more tokens than dimensions.
    """
    groups = dealt(base.record)
    left, width = base.n_rows - int(np.bincount(groups).max()), base.width
    if left <= width:
        raise ValueError(
            f"{base.n_rows} tokens, {left} without the largest of {groups.max() + 1} groups, for {width} "
            "dimensions: canonical correlations need more tokens than dimensions; raise n_tokens"
        )

    def build(folder: Path) -> None:
        rows = []
        for number, layer in enumerate(base.layers, start=1):
            whole, theirs = {m: _layer(own, layer) for m, own in tuned.items()}, _layer(base, layer)
            for group in (None, *range(groups.max() + 1)):
                dropped = groups == group  # none at first
                other = theirs.without(dropped) if dropped.any() else theirs
                for model, mine in whole.items():
                    numbers = _without_rsa(mine.without(dropped) if dropped.any() else mine, other)
                    common = dict(model=model, layer=layer, group=group)
                    rows += [common | dict(metric=m, value=v) for m, v in numbers.items()]
            progress.steps("measures of similarity, layers", number, len(base.layers))
        pd.DataFrame(rows).to_csv(folder / "layers.csv", index=False)

    spec = {"x": {model: own.folder.name for model, own in tuned.items()}, "y": base.folder.name}
    folder = _stored("curves", spec | {"groups": GROUPS, "seed": BOOTSTRAP_SEED}, build)
    found: dict[str, Curve] = {
        model: {(rsa.RAW, k): one for k, one in rsa.layer_estimates(own, base, n_bootstrap).items()}
        for model, own in tuned.items()
    }
    table = pd.read_csv(folder / "layers.csv")
    for (model, metric, layer), rows in table.groupby(["model", "metric", "layer"], sort=False):
        whole = rows["group"].isna()
        value, without = rows.loc[whole, "value"].item(), rows.loc[~whole, "value"].to_numpy()
        found[model][metric, layer] = jackknife(value, without, n_bootstrap)
    return found


def layer_map(x: Activations, y: Activations, y_layers: Layers) -> pd.DataFrame:
    """Similarity of layers of one encoder to layers of another (:func:`mapped`), kept in the store.

    Columns: ``metric, layer`` (of ``x``), ``other`` (layer of ``y``), ``value``.
    """
    down, across = rsa.spaced(x.layers, MAPPED), rsa.spaced(y.layers, MAPPED)

    def build(folder: Path) -> None:
        rows, total = [], len(down) * len(across)
        for layer in down:
            mine = _layer(x, layer)
            for other in across:
                numbers = compare(mine, y_layers(other))
                rows += [dict(metric=m, layer=layer, other=other, value=v) for m, v in numbers.items()]
                progress.steps("map of layers, pairs", len(rows) // len(MEASURES), total)
        pd.DataFrame(rows).to_csv(folder / "map.csv", index=False)

    spec = {"x": x.folder.name, "y": y.folder.name, "layers": [down, across]}
    return pd.read_csv(_stored("map", spec, build) / "map.csv")


def _stored(what: str, spec: dict[str, Any], build: Callable[[Path], None]) -> Path:
    common = {"schema": SCHEMA, "what": what, "variance": VARIANCE}
    return Store().get("similarity-measures", common | spec, build)


# -- the analysis ----------------------------------------------------------------------------------


def _tunings(settings: Profile) -> list[Point]:
    return tunings(settings, settings.seeds[:1])


@analysis("similarity_measures", points=_tunings)
def compare_measures(settings: Profile) -> Rows:
    """Similarity to Base by the measures of :data:`MEASURES`, on the tokens that analysis ``rsa`` is of.

    Of the first fine-tuning seed, since the question is what the measures make of the same encoders:

    - ``similarity_measures``: each tuned model to Base, by layer; ``inputs`` is the text;
    - ``similarity_contrast``: a model's similarity minus another's (``inputs``: ``minus NLI`` and so on),
      paired;
    - ``similarity_map``: layers (``layer``, see :func:`mapped`) of Base and of the tuned models to as many
      layers of Base (``inputs``: ``base layer 3`` and so on), without intervals.

    And two floors, without intervals: in ``similarity_measures`` the model Random, and, as
    ``similarity_by_chance``, Base compared to itself with its tokens in random order (``inputs``: ``shuffled
    tokens``), which is what a measure says of tokens that have nothing to do with each other.

    Intervals: 95 %, over sentences, by bootstrap (RSA) or jackknife (the others; see the module).
    Raises ValueError where there are not more tokens than dimensions, which canonical correlations need.
    """
    read, seed = rsa.reader(settings), settings.seeds[0]
    base = read(encoders.load(settings.encoder))
    tuned = {
        task.model: read(encoders.load(fine_tuned(settings, task.model, seed).encoder))
        for task in settings.tasks
    }
    rows: dict[str, Row] = {
        task.model: dict(model=task.model, task=task.corpus, seed=seed, n=settings.n_tokens)
        for task in settings.tasks
    }
    found = curves(tuned, base, settings.n_bootstrap)
    for model, curve in found.items():
        row = rows[model] | dict(analysis="similarity_measures", inputs=settings.text)
        for (metric, layer), estimate in curve.items():
            yield row | dict(metric=metric, layer=layer) | estimate.numbers()
    for model, other in itertools.combinations(found, 2):
        row = rows[model] | dict(analysis="similarity_contrast", inputs=f"minus {other}")
        for (metric, layer), estimate in found[model].items():
            gap = statistics.difference(estimate, found[other][metric, layer])
            yield row | dict(metric=metric, layer=layer) | gap.numbers()

    layers = functools.cache(functools.partial(_layer, base))
    random = read(encoders.load(settings.encoder, random_init=RANDOM_SEED))
    order = np.random.default_rng(BOOTSTRAP_SEED).permutation(base.n_rows)
    drawn: Row = dict(analysis="similarity_measures", model="Random", task="", inputs=settings.text)
    drawn |= dict(seed=RANDOM_SEED, n=settings.n_tokens)
    rows["Base"] = dict(model="Base", n=settings.n_tokens)
    chance = rows["Base"] | dict(analysis="similarity_by_chance", inputs="shuffled tokens")
    for layer in base.layers:
        for row, own in ((drawn, _layer(random, layer)), (chance, layers(layer).reordered(order))):
            for metric, value in compare(own, layers(layer)).items():
                yield row | dict(metric=metric, layer=layer, value=value)
    for model, states in {"Base": base, **tuned}.items():
        for line in layer_map(states, base, layers).to_dict("records"):
            inputs = f"base layer {line.pop('other')}"
            yield rows[model] | line | dict(analysis="similarity_map", inputs=inputs)


# -- what its table says ---------------------------------------------------------------------------


def nearer(frame: pd.DataFrame) -> pd.DataFrame:
    """Which of two models each measure puts nearer to Base, by layer: a table of names.

    ``frame`` has rows of ``similarity_contrast``, one per metric, layer and pair of models. Index: ``layer,
    model, other``; a column per measure. Empty where the interval of the difference includes zero.
    """
    rows = frame.assign(other=frame["inputs"].str.removeprefix("minus "))
    sure = rows["model"].where(rows["ci_low"] > 0, rows["other"].where(rows["ci_high"] < 0))
    table = rows.assign(nearer=sure.astype(object)).pivot(
        index=["layer", "model", "other"], columns="metric", values="nearer"
    )
    return table[list(MEASURES)].rename(columns=NAMES)


def orders(frame: pd.DataFrame, layer: int) -> dict[str, str]:
    """The models by their similarity to Base at a layer, by measure: ``NLI > QA ≈ Dep``.

    ``frame`` has rows of ``similarity_measures`` and ``similarity_contrast`` of one seed. ``≈`` stands where
    the interval of the difference between two neighbours includes zero.
    """
    here, found = frame[frame["layer"] == layer], {}
    sure = nearer(here[here["analysis"] == "similarity_contrast"]).droplevel("layer")
    models = set(itertools.chain(*sure.index))
    values = here[(here["analysis"] == "similarity_measures") & here["model"].isin(models)]
    for metric, name in NAMES.items():
        rows = values[values["metric"] == metric].sort_values("value", ascending=False)
        ranked, text = list(rows["model"]), rows["model"].iloc[0]
        for before, after in itertools.pairwise(ranked):
            pair = (before, after) if (before, after) in sure.index else (after, before)
            text += f" {'>' if sure.loc[pair, name] == before else '≈'} {after}"
        found[name] = text
    return found


def with_rsa(table: pd.DataFrame) -> dict[str, str]:
    """How often each other measure names RSA's model where both name one (:func:`nearer`): ``30 of 33``."""
    rsa_says, found = table[NAMES[rsa.RAW]], {}
    for name in table.columns.drop(NAMES[rsa.RAW]):
        both = table[name].notna() & rsa_says.notna()
        found[name] = f"{int((table[name] == rsa_says)[both].sum())} of {int(both.sum())}"
    return found


def opposed(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of :func:`nearer` in which two measures name different models."""
    return table[table.nunique(axis=1) > 1]


def answer(frame: pd.DataFrame) -> str:
    """Whether the measures of a table contradict each other (at layers from 0 on), and their orders."""
    table = nearer(frame[(frame["analysis"] == "similarity_contrast") & (frame["layer"] >= 0)])
    against = opposed(table)
    by_order: dict[str, list[str]] = {}
    counts = against.groupby(["model", "other"]).size().items()
    where = ", ".join(f"{model} and {other} at {n} layer{'s' * (n > 1)}" for (model, other), n in counts)
    for name, order in orders(frame, int(frame["layer"].max())).items():
        by_order.setdefault(order, []).append(name)
    ranked = "; ".join(f"{order} ({', '.join(names)})" for order, names in by_order.items())
    disagree = (
        f"two measures clearly disagree in {len(against)} of {len(table)} comparisons of two models at one "
        f"layer ({where})"
        if where
        else f"no two measures clearly disagree in any of {len(table)} comparisons of two models at one layer"
    )
    return f"{disagree}. The order at the last layer, the model most similar to Base first: {ranked}."


def scores(pairs: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> pd.DataFrame:
    """Every measure of pairs of arrays (n_tokens, d1) and (n_tokens, d2), a row per pair.

    Empty for the cosine of unequal widths.
    """
    found = pd.DataFrame(index=list(pairs), columns=list(NAMES.values()), dtype=float)
    with _few_tokens_allowed():
        for name, (x, y) in pairs.items():
            for metric, measure in MEASURES.items():
                if metric != "cosine" or x.shape == y.shape:
                    found.loc[name, NAMES[metric]] = measure(x, y)
    return found


def seconds(settings: Profile) -> dict[str, float]:
    """How long each measure takes, on its own, on the last layers of Base and of one tuned model, by name."""
    read, model = rsa.reader(settings), settings.tasks[0].model
    paths = (fine_tuned(settings, model, settings.seeds[0]).encoder, settings.encoder)
    x, y = (np.array(own.layer(own.layers[-1])) for own in (read(encoders.load(path)) for path in paths))
    took = {}
    with _few_tokens_allowed():
        for metric, measure in MEASURES.items():
            began = time.perf_counter()
            measure(x, y)
            took[NAMES[metric]] = time.perf_counter() - began
    return took


@contextlib.contextmanager
def _few_tokens_allowed() -> Iterator[None]:
    """Without the measures' warning of few tokens: what such tokens score by chance is told beside them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* tokens for .* dimensions")
        yield
