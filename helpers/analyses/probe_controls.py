"""What the tables of probes and of their controls say side by side, as tables and as text from intervals."""

import re
from collections.abc import Mapping

import pandas as pd

from helpers import results, statistics
from helpers.claims.words import listed, with_verb
from helpers.vocabulary import HEADLINE, MODELS, ORDER

MIX, LAST = "mix of all layers", "last layer alone"
_KINDS = {"micro_f1": MIX, "micro_f1_top": LAST}
_TUNED = {
    "edge_probing_delta": "tuned",
    "control_random_init_delta": "from random weights",
    "control_shuffled_labels_delta": "on shuffled labels",
}
_LABELS = {"POS": "parts of speech", "Dependencies": "relations"}
_STATES = {"": "states as they are", "_erased": "without the label", "_random": "without random directions"}


# -- codes -----------------------------------------------------------------------------------------


def changes_in_bits(codes: pd.DataFrame) -> dict[str, str]:
    """For each model, whether the last layer's code is longer than Base's, from a table of codes."""
    change = results.select(codes, analysis="description_length_delta", metric="codelength")
    change = change[change["layer"] == change["layer"].max()].set_index("model")
    texts = {}
    for model in (model for model in ORDER if model in change.index):
        value, low, high = change.loc[model, ["value", "ci_low", "ci_high"]]
        text = results.by_interval(
            low, high, above="more bits than", below="fewer bits than", neither="about as many bits as"
        )
        texts[model] = f"{text} Base ({results.format_number(value, low, high, signed=True)} per label)"
    return texts


def best_layers(codes: pd.DataFrame, controls: pd.DataFrame) -> dict[str, int]:
    """Base's layers of the highest accuracy of POS (``best_accuracy``) and of its shortest code
    (``best_code``), and the ``last`` one; ``controls`` is a table of control tasks.
    """
    accuracy = results.select(controls, metric="accuracy", model="Base", inputs="POS").set_index("layer")
    length = results.select(codes, analysis="description_length", metric="codelength", model="Base")
    length = length.set_index("layer")
    return {
        "best_accuracy": int(accuracy["value"].idxmax()),
        "best_code": int(length["value"].idxmin()),
        "last": int(length.index.max()),
    }


def selectivities(controls: pd.DataFrame) -> dict[str, str]:
    """Selectivity of the last layer's probe of POS by model, from a table of control tasks."""
    own = results.select(controls, metric="selectivity", inputs="POS")
    own = own[own["layer"] == own["layer"].max()]
    return dict(zip(own["model"], results.format_rows(own), strict=True))


def together(texts: Mapping[str, str]) -> str:
    """Texts by model as one, of models of the same text at once: ``Dep needs more; NLI and QA need fewer``.

    Numbers are left out, as they stand with the figures.
    """
    models: dict[str, list[str]] = {}
    for model, text in texts.items():
        models.setdefault(re.sub(r" \([^()]*[0-9][^()]*\)", "", text), []).append(model)
    return "; ".join(
        f"{listed(names)} {'needs' if len(names) == 1 else 'need'} {text}" for text, names in models.items()
    )


# -- a mix of layers, or one -----------------------------------------------------------------------


def mix_and_last(edge: pd.DataFrame) -> pd.DataFrame:
    """Changes against Base of the tuned models' edge probes, on a mix of layers and on the last layer alone.

    From a table of :func:`helpers.analyses.edge.edge_probing`; over its fine-tuning seeds, with intervals of
    seeds and sentences. Columns ``model``, ``label`` (the probing task), ``kind`` (:data:`MIX` or
    :data:`LAST`), ``value``, ``ci_low`` and ``ci_high``.
    """
    delta = results.select(edge, analysis="edge_probing_delta", model=MODELS, metric=list(_KINDS))
    bounds = ["value", "ci_low", "ci_high"]
    pooled = [
        (model, task, _KINDS[metric], *statistics.over_seeds_of_table(*own[bounds].to_numpy(float).T))
        for (model, task, metric), own in delta.groupby(["model", "inputs", "metric"], sort=False)
    ]
    return pd.DataFrame(pooled, columns=["model", "label", "kind", *bounds])


def clear_of_mix(pooled: pd.DataFrame) -> pd.DataFrame:
    """One row per model of :func:`mix_and_last`: mean change over tasks of either kind of probe, and tasks in
    which the last layer's interval lies wholly ``below`` or ``above`` that of the mix, of how many ``tasks``.
    """
    bounds = pooled.pivot(index=["model", "label"], columns="kind", values=["value", "ci_low", "ci_high"])
    columns = {
        MIX: bounds["value"][MIX],
        LAST: bounds["value"][LAST],
        "below": bounds["ci_high"][LAST] < bounds["ci_low"][MIX],
        "above": bounds["ci_low"][LAST] > bounds["ci_high"][MIX],
        "tasks": True,
    }
    by_model = pd.DataFrame(columns, index=bounds.index).groupby(level="model")
    found = by_model.agg({MIX: "mean", LAST: "mean", "below": "sum", "above": "sum", "tasks": "sum"})
    return found.loc[[model for model in MODELS if model in found.index]]


