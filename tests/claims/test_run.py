"""Numbers of a run, looked up."""

import pytest

from helpers import results
from helpers.claims.numbers import exactly
from helpers.claims.run import ALL, Lacking, Run


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
    assert run.seed is None and run.find("finetuning", "las", "Dep", "in_domain") is None


def test_what_lacks_is_named(run):
    with pytest.raises(Lacking, match="no las of Dep on in_domain in finetuning"):
        run.of_seed(2).score("Dep")
    with pytest.raises(Lacking, match="no rsa_pearson of QA at layer 3 in rsa"):
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


def curve(*values, analysis="rsa", model="QA", half=0.01, **columns):
    row = dict(analysis=analysis, metric="rsa_pearson", model=model) | columns
    return [row | dict(layer=k, value=v, ci_low=v - half, ci_high=v + half) for k, v in enumerate(values)]


@pytest.mark.parametrize(
    "blocks, number, layer",
    [(12, 5, 5), (12, 11, 11), (6, 11, 5), (6, 10, 4), (6, 9, 4), (6, 8, 3), (6, 7, 3), (6, 5, 2), (6, 2, 0)]
    + [(24, 5, 11), (24, 10, 21), (24, 0, 1), (4, 5, 1)],
)
def test_layers_of_twelve_have_places_in_other_encoders(blocks, number, layer):
    run = Run({"all": results.table(curve(*[0.9] * blocks))})
    assert run.last == blocks - 1 and run.layer(number) == layer


def test_a_span_of_layers_is_one_of_depth():
    spans = {(5, 11): [2, 3, 4, 5], (8, 10): [4], (9, 10): [4], (4, 5): [2], (0, 7): [0, 1, 2, 3]}
    six = Run({"all": results.table(curve(*[0.9] * 6))})
    assert {span: six.layers(*span) for span in spans} == spans
    assert Run({"all": results.table(curve(*[0.9] * 24))}).layers(8, 10) == [17, 18, 19, 20, 21]
    with pytest.raises(Lacking, match="no block of 4 lies at the depth of layers 9 to 10 of 12"):
        Run({"all": results.table(curve(*[0.9] * 4))}).layers(9, 10)
    with pytest.raises(Lacking, match="no block of 4"):
        Run({"all": results.table(curve(*[0.9] * 4))}).layer(10)


def test_a_block_is_idle_unless_it_surely_changes_its_input():
    between = dict(analysis="rsa_between_layers", model="Base", inputs="wikipedia")
    rows = curve(0.5, 0.975, 0.985, 0.995, **between)
    assert Run({"all": results.table(rows)}).idle_blocks() == [2, 3]
    assert Run({"all": results.table(curve(*[0.9] * 12))}).idle_blocks() == []  # not measured


def test_paired_differences_are_taken_where_the_tables_have_them():
    """Each lookup: from the row for the difference, else from its parts, as if these were independent."""
    here, last = 0.8, 0.4
    plain = [
        *curve(0.9, here, 0.6, last, seed=0),
        *curve(0.95, 0.7, 0.5, 0.3, model="Dep", seed=0),
        *curve(0.9, here + 0.05, 0.6, last, seed=1),
        *curve(-0.1, -0.2, -0.3, -0.6, analysis="structural_probe_delta", seed=0),
    ]
    structure = [row | dict(metric="uuas") for row in plain if row["analysis"] == "structural_probe_delta"]
    points = dict(model="QA", seed=0, ci_low=0, ci_high=1)
    plain = [row for row in plain if row["analysis"] == "rsa"] + structure
    for model, value in (("QA", -0.02), ("Lexical", -0.2)):
        row = dict(analysis="edge_probing_delta", metric="micro_f1", model=model, inputs="POS", value=value)
        plain.append(row | dict(ci_low=value - 0.01, ci_high=value + 0.01))
    frozen = dict(analysis="partial_freezing", metric="f1", inputs="one_rate") | points
    plain += [
        frozen | dict(layer=k, value=v, ci_low=v - 0.01, ci_high=v + 0.01) for k, v in ((-1, 0.7), (2, 0.6))
    ]
    expected = {
        "minus the last layer": (lambda run: run.rsa_minus_last("QA", 1), here - last),
        "bend": (lambda run: run.rsa_bend("QA", 1), (1 - here) / 2 - (here - last) / 2),
        "minus Dep": (lambda run: run.rsa_minus("QA", "Dep", 1), here - 0.7),
        "minus QA": (lambda run: run.rsa_minus("Dep", "QA", 1), 0.7 - here),
        "minus seed 1": (lambda run: run.rsa_seed_range("QA", 1, {0, 1}), 0.05),
        "structure": (lambda run: run.structure_last_minus("QA", "uuas", 2), -0.6 + 0.2),
        "edge": (lambda run: run.edge_minus_half("QA", "POS", "Lexical"), -0.02 + 0.1),
        "loss": (lambda run: run.loss("partial_freezing", "QA", 2), 0.1),
    }
    alone = Run({"all": results.table(plain)}).of_seed(0)
    sharp = dict(seed=0, layer=1, model="QA", metric="rsa_pearson", analysis="rsa_contrast")
    rows = {
        name: sharp | dict(inputs=name)
        for name in ("minus the last layer", "bend", "minus Dep", "minus seed 1")
    }
    rows["minus QA"] = sharp | dict(model="QA", inputs="minus Dep")  # the other way round
    rows["structure"] = sharp | dict(analysis="structural_probe_contrast", metric="uuas", layer=2)
    rows["edge"] = sharp | dict(
        analysis="edge_probing_contrast", metric="micro_f1_minus_half_lexical", inputs="POS", layer=None
    )
    rows["loss"] = frozen | dict(metric="loss", layer=2)
    for name, (look, value) in expected.items():
        assert look(alone).value == pytest.approx(value), name
        sign = -1 if name in ("minus QA", "minus seed 1") else 1  # seed 0 minus seed 1 is negative
        row = rows[name] | dict(value=sign * value, ci_low=sign * value - 0.001, ci_high=sign * value + 0.001)
        paired = look(Run({"all": results.table([*plain, row])}).of_seed(0))
        assert paired.value == pytest.approx(value) and paired.high - paired.low == pytest.approx(0.002), name
        independent = look(alone)
        assert independent.high - independent.low > 0.01, name


