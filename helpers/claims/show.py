"""Verdicts for display: tables with marks and colours, and the counts that pages quote."""

from collections.abc import Mapping

import pandas as pd
from pandas.io.formats.style import Styler

from helpers.claims.claims import CLAIMS
from helpers.claims.judging import CONTRADICTED, INCONCLUSIVE, NOT_TESTED, SUPPORTED

MARKS = {SUPPORTED: "✓", CONTRADICTED: "✗", INCONCLUSIVE: "?", NOT_TESTED: "–"}
COLOURS = {SUPPORTED: "#cfe8dc", CONTRADICTED: "#f9d5c4", INCONCLUSIVE: "#ececec"}


def marked(verdict: str) -> str:
    """A verdict with its symbol, which makes it readable without colour."""
    return f"{MARKS[verdict]} {verdict}"


def compare(judged: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Verdicts of several runs: one row per claim (index: its id), one column per run, with marks.

    ``judged`` holds for each run what :func:`helpers.claims.judging.judge` returns.
    """
    columns = {name: frame.set_index("id")["verdict"] for name, frame in judged.items()}
    frame = pd.DataFrame(columns, index=pd.Index([claim.id for claim in CLAIMS], name="id"))
    return frame.map(marked)


def styled(frame: pd.DataFrame) -> Styler:
    """A table for display, with the cells that begin with a marked verdict in its colour."""

    def look(cell: object) -> str:
        colours = (colour for verdict, colour in COLOURS.items() if str(cell).startswith(marked(verdict)))
        colour = next((f"background-color: {c}; color: black;" for c in colours), "")
        return colour + (" white-space: nowrap;" if cell in map(marked, MARKS) else "")

    cells = {"vertical-align": "top", "text-align": "left"}
    # The index is not shown, and Styler takes none with repeated entries.
    shown = frame.reset_index(drop=True).style
    return shown.map(look).set_properties(**cells).hide(axis="index")


def detailed(judged: pd.DataFrame) -> Styler:
    """What ``judge`` returns, for display: claims, the paper's numbers, ours, verdicts and reasons."""
    lines = {
        "claim": judged["claim"] + "<br><small>" + judged["where"] + "</small>",
        "the paper": judged["paper"].str.replace("; ", "<br>"),
        "ours": judged["ours"].str.replace("; ", "<br>"),
        "verdict": judged["verdict"].map(marked) + "<br><small>" + judged["why"] + "</small>",
    }
    return styled(pd.DataFrame(lines))


def counts(judged: pd.DataFrame) -> dict[str, str]:
    """Numbers about verdicts, in words.

    ``count``: how many there are of each; ``moved``: how many, of those on claims for which the paper prints
    numbers, differ from the rule's verdict on these; ``unable``: how many are inconclusive because a model
    has not learnt its task.
    """
    number = judged["verdict"].value_counts()
    tested = judged[(judged["by_rule"] != "no numbers") & (judged["verdict"] != NOT_TESTED)]
    moved = (tested["verdict"] != tested["by_rule"]).sum()
    open_ = judged[judged["verdict"] == INCONCLUSIVE]
    return {
        "count": ", ".join(f"{number[verdict]} {verdict}" for verdict in MARKS if verdict in number),
        "moved": f"{moved} of {len(tested)}",
        "unable": str(open_["why"].str.contains("has not learnt its task").sum()),
    }
