"""Analyses: sampling, headline intervals, and comparisons whose outcome is known beforehand."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from helpers import analyses, encoders, profiles, results, similarity, statistics
from helpers.analyses import rsa
from helpers.corpora.records import Pair, Passage, Sentence
from helpers.store import Store

SETTINGS = profiles.settings("smoke")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(tmp_path))
    return tmp_path


def passages() -> list[Passage]:
    rng = np.random.default_rng(0)
    words = "cat dog sun sea house tree bird road stone river".split()
    return [Passage(str(i), " ".join(rng.choice(words, 12))) for i in range(40)]


def test_sampled_rows_are_distinct_uniform_and_the_seeds():
    counts = np.array([5, 0, 20, 15])
    rows = analyses.sample_rows(counts, 10, seed=3)
    assert len(set(rows)) == 10 and (np.diff(rows) > 0).all() and rows.max() < 40
    np.testing.assert_array_equal(rows, analyses.sample_rows(counts, 10, seed=3))
    drawn = np.concatenate([analyses.sample_rows(counts, 10, seed=s) for s in range(2000)])
    share = np.bincount(drawn, minlength=40) / 2000
    assert np.abs(share - 0.25).max() < 0.05
    with pytest.raises(ValueError, match="41 tokens asked for, the 4 sentences have 40"):
        analyses.sample_rows(counts, 41, seed=0)


def test_headline_of_trees_counts_words_and_resamples_sentences():
    sentences = [Sentence(str(i), ("w",) * n) for i, n in enumerate((4, 6, 10))]
    rows = [dict(correct=c, total=n) for c, n in ((4, 4), (3, 6), (5, 10))]
    score = analyses.headline(sentences, rows, SETTINGS)
    assert score.value == pytest.approx(12 / 20)
    # Any resample is a ratio of whole sentences' counts, so it lies between the worst and the best.
    assert 0.5 <= score.ci_low < score.ci_high <= 1.0


def test_headline_resamples_pairs_of_one_premise_together():
    pairs = [Pair(str(i), f"premise {i // 4}", str(i), "x") for i in range(40)]
    rows = [dict(correct=int(i // 4 % 2), total=1) for i in range(40)]  # all right or all wrong together
    found = analyses.headline(pairs, rows, profiles.settings("smoke", n_bootstrap=500))
    each = statistics.ratio([r["correct"] for r in rows], 1, n_resamples=500, seed=0)
    assert found.value == 0.5
    assert found.ci_high - found.ci_low > 1.5 * (each.ci_high - each.ci_low)


def test_an_encoder_is_like_itself_and_unlike_a_random_one(home):
    records = passages()
    tiny = encoders.load("tiny", device="cpu")
    other = encoders.load("tiny", random_init=7, device="cpu")
    mine, theirs = (encoders.extract(e, records, Store()) for e in (tiny, other))
    same = analyses.compare_layers(mine, mine, 20)
    assert len(same) == 5 * 3 and set(same["metric"]) == set(analyses.MEASURES)
    np.testing.assert_allclose(same[["value", "ci_low", "ci_high"]], 1, atol=1e-9)
    unlike = analyses.compare_layers(mine, theirs, 20)
    raw = unlike[unlike["metric"] == "rsa_pearson"]
    assert (raw["value"] < 0.98).all()


def test_another_measure_is_one_entry(home, monkeypatch):
    records = passages()
    tiny = encoders.load("tiny", device="cpu")
    mine = encoders.extract(tiny, records, Store())
    theirs = encoders.extract(encoders.load("tiny", random_init=7, device="cpu"), records, Store())
    before = analyses.compare_layers(mine, theirs, 20)
    monkeypatch.setitem(analyses.MEASURES, "cka", rsa.plain_measure(similarity.cka))
    compared = analyses.compare_layers(mine, theirs, 20)
    assert compared["metric"].tolist()[:4] == list(analyses.MEASURES) and len(compared) == 5 * 4
    own = compared[compared["metric"] == "cka"]
    expected = [similarity.cka(mine.layer(k), theirs.layer(k)) for k in range(-1, 4)]
    np.testing.assert_allclose(own["value"], expected)
    assert own["ci_low"].isna().all()  # it has no interval
    others = compared[compared["metric"] != "cka"].reset_index(drop=True)
    assert others.equals(before)


def test_estimates_of_layers_are_those_of_the_comparison_and_paired(home):
    records = passages()
    tiny, other = encoders.load("tiny", device="cpu"), encoders.load("tiny", random_init=7, device="cpu")
    mine, theirs = (encoders.extract(e, records, Store()) for e in (tiny, other))
    estimates = rsa.layer_estimates(theirs, mine, 20)
    compared = analyses.compare_layers(theirs, mine, 20, ["rsa_pearson"]).set_index("layer")
    for layer, one in estimates.items():
        assert one.numbers() == compared.loc[layer, ["value", "ci_low", "ci_high"]].to_dict()
        assert statistics.interval(one.samples) == pytest.approx((one.ci_low, one.ci_high))
    assert estimates[0].draws == (0, 40, 20)


def test_contrasts_of_curves_are_paired():
    rng = np.random.default_rng(0)
    curves = {}  # of three layers and the embeddings, over two seeds
    for model in ("Dep", "NLI"):
        for seed in (0, 1):
            samples = 0.9 - 0.1 * np.arange(4)[:, None] + 0.02 * rng.normal(size=(4, 400))
            own = [statistics.Estimate(s.mean(), 0, 1, s, (0, 9, 400)) for s in samples]
            curves.setdefault(model, {})[seed] = dict(zip((-1, 0, 1, 2), own, strict=True))
    named = list(rsa.contrasts(curves))
    rows = {(r["model"], r["seed"], r["layer"], r["inputs"]): e.numbers() for r, e in named}

    def expect(key, samples):
        assert rows[key]["value"] == pytest.approx(samples.mean())
        ends = rows[key]["ci_low"], rows[key]["ci_high"]
        assert ends == pytest.approx(tuple(np.quantile(samples, [0.025, 0.975])))

    def at(model, seed, layer):
        return curves[model][seed][layer].samples

    expect(("Dep", 1, 0, "minus the last layer"), at("Dep", 1, 0) - at("Dep", 1, 2))
    expect(("Dep", 0, 1, "minus NLI"), at("Dep", 0, 1) - at("NLI", 0, 1))
    expect(("NLI", 0, -1, "minus seed 1"), at("NLI", 0, -1) - at("NLI", 1, -1))
    # From the embeddings to layer 1 there are two layers, from there to the last one.
    expect(("NLI", 1, 1, "bend"), (1 - at("NLI", 1, 1)) / 2 - (at("NLI", 1, 1) - at("NLI", 1, 2)))
    names = {inputs for *_, inputs in rows}
    assert names == {"minus the last layer", "bend", "minus NLI", "minus seed 1"}
    assert len(rows) == 4 * 3 + 4 * 2 + 2 * 4 + 2 * 4


def test_comparisons_are_kept_and_not_repeated(home, monkeypatch):
    tiny = encoders.load("tiny", device="cpu")
    states = encoders.extract(
        tiny, [Passage("a", "the cat sat on the mat ."), Passage("b", "a dog ran .")], Store()
    )
    first = analyses.compare_layers(states, states, 10)
    monkeypatch.setattr(statistics, "rsa_bootstrap", None)
    again = analyses.compare_layers(states, states, 10)
    assert first.equals(again)


def test_a_block_that_adds_nothing_leaves_the_layer_as_it_was(home, monkeypatch):
    records = passages()
    tiny = encoders.load("tiny", random_init=3, device="cpu")
    layers = tiny.model.encoder.layer
    for number, block in enumerate(layers):
        for part in (block.attention.output.dense, block.output.dense):  # what it adds to its input
            part.weight.data *= 0 if number == 2 else 50
    monkeypatch.setattr(encoders, "load", lambda name: tiny)
    monkeypatch.setattr(rsa, "read_records", lambda *_: records)
    settings = profiles.settings("smoke", n_tokens=300)
    found = analyses.rsa_between_layers(settings)
    assert list(found["layer"]) == [0, 1, 2, 3] and set(found["model"]) == {"Base"}
    assert (results.folder(settings) / "rsa_between_layers.csv").exists()
    value = found.set_index("layer")["value"]
    assert value[2] > 0.999 and value.drop(2).max() < 0.99
    states = encoders.extract(
        tiny, records, Store(), rows=analyses.sample_rows(encoders.row_counts(tiny, records), 300, 0)
    )
    assert value[1] == pytest.approx(similarity.rsa(states.layer(1), states.layer(0)), abs=1e-6)


def test_all_tasks_are_tuned_at_each_rate_and_their_heads_in_proportion(home, monkeypatch):
    records = passages()
    tuned_at = []

    def fine_tuned(settings, model, seed):
        recipe = settings.task(model).recipe
        tuned_at.append((model, seed, recipe.learning_rate, recipe.head_learning_rate))
        return SimpleNamespace(encoder="tiny", predictions=lambda: [])

    estimate = statistics.Estimate(0.5, 0.4, 0.6, np.array([0.5]), (0, 1, 1))
    monkeypatch.setattr(rsa, "read_records", lambda *_: records)
    monkeypatch.setattr(rsa, "task_records", lambda *_: records[:7])
    monkeypatch.setattr(rsa, "fine_tuned", fine_tuned)
    monkeypatch.setattr(rsa, "headline", lambda *_: estimate)
    settings = profiles.settings("smoke", tuning_rates=[1e-5, 1e-3], seeds=[4])
    nli = settings.task("NLI")
    recipe = dataclasses.replace(nli.recipe, learning_rate=1e-4, head_learning_rate=2e-3)
    settings = dataclasses.replace(
        settings, tasks=(settings.task("Dep"), dataclasses.replace(nli, recipe=recipe))
    )
    frame = analyses.rsa_by_rate(settings)
    assert tuned_at == [
        ("Dep", 4, 1e-5, None), ("NLI", 4, 1e-5, pytest.approx(2e-4)),
        ("Dep", 4, 1e-3, None), ("NLI", 4, 1e-3, pytest.approx(2e-2)),
    ]  # fmt: skip
    scores = frame[frame["metric"] == "accuracy"]
    assert list(scores["inputs"]) == ["rate 1e-05", "rate 0.001"] and set(scores["value"]) == {0.5}
    curves = frame[(frame["metric"] == "rsa_pearson") & (frame["model"] == "NLI")]
    assert list(curves["layer"]) == [-1, 0, 1, 2, 3] * 2
    np.testing.assert_allclose(curves["value"], 1, atol=1e-9)  # the same encoder
    assert analyses.rsa_by_rate(dataclasses.replace(settings, tuning_rates=())).empty
