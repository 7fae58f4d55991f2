"""Markup that escapes what is put into it, and line charts as SVG, for pages that need no other file.

A chart has no colours of its own: its curves have classes, which the page's style sheet colours, in the
light and in the dark.
"""

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 400, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 10, 40  # margins around the axes
STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)  # between marks of the vertical axis
MARKS = 6  # of an axis at most
# Markers as paths around the origin: they tell curves apart without colour.
SHAPES = {
    "square": "M-3-3h6v6h-6z",
    "circle": "M-3.4 0a3.4 3.4 0 1 0 6.8 0a3.4 3.4 0 1 0-6.8 0z",
    "up": "M0-4l4 7h-8z",
    "down": "M0 4l4-7h-8z",
    "diamond": "M0-4.4l4.4 4.4l-4.4 4.4l-4.4-4.4z",
    "cross": "M-3-3l6 6M-3 3l6-6",
    "star": "M0-5l1.5 3.5l3.5 1.5l-3.5 1.5l-1.5 3.5l-1.5-3.5l-3.5-1.5l3.5-1.5z",
}


class Markup(str):
    """Text that is HTML already. Made by :func:`tag`; any other text is escaped there."""


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """An element of HTML or SVG; text in it and its attributes' values are escaped.

    An underscore at an attribute's end is dropped (``class_``), others become hyphens.
    """
    inside = "".join(child if isinstance(child, Markup) else html.escape(str(child)) for child in children)
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
    )
    return Markup(f"<{name}{given}>{inside}</{name}>")


def joined(parts: Iterable[Markup]) -> Markup:
    """Markup one after another."""
    return Markup("".join(parts))


@dataclass(frozen=True)
class Curve:
    """A line of a chart: ``points`` are (x, value, low, high, text shown at the point).

    ``kind`` is the class that colours it, ``shape`` one of :data:`SHAPES` or empty for a line without
    markers, ``line`` how it is drawn: solid, dashed or dotted. Low and high are NaN without an interval;
    dotted lines have no band. A line of one point is drawn across the chart.
    """

    label: str
    kind: str
    points: Sequence[tuple[float, float, float, float, str]]
    shape: str = ""
    line: str = "solid"


def chart(curves: Sequence[Curve], *, across: str, up: str, described: str) -> Markup:
    """Curves over whole numbers as SVG, its axes labelled ``across`` and ``up``.

    ``described`` is the text for screen readers. Raises ValueError if there is no point.
    """
    points = [point for curve in curves for point in curve.points]
    if not points:
        raise ValueError("a chart needs a point")
    heights = [y for _, *ys, _ in points for y in ys if not math.isnan(y)]
    marks = _marks(min(heights), max(heights))
    columns = sorted({round(x) for curve in curves if len(curve.points) > 1 for x, *_ in curve.points})
    columns = columns or sorted({round(x) for x, *_ in points})
    first, last, low, high = columns[0], columns[-1], marks[0], marks[-1]

    def place(x: float, y: float) -> tuple[float, float]:
        share = (x - first) / (last - first) if last > first else 0.5
        return (
            LEFT + share * (WIDTH - LEFT - RIGHT),
            TOP + (high - y) / (high - low) * (HEIGHT - TOP - BOTTOM),
        )

    parts = [tag("title", described)]
    for mark in marks:
        _, level = place(first, mark)
        parts.append(_line("grid", (LEFT, level), (WIDTH - RIGHT, level)))
        parts.append(tag("text", _number(mark), x=LEFT - 6, y=_short(level + 4), text_anchor="end"))
    for column in columns[:: -(-len(columns) // 13)]:
        at, _ = place(column, low)
        parts.append(tag("text", _number(column), x=_short(at), y=HEIGHT - BOTTOM + 16, text_anchor="middle"))
    middle = TOP + (HEIGHT - TOP - BOTTOM) / 2
    turned = f"translate(11 {middle:g}) rotate(-90)"
    parts.append(tag("text", up, transform=turned, text_anchor="middle"))
    centre = LEFT + (WIDTH - LEFT - RIGHT) / 2
    parts.append(tag("text", across, x=_short(centre), y=HEIGHT - 6, text_anchor="middle"))
    for curve in curves:
        ends = [(first, *curve.points[0][1:]), (last, *curve.points[0][1:])]
        drawn = sorted(ends if len(curve.points) == 1 else curve.points)
        spread = [p for p in drawn if not math.isnan(p[2])]
        if len(spread) > 1 and not curve.line == "dotted":
            outline = [place(x, above) for x, _, _, above, _ in spread]
            outline += [place(x, below) for x, _, below, _, _ in reversed(spread)]
            parts.append(tag("polygon", points=_path(outline), class_=f"band {curve.kind}"))
        route = _path([place(x, y) for x, y, *_ in drawn])
        parts.append(tag("polyline", points=route, class_=f"line {curve.line} {curve.kind}"))
        for x, y, _, _, text in curve.points if curve.shape else ():
            spot = " ".join(map(_short, place(x, y)))
            parts.append(
                tag(
                    "path", tag("title", text), d=SHAPES[curve.shape],
                    transform=f"translate({spot})", class_=f"marker {curve.kind}",
                )
            )  # fmt: skip
    return tag("svg", *parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=described)


def key(curve: Curve) -> Markup:
    """The entry of a legend: a piece of the line with its marker, and its label."""
    parts = [tag("polyline", points="0,7 26,7", class_=f"line {curve.line} {curve.kind}")]
    if curve.shape:
        marker = dict(d=SHAPES[curve.shape], transform="translate(13 7)", class_=f"marker {curve.kind}")
        parts.append(tag("path", **marker))
    return tag("span", tag("svg", *parts, viewBox="0 0 26 14", aria_hidden="true"), curve.label)


def _marks(low: float, high: float) -> list[float]:
    """Round numbers, at least two, from below the lowest value to above the highest."""
    for step in STEPS:
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        last = max(last, first + 1)
        if last - first < MARKS:
            break
    return [round(k * step, 2) for k in range(first, last + 1)]


def _line(kind: str, start: tuple[float, float], end: tuple[float, float]) -> Markup:
    return tag("polyline", points=_path([start, end]), class_=kind)


def _path(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{_short(x)},{_short(y)}" for x, y in points)


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _number(number: float) -> str:
    return f"{number:g}".replace("-", "−")
