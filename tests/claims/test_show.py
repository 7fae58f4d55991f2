"""Verdicts as pages show them."""

import pandas as pd

from helpers import results
from helpers.claims import judging, paper, show
from helpers.claims.claims import CLAIMS
from helpers.claims.judging import CONTRADICTED, INCONCLUSIVE, NOT_TESTED, SUPPORTED


def test_runs_stand_side_by_side():
    usual = paper.tables()
    turned = usual | {"rsa": usual["rsa"].assign(layer=11 - usual["rsa"]["layer"])}
    verdicts = show.compare({"one": judging.judge(usual), "other": judging.judge(turned)})
    assert list(verdicts.columns) == ["one", "other"]
    assert list(verdicts.index) == [claim.id for claim in CLAIMS]
    assert verdicts.loc["rsa-top"].tolist() == ["✓ supported", "✗ contradicted"]
    assert verdicts.loc["seeds"].tolist() == ["– not tested here"] * 2


def test_a_displayed_verdict_has_its_mark_and_colour():
    cells = [show.marked(verdict) for verdict in show.MARKS]
    frame = pd.DataFrame({"verdict": [*cells, "supported by nothing"]})
    frame.index = [0] * len(frame)  # as rows of several tables, one under the other, may have it
    html = show.styled(frame).to_html()
    for verdict, colour in show.COLOURS.items():
        assert html.count(colour) == 1, verdict
    assert all(cell in html for cell in cells)
    (judged,) = judging.judge(paper.tables(), [c for c in CLAIMS if c.id == "rsa-collapse"]).iloc
    html = show.detailed(judged.to_frame().T).to_html()
    for text in (
        judged.claim,
        judged["where"],
        "Dep 0.39<br>NLI 0.32",
        show.marked(judged.verdict),
        judged.why,
    ):
        assert text in html


def test_counts_of_verdicts_in_words():
    rows = [(SUPPORTED, SUPPORTED, ""), (SUPPORTED, CONTRADICTED, ""), (INCONCLUSIVE, "no numbers", "")]
    rows += [(INCONCLUSIVE, SUPPORTED, "QA has not learnt its task (f1)"), (NOT_TESTED, SUPPORTED, "")]
    judged = pd.DataFrame(rows, columns=["verdict", "by_rule", "why"])
    assert show.counts(judged) == {
        "count": "2 supported, 2 inconclusive, 1 not tested here",
        "moved": "2 of 3",
        "unable": "1",
    }


def test_quoted_numbers_are_those_of_the_recorded_tables():
    recorded = results.recorded_runs()
    texts = show.quoted(recorded)
    frozen = recorded["reduced"]["partial_freezing"]
    row = results.select(frozen, metric="las", model="Dep", inputs="one_rate", layer=-1, seed=0)
    assert texts["one_rate_Dep_none"] == results.format_rows(row, points=True)[0]
    assert texts["paper_frozen_Dep"] == "3.5"  # as Figure 3 reads
    f1 = results.select(recorded["reduced"]["finetuning"], metric="f1", inputs="in_domain")["value"]
    assert texts["qa_without"] == ", ".join(f"{value:.3f}" for value in f1)
    by_rate = recorded["reduced"]["rsa_by_rate"]
    upper = by_rate[(by_rate["metric"] == "rsa_pearson") & by_rate["layer"].between(8, 10)]
    for (rate, model), rows in upper.groupby(["inputs", "model"]):
        (order,) = [part for part in texts["by_rate"].split("; ") if part.startswith(f"at {rate}, ")]
        assert f"{model} {rows['value'].mean():.2f}" in order
