"""Figures that answer to a pointer, a slider or the keyboard, and that stand without any of it.

Each is HTML: drawings as SVG, a sentence on what they show, and the numbers behind them as JSON. Where the
book's script (``book/_static/interactive.js``) is loaded it brings them to life. Elsewhere, as in JupyterLab
or where scripts are off, the drawings stay as they are. All words are escaped.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import orthogonal_procrustes

from helpers.plotting import COLOURS, PALETTE
from helpers.similarity import unit_rows
from helpers.svg import Markup, joined, tag

FEWEST, MOST = 3, 24  # words in a sentence
CELL = 20  # side of a cell of a map, in pixels of the drawing, as all lengths below
WIDTH, HEIGHT, MARGIN = 360, 300, 28  # of a plane, and how far from its edges points stay
LETTER, LINE = 6.4, 13  # how wide and how high a letter is taken to be
_INK = "currentColor"  # of the text around the figure, in the light and in the dark


class Figure:
    """A figure as HTML, which notebooks and pages show as it is."""

    def __init__(self, markup: Markup, described: str) -> None:
        self.markup, self.described = markup, described

    def _repr_html_(self) -> str:
        return self.markup

    def __repr__(self) -> str:
        return self.described


# -- pairs of words ------------------------------------------------------------------------------------


def word_pairs(words: Sequence[str], before: ArrayLike, after: ArrayLike, model: str) -> Figure:
    """Cosines of a sentence's words in Base and in a fine-tuned model as two maps, to be read cell by cell.

    ``before`` (n_words, d1) and ``after`` (n_words, d2) are the words' vectors at one layer. Each map's
    colours span its own values off the diagonal. The cell marked first is the pair that moves most from one
    map's scale to the other's. The JSON has the cosines to three decimals. Raises ValueError for fewer than
    :data:`FEWEST` or more than :data:`MOST` words, for vectors of another number of words or with NaN or
    infinity, and for a vector of zeros.
    """
    vectors = [_checked("before", before, words, 2), _checked("after", after, words, 2)]
    units = [unit_rows(x, name) for x, name in zip(vectors, ("before", "after"), strict=True)]
    sides = {name: unit @ unit.T for name, unit in zip(("Base", model), units, strict=True)}
    upper = np.triu_indices(len(words), 1)
    spans = {name: (cosines[upper].min(), cosines[upper].max()) for name, cosines in sides.items()}
    scaled = {name: (sides[name] - low) / ((high - low) or 1) for name, (low, high) in spans.items()}
    most = int(np.argmax(np.abs(scaled[model] - scaled["Base"])[upper]))
    start = (int(upper[0][most]), int(upper[1][most]))
    described = (
        f"Two maps of the cosines between the words of the sentence “{' '.join(words)}”, in Base and in the "
        f"model tuned on {model}."
    )
    maps = [_map(words, sides[name], scaled[name], spans[name], name, start) for name in sides]
    numbers = " and ".join(f"{_signed(sides[name][start], 3)} in {name}" for name in sides)
    shown = tag("p", f"{words[start[0]]}, {words[start[1]]}: cosine {numbers}", class_="readout")
    data = {
        "words": list(words),
        "start": start,
        "models": [
            {"name": name, "cosines": (cosines.round(3) + 0.0).tolist()} for name, cosines in sides.items()
        ],
    }
    return _figure("pairs", described, joined(maps), shown, data)


def _map(
    words: Sequence[str],
    cosines: np.ndarray,
    scaled: np.ndarray,
    span: tuple[float, float],
    model: str,
    start: tuple[int, int],
) -> Markup:
    """One model's map of cosines, with the words at its left and at its top and a key below."""
    margin = 10 + LETTER * max(map(len, words))
    side, parts = CELL * len(words), []
    for k, word in enumerate(words):
        middle = margin + CELL * (k + 0.5)
        row = dict(x=_px(margin - 5), y=_px(middle + 4), text_anchor="end")
        column = dict(transform=f"translate({_px(middle + 4)} {_px(margin - 5)}) rotate(-90)")
        parts += [tag("text", word, class_="row", **row), tag("text", word, class_="column", **column)]
    for i, first in enumerate(words):
        for j, second in enumerate(words):
            strength = 0.12 if i == j else np.clip(scaled[i, j], 0, 1)
            parts.append(
                tag(
                    "rect", tag("title", f"{first}, {second}: {_signed(cosines[i, j], 3)}"), class_="cell",
                    x=_px(margin + CELL * j), y=_px(margin + CELL * i), width=CELL, height=CELL,
                    fill=_INK if i == j else PALETTE[0], fill_opacity=f"{strength:.2f}",
                )
            )  # fmt: skip
    frame = dict(width=side, height=side, fill="none", stroke=_INK, stroke_opacity=0.4)
    parts.append(tag("rect", x=_px(margin), y=_px(margin), **frame))
    i, j = start
    at = dict(x=_px(margin + CELL * j), y=_px(margin + CELL * i), width=CELL, height=CELL)
    parts.append(tag("rect", class_="chosen", **at, fill="none", stroke=_INK, stroke_width=2.5))
    below, (low, high) = margin + side + 12, (_signed(end, 2) for end in span)
    for k in range(5):
        step = dict(x=_px(margin + 44 + 16 * k), y=_px(below), width=16, height=10)
        parts.append(tag("rect", **step, class_="key", fill=PALETTE[0], fill_opacity=k / 4))
    parts.append(tag("text", low, x=_px(margin + 39), y=_px(below + 9), text_anchor="end"))
    parts.append(tag("text", high, x=_px(margin + 129), y=_px(below + 9)))
    name = f"Cosines between the words in {model}, from {low} to {high}"
    return _panel(
        model if model == "Base" else f"tuned on {model}", name, parts, margin + side + 2, margin + side + 26
    )


