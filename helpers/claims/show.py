"""Verdicts for display: tables with marks and colours, and the counts that pages quote."""

import contextlib
from collections.abc import Mapping
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from helpers.claims.judging import CONTRADICTED, INCONCLUSIVE, NOT_TESTABLE, NOT_TESTED, SUPPORTED
from helpers.claims.run import Lacking, Run
from helpers.vocabulary import LAST, MODELS

MARKS = {SUPPORTED: "✓", CONTRADICTED: "✗", INCONCLUSIVE: "?", NOT_TESTABLE: "○", NOT_TESTED: "–"}
COLOURS = {SUPPORTED: "#cfe8dc", CONTRADICTED: "#f9d5c4", INCONCLUSIVE: "#ececec"}


def marked(verdict: str, words: str = "") -> str:
    """A verdict, or the words for it, with its symbol, which makes it readable without colour."""
    return f"{MARKS[verdict]} {words or verdict}"


def by_model(judged: pd.DataFrame) -> pd.DataFrame:
    """Verdicts of one run: ``claim``; Dep, NLI, QA; ``all``, the claim's own; ``the paper``, on its numbers.

    The models' verdicts and the paper's are marks alone (:data:`MARKS`), to be read at a glance, and empty
    where a claim is not about a model or the paper prints no numbers.
    """
    marks = {model: judged[model].map(lambda verdict: MARKS.get(verdict, "")) for model in MODELS}
    whole = list(map(marked, judged["verdict"], judged["in_words"]))
    printed = judged["by_rule"].map(lambda verdict: MARKS.get(verdict, ""))
    columns = {"claim": judged["claim"], **marks, "all": whole, "the paper": printed}
    return pd.DataFrame(columns).set_axis(judged["id"])


def styled(frame: pd.DataFrame) -> Styler:
    """A table for display, with the cells that begin with a verdict's mark in its colour."""

    def look(cell: Any) -> str:
        verdict = next((v for v, mark in MARKS.items() if f"{cell} ".startswith(f"{mark} ")), None)
        colour = COLOURS.get(verdict or "")
        style = f"background-color: {colour}; color: black;" if colour else ""
        return style + (" white-space: nowrap;" if cell in map(marked, MARKS) else "")

    cells = {"vertical-align": "top", "text-align": "left"}
    # The index is not shown, and Styler takes none with repeated entries.
    shown = frame.reset_index(drop=True).style
    return shown.map(look).set_properties(**cells).hide(axis="index")


def depths(tables: Mapping[str, pd.DataFrame], encoder: str) -> str:
    """Where a run's encoder has the layers that claims name; empty if it has the twelve of the paper."""
    run = Run(tables)
    if run.last == LAST:
        return ""
    places = []
    for number in range(LAST + 1):
        with contextlib.suppress(Lacking):
            places.append(f"{number} at {run.layer(number)}")
    return (
        f"{encoder} has {run.last + 1} blocks. What a claim says of a layer of twelve is read at the same "
        f"share of depth, or just below it: {', '.join(places)}."
    )


def detailed(judged: pd.DataFrame) -> Styler:
    """What ``judge`` returns, for display: claims, the paper's numbers, ours, verdicts and reasons."""
    lines = {
        "claim": judged["claim"] + "<br><small>" + judged["where"] + "</small>",
        "the paper": judged["paper"].str.replace("; ", "<br>"),
        "ours": judged["ours"].str.replace("; ", "<br>"),
        "verdict": [
            f"{marked(verdict, words)}<br><small>{why}</small>"
            for verdict, words, why in zip(judged["verdict"], judged["in_words"], judged["why"], strict=True)
        ],
    }
    return styled(pd.DataFrame(lines))


def counts(judged: pd.DataFrame) -> dict[str, str]:
    """Numbers about verdicts, in words.

    ``count``: how many there are of each; ``moved``: how many, of those on claims for which the paper prints
    numbers and that could be tested, differ from the rule's verdict on these; ``unable``: how many cannot be
    tested, or not for each model, because a model has not learnt its task.
    """
    numbers = judged.groupby("verdict")["in_words"].agg(number="size", words="first")
    numbers = numbers.reindex([verdict for verdict in MARKS if verdict in numbers.index])
    tested = judged[(judged["by_rule"] != "no numbers") & ~judged["verdict"].isin([NOT_TESTABLE, NOT_TESTED])]
    moved = (tested["verdict"] != tested["by_rule"]).sum()
    return {
        "count": ", ".join(f"{row.number} {row.words}" for row in numbers.itertuples()),
        "moved": f"{moved} of {len(tested)}",
        "unable": str(judged["why"].str.contains("has not learnt its task").sum()),
    }
