"""Figures: a tidy table in, Axes out. One style, one colour and marker per model throughout the book."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from helpers.results import format_number
from helpers.vocabulary import ORDER, STRUCTURAL

STYLE = Path(__file__).parent / "book.mplstyle"
WIDTH = 5.6  # inches, of every figure but maps of layers
COLUMNS = 2  # of panels; more would be too narrow for the words in them
# Seaborn's "colorblind", the lighter ones darkened until lines contrast by 3 to 1 with a white page, and with
# a dark one once their lightness is inverted: blue, orange, green, vermilion, purple, grey, violet.
PALETTE = ("#0173b2", "#b86e00", "#029e73", "#d55e00", "#b45fa5", "#767676", "#7a4fb5")
COLOURS = dict(zip(ORDER, (PALETTE[2], PALETTE[0], PALETTE[1], "black", PALETTE[5], PALETTE[4]), strict=True))
REFERENCE = "0.45"  # colour of lines that are no model's: baselines, zero
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
    "codelength_gap": "extra bits",
    "accuracy_difference": "difference",
}


def use_style() -> None:
    """Apply the book's style to every figure that follows."""
    plt.style.use(STYLE)


def grid(n: int, *, height: float = 2.2, sharex: bool = False, sharey: bool = False) -> np.ndarray:
    """``n`` panels of ``height`` inches as an array of Axes, at most two per row."""
    columns = min(COLUMNS, n)
    rows = -(-n // columns)
    size = (WIDTH, rows * height)
    figure, axes = plt.subplots(rows, columns, figsize=size, sharex=sharex, sharey=sharey, squeeze=False)
    for ax in axes.flat[n:]:
        ax.set_axis_off()
    for ax in axes.flat[max(0, n - columns) : n]:
        ax.tick_params(labelbottom=True)
    return axes.flat[:n]


def shared_legend(axes: Iterable[Axes], extra: Mapping[str, Any] | None = None) -> None:
    """One legend for all of a figure's panels, in the place that they leave free or else above them.

    ``extra`` are further entries: lines' looks by their labels.
    """
    shown: dict[str, Any] = {}
    axes = list(axes)
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            shown.setdefault(label, handle)
    shown |= {label: Line2D([], [], **look) for label, look in (extra or {}).items()}
    if not shown:
        return
    figure = axes[0].figure
    free = [ax for ax in figure.axes if not ax.axison]
    if free:
        free[0].legend(shown.values(), shown.keys(), loc="center")
        return
    most = max(1, int(WIDTH * 13 / (max(map(len, shown)) + 7)))  # columns for which there is room
    columns = -(-len(shown) // -(-len(shown) // most))
    figure.legend(shown.values(), shown.keys(), loc="outside upper center", ncols=columns)


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


_DASHED: dict[str, Any] = dict(linestyle=(0, (4, 2)), linewidth=1.2)


def _in_order(frame: pd.DataFrame) -> list[str]:
    return [model for model in ORDER if model in set(frame["model"])]


def _curve(rows: pd.DataFrame, ax: Axes, colour: Any, marker: str, label: str, dashed: bool) -> None:
    """``value`` over ``layer``, with ``ci_low`` to ``ci_high`` as a band where there are intervals.

    Where there is a column ``p_value`` a marker is filled only if p is at most .05.
    """
    rows = rows.sort_values("layer")
    layers, values = rows["layer"].to_numpy(dtype=float), rows["value"].to_numpy(dtype=float)
    line = dict(color=colour, **(_DASHED if dashed else {}))
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
    height: float = 2.2,
    sharey: bool = False,
) -> np.ndarray:
    """A panel for each group with its name as title, drawn by ``draw(frame, ax)``; one legend for all.

    ``groups`` are names and frames, as ``DataFrame.groupby`` yields them; those of ``paper`` are drawn with
    ``dashed=True`` into the panels of the same names, and share an entry of the legend. The label of the
    horizontal axis stands once, below all panels, and a vertical axis has one where it differs from the one
    to its left. Names of metrics are spelled out. ``height`` is as in :func:`grid`. Returns the
    Axes, in order.
    """
    groups, dashed = list(groups), {name: frame for name, frame in paper}
    axes = grid(len(groups), height=height, sharex=True, sharey=sharey)
    theirs = {}
    for (name, frame), ax in zip(groups, axes, strict=True):
        draw(frame, ax)
        names = [name] if isinstance(name, str) else name
        ax.set_title(", ".join(METRICS.get(part, part) for part in names))
        if name in dashed:
            before = len(ax.get_legend_handles_labels()[1])
            draw(dashed[name], ax, dashed=True)
            for line in ax.get_legend_handles_labels()[0][before:]:
                line.set_label("_paper")
            theirs = {"the paper": dict(color=REFERENCE, **_DASHED)}
    labels = [(ax.get_xlabel(), ax.get_ylabel()) for ax in axes]
    axes[0].figure.supxlabel(labels[0][0], fontsize=plt.rcParams["axes.labelsize"])
    for number, ax in enumerate(axes):
        ax.set_xlabel("")
        if not ax.get_subplotspec().is_first_col() and labels[number][1] == labels[number - 1][1]:
            ax.set_ylabel("")
    shared_legend(axes, theirs)
    return axes


def rsa_curves(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """RSA to Base over the layers from 0 on, and dotted each model's ceiling.

    ``frame`` has rows of the analyses ``rsa`` and ``rsa_between_seeds`` for :func:`layer_curves`, of one
    metric and one value per model and layer. The ceilings share one entry in the legend.
    """
    frame = frame[frame["layer"] >= 0]
    ax = layer_curves(frame[frame["analysis"] == "rsa"], ax)
    between = frame[frame["analysis"] == "rsa_between_seeds"]
    for model in _in_order(between):
        rows = between[between["model"] == model].sort_values("layer")
        ax.plot(rows["layer"].to_numpy(dtype=float), rows["value"], color=COLOURS[model], linestyle=":")
    if len(between):
        ax.plot([], [], color=REFERENCE, linestyle=":", label="two seeds of a model, in its colour")
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
            ax.errorbar(value, y, xerr=spread, fmt="none", color=PALETTE[number], capsize=3)
        look: dict[str, Any] = dict(marker=markers[number], color=PALETTE[number], markersize=7)
        ax.plot(value, y, linestyle="", **look, label=kind)
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.6, -0.4)
    ax.set_xlim(0, 1)
    ax.set_xlabel("score (fraction of 1)")
    shared_legend([ax])
    return ax


def differences(tables: dict[str, pd.DataFrame], *, limit: float = 10) -> np.ndarray:
    """Differences between models in points as maps of colours, by their titles.

    A table has ``model, inputs, value`` (fractions of 1) and, for stars where the interval excludes zero,
    ``ci_low, ci_high``; one row per model and input. All maps have the same lines, one for each of ``inputs``
    in the order of the fullest table; what a table lacks is blank. Maps stand side by side if their numbers
    have room, else one below the other. Colours saturate at ``limit`` points. Returns the Axes.
    """
    fullest = sorted(tables.values(), key=lambda frame: -frame["inputs"].nunique())
    lines = list(dict.fromkeys(name for frame in fullest for name in frame["inputs"]))
    models = {title: _in_order(frame) for title, frame in tables.items()}
    room = WIDTH - 0.1 * max(map(len, lines))
    beside = room / sum(map(len, models.values())) > 0.55  # inches, of a number with its star
    shape = (1, len(tables)) if beside else (len(tables), 1)
    height = 0.6 + 0.3 * len(lines)
    widths = [len(columns) for columns in models.values()] if beside else None
    _, axes = plt.subplots(
        *shape, figsize=(WIDTH, shape[0] * height), sharey=True, squeeze=False, width_ratios=widths
    )
    for ax, (title, frame) in zip(axes.flat, tables.items(), strict=True):
        points = frame.assign(value=100 * frame["value"].astype(float))
        values = points.pivot(index="inputs", columns="model", values="value")
        values = values.reindex(lines)[models[title]]
        text = values.map(
            lambda value: "" if np.isnan(value) else format_number(value / 100, points=True, signed=True)
        )
        if "ci_low" in frame:
            sure = frame[(frame["ci_low"] > 0) | (frame["ci_high"] < 0)]
            for row in sure.itertuples():
                text.loc[row.inputs, row.model] += "*"
        colours = dict(cmap="vlag_r", center=0, vmin=-limit, vmax=limit, cbar=False)
        sns.heatmap(values, ax=ax, annot=text, fmt="", linewidths=0.5, annot_kws={"size": 9}, **colours)
        ax.set(xlabel="", ylabel="", title=title)
        ax.grid(visible=False)
        ax.tick_params(rotation=0, length=0)
    return axes.flat[:]


def word_similarities(words: Sequence[str], before: np.ndarray, after: np.ndarray, model: str) -> np.ndarray:
    """Similarities between a sentence's words in Base and in a fine-tuned model, as maps and as dots.

    ``before`` and ``after`` (n_words, n_words) are symmetric; each map's colours span its own values. In the
    panel below each dot is a pair of words. Returns the three Axes.
    """
    figure = plt.figure(figsize=(WIDTH, 5.8))
    mosaic = figure.subplot_mosaic([["Base", model], ["dots", "dots"]], height_ratios=[1.35, 1])
    axes = np.array([mosaic["Base"], mosaic[model], mosaic["dots"]])
    for ax, matrix, title in ((axes[0], before, "Base"), (axes[1], after, f"tuned on {model}")):
        image = ax.imshow(matrix, cmap="viridis", vmin=matrix.min(), vmax=1)
        ax.set_xticks(range(len(words)), words, rotation=90)
        ax.set_yticks(range(len(words)), words if ax is axes[0] else [])
        ax.tick_params(length=0)
        ax.grid(visible=False)
        ax.set_title(title)
        figure.colorbar(image, ax=ax, orientation="horizontal", label="cosine", aspect=25, format="%.2f")
    upper = np.triu_indices(len(words), 1)
    axes[2].scatter(before[upper], after[upper], s=16, color=COLOURS[model])
    axes[2].set(xlabel="cosine in Base", ylabel="cosine after tuning", title="each dot a pair of words")
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
        ax.plot(seen[x], seen[y], color=PALETTE[number], linewidth=1, label=f"{name}, training")
        if len(held):
            ax.plot(held[x], held[y], color=PALETTE[number], marker="o", label=f"{name}, held out")
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
    for (inputs, label), colour, marker in zip(names.items(), _shades(len(names)), "osD^vPX*", strict=False):
        rows = frame[frame["inputs"] == inputs]
        if len(rows):
            _curve(rows, ax, colour, marker, label, dashed)
    ax.set_xlabel("layer")
    return ax


def courses(
    frame: pd.DataFrame, metrics: dict[str, str], layers: Sequence[int], *, xlabel: str
) -> np.ndarray:
    """Measures over the course of training: a panel per model and metric, one model after the other.

    ``frame`` has columns of results, ``at``, the place on the logarithmic axis, and ``dashed``; rows where
    that is true make lines that are dashed, with hollow markers. Metrics with layers have a line for each of
    ``layers``, others one black line. ``metrics`` gives their titles, in order; those of one title share a
    panel. Rows of model Base, without ``at``, are drawn dotted. Returns the Axes, (n_models, n_panels).
    """
    models = [model for model in _in_order(frame) if model != "Base"]
    titles = list(dict.fromkeys(metrics.values()))
    axes = grid(len(models) * len(titles)).reshape(len(models), len(titles))
    looks: dict[int | None, tuple] = {None: ("black", "o")}
    looks |= dict(
        zip(layers, zip(_shades(len(layers)), itertools.cycle("osD^vPX<>*hpd"), strict=False), strict=False)
    )
    for (model, title), ax in zip(itertools.product(models, titles), axes.flat, strict=True):
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
    shared_legend(axes.flat)
    return axes


def _shades(n: int) -> list[tuple[float, ...]]:
    """Colours in an order, from violet to the lightest green that a white page lets see."""
    return [plt.get_cmap("viridis")(share) for share in np.linspace(0, 0.58, n)]


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
    return panels(next(groups), draw, paper=next(groups))


def domain_gaps(frame: pd.DataFrame, tasks: dict[str, str], controls: dict[str, str]) -> np.ndarray:
    """Gaps between two texts over the layers: a row per task, the tuned model left and Random right.

    ``frame`` has rows ``rsa_gap`` for :func:`text_curves`, ``tasks`` each model's corpus, ``controls`` the
    labels of the comparisons. Returns the Axes, (n_tasks, 2).
    """
    axes = grid(2 * len(tasks), height=2.1, sharex=True, sharey=True).reshape(-1, 2)
    for row, (model, corpus) in zip(axes, tasks.items(), strict=True):
        own = frame[frame["task"] == corpus]
        for ax, who in zip(row, (model, "Random"), strict=True):
            text_curves(own[own["model"] == who], controls, ax)
            ax.axhline(0, color=REFERENCE, linewidth=0.8)
            ax.set(title=f"{who} on {model}'s texts", xlabel="", ylabel="")
    figure = axes[0, 0].figure
    figure.supxlabel("layer", fontsize=plt.rcParams["axes.labelsize"])
    figure.supylabel("RSA in domain minus out of domain", fontsize=plt.rcParams["axes.labelsize"])
    shared_legend(axes.flat)
    return axes


def text_points(frame: pd.DataFrame, x: str, names: dict[str, str], ax: Axes | None = None) -> Axes:
    """A dot for each text with its interval; ``names`` gives the texts' labels in the legend's order.

    ``frame`` has the columns ``inputs, value, ci_low, ci_high`` and the one named by ``x``, one row per text.
    """
    ax = ax or plt.gca()
    for (inputs, label), colour, marker in zip(names.items(), _shades(len(names)), "osD^vPX*", strict=False):
        for row in frame[frame["inputs"] == inputs].to_dict("records"):
            spread = [[row["value"] - row["ci_low"]], [row["ci_high"] - row["value"]]]
            dot: dict[str, Any] = dict(fmt=marker, color=colour, capsize=2, linewidth=1, label=label)
            ax.errorbar([row[x]], [row["value"]], yerr=spread, **dot)
    return ax


def trees(words: Sequence[str], gold: np.ndarray, predicted: np.ndarray, ax: Axes | None = None) -> Axes:
    """A sentence written downwards, with its tree's edges to the left of the words and predicted ones right.

    ``gold`` and ``predicted`` (n_edges, 2) are pairs of positions of words, undirected. A predicted edge
    that the gold tree lacks is dashed and of another colour.
    """
    ax = ax or plt.gca()
    right = {frozenset(edge) for edge in np.asarray(gold).tolist()}
    angles = np.linspace(0, np.pi, 40)
    margin = 0.4 + 0.075 * max(map(len, words))  # half a column of words, in shares of one of arcs
    for edges, side in ((gold, -1), (predicted, 1)):
        for edge in np.asarray(edges).tolist():
            reach = (abs(edge[0] - edge[1]) / len(words)) ** 0.6
            wrong = frozenset(edge) not in right
            ax.plot(
                side * (margin + reach * np.sin(angles)),
                sum(edge) / 2 + abs(edge[0] - edge[1]) / 2 * np.cos(angles),
                color=PALETTE[3] if wrong else "0.2" if side == -1 else PALETTE[0],
                linestyle=(0, (3, 2)) if wrong else "-",
                linewidth=1.2,
                marker="",
            )
    for position, word in enumerate(words):
        ax.text(0, position, word, ha="center", va="center", fontsize=9)
    ax.set_xlim(-margin - 1, margin + 1)
    ax.set_ylim(len(words) - 0.3, -0.7)
    ax.set_axis_off()
    return ax


def predicted_trees(sentences: Sequence[Any]) -> np.ndarray:
    """:func:`trees` of some sentences for each of several models, two per row.

    Each of ``sentences`` has ``words``, ``gold`` and ``predicted``, the edges by model, as
    :class:`helpers.analyses.structural.Drawn` does. Returns the Axes.
    """
    sides = [(tree, model) for tree in sentences for model in tree.predicted]
    pairs = [sides[k : k + COLUMNS] for k in range(0, len(sides), COLUMNS)]
    heights = [0.35 + 0.19 * max(len(tree.words) for tree, _ in pair) for pair in pairs]
    size = (WIDTH, sum(heights))
    _, axes = plt.subplots(len(pairs), COLUMNS, figsize=size, squeeze=False, height_ratios=heights)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, (tree, model) in zip(axes.flat, sides, strict=False):
        trees(tree.words, tree.gold, tree.predicted[model], ax).set_title(model)
    return axes.flat[: len(sides)]


def layer_maps(frame: pd.DataFrame, measures: dict[str, str]) -> np.ndarray:
    """Similarity of layers to layers of Base as maps of colours, a row per measure.

    ``frame`` has rows of the analysis ``similarity_map`` for evenly spaced layers: ``metric, model, layer``,
    ``inputs`` (the layer of Base: ``base layer 3``) and ``value``; ``measures`` gives the metrics' labels, in
    order. One scale from 0 to 1 serves all; what is below 0 has the colour of 0. Returns the Axes,
    (n_measures, n_models).
    """
    models = ["Base", *(model for model in _in_order(frame) if model != "Base")]
    size = (6.5, 1.1 + 1.5 * len(measures))
    shared: dict[str, Any] = dict(sharex=True, sharey=True, squeeze=False, layout="constrained")
    figure, axes = plt.subplots(len(measures), len(models), figsize=size, **shared)
    other = frame["inputs"].str.removeprefix("base layer ").astype(int)
    for (metric, model), ax in zip(itertools.product(measures, models), axes.flat, strict=True):
        chosen = (frame["metric"] == metric) & (frame["model"] == model)
        grid = frame[chosen].assign(other=other).pivot(index="layer", columns="other", values="value")
        first, final = grid.columns.min(), grid.columns.max()
        half = (final - first) / max(len(grid) - 1, 1) / 2  # a cell's, in layers
        low, high = first - half, final + half
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
    axes = panels(groups, layer_curves, paper=printed, height=2.7, sharey=True)
    for ax, metric in zip(axes, measures, strict=True):
        rows = chance[chance["metric"] == metric].sort_values("layer")
        ax.plot(rows["layer"].to_numpy(dtype=float), rows["value"], color="0.3", linestyle=":")
        ax.set_ylabel("similarity to Base" if ax.get_ylabel() else "")
    return axes
