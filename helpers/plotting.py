"""Figures: a tidy table in, Axes out. One style, one colour and marker per model throughout the book."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from helpers.vocabulary import ORDER, STRUCTURAL

STYLE = Path(__file__).parent / "book.mplstyle"
# Okabe and Ito's colours as seaborn orders them.
_PALETTE = sns.color_palette("colorblind")
COLOURS = dict(
    zip(ORDER, (_PALETTE[2], _PALETTE[0], _PALETTE[1], "black", _PALETTE[7], _PALETTE[5]), strict=True)
)
MARKERS = dict(zip(ORDER, "so^Dxv", strict=True))  # tell the models apart without colour too
METRICS = {
    "rsa_pearson": "RSA to Base (Pearson)",
    "rsa_pearson_centred": "RSA to Base, centred",
    "accuracy": "accuracy",
    "exact_match": "exact match",
    "f1": "F1",
    "las": "LAS",
    "uas": "UAS",
    **STRUCTURAL,
    "micro_f1_layer": "micro-F1",
    "control_accuracy": "control accuracy",
    "codelength": "bits per label",
    "control_codelength": "bits per control label",
    "codelength_gap": "control minus task, bits",
}


def use_style() -> None:
    """Apply the book's style to every figure that follows."""
    plt.style.use(STYLE)


def layer_curves(
    frame: pd.DataFrame, ax: Axes | None = None, *, dashed: bool = False, label: str = "{}"
) -> Axes:
    """A line per model over the layers, with its interval as a band.

    ``frame`` has the columns ``model, layer, value`` and, for bands, ``ci_low, ci_high``; one metric and one
    value per model and layer. ``dashed`` draws hollow markers on dashed lines (the paper's numbers).
    ``label`` is filled with the model's name.
    """
    ax = ax or plt.gca()
    for model in _in_order(frame):
        rows = frame[frame["model"] == model]
        _curve(rows, ax, COLOURS[model], MARKERS[model], label.format(model), dashed)
    ax.set_xlabel("layer (0: first block's output; −1: embeddings)")
    if "metric" in frame and frame["metric"].nunique() == 1:
        metric = frame["metric"].iloc[0]
        ax.set_ylabel(METRICS.get(metric, metric))
    return ax


def _in_order(frame: pd.DataFrame) -> list[str]:
    return [model for model in ORDER if model in set(frame["model"])]


