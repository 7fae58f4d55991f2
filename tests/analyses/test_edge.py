import math

import pandas as pd
import pytest

from helpers import profiles, results
from helpers.analyses import edge
from helpers.vocabulary import MODELS

SETTINGS = profiles.settings("smoke")


def row(analysis, model, value, seed, half=0.0, metric="micro_f1", inputs="POS"):
    bounds = dict(value=value, ci_low=value - half, ci_high=value + half)
    return dict(analysis=analysis, metric=metric, model=model, inputs=inputs, seed=seed, **bounds)


def test_spreads_keep_the_kinds_of_seeds_apart():
    rows = [
        row("edge_probing", "Base", 0.80, None),
        row("edge_probing", "Dep", 0.84, 3),
        row("edge_probing", "Dep", 0.90, 4),
        row("edge_probing", "Lexical", 0.10, None),
        row("edge_probing_delta", "Dep", 0.04, 3, half=0.01),
        row("edge_probing_delta", "Dep", 0.10, 4, half=0.02),
        row("edge_probing_delta", "Lexical", -0.7, None, half=0.2),
        row("edge_probing_delta", "Dep", 0.5, 5, half=0.3, metric="micro_f1_top"),
        row("edge_probing_probe_seeds", "Base", 0.81, 7),
        row("edge_probing_probe_seeds", "Dep", 0.87, 7),
    ]
    found = edge.spreads(results.table(rows)).loc["POS"]
    assert found["fine-tuning seeds"] == pytest.approx(6)
    assert found["probe seeds"] == pytest.approx((1 + 3) / 2)
    assert found["half an interval over sentences"] == pytest.approx(1.5)


def test_one_seed_has_no_spread():
    rows = [row("edge_probing", "Dep", 0.84, 0), row("edge_probing_delta", "Dep", 0.04, 0, half=0.01)]
    found = edge.spreads(results.table(rows)).loc["POS"]
    assert math.isnan(found["fine-tuning seeds"]) and math.isnan(found["probe seeds"])


@pytest.fixture(scope="module")
def frame(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINETUNING_BOOK_HOME", str(tmp_path_factory.mktemp("home")))
        yield edge.edge_probing(profiles.settings("smoke", probe_seeds=[0, 1], seeds=[0, 1]))


def test_every_model_is_probed_on_every_task_in_all_modes(frame):
    tasks = ["POS", "Constituents", "Dependencies", "Entities", "SRL", "SPR2"]
    own = frame[(frame["analysis"] == "edge_probing") & (frame["metric"] == "micro_f1")]
    assert list(dict.fromkeys(own["inputs"])) == tasks
    assert own.groupby("inputs")["model"].value_counts().unstack().loc["POS"].to_dict() == {
        "Base": 1, "Random": 1, "Lexical": 1, "Dep": 2, "NLI": 2, "QA": 2,
    }  # fmt: skip
    layers = frame[(frame["analysis"] == "edge_probing") & (frame["metric"] == "micro_f1_layer")]
    counted = layers[(layers["model"] == "Base") & (layers["inputs"] == "SRL")]["layer"].tolist()
    assert counted == list(range(-1, len(counted) - 1))
    assert frame["value"].notna().all()
    bounds = frame.dropna(subset=["ci_low"])
    assert (bounds["ci_low"] <= bounds["ci_high"]).all()


def test_changes_are_scores_minus_those_of_base(frame):
    keys = ["metric", "inputs", "layer"]
    scores = frame[(frame["analysis"] == "edge_probing") & (frame["metric"] != "centre_of_gravity")]
    base = scores[scores["model"] == "Base"]
    deltas = frame[(frame["analysis"] == "edge_probing_delta") & frame["model"].isin(MODELS)]
    joined = deltas.merge(scores, on=[*keys, "model", "seed"], suffixes=("", "_own"), how="left")
    joined = joined.merge(base[[*keys, "value"]], on=keys, suffixes=("", "_base"), how="left")
    assert len(joined) == len(deltas) > 0
    assert joined["value"].to_numpy() == pytest.approx(
        (joined["value_own"] - joined["value_base"]).to_numpy()
    )


def test_contrasts_are_changes_minus_half_of_a_baselines(frame):
    own = frame[frame["analysis"] == "edge_probing_contrast"]
    change = frame[(frame["analysis"] == "edge_probing_delta") & (frame["metric"] == "micro_f1")]
    lost = change.pivot_table(index="inputs", columns="model", values="value")
    assert set(own["metric"]) == {"micro_f1_minus_half_lexical", "micro_f1_minus_half_random"}
    assert set(own["model"]) == set(MODELS) and set(own["seed"]) == {0, 1}
    for row in own.itertuples():
        mine = change[(change["model"] == row.model) & (change["seed"] == row.seed)]
        baseline = row.metric.removeprefix("micro_f1_minus_half_").title()
        expected = mine.set_index("inputs")["value"][row.inputs] - lost[baseline][row.inputs] / 2
        assert row.value == pytest.approx(expected) and row.ci_low <= row.ci_high


def test_numbers_over_all_seeds_stand_under_names_of_their_own(frame):
    for name in ("edge_probing_delta", "edge_probing_contrast"):
        own = frame[(frame["analysis"] == name) & frame["model"].isin(MODELS)]
        over = frame[frame["analysis"] == f"{name}_over_seeds"]
        keys = ["metric", "model", "inputs", "layer"]
        mean = own.groupby(keys, dropna=False)["value"].mean()
        assert over["seed"].isna().all() and len(over) == len(mean)
        assert over.groupby(keys, dropna=False)["value"].mean().to_numpy() == pytest.approx(mean.to_numpy())


def test_probe_seeds_other_than_the_first_are_kept_apart(frame):
    others = frame[frame["analysis"] == "edge_probing_probe_seeds"]
    assert set(others["seed"]) == {1}
    assert {"Base", "Dep", "NLI", "QA"} <= set(others["model"])
    assert not edge.spreads(frame).isna().any(axis=None)


def test_the_table_is_saved_with_counts_of_targets(frame, tmp_path_factory):
    saved = results.saved("edge_probing", profiles.settings("smoke", probe_seeds=[0, 1], seeds=[0, 1]))
    assert saved is not None and len(saved) == len(frame)
    pd.testing.assert_series_equal(saved["metric"], frame["metric"], check_dtype=False)
