"""Tables side by side, and what is said of them: intervals decide."""

import pandas as pd
import pytest

from helpers import results, statistics
from helpers.analyses import probe_controls
from helpers.analyses.probe_controls import LAST, MIX


def rows(**columns):
    return results.table(
        [dict(zip(columns, one, strict=True)) for one in zip(*columns.values(), strict=True)]
    )


def test_a_longer_code_needs_an_interval_above_zero():
    codes = rows(
        analysis=["description_length_delta"] * 4,
        metric=["codelength"] * 4,
        model=["Dep", "NLI", "QA", "QA"],
        layer=[3, 3, 3, 2],
        value=[-0.5, 0.01, 0.25, 9.0],
        ci_low=[-0.6, -0.1, 0.2, 8.0],
        ci_high=[-0.4, 0.2, 0.3, 10.0],
    )
    assert probe_controls.changes_in_bits(codes) == {
        "Dep": "fewer bits than Base (−0.50 [−0.60, −0.40] per label)",
        "NLI": "about as many bits as Base (+0.01 [−0.10, +0.20] per label)",
        "QA": "more bits than Base (+0.25 [+0.20, +0.30] per label)",
    }


@pytest.fixture
def edge():
    """Two seeds of Dep and QA on two tasks: QA's last layer loses clearly on one of them."""
    made = []
    for model, lost in (("Dep", 0.0), ("QA", -0.2)):
        for task, share in (("POS", 1.0), ("SRL", 0.0)):
            for metric, value in (("micro_f1", 0.0), ("micro_f1_top", lost * share), ("micro_f1_layer", 0.5)):
                for seed in (0, 1):
                    v = value + 0.002 * seed
                    row = dict(analysis="edge_probing_delta", metric=metric, model=model, inputs=task)
                    made.append(row | dict(seed=seed, value=v, ci_low=v - 0.01, ci_high=v + 0.01))
    return results.table(made + [dict(made[0], model="Random"), dict(made[0], model="NLI", metric="micro_f1"),
                                 dict(made[0], model="NLI", metric="micro_f1_top")])  # fmt: skip


def test_mix_and_last_layer_are_pooled_over_seeds(edge):
    pooled = probe_controls.mix_and_last(edge)
    one = pooled[(pooled["model"] == "QA") & (pooled["label"] == "POS") & (pooled["kind"] == LAST)]
    expected = statistics.over_seeds_of_table([-0.2, -0.198], [-0.21, -0.208], [-0.19, -0.188])
    assert one[["value", "ci_low", "ci_high"]].to_numpy().tolist() == [pytest.approx(expected)]
    clear = probe_controls.clear_of_mix(pooled)
    assert clear.index.tolist() == ["Dep", "NLI", "QA"]
    assert clear.loc["QA", ["below", "above", "tasks"]].tolist() == [1, 0, 2]
    assert clear.loc["Dep", ["below", "above", "tasks"]].tolist() == [0, 0, 2]
    assert clear.loc["QA", LAST] == pytest.approx(-0.099) and clear.loc["QA", MIX] == pytest.approx(0.001)
    assert probe_controls.mix_texts(clear)["QA"] == "+0.1 points on the mix and −9.9 at the last layer"


def test_controls_stand_beside_the_tuned_models(edge):
    control = dict(metric="micro_f1", model="QA", inputs="POS", seed=0, value=-0.1, ci_low=-0.2, ci_high=0.0)
    controls = results.table([control | dict(analysis="control_shuffled_labels_delta"),
                              control | dict(analysis="control_shuffled_labels", value=0.9)])  # fmt: skip
    beside = probe_controls.beside_controls(edge, controls)
    assert beside.columns.tolist() == ["tuned", "on shuffled labels"]
    assert beside.loc[("POS", "QA")].tolist() == ["0.0 [−1.0, +1.0]", "−10.0 [−20.0, 0.0]"]
    assert pd.isna(beside.loc[("POS", "Dep"), "on shuffled labels"]) and "SRL" not in beside.index
    lower = controls.assign(ci_high=-0.01)
    assert probe_controls.under_controls(edge, lower)["on shuffled labels"] == (
        "1 of 1 scores clearly falls and none clearly rises"
    )


def test_similarity_under_controls_is_that_of_the_last_layer():
    one = dict(metric="rsa_pearson", model="QA", seed=0, ci_low=0.1, ci_high=0.3)
    rsa = results.table([one | dict(analysis="rsa", layer=layer, value=0.2) for layer in (0, 1)])
    shuffled = one | dict(analysis="control_shuffled_labels", layer=1, value=0.15)
    other = [dict(shuffled, layer=0), dict(shuffled, metric="uuas"), dict(shuffled, model="Random")]
    assert probe_controls.similar_under_controls(rsa, results.table([shuffled, *other])) == {
        "tuned": "QA 0.20 [0.10, 0.30]",
        "on shuffled labels": "QA 0.15 [0.10, 0.30]",
    }


def test_layers_are_counted_in_which_the_mean_is_better_or_worse():
    pairs = rows(
        inputs=["mean_minus_cls"] * 3 + ["cls"],
        model=["Base"] * 4,
        layer=[0, 1, 2, 0],
        value=[0.1, 0.0, -0.1, 0.9],
        ci_low=[0.05, -0.1, -0.2, 0.8],
        ci_high=[0.15, 0.1, -0.05, 1.0],
    )
    assert probe_controls.pooling(pairs) == {"Base": "better in 1 and worse in 1 of 3 layers"}


def test_a_model_that_has_not_learnt_its_task_is_not_judged():
    table = rows(
        metric=["lost_to_label", "las", "las_erased", "las_random", "lost_to_label", "f1"],
        model=["Dep"] * 4 + ["QA"] * 2,
        inputs=["POS"] * 6,
        value=[0.3, 0.8, 0.4, 0.7, 0.2, 0.5],
        ci_low=[0.2, 0.7, 0.3, 0.6, 0.1, 0.4],
        ci_high=[0.4, 0.9, 0.5, 0.8, 0.3, 0.6],
    )
    both = pd.concat([table[:4], table[:1].assign(inputs="Dependencies")])
    assert probe_controls.losses(both, {"Dep": ""}) == (
        "Dep loses more without parts of speech (30.0 [20.0, 40.0] points) and "
        "relations (30.0 [20.0, 40.0] points)"
    )
    less = table.assign(value=-table["value"], ci_low=-table["ci_high"], ci_high=-table["ci_low"])
    assert probe_controls.losses(less.query("model == 'Dep'"), {"Dep": ""}) == (
        "Dep loses less without parts of speech (−30.0 [−40.0, −20.0] points)"
    )
    said = probe_controls.losses(table, {"Dep": "", "QA": "QA has not learnt its task (f1 3)"})
    assert said == (
        "Dep loses more without parts of speech (30.0 [20.0, 40.0] points); "
        "QA has not learnt its task (f1 3), so we can conclude nothing about what it uses"
    )
    drawn = probe_controls.erased_scores(table)
    assert drawn[["label", "kind", "value"]].to_numpy().tolist() == [
        ["Dep, POS", "states as they are", 0.8],
        ["QA, POS", "states as they are", 0.5],
        ["Dep, POS", "without the label", 0.4],
        ["Dep, POS", "without random directions", 0.7],
    ]


def test_models_of_the_same_text_are_named_together_without_numbers():
    texts = {
        "Dep": "more bits (+0.20 [0.10, 0.30] per label)",
        "NLI": "as many (0.01)",
        "QA": "as many (0.02)",
    }
    assert probe_controls.together(texts) == "Dep needs more bits; NLI and QA need as many"
