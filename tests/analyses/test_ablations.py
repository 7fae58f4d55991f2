"""Sweeps over layers: their tables, their resumption, and points that fail."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from helpers import profiles, progress, provenance, results
from helpers.analyses import ablations as sweeps
from helpers.corpora.records import Pair
from helpers.finetuning import training
from helpers.profiles import Task, TuningRecipe
from helpers.statistics import Estimate

PAIRS = [Pair(f"p{i}", f"word {i} is here", f"it is {i}", ("yes", "no")[i % 2]) for i in range(40)]


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(tmp_path))
    monkeypatch.setattr(sweeps, "read_records", lambda settings, corpus, split, limit: PAIRS[:limit])
    chosen = profiles.settings("smoke", head_rates=[1e-3, 1e-2], sweep_layers=[1, 3], sweep_seeds=[0, 1])
    task = Task("NLI", "uds-nli", TuningRecipe(epochs=1, batch_size=8), 30, 20)
    return dataclasses.replace(chosen, tasks=(task,))


@pytest.fixture
def fake(monkeypatch):
    """Fine-tuning replaced: a right answer with a chance by layer and rate; lists what was asked for."""
    asked = []

    def predictions(task, encoder, train, evaluation, *, seed, cache, frozen=-1, prefix=None):
        asked.append((seed, frozen, task.recipe.head_learning_rate))
        if frozen == 3 and seed == 1 and task.recipe.head_learning_rate == 1e-2:
            raise FloatingPointError("loss is nan at step 3")
        chance = {-1: 1.0, 1: 0.97, 3: 0.5}[frozen] * (1 if task.recipe.head_learning_rate == 1e-3 else 0.8)
        right = [i < chance * len(evaluation) for i in range(len(evaluation))]
        # The held-out records come first and would all be right: spread the wrong answers evenly.
        right = np.random.default_rng(0).permutation(right)
        return [dict(id=p.id, correct=int(r), total=1) for p, r in zip(evaluation, right, strict=True)]

    monkeypatch.setattr(training, "predictions", predictions)
    return asked


def test_partial_freezing(settings, fake, monkeypatch):
    said = []
    monkeypatch.setattr(progress, "say", said.append)
    frame = sweeps.partial_freezing(settings)
    rates = (None, 1e-3, 1e-2)  # the recipe's own first, as other sweeps have it
    expected = [(seed, layer, rate) for seed in (0, 1) for layer in (-1, 1, 3) for rate in rates]
    assert fake == expected
    each = frame[frame["analysis"] == "partial_freezing"]
    scores = each[each["metric"] == "accuracy"].set_index(["seed", "inputs", "layer"])["value"]
    assert scores[0, "one_rate", -1] == pytest.approx(0.8, abs=0.1)
    assert scores[0, "tuned_head", -1] == 1.0
    chosen = frame[frame["metric"] == "head_rate"].set_index(["seed", "layer"])["value"]
    assert chosen[0, -1] == 1e-3
    knee = frame[frame["metric"] == "knee"].set_index(["seed", "inputs"])["value"]
    assert knee[0, "tuned_head"] == 3
    # Losses are of the same records: without freezing nothing is wrong, so the interval is the score's.
    keys = ["seed", "inputs", "layer"]
    losses = each[each["metric"] == "loss"].set_index(keys)
    score = each[each["metric"] == "accuracy"].set_index(keys).loc[0, "tuned_head", 3]
    lost = losses.loc[0, "tuned_head", 3]
    ends = pytest.approx([1 - score["value"], 1 - score["ci_high"], 1 - score["ci_low"]])
    assert [lost["value"], lost["ci_low"], lost["ci_high"]] == ends
    assert (0, "one_rate", 1) in losses.index and (1, "tuned_head", 3) not in losses.index
    assert losses.index.get_level_values("layer").min() == 1
    # Over the seeds: the same rows under a name of their own, of what both have.
    over = frame[frame["analysis"] == "partial_freezing_over_seeds"]
    assert set(over["metric"]) == {"accuracy", "loss"} and over["seed"].isna().all()
    mean = sweeps.over_seeds(frame)
    assert set(mean["analysis"]) == {"partial_freezing"}
    assert len(mean) == 6 and mean["seed"].isna().sum() == len(over[over["metric"] == "accuracy"]) == 5
    at = results.select(mean, inputs="one_rate", layer=1)
    kept = results.select(over, metric="accuracy", inputs="one_rate", layer=1)
    assert at["ci_low"].item() == kept["ci_low"].item()
    above = sweeps.from_above(over, over[:0])
    assert set(above["inputs"]) == {"partial_freezing"}
    # The failed point is told of, and costs its layer's choice of rate only.
    assert any("loss is nan at step 3); going on" in line for line in said)
    assert said[-1].startswith("1 points of partial_freezing failed, the table lacks them: NLI, seed 1, ")
    assert (1, "one_rate", 3) in scores.index and (1, "tuned_head", 3) not in scores.index
    (entry,) = provenance.read(results.store.home() / "results" / provenance.run_name(settings)).values()
    assert list(entry["failed"]) == ["NLI, seed 1, frozen through 3, head's rate 0.01"]
    assert entry["records"] == {"NLI": [27, 3, 20]}


def test_nothing_to_show(settings, monkeypatch):
    def broken(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(training, "predictions", broken)
    with pytest.raises(sweeps.SweepFailed, match="NLI, seed 0, head on layer 3: OSError: disk full"):
        sweeps.truncation(settings)


def test_an_unknown_layer(settings):
    with pytest.raises(ValueError, match="sweep_layers: tiny has no layer 9; valid: 0 to 3"):
        sweeps.truncation(dataclasses.replace(settings, sweep_layers=(1, 9)))


def test_killed_anywhere_a_sweep_resumes_with_the_same_numbers(settings, monkeypatch, tmp_path):
    settings = dataclasses.replace(settings, sweep_seeds=(0,), head_rates=(1e-3,))
    whole = [
        sweep(settings) for sweep in (sweeps.partial_freezing, sweeps.truncation, sweeps.reinitialisation)
    ]
    trained = []
    train = training._train

    def counted(folder, *args):
        trained.append(folder)
        if len(trained) == 3:
            raise KeyboardInterrupt
        return train(folder, *args)

    monkeypatch.setattr(training, "_train", counted)
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(tmp_path / "other"))
    with pytest.raises(KeyboardInterrupt):
        sweeps.partial_freezing(settings)
    again = [
        sweep(settings) for sweep in (sweeps.partial_freezing, sweeps.truncation, sweeps.reinitialisation)
    ]
    for a, b in zip(whole, again, strict=True):
        assert a.equals(b)
    # 3 freezings x 2 rates, one of them killed and done again, with the whole model at its own rate that the
    # other sweeps have too; 1 truncation and 1 re-initialisation below it.
    assert len(trained) == 6 + 1 + 1 + 1
    truncated, drawn = again[1], again[2]
    score = [f[f["metric"] == "accuracy"].set_index("layer")["value"] for f in (truncated, drawn)]
    assert list(score[0].index) == [3, 1] and list(score[1].index) == [4, 2]
    assert score[0][3] == score[1][4]


def _estimate(value, samples):
    return Estimate(value, *np.quantile(samples, [0.025, 0.975]), np.array(samples), (0, 2, len(samples)))


def test_knee():
    whole = _estimate(0.9, [0.9, 0.9, 0.9, 0.9])
    curve = {3: _estimate(0.88, [0.88, 0.84, 0.88, 0.88]), 5: _estimate(0.8, [0.8, 0.8, 0.8, 0.88])}
    found = sweeps._knee(whole, curve, none=12)
    assert found["value"] == 5
    samples = [5, 3, 5, 12]
    assert (found["ci_low"], found["ci_high"]) == pytest.approx(tuple(np.quantile(samples, [0.025, 0.975])))


def test_the_mean_over_seeds_has_students_interval():
    point = dict(analysis="truncation", metric="las", model="Dep", task="ud-ewt", layer=3)
    rows = [
        point | dict(seed=seed, value=value, ci_low=value, ci_high=value)
        for seed, value in enumerate((0.5, 0.6, 0.55))
    ]
    alone = point | dict(layer=4, seed=0, value=0.7, ci_low=0.65, ci_high=0.72)
    knee = point | dict(metric="knee", layer=None, seed=0, value=3)  # is no score
    several, one = sweeps.over_seeds(results.table([*rows, alone, knee])).to_dict("records")
    expected = stats.ttest_1samp([0.5, 0.6, 0.55], 0).confidence_interval(0.95)
    assert several["value"] == pytest.approx(0.55)
    assert (several["ci_low"], several["ci_high"]) == pytest.approx((expected.low, expected.high))
    assert (one["value"], one["ci_low"], one["ci_high"], one["seed"]) == (0.7, 0.65, 0.72, 0)


def test_cut_and_drawn_anew_lie_on_one_axis():
    def points(analysis, *layers):
        rows = [
            dict(analysis=analysis, metric="las", model="Dep", layer=k, seed=0, value=0.5) for k in layers
        ]
        return results.table(rows)

    # Without block 3: cut after 2, or the blocks from 3 on drawn anew. The whole encoder: 3 and 4.
    frame = sweeps.from_above(points("truncation", 3, 2), points("reinitialisation", 4, 3))
    assert list(frame["layer"]) == [3, 2, 3, 2]
    assert list(frame["inputs"]) == ["truncation"] * 2 + ["reinitialisation"] * 2


def test_knees_are_told_with_their_intervals_and_none_where_there_is_none():
    def table(analysis, inputs, *knees):
        point = dict(analysis=analysis, model="Dep", inputs=inputs)
        rows = [point | dict(metric="las", layer=k, seed=0, value=0.5) for k in range(-1, 12)]
        for seed, (value, low, high) in enumerate(knees):
            rows.append(point | dict(metric="knee", seed=seed, value=value, ci_low=low, ci_high=high))
        return results.table(rows)

    frozen = table("partial_freezing", "one_rate", (9, 8.2, 12), (12, 12, 12))
    cut = table("truncation", "", (6, 6, 6), (-1, -1, 4))
    found = sweeps.knees(frozen, cut)
    assert found.loc[("Dep", 0), ("partial_freezing", "one_rate")] == "9 [8, none]"
    assert found.loc[("Dep", 1), ("partial_freezing", "one_rate")] == "none"
    assert found.loc[("Dep", 0), ("truncation", "")] == "6"
    assert found.loc[("Dep", 1), ("truncation", "")] == "none [none, 4]"
