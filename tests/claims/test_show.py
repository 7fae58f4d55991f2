"""Verdicts as pages show them."""

import pandas as pd

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