# -- words in a plane ----------------------------------------------------------------------------------


def word_planes(words: Sequence[str], before: ArrayLike, after: ArrayLike, model: str) -> Figure:
    """A sentence's words as points in a plane at each layer, in Base and in a fine-tuned model.

    ``before`` and ``after`` (n_words, n_layers, d) are the words' states, the embeddings first. Each plane
    holds the first two principal components of one model's words at one layer, scaled so that the words'
    root mean square distance from their centre is 1. Base's planes are turned or mirrored to follow the
    layer below, and the tuned model's to lie on Base's (orthogonal Procrustes).

    The first and the last layer are drawn. The JSON has all of them, as places in the drawing to a tenth of
    a pixel. Raises ValueError for fewer than :data:`FEWEST` or more than :data:`MOST` words, for states of
    another shape or with NaN or infinity, and for a layer at which all words are the same.
    """
    base, tuned = _checked("before", before, words, 3), _checked("after", after, words, 3)
    if base.shape[1] != tuned.shape[1] or base.shape[1] < 2:
        raise ValueError(f"expected the same layers, two or more, got {base.shape[1]} and {tuned.shape[1]}")
    notes: list[str] = []
    pairs: list[np.ndarray] = []  # (2, n_words, 2) of each layer
    for layer in range(base.shape[1]):
        (x, share_x), (y, share_y) = (_plane(states[:, layer], layer - 1) for states in (base, tuned))
        if pairs:
            x = x @ orthogonal_procrustes(x, pairs[-1][0])[0]
        y = y @ orthogonal_procrustes(y, x)[0]
        apart = float(np.mean(np.linalg.norm(x - y, axis=1)))
        held = [f"{100 * share:.0f}\u00a0%" for share in (share_x, share_y)]
        notes.append(
            f"A word's two points are {apart:.2f} apart on average. The plane shows {held[0]} of the "
            f"variance in Base and {held[1]} in {model}."
        )
        pairs.append(np.stack([x, y]))
    low, high = (edge(pairs, axis=(1, 2)) for edge in (np.min, np.max))  # (n_layers, 2)
    room = np.array([WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN])
    unit = np.min(room / np.maximum((high - low).max(axis=0), 1e-9))  # one scale for all layers
    layers: list[dict[str, Any]] = []
    for number, (note, pair) in enumerate(zip(notes, pairs, strict=True)):
        places = np.array([WIDTH, HEIGHT]) / 2 + unit * (pair - (low + high)[number] / 2)
        one, other = places.round(1).tolist()
        name = f"Layer {number - 1}" if number else "Layer −1: the embeddings"
        layers.append(dict(name=name, note=note, base=one, tuned=other, labels=_labels(words, places)))
    described = (
        f"The words of the sentence “{' '.join(words)}” as points in a plane, at each layer, in Base and in "
        f"the model tuned on {model}. A line joins a word's two points."
    )
    drawn = joined(_points(words, layers[k], model) for k in (0, -1))
    last = layers[-1]
    shown = tag("p", f"{last['name']}. {last['note']}", class_="readout")
    return _figure("planes", described, drawn, shown, {"words": list(words), "layers": layers})


def _plane(states: np.ndarray, layer: int) -> tuple[np.ndarray, float]:
    """The first two principal components of ``states`` (n_words, d), scaled, and their share of variance."""
    left, spectrum, _ = np.linalg.svd(states - states.mean(axis=0), full_matrices=False)
    total = float(np.sum(spectrum**2))
    if total == 0:
        raise ValueError(f"layer {layer}: all words have the same vector, so they span no plane")
    plane = np.zeros((len(states), 2))
    plane[:, : min(2, len(spectrum))] = left[:, :2] * spectrum[:2]
    return plane * np.sqrt(len(states) / np.sum(plane**2)), float(np.sum(spectrum[:2] ** 2)) / total


