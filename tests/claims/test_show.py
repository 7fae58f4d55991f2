"""Verdicts as pages show them."""

import pandas as pd

from helpers import results
from helpers.claims import judging, paper, show
from helpers.claims.claims import CLAIMS
from helpers.claims.judging import CONTRADICTED, INCONCLUSIVE, NOT_TESTABLE, NOT_TESTED, SUPPORTED


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
    marks = pd.DataFrame({"verdict": ["✗ not reproduced with MiniBERT", "✓", "✓.", ""]})
    html = show.styled(marks).to_html()
    assert html.count(show.COLOURS[CONTRADICTED]) == html.count(show.COLOURS[SUPPORTED]) == 1
    claims = [c for c in CLAIMS if c.id in ("rsa-collapse", "rsa-qa-steep")]
    judged = judging.judge(paper.tables(), claims, encoder="minilm")
    turned = judged.assign(verdict=CONTRADICTED, in_words="not reproduced with minilm")
    html, other = show.detailed(judged).to_html(), show.detailed(turned).to_html()
    for row in judged.itertuples():
        assert all(text in html for text in (row.claim, row.where, show.marked(row.verdict), row.why))
    assert "Dep 0.39<br>NLI 0.32" in html
    assert other.count("✗ not reproduced with minilm<br>") == 2


def test_verdicts_by_model_are_marks():
    row = dict(id="one", claim="what it says", verdict=CONTRADICTED, in_words="not reproduced with minilm")
    judged = pd.DataFrame([row | dict(Dep="", NLI=NOT_TESTABLE, QA=CONTRADICTED)])
    shown = show.by_model(judged)
    assert list(shown.columns) == ["claim", "Dep", "NLI", "QA", "all"] and list(shown.index) == ["one"]
    assert shown.loc["one"].tolist() == ["what it says", "", "○", "✗", "✗ not reproduced with minilm"]


def test_the_depths_of_another_encoders_layers_are_said():
    def tables(blocks):
        rows = [
            dict(analysis="rsa", metric="rsa_pearson", model="QA", layer=k, value=0.9) for k in range(blocks)
        ]
        return {"rsa": results.table(rows)}

    assert show.depths(tables(12)) == ""
    text = show.depths(tables(6))
    assert text.startswith("Claims name layers of twelve. This encoder has 6 blocks")
    assert "1 at 0, 2 at 0, 3 at 1, " in text and text.endswith("10 at 4, 11 at 5.")


def test_counts_of_verdicts_in_words():
    rows = [(SUPPORTED, SUPPORTED, ""), (SUPPORTED, CONTRADICTED, ""), (INCONCLUSIVE, "no numbers", "")]
    rows += [(NOT_TESTABLE, SUPPORTED, "QA has not learnt its task (f1)"), (NOT_TESTED, SUPPORTED, "")]
    rows += [(CONTRADICTED, SUPPORTED, "1 fails; NLI has not learnt its task")]
    judged = pd.DataFrame(rows, columns=["verdict", "by_rule", "why"])
    judged["in_words"] = judged["verdict"].replace(CONTRADICTED, "not reproduced with MiniBERT")
    assert show.counts(judged) == {
        "count": "2 supported, 1 not reproduced with MiniBERT, 1 inconclusive, 1 not testable here, "
        "1 not tested here",
        "moved": "2 of 3",
        "unable": "2",
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
