"""Verdicts as pages show them."""

import pandas as pd

from helpers import results
from helpers.claims import judging, paper, show
from helpers.claims.claims import CLAIMS
from helpers.claims.judging import CONTRADICTED, INCONCLUSIVE, NOT_TESTABLE, NOT_TESTED, SUPPORTED


def test_reasons_stand_below_verdicts():
    html = show.detailed(judging.judge(paper.tables())).to_html()
    assert html.count("✓ supported<br><small>") > 10 and "– not tested here<br><small>" in html


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
    row |= dict(by_rule=SUPPORTED)
    judged = pd.DataFrame([row | dict(Dep="", NLI=NOT_TESTABLE, QA=CONTRADICTED)])
    shown = show.by_model(judged)
    assert list(shown.columns) == ["claim", "Dep", "NLI", "QA", "all", "the paper"] and list(shown.index) == [
        "one"
    ]
    assert shown.loc["one"].tolist() == ["what it says", "", "○", "✗", "✗ not reproduced with minilm", "✓"]
    assert show.by_model(judged.assign(by_rule="no numbers")).loc["one", "the paper"] == ""


def test_the_depths_of_another_encoders_layers_are_said():
    def tables(blocks):
        rows = [
            dict(analysis="rsa", metric="rsa_pearson", model="QA", layer=k, value=0.9) for k in range(blocks)
        ]
        return {"rsa": results.table(rows)}

    assert show.depths(tables(12), "Mine") == ""
    text = show.depths(tables(6), "Mine")
    assert text.startswith("Mine has 6 blocks. What a claim says of a layer of twelve is read at the same ")
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