def _labels(words: Sequence[str], places: np.ndarray) -> list[list[float]]:
    """Middles of the words' labels, each beside its tuned point where it covers least of all else.

    ``places`` (2, n_words, 2) are the points of Base and of the tuned model.
    """
    taken = [(x, y, 5.0, 5.0) for x, y in places.reshape(-1, 2)]  # middles, half widths and half heights
    found = []
    for word, (x, y) in zip(words, places[1], strict=True):
        half = LETTER * len(word) / 2
        choices = [
            (x + across * (half + 7 + far), y + down * (LINE + far))
            for far in (0, 9)
            for across, down in ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -0.7), (-1, -0.7), (1, 0.7), (-1, 0.7))
        ]
        costs = [sum(_overlap((*at, half, LINE / 2), other) for other in taken) for at in choices]
        costs = [cost + _outside(at, half) for cost, at in zip(costs, choices, strict=True)]
        best = choices[int(np.argmin(costs))]
        taken.append((*best, half, LINE / 2))
        found.append([round(float(value), 1) for value in best])
    return found


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Area that two boxes share, each given by its middle and by half its width and height."""
    across, down = (min(one[2 + k] + other[2 + k] - abs(one[k] - other[k]), 2 * one[2 + k]) for k in (0, 1))
    return max(0.0, across) * max(0.0, down)


def _outside(at: tuple[float, float], half: float) -> float:
    """Penalty for a label that leaves the drawing."""
    across = max(0.0, abs(at[0] - WIDTH / 2) + half - WIDTH / 2)
    down = max(0.0, abs(at[1] - HEIGHT / 2) + LINE / 2 - HEIGHT / 2)
    return 100 * (across + down)


def _points(words: Sequence[str], layer: dict[str, Any], model: str) -> Markup:
    """The drawing of one layer: for each word a line, Base's ring, the tuned model's dot and the word."""
    colour = COLOURS[model]
    lines, dots, labels = [], [], []
    for word, (x, y), (to_x, to_y), (at_x, at_y) in zip(
        words, layer["base"], layer["tuned"], layer["labels"], strict=True
    ):
        ends = dict(x1=x, y1=y, x2=to_x, y2=to_y)
        lines.append(tag("line", class_="way", **ends, stroke=colour, stroke_opacity=0.7, stroke_width=1.5))
        dots.append(tag("circle", class_="base", cx=x, cy=y, r=4, fill="none", stroke=_INK, stroke_width=1.5))
        dots.append(tag("circle", class_="tuned", cx=to_x, cy=to_y, r=4, fill=colour))
        labels.append(tag("text", word, class_="word", x=at_x, y=at_y, dy="0.34em", text_anchor="middle"))
    name = f"{layer['name']}. {layer['note']}"
    return _panel(layer["name"], name, [*lines, *dots, *labels], WIDTH, HEIGHT, key=model)


# -- both ----------------------------------------------------------------------------------------------


def _checked(name: str, values: ArrayLike, words: Sequence[str], axes: int) -> np.ndarray:
    """``values`` as float64, one row per word, or ValueError."""
    array = np.asarray(values, dtype=np.float64)
    if not FEWEST <= len(words) <= MOST:
        raise ValueError(f"{len(words)} words; a sentence of {FEWEST} to {MOST} can be drawn")
    if array.ndim != axes or len(array) != len(words):
        raise ValueError(
            f"{name}: expected {axes} axes and {len(words)} rows, one per word, got {array.shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: row {np.argwhere(~np.isfinite(array))[0][0]} has NaN or infinity")
    return array


def _panel(
    title: str, name: str, parts: list[Markup], width: float, height: float, *, key: str = ""
) -> Markup:
    """A drawing with a title above, and a key to rings and dots if these are of the model ``key``."""
    size = dict(viewBox=f"0 0 {_px(width)} {_px(height)}", width=_px(width), height=_px(height))
    drawing = tag(
        "svg", *parts, **size, role="img", aria_label=name, font_size=12, font_family="sans-serif", fill=_INK
    )
    heading = [tag("span", title, class_="title")]
    if key:
        ring = dict(cx=6, cy=6, r=4, fill="none", stroke=_INK, stroke_width=1.5)
        dot = dict(cx=6, cy=6, r=4, fill=COLOURS[key])
        small = dict(width=12, height=12, aria_hidden="true")
        marks = [tag("svg", tag("circle", **look), **small) for look in (ring, dot)]
        heading.append(tag("span", " ", marks[0], " Base ", marks[1], f" {key}", class_="keys"))
    return tag("div", tag("div", *heading), drawing, class_="panel")


def _figure(kind: str, described: str, drawn: Markup, shown: Markup, data: dict[str, Any]) -> Figure:
    # Neither a word nor anything else in the data can end the element that it is in.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    numbers = tag("script", Markup(text), type="application/json")
    panels = tag("div", drawn, class_="panels", style="display:flex;flex-wrap:wrap;gap:0.5rem 1rem")
    whole = dict(role="group", aria_label=described, data_kind=kind)
    return Figure(tag("div", panels, shown, numbers, class_="interactive", **whole), described)


def _signed(number: float, decimals: int) -> str:
    return f"{round(float(number), decimals) + 0.0:.{decimals}f}".replace("-", "−")  # no minus before 0


def _px(length: float) -> str:
    return f"{length:.1f}".removesuffix(".0")
