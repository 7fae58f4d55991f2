"""Verdicts for display: tables with marks and colours, and the counts that pages quote."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from helpers import results
from helpers.claims.claims import CLAIMS
from helpers.claims.judging import CONTRADICTED, INCONCLUSIVE, NOT_TESTED, SUPPORTED
from helpers.claims.run import Run
from helpers.vocabulary import HEADLINE

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

    def look(cell: Any) -> str:
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


def quoted(recorded: Mapping[str, Mapping[str, pd.DataFrame]]) -> dict[str, str]:
    """The numbers of recorded runs that the discussion of the verdicts quotes, by the names it has for them.

    ``recorded`` is what :func:`helpers.results.recorded_runs` returns.
    """
    reduced = recorded["reduced"]
    run, texts = Run(reduced).of_seed(0), {}
    points = [("partial_freezing", "Dep", "one_rate", -1), ("partial_freezing", "Dep", "one_rate", 11)]
    points += [("partial_freezing", "Dep", "tuned_head", 11)]
    points += [("partial_freezing", "QA", "one_rate", k) for k in (6, 8)]
    points += [("truncation", "QA", "", 6), ("truncation", "QA", "", 11), ("reinitialisation", "QA", "", 7)]
    for analysis, model, rate, layer in points:
        name = f"{rate or analysis}_{model}_{'none' if layer < 0 else layer}"
        texts[name] = run.get(analysis, HEADLINE[model], model, rate, layer).text(points=True)
    printed = results.select(results.paper("partial_freezing"), model="Dep", layer=11)
    texts["paper_frozen_Dep"] = results.format_number(printed["value"].item(), points=True)
    by_rate = results.select(reduced["rsa_by_rate"], metric="rsa_pearson", layer=(8, 9, 10))
    upper = by_rate.groupby(["inputs", "model"])["value"].mean().sort_values(ascending=False)
    orders = {
        rate: ", ".join(f"{model} {value:.2f}" for model, value in upper[rate].items())
        for rate in by_rate["inputs"].unique()
    }
    texts["by_rate"] = "; ".join(f"at {rate}, {order}" for rate, order in orders.items())
    with_dropout, _ = results.recorded("dropout", "finetuning_with_dropout")
    for name, scores in {"with": with_dropout, "without": reduced["finetuning"]}.items():
        f1 = results.select(scores, metric="f1", inputs="in_domain")["value"]
        texts[f"qa_{name}"] = ", ".join(f"{value:.3f}" for value in f1)
    tasks = results.recorded("reduced", "rsa")[1]["settings"]["tasks"]
    texts["rates"] = ", ".join(f"{task['model']} {task['recipe']['learning_rate']:g}" for task in tasks)
    return texts
