"""Numbers of a run, looked up."""

import pytest

from helpers import results
from helpers.claims.run import Lacking, Run


@pytest.fixture
def run():
    ewt = dict(analysis="finetuning", metric="las", model="Dep", ci_low=0.0, ci_high=1.0)
    rows = [ewt | dict(inputs="in_domain", value=0.8 + seed / 100, seed=seed) for seed in (0, 1)]
    rows += [ewt | dict(inputs="untrained", value=0.1), ewt | dict(inputs="chain", value=0.3)]
    frozen = ewt | dict(analysis="partial_freezing", seed=0)
    rows += [frozen | dict(inputs="one_rate", layer=k, value=v) for k, v in ((-1, 0.8), (5, 0.7))]
    rows.append(frozen | dict(inputs="tuned_head", layer=5, value=0.75))
    rows.append(frozen | dict(analysis="truncation", layer=5, value=0.5))
    rows.append(dict(analysis="rsa", metric="rsa_pearson", model="Random", layer=3, value=0.4, seed=1000))
    return Run({"all": results.table(rows)})


def test_numbers_are_of_one_seed_or_of_none(run):
    assert run.of_seed(1).score("Dep").value == 0.81 and run.of_seed(0).score("Dep").value == 0.8
    assert run.of_seed(1).get("finetuning", "las", "Dep", "chain").value == 0.3
    assert run.of_seed(0).get("rsa", "rsa_pearson", "Random", "", 3).value == 0.4  # not a fine-tuning seed
    assert run.seeds == {"finetuning": {0, 1}, "partial_freezing": {0}, "truncation": {0}}
    assert run.seed is None and not run.has("finetuning", "las", "Dep", "in_domain")


def test_what_lacks_is_named(run):
    with pytest.raises(Lacking, match="no las of Dep on in_domain in finetuning"):
        run.of_seed(2).score("Dep")
    with pytest.raises(Lacking, match="no rsa_pearson of QA on wikipedia at layer 11 in rsa"):
        run.rsa("QA", 3)
    with pytest.raises(Lacking, match="no edge probes of NLI on POS, SRL"):
        run.edge_tasks("NLI", ["POS", "SRL"])
    with pytest.raises(Lacking, match="truncation of Dep was run at none of the layers 8 to 10"):
        run.of_seed(0).ablated_layers("truncation", "Dep", range(8, 11))


def test_scores_losses_and_the_best_baseline(run):
    first = run.of_seed(0)
    assert first.trivial("Dep")[0] == "chain" and first.gain("Dep").value == pytest.approx(0.5)
    assert first.trivial("QA") == ("nothing", first.trivial("QA")[1]) and first.trivial("QA")[1].value == 0
    # Of freezing, the paper's setting: one learning rate for encoder and head.
    assert first.loss("partial_freezing", "Dep", 5).value == pytest.approx(0.1)
    assert first.share_lost("partial_freezing", "Dep", 5).value == pytest.approx(0.2)
    assert first.ablated("truncation", "Dep", 5).value == 0.5
    assert first.ablated_layers("partial_freezing", "Dep", range(4, 9)) == [5]