def test_numbers_over_all_seeds_are_looked_up_by_themselves():
    row = dict(analysis="rsa", metric="rsa_pearson", model="QA", inputs="wikipedia", layer=1, value=0.5)
    row |= dict(ci_low=0.4, ci_high=0.6)
    over = row | dict(analysis="rsa_over_seeds", value=0.6)
    base = dict(analysis="rsa", metric="rsa_pearson", model="Random", layer=1, value=0.1, seed=1000)
    score = dict(analysis="finetuning", metric="f1", model="QA", value=0.1, seed=1, inputs="untrained")
    rows = [row | dict(seed=0), row | dict(seed=1), over, base, score]
    run = Run({"all": results.table(rows)})
    assert run.pooled == {"rsa"} and run.analyses == {"rsa", "finetuning"} and run.seeds["rsa"] == {0, 1}
    everything = run.of_seed(ALL)
    assert everything.rsa("QA", 1).value == 0.6 and run.of_seed(0).rsa("QA", 1).value == 0.5
    assert everything.rsa("Random", 1).value == 0.1
    assert everything.trivial("QA")[0] == "untrained" and run.of_seed(0).trivial("QA")[0] == "nothing"


def test_domain_gaps_are_beyond_the_random_encoders_of_the_same_task():
    def gap(model, task, value, **columns):
        row = dict(analysis="out_of_domain_gap", metric="rsa_gap", inputs="format", layer=8, model=model)
        return row | dict(task=task, value=value, ci_low=value - 0.01, ci_high=value + 0.01) | columns

    own = gap("QA", "squad", -0.2, seed=0)
    others = [gap("Random", "mnli", 0.3), gap("Random", "squad", -0.05)]
    assert Run({"all": results.table([own])}).of_seed(0).domain_gap("QA", "format", 8).value == -0.2
    found = Run({"all": results.table([own, *others])}).of_seed(0).domain_gap("QA", "format", 8)
    assert found.value == pytest.approx(-0.15) and found.high - found.low > 0.02
    paired = own | dict(metric="rsa_gap_minus_random", value=-0.15, ci_low=-0.151, ci_high=-0.149)
    found = Run({"all": results.table([own, *others, paired])}).of_seed(0).domain_gap("QA", "format", 8)
    assert (found.low, found.high) == (-0.151, -0.149)
    run = Run({"all": results.table([own])}).of_seed(0)
    assert run.domain_control("QA") == "format" and run.domain_control("NLI") == "raw"


def test_the_best_of_all_baselines_is_what_a_model_has_to_beat(run):
    """From either table, whatever they are called, one of each seed included."""
    learnt = dict(analysis="finetuning", metric="f1", model="QA", inputs="in_domain")
    rows = [learnt | dict(value=0.5, ci_low=0.45, ci_high=0.55, seed=seed) for seed in (0, 1)]
    weak = dict(metric="f1", model="QA")
    rows.append(weak | dict(analysis="finetuning", inputs="untrained", value=0.1, seed=0))
    rows.append(weak | dict(analysis="finetuning", inputs="untrained", value=0.2, seed=1))
    rows.append(weak | dict(analysis="corpus_baselines", inputs="context_only", value=0.3))
    assert Run({"all": results.table(rows)}).unlearnt("QA", "finetuning", [0, 1]) == ""
    both = weak | dict(analysis="corpus_baselines", inputs="question_aware_window", value=0.46)
    reader = Run({"all": results.table([*rows, both])})
    assert reader.trivial("QA") == ("question_aware_window", exactly(0.46))
    assert reader.unlearnt("QA", "finetuning", [0, 1]) == (
        "QA has not learnt its task (f1 50.0 [45.0, 55.0], question aware window 46.0)"
    )
    lucky = weak | dict(analysis="finetuning", inputs="untrained", value=0.6, seed=1)
    with_luck = Run({"all": results.table([lucky, *rows])})
    assert "untrained 60.0" in with_luck.unlearnt("QA", "finetuning", [0, 1])
    assert with_luck.unlearnt("QA", "finetuning", [0]) == ""
    assert with_luck.unlearnt("NLI", "finetuning", [0]) == ""  # the run cannot say