def mix_texts(clear: pd.DataFrame) -> dict[str, str]:
    """Mean changes by model, in points, as text."""
    points = {
        kind: [results.format_number(x, points=True, signed=True) for x in clear[kind]]
        for kind in (MIX, LAST)
    }
    both = zip(clear.index, points[MIX], points[LAST], strict=True)
    return {model: f"{mix} points on the mix and {last} at the last layer" for model, mix, last in both}


# -- controls of fine-tuning -----------------------------------------------------------------------


def beside_controls(edge: pd.DataFrame, controls: pd.DataFrame) -> pd.DataFrame:
    """Changes in F1 of the tuned models and of those tuned under controls, in points, as text.

    From tables of edge probes and of :func:`helpers.analyses.controls.fine_tuning_controls`; the first
    fine-tuning seed. One row per probing task and model, one column per way of tuning.
    """
    both = _changes(edge, controls)
    both = both.assign(formatted=results.format_rows(both, points=True, signed=True))
    wide = both.pivot(index=["inputs", "model"], columns="way", values="formatted")
    return wide[[way for way in _TUNED.values() if way in wide]]


def under_controls(edge: pd.DataFrame, controls: pd.DataFrame) -> dict[str, str]:
    """How many changes of :func:`beside_controls` are clear falls or rises, by way of tuning, as text."""
    texts = {}
    for way, own in _changes(edge, controls).groupby("way"):
        fall, rise = results.clear(own)
        falls = with_verb(fall, f"of {len(own)} scores clearly falls", f"of {len(own)} scores clearly fall")
        texts[str(way)] = f"{falls} and {with_verb(rise, 'clearly rises', 'clearly rise')}"
    return texts


def similar_under_controls(rsa: pd.DataFrame, controls: pd.DataFrame) -> dict[str, str]:
    """RSA of the last layer to what each model was tuned from, by way of tuning, as text.

    From the tables of :func:`helpers.analyses.rsa.rsa_to_base` and of
    :func:`helpers.analyses.controls.fine_tuning_controls`; the first fine-tuning seed.
    """
    ways = {"rsa": "tuned"} | {key.removesuffix("_delta"): way for key, way in _TUNED.items()}
    both = pd.concat([rsa, controls])
    both = both[both["analysis"].isin(ways) & (both["metric"] == "rsa_pearson") & both["model"].isin(MODELS)]
    both = results.one_seed(both[both["layer"] == both["layer"].max()])
    both = both.assign(formatted=results.format_rows(both))
    return {
        ways[str(key)]: ", ".join(own["model"] + " " + own["formatted"])
        for key, own in both.groupby("analysis")
    }


def _changes(edge: pd.DataFrame, controls: pd.DataFrame) -> pd.DataFrame:
    both = pd.concat([edge, controls])
    both = both[both["analysis"].isin(_TUNED) & (both["metric"] == "micro_f1") & both["model"].isin(MODELS)]
    both = results.one_seed(both[both["inputs"].isin(controls["inputs"])])
    return both.assign(way=both["analysis"].map(_TUNED))


# -- pooling ---------------------------------------------------------------------------------------


def pooling(pairs: pd.DataFrame) -> dict[str, str]:
    """For each model, in how many layers the mean of a pair's text tells its label better than [CLS] does."""
    texts = {}
    for model, own in results.select(pairs, inputs="mean_minus_cls").groupby("model"):
        worse, better = results.clear(own)
        texts[str(model)] = f"better in {better} and worse in {worse} of {len(own)} layers"
    return texts


# -- amnesic probing -------------------------------------------------------------------------------


def erased_scores(amnesic: pd.DataFrame) -> pd.DataFrame:
    """Scores of heads on states as they are, without a label and without random directions, to plot."""
    own = amnesic.assign(label=amnesic["model"] + ", " + amnesic["inputs"])
    headline = own["model"].map(HEADLINE)
    return pd.concat(
        [own[own["metric"] == headline + end].assign(kind=kind) for end, kind in _STATES.items()]
    )


def losses(amnesic: pd.DataFrame, unlearnt: Mapping[str, str], *, intervals: bool = True) -> str:
    """Whether each model loses more without a label than without as many random directions, as text.

    ``unlearnt`` says of models why nothing can be said of them; empty where there is no reason.
    """
    found = []
    for model, own in amnesic.groupby("model"):
        if why := unlearnt[str(model)]:
            found.append(f"{why}, so we can conclude nothing about what it uses")
            continue
        parts: dict[str, list[str]] = {}
        for row in results.select(own, metric="lost_to_label").itertuples():
            sure = results.by_interval(
                row.ci_low,
                row.ci_high,
                above="loses more",
                below="loses less",
                neither="does not clearly lose more",
            )
            bounds = (row.ci_low, row.ci_high) if intervals else ()
            number = results.format_number(row.value, *bounds, points=True)
            parts.setdefault(sure, []).append(f"{_LABELS[row.inputs]} ({number} points)")
        found += [f"{model} {sure} without {' and '.join(labels)}" for sure, labels in parts.items()]
    return "; ".join(found)
