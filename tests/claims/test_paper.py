"""The paper's numbers as tables of a run."""

import pytest

from helpers.claims import judging
from helpers.claims import paper as paper_numbers


def test_differences_are_those_that_the_paper_prints():
    delta = paper_numbers.tables()["edge_probing_delta"].set_index(["model", "inputs"])["value"]
    printed = {("QA", "SRL"): -0.0290, ("Dep", "Constituents"): 0.0435, ("Random", "Relations"): -0.4053}
    for key, value in printed.items():
        assert delta[key] == pytest.approx(value, abs=1e-9)
    shown = judging.judge(paper_numbers.tables()).set_index("id")
    assert "−2.9" in shown.loc["edge-small", "paper"] and "[" not in shown.loc["edge-small", "paper"]
    assert shown.loc["domain-gap-size", "paper"] == "NLI at 10 −0.17; QA at 10 −0.25"
    assert shown.loc["tasks-learned", "ours"].startswith("Dep 96.3 [96.2, 96.4]")
    assert shown.loc["domain-single", "by_rule"] == "no numbers" and shown.loc["domain-single", "paper"] == ""