def _curve(rows: pd.DataFrame, ax: Axes, colour: Any, marker: str, label: str, dashed: bool) -> None:
    """``value`` over ``layer``, with ``ci_low`` to ``ci_high`` as a band where there are intervals.

    Where there is a column ``p_value`` a marker is filled only if p is at most .05.
    """
    rows = rows.sort_values("layer")
    layers, values = rows["layer"].to_numpy(dtype=float), rows["value"].to_numpy(dtype=float)
    line = dict(color=colour, linestyle=(0, (4, 2)) if dashed else "-", linewidth=1.2 if dashed else None)
    if "p_value" in rows:
        ax.plot(layers, values, **line)
        for sure, fill in ((True, colour), (False, "white")):
            at = (rows["p_value"].to_numpy(dtype=float) <= 0.05) == sure
            dots = dict(linestyle="", marker=marker, markerfacecolor=fill, markeredgecolor=colour)
            ax.plot(layers[at], values[at], **dots)
        ax.plot([], [], **line, marker=marker, label=label)
    else:
        hollow = "none" if dashed else None
        ax.plot(layers, values, **line, marker=marker, markerfacecolor=hollow, label=label)
    if "ci_low" in rows and rows["ci_low"].notna().any():
        low, high = rows["ci_low"].astype(float), rows["ci_high"].astype(float)
        ax.fill_between(layers, low, high, color=colour, alpha=0.18, linewidth=0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def panels(
    groups: Iterable[tuple[str, pd.DataFrame]],
    draw: Callable[..., Axes],
    *,
    paper: Iterable[tuple[str, pd.DataFrame]] = (),
    rows: int = 1,
    height: float = 3,
    sharey: bool | Literal["row"] = False,
) -> np.ndarray:
    """A panel for each group with its name as title, drawn by ``draw(frame, ax)``; one legend below all.

    ``groups`` are names and frames, as ``DataFrame.groupby`` yields them; those of ``paper`` are drawn with
    ``dashed=True`` into the panels of the same names, and left out of the legend. Axis labels are kept at
    the left and at the bottom only. Names of metrics are spelled out. Returns the Axes, in order.
    """
    groups, dashed = list(groups), {name: frame for name, frame in paper}
    columns = -(-len(groups) // rows)
    size = (10, rows * height)
    figure, grid = plt.subplots(rows, columns, figsize=size, sharex=True, sharey=sharey, squeeze=False)
    shown: dict = {}
    for number, (name, frame) in enumerate(groups):
        ax = draw(frame, grid.flat[number])
        names = [name] if isinstance(name, str) else name
        ax.set_title(", ".join(METRICS.get(part, part) for part in names))
        shown |= dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
        if name in dashed:
            draw(dashed[name], ax, dashed=True)
        if number % columns and (sharey or ax.get_ylabel() == grid.flat[0].get_ylabel()):
            ax.set_ylabel("")
        # One label in the middle stands for those of a row, for which there is no room.
        if number + columns < len(groups) or (columns > 2 and number % columns != columns // 2):
            ax.set_xlabel("")
    for ax in grid.flat[len(groups) :]:
        ax.set_visible(False)
    for ax in grid.flat[max(0, len(groups) - columns) : len(groups)]:
        ax.tick_params(labelbottom=True)
    figure.tight_layout()
    figure.legend(shown.values(), shown.keys(), loc="upper center", bbox_to_anchor=(0.5, 0), ncols=5)
    return grid.flat[: len(groups)]


def rsa_curves(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """RSA to Base over the layers from 0 on, and dotted each model's ceiling.

    ``frame`` has rows of the analyses ``rsa`` and ``rsa_between_seeds`` for :func:`layer_curves`, of one
    metric and one value a model and layer. The ceilings share one entry in the legend.
    """
    frame = frame[frame["layer"] >= 0]
    ax = layer_curves(frame[frame["analysis"] == "rsa"], ax)
    between = frame[frame["analysis"] == "rsa_between_seeds"]
    for number, model in enumerate(_in_order(between)):
        rows = between[between["model"] == model].sort_values("layer")
        label = "_" if number else "two seeds of a model"
        layers = rows["layer"].to_numpy(dtype=float)
        ax.plot(layers, rows["value"], color=COLOURS[model], linestyle=":", label=label)
    return ax


def scores(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Scores as dots with intervals, one per row; rows with the same ``label`` share a line.

    ``frame`` has ``label`` (text of the line), ``kind`` (what the dot is: the legend), ``value`` and
    optionally ``ci_low, ci_high``.
    """
    ax = ax or plt.gca()
    labels = list(dict.fromkeys(frame["label"]))
    kinds = list(dict.fromkeys(frame["kind"]))
    markers = ["o", "x", "+", "v", "^", "D", "s"]
    for number, kind in enumerate(kinds):
        number %= len(markers)
        rows = frame[frame["kind"] == kind]
        y = np.array([labels.index(name) for name in rows["label"]], dtype=float)
        value = rows["value"].to_numpy(dtype=float)
        if "ci_low" in rows and rows["ci_low"].notna().any():
            spread = np.abs(rows[["ci_low", "ci_high"]].to_numpy(dtype=float).T - value)
            ax.errorbar(value, y, xerr=spread, fmt="none", color=_PALETTE[number], capsize=3)
        ax.plot(value, y, linestyle="", marker=markers[number], color=_PALETTE[number], label=kind)
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.6, -0.4)
    ax.set_xlim(0, 1)
    ax.set_xlabel("score (fraction of 1)")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3)
    return ax


def differences(tables: dict[str, pd.DataFrame], *, limit: float = 10) -> np.ndarray:
    """Differences between models in points as maps of colours side by side, by their titles.

    A table has ``model, inputs, value`` (fractions of 1) and, for stars where the interval excludes zero,
    ``ci_low, ci_high``; one row per model and input. All maps have the same lines, one for each of ``inputs``
    in the order of the fullest table; what a table lacks is blank. Colours saturate at ``limit`` points.
    Returns the Axes.
    """
    fullest = sorted(tables.values(), key=lambda frame: -frame["inputs"].nunique())
    lines = list(dict.fromkeys(name for frame in fullest for name in frame["inputs"]))
    size = (5 * len(tables), 0.6 + 0.4 * len(lines))
    _, axes = plt.subplots(1, len(tables), figsize=size, sharey=True, squeeze=False)
    for ax, (title, frame) in zip(axes[0], tables.items(), strict=True):
        points = frame.assign(value=100 * frame["value"].astype(float))
        grid = points.pivot(index="inputs", columns="model", values="value")
        grid = grid.reindex(lines)[_in_order(frame)]
        text = grid.map(lambda value: f"{value:+.1f}".replace("-", "−"))
        if "ci_low" in frame:
            sure = frame[(frame["ci_low"] > 0) | (frame["ci_high"] < 0)]
            for row in sure.itertuples():
                text.loc[row.inputs, row.model] += "*"
        colours = dict(cmap="vlag_r", center=0, vmin=-limit, vmax=limit, cbar=False)
        sns.heatmap(grid, ax=ax, annot=text, fmt="", linewidths=0.5, annot_kws={"size": 8}, **colours)
        ax.set(xlabel="", ylabel="", title=title)
        ax.grid(visible=False)
        ax.tick_params(rotation=0, length=0)
    return axes[0]


def word_similarities(words: Sequence[str], before: np.ndarray, after: np.ndarray, model: str) -> np.ndarray:
    """Similarities between a sentence's words in Base and in a fine-tuned model, as maps and as dots.

    ``before`` and ``after`` (n_words, n_words) are symmetric; each map's colours span its own values. In the
    panel on the right each dot is a pair of words. Returns the three Axes.
    """
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.6), width_ratios=[1, 1, 0.9])
    for ax, matrix, title in ((axes[0], before, "Base"), (axes[1], after, f"tuned on {model}")):
        colours = dict(cmap="viridis", vmin=matrix.min(), vmax=1, cbar=False)
        labels = dict(xticklabels=words, yticklabels=words if ax is axes[0] else False)
        sns.heatmap(matrix, ax=ax, square=True, **colours, **labels)
        ax.set_title(f"{title}: {matrix.min():.2f} (dark) to 1")
    upper = np.triu_indices(len(words), 1)
    axes[2].scatter(before[upper], after[upper], s=14, color=COLOURS[model])
    axes[2].set(xlabel="cosine in Base", ylabel="cosine after tuning", title="each dot a pair of words")
    figure.tight_layout()
    return axes


def training_curves(
    frame: pd.DataFrame, ax: Axes | None = None, *, x: str = "tokens", y: str = "loss"
) -> Axes:
    """Loss over training: a line for each value of ``series``, dots where ``held_out`` is true.

    ``frame`` has the columns named by ``x`` and ``y``, ``series`` and ``held_out``.
    """
    ax = ax or plt.gca()
    for number, (name, rows) in enumerate(frame.groupby("series", sort=False)):
        seen, held = rows[~rows["held_out"]], rows[rows["held_out"]]
        ax.plot(seen[x], seen[y], color=_PALETTE[number], linewidth=1, label=f"{name}, training")
        if len(held):
            ax.plot(held[x], held[y], color=_PALETTE[number], marker="o", label=f"{name}, held out")
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.legend()
    return ax


def text_curves(
    frame: pd.DataFrame, names: dict[str, str], ax: Axes | None = None, *, dashed: bool = False
) -> Axes:
    """A line over the layers for each text or comparison of texts, with its interval as a band.

    ``frame`` has the columns ``inputs, layer, value`` and, for bands, ``ci_low, ci_high``; ``names`` gives
    the labels of the inputs to draw, and their order the colours and markers. Where there is a column
    ``p_value`` a marker is filled only if p is at most .05. ``dashed`` draws hollow markers on dashed lines
    (the paper's numbers).
    """
    ax = ax or plt.gca()
    colours = sns.color_palette("viridis", len(names) + 1)  # the lightest is hard to see
    for (inputs, label), colour, marker in zip(names.items(), colours, "osD^vPX", strict=False):
        rows = frame[frame["inputs"] == inputs]
        if len(rows):
            _curve(rows, ax, colour, marker, label, dashed)
    ax.set_xlabel("layer")
    return ax


def courses(
    frame: pd.DataFrame, metrics: dict[str, str], layers: Sequence[int], *, xlabel: str
) -> np.ndarray:
    """Measures over the course of training: a row of panels per model, in it a panel per metric.

    ``frame`` has columns of results, ``at``, the place on the logarithmic axis, and ``dashed``; rows where
    that is true make lines that are dashed, with hollow markers. Metrics with layers have a line for each of
    ``layers``, others one black line. ``metrics`` gives their titles, in order; those of one title share a
    panel. Rows of model Base, without ``at``, are drawn dotted. Returns the Axes, (n_models, n_panels).
    """
    models = [model for model in _in_order(frame) if model != "Base"]
    titles = list(dict.fromkeys(metrics.values()))
    size = (10, 2.9 * len(models))
    figure, grid = plt.subplots(len(models), len(titles), figsize=size, sharex="row", squeeze=False)
    palette = sns.color_palette("viridis", len(layers) + 1)  # the lightest is hard to see
    looks: dict[int | None, tuple] = {None: ("black", "o")}
    looks |= dict(zip(layers, zip(palette, itertools.cycle("osD^vPX<>*hpd"), strict=False), strict=False))
    for (model, title), ax in zip(itertools.product(models, titles), grid.flat, strict=True):
        chosen = frame[(frame["metric"].map(metrics) == title) & frame["model"].isin([model, "Base"])]
        for layer, (colour, marker) in looks.items():
            here = chosen["layer"].isna() if layer is None else chosen["layer"].eq(layer).fillna(False)
            for base in chosen[here & (chosen["model"] == "Base")]["value"]:
                ax.axhline(base, color=colour, linestyle=":", linewidth=1)
            for dashed, line in chosen[here & chosen["at"].gt(0)].groupby("dashed"):
                label = "_" if layer is None or dashed else f"layer {layer}"
                _curve(line.assign(layer=line["at"]), ax, colour, marker, label, bool(dashed))
        places = np.unique(frame[(frame["model"] == model) & frame["at"].gt(0)]["at"]).astype(int)
        ticks = places[np.unique(np.linspace(0, len(places) - 1, 4).round().astype(int))]
        ax.set_xscale("log")
        ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        ax.minorticks_off()
        ax.set(title=title if len(models) == 1 else f"{model}: {title}", xlabel=xlabel)
    shown = {
        name: line for ax in grid.flat for line, name in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    figure.tight_layout()
    figure.legend(shown.values(), shown.keys(), loc="upper center", bbox_to_anchor=(0.5, 0), ncols=6)
    return grid


def sweeps(frame: pd.DataFrame, paper: pd.DataFrame, names: dict[str, str], *, xlabel: str) -> np.ndarray:
    """Scores over the layers of ablations, a panel for each model; the paper's curves dashed.

    ``frame`` and ``paper`` have the columns of results, one metric per model; ``names`` gives labels for
    their ``inputs``. Returns the Axes.
    """

    def draw(rows: pd.DataFrame, ax: Axes, dashed: bool = False) -> Axes:
        (metric,) = rows["metric"].unique()
        text_curves(rows, names, ax, dashed=dashed).set(xlabel=xlabel, ylabel=METRICS.get(metric, metric))
        return ax

    groups = (part.groupby("model") for part in (frame, paper))
    return panels(next(groups), draw, paper=next(groups), height=3.4)


def domain_gaps(frame: pd.DataFrame, tasks: dict[str, str], controls: dict[str, str]) -> np.ndarray:
    """Gaps between two texts over the layers: a column per task, the tuned model above and Random below.

    ``frame`` has rows ``rsa_gap`` for :func:`text_curves`, ``tasks`` each model's corpus, ``controls`` the
    labels of the comparisons. Returns the Axes, (2, n_tasks).
    """
    _, axes = plt.subplots(2, len(tasks), figsize=(10, 6.2), sharey=True, sharex=True)
    for column, (model, corpus) in zip(axes.T, tasks.items(), strict=True):
        own = frame[frame["task"] == corpus]
        for ax, who in zip(column, (model, "Random"), strict=True):
            text_curves(own[own["model"] == who], controls, ax)
            ax.axhline(0, color="0.5", linewidth=0.8)
            ax.set(title=f"{who} on {model}'s texts", xlabel="", ylabel="")
        column[1].set_xlabel("layer")
    axes[0, 0].set_ylabel("RSA in domain minus out of domain")
    axes[1, 0].set_ylabel("the same for an untuned encoder")
    handles = axes[0, -1].get_legend_handles_labels()
    axes[1, len(tasks) // 2].legend(*handles, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=4)
    return axes


def text_points(frame: pd.DataFrame, x: str, names: dict[str, str], ax: Axes | None = None) -> Axes:
    """A dot for each text with its interval; ``names`` gives the texts' labels in the legend's order.

    ``frame`` has the columns ``inputs, value, ci_low, ci_high`` and the one named by ``x``, one row per text.
    """
    ax = ax or plt.gca()
    colours = sns.color_palette("viridis", len(names) + 1)
    for (inputs, label), colour, marker in zip(names.items(), colours, "osD^vPX*", strict=False):
        for row in frame[frame["inputs"] == inputs].to_dict("records"):
            spread = [[row["value"] - row["ci_low"]], [row["ci_high"] - row["value"]]]
            dot = dict(fmt=marker, color=colour, capsize=2, linewidth=1, label=label)
            ax.errorbar([row[x]], [row["value"]], yerr=spread, **dot)
    return ax


def trees(words: Sequence[str], gold: np.ndarray, predicted: np.ndarray, ax: Axes | None = None) -> Axes:
    """A sentence with its tree's edges above the words and predicted ones below.

    ``gold`` and ``predicted`` (n_edges, 2) are pairs of positions of words, undirected. A predicted edge
    that the gold tree lacks is dashed and of another colour.
    """
    ax = ax or plt.gca()
    widths = np.array([len(word) + 1.5 for word in words])
    centre = np.cumsum(widths) - widths / 2
    right = {frozenset(edge) for edge in np.asarray(gold).tolist()}
    angles = np.linspace(0, np.pi, 40)
    farthest = 1
    for edges, side in ((gold, 1), (predicted, -1)):
        for edge in np.asarray(edges).tolist():
            a, b = centre[edge]
            height = abs(edge[0] - edge[1]) ** 0.7
            farthest = max(farthest, height)
            wrong = frozenset(edge) not in right
            ax.plot(
                (a + b) / 2 + abs(b - a) / 2 * np.cos(angles),
                side * (0.4 + height * np.sin(angles)),
                color=_PALETTE[3] if wrong else "0.2" if side == 1 else _PALETTE[0],
                linestyle=(0, (3, 2)) if wrong else "-",
                linewidth=1.2,
                marker="",
            )
    for x, word in zip(centre, words, strict=True):
        ax.text(x, 0, word, ha="center", va="center", fontsize=7)
    ax.set_xlim(0, widths.sum())
    ax.set_ylim(-farthest - 0.6, farthest + 0.6)
    ax.set_axis_off()
    return ax


def layer_maps(frame: pd.DataFrame, measures: dict[str, str]) -> np.ndarray:
    """Similarity of every layer to every layer of Base as maps of colours, a row per measure.

    ``frame`` has rows of the analysis ``similarity_map``: ``metric, model, layer``, ``inputs`` (the layer of
    Base: ``base layer 3``) and ``value``; ``measures`` gives the metrics' labels, in order. One scale from 0
    to 1 serves all; what is below 0 has the colour of 0. Returns the Axes, (n_measures, n_models).
    """
    models = ["Base", *(model for model in _in_order(frame) if model != "Base")]
    size = (6.5, 1.1 + 1.5 * len(measures))
    figure, axes = plt.subplots(
        len(measures),
        len(models),
        figsize=size,
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    other = frame["inputs"].str.removeprefix("base layer ").astype(int)
    for (metric, model), ax in zip(itertools.product(measures, models), axes.flat, strict=True):
        chosen = (frame["metric"] == metric) & (frame["model"] == model)
        grid = frame[chosen].assign(other=other).pivot(index="layer", columns="other", values="value")
        low, high = grid.columns.min() - 0.5, grid.columns.max() + 0.5
        image = ax.imshow(grid.to_numpy(float), vmin=0, vmax=1, origin="lower", extent=(low, high, low, high))
        ax.grid(visible=False)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(4, integer=True))
    for ax, model in zip(axes[0], models, strict=True):
        ax.set_title(model)
    for ax, label in zip(axes[:, 0], measures.values(), strict=True):
        ax.set_ylabel(label)
    for ax in axes[-1]:
        ax.set_xlabel("layer of Base")
    figure.supylabel("layer of the model above", fontsize=10)
    figure.colorbar(image, ax=axes, location="bottom", shrink=0.5, aspect=40, label="similarity")
    return axes


def measure_curves(frame: pd.DataFrame, measures: dict[str, str], paper: pd.DataFrame) -> np.ndarray:
    """Similarity to Base over the layers from 0 on, a panel per measure.

    ``frame`` has rows of ``similarity_measures`` for :func:`layer_curves` and of ``similarity_by_chance``,
    drawn dotted; ``measures`` gives the metrics' titles, in order. ``paper``, its RSA, is drawn dashed.
    Returns the Axes, in order.
    """
    frame = frame[frame["layer"] >= 0]
    by_analysis = {name: rows for name, rows in frame.groupby("analysis")}
    curves, chance = by_analysis["similarity_measures"], by_analysis["similarity_by_chance"]
    groups = [(title, curves[curves["metric"] == metric]) for metric, title in measures.items()]
    printed = [(measures["rsa_pearson"], paper)]
    axes = panels(groups, layer_curves, paper=printed, rows=-(-len(groups) // 2), height=2.7, sharey=True)
    for ax, metric in zip(axes, measures, strict=True):
        rows = chance[chance["metric"] == metric].sort_values("layer")
        ax.plot(rows["layer"].to_numpy(dtype=float), rows["value"], color="0.3", linestyle=":")
        ax.set_ylabel("similarity to Base" if ax.get_ylabel() else "")
    return axes
