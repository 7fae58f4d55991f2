"""Measures side by side: decompositions against each measure on its own, intervals, what the table says."""

import dataclasses
import warnings

import matplotlib
import numpy as np
import pandas as pd
import pytest
import scipy.stats

matplotlib.use("agg")
import matplotlib.pyplot as plt

import helpers.analyses.similarity_measures as sides
from helpers import analyses, encoders, plotting, profiles, results, similarity
from helpers.analyses import rsa
from helpers.analyses.similarity_measures import Layer, compare, dealt, jackknife, nearer, orders
from helpers.corpora.records import Passage
from helpers.store import Store


def related(n, d, seed=0):
    """Two representations of n tokens, four from each sentence, and the tokens' sentences."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d)) * np.linspace(3, 0.1, d) + rng.standard_normal(d)
    noise = rng.gamma(1, 1, n // 4).repeat(4)[:, None] * rng.standard_normal((n, d))
    return x, x + noise * np.linspace(1.5, 0.1, d), np.arange(n // 4).repeat(4)


def one_by_one(x, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few tokens
        return {metric: measure(x, y) for metric, measure in sides.MEASURES.items()}


# -- two layers ------------------------------------------------------------------------------------


def test_a_map_has_few_layers_evenly_spaced_with_both_ends():
    assert rsa.spaced(range(-1, 12), sides.MAPPED) == [-1, 1, 3, 5, 7, 9, 11]
    assert rsa.spaced(range(-1, 6), sides.MAPPED) == list(range(-1, 6))
    assert rsa.spaced([-1], sides.MAPPED) == [-1]


@pytest.mark.parametrize("reduced", [False, True], ids=["full rank", "a direction without variance"])
def test_decomposed_layers_score_what_each_measure_scores_on_its_own(reduced):
    x, y, sentence = related(160, 12)
    if reduced:
        x[:, 3] = x[:, 5] - 2 * x[:, 7]
    left, right = Layer.of(x, "x"), Layer.of(y, "y")
    assert compare(left, right) == pytest.approx(one_by_one(x, y), abs=1e-9)
    assert compare(right, left) == pytest.approx(one_by_one(y, x), abs=1e-9)
    kept = sentence > 8
    assert compare(left.without(~kept), right.without(~kept)) == pytest.approx(
        one_by_one(x[kept], y[kept]), abs=1e-9
    )
    order = np.random.default_rng(0).permutation(160)
    assert compare(left.reordered(order), right) == pytest.approx(one_by_one(x[order], y), abs=1e-9)


def test_a_layer_is_like_itself_and_its_cosine_alone_notices_a_rotation():
    x, _, _ = related(160, 12)
    turned = x @ scipy.stats.ortho_group.rvs(12, random_state=0)
    same, rotated = (
        compare(Layer.of(x, "x"), Layer.of(x, "x")),
        compare(*(Layer.of(z, "z") for z in (x, turned))),
    )
    assert same == pytest.approx(dict.fromkeys(sides.MEASURES, 1))
    assert rotated.pop("cosine") < 0.5
    assert rotated == pytest.approx(dict.fromkeys(rotated, 1))


def test_cosine_is_sklearns_diagonal_and_needs_equal_widths():
    from sklearn.metrics.pairwise import cosine_similarity

    x, y, _ = related(40, 6)
    assert similarity.cosine(x, y) == pytest.approx(np.diag(cosine_similarity(x, y)).mean())
    assert similarity.cosine(x * np.arange(1, 41)[:, None], y) == pytest.approx(similarity.cosine(x, y))
    assert similarity.cosine([[1, 0], [0, 2]], [[3, 0], [1, 0]]) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="same width, got 6 and 5"):
        similarity.cosine(x, y[:, :5])
    with pytest.raises(ValueError, match="y: row 3 is all zeros"):
        similarity.cosine(x, np.where(np.arange(40)[:, None] == 3, 0, y))


# -- intervals -------------------------------------------------------------------------------------


def test_sentences_are_dealt_whole_and_evenly():
    record = np.random.default_rng(0).integers(1000, 1060, 400)
    groups = dealt(record)
    by_record = pd.DataFrame(dict(record=record, group=groups)).groupby("record")["group"]
    assert (by_record.nunique() == 1).all()
    sizes = by_record.first().value_counts()
    assert len(sizes) == sides.GROUPS and sizes.max() - sizes.min() <= 1
    assert set(dealt(np.array([7, 7, 9, 8]))) == {0, 1, 2}  # no more groups than sentences


def test_jackknife_of_a_mean_is_students_interval_of_it():
    values = np.random.default_rng(1).normal(0.4, 0.05, sides.GROUPS)  # of equally large groups
    n = len(values)
    found = jackknife(values.mean(), (values.sum() - values) / (n - 1), 20_000)
    low, high = scipy.stats.t.interval(0.95, n - 1, values.mean(), scipy.stats.sem(values))
    assert found.value == values.mean()
    half = (high - low) / 2
    assert (found.ci_high - found.ci_low) / 2 == pytest.approx(half, rel=0.05)
    assert abs(found.ci_high + found.ci_low - high - low) < 0.4 * half  # as skew as the values
    assert found.samples.std() * 1.96 == pytest.approx(half, rel=0.02)


def test_without_a_group_is_computed_anew(home):
    """Intervals against measures computed on their own from the states that are left."""
    read = states(40)
    base, other = (
        read(encoders.load("tiny", device="cpu")),
        read(encoders.load("tiny", random_init=7, device="cpu")),
    )
    found = sides.curves({"Dep": other, "NLI": base}, base, 50)
    groups = dealt(base.record)
    layer, metric = 2, "pwcca"
    x, y = (np.asarray(own.layer(layer), np.float64) for own in (other, base))
    without = np.array([one_by_one(x[groups != g], y[groups != g])[metric] for g in range(sides.GROUPS)])
    expected = jackknife(one_by_one(x, y)[metric], without, 50)
    np.testing.assert_allclose(found["Dep"][metric, layer].samples, expected.samples, atol=1e-6)
    assert expected.samples.std() > 1e-3
    for estimate in found["NLI"].values():  # Base itself
        assert estimate.value == pytest.approx(1) and estimate.ci_low == pytest.approx(1)
    assert {metric for metric, _ in found["Dep"]} == set(sides.MEASURES)


# -- the analysis ----------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(tmp_path))
    return tmp_path


def states(n_records):
    """Reader of states of short texts."""
    rng = np.random.default_rng(0)
    words = "cat dog sun sea house tree bird road stone river".split()
    records = [Passage(str(i), " ".join(rng.choice(words, 6))) for i in range(n_records)]
    return lambda encoder: encoders.extract(encoder, records, Store())


@pytest.fixture
def planted(home, monkeypatch):
    """Settings under which Dep is Base itself and NLI another encoder, on short texts."""
    seeds = {"Dep": None, "NLI": 7}
    loaded = {name: encoders.load("tiny", random_init=seed, device="cpu") for name, seed in seeds.items()}
    loaded |= {"tiny": loaded["Dep"], "Random": encoders.load("tiny", random_init=9, device="cpu")}

    def load(name, random_init=None):
        return loaded["Random" if random_init else name]

    monkeypatch.setattr(encoders, "load", load)
    monkeypatch.setattr(rsa, "reader", lambda settings: states(40))
    monkeypatch.setattr(sides, "fine_tuned", lambda settings, model, seed: dataclasses.make_dataclass(
        "Tuned", ["encoder"])(model))  # fmt: skip
    settings = profiles.settings("smoke", n_tokens=300, seeds=[4, 5])
    return dataclasses.replace(settings, tasks=settings.tasks[:2])


def test_the_table_has_curves_maps_and_floors(planted, home, monkeypatch):
    frame = analyses.compare_measures(planted)
    layers, metrics = list(range(-1, 4)), list(sides.MEASURES)
    assert set(frame["metric"]) == set(metrics)
    assert not frame.duplicated(["analysis", "metric", "model", "inputs", "layer"]).any()
    curves = results.select(frame, analysis="similarity_measures")
    for model in ("Dep", "NLI", "Random"):
        for metric in metrics:
            assert results.select(curves, model=model, metric=metric)["layer"].tolist() == layers
    assert set(results.select(curves, model="Dep")["seed"]) == {4}
    tuned = results.select(curves, model=("Dep", "NLI"))
    assert (tuned["ci_low"] <= tuned["ci_high"]).all()
    np.testing.assert_allclose(results.select(curves, model="Dep")["value"], 1)
    maps = results.select(frame, analysis="similarity_map")
    assert len(maps) == 3 * len(metrics) * len(layers) ** 2
    # A map's diagonal is the curve; Base's own map is symmetric, but for PWCCA.
    for metric in metrics:
        mine = results.select(maps, model="NLI", metric=metric)
        diagonal = mine[mine["inputs"] == "base layer " + mine["layer"].astype(str)].set_index("layer")[
            "value"
        ]
        curve = results.select(tuned, model="NLI", metric=metric).set_index("layer")["value"]
        np.testing.assert_allclose(diagonal.astype(float), curve[diagonal.index].astype(float), atol=1e-7)
        grid = results.select(maps, model="Base", metric=metric).pivot(
            index="layer", columns="inputs", values="value"
        )
        grid = grid[[f"base layer {layer}" for layer in layers]].to_numpy(float)
        assert np.allclose(grid, grid.T) == (metric != "pwcca")
    # Floors: unrelated tokens score about 0 where a measure corrects for their number, and more elsewhere.
    chance = results.select(frame, analysis="similarity_by_chance", layer=3).set_index("metric")["value"]
    assert abs(chance["cka"]) < 0.1 and abs(chance["rsa_pearson"]) < 0.1
    assert chance["svcca"] > 0.15 and chance["procrustes"] > 0.15
    # NLI is further from Base than Dep, by every measure.
    contrast = results.select(frame, analysis="similarity_contrast")
    assert set(contrast["inputs"]) == {"minus NLI"} and (contrast["ci_low"] > 0).all()
    assert (nearer(contrast) == "Dep").to_numpy().all()
    assert orders(frame, 3) == dict.fromkeys(sides.NAMES.values(), "Dep > NLI")
    assert set(sides.seconds(planted)) == set(sides.NAMES.values())
    # All of it is in the store.
    monkeypatch.setattr(sides, "_without_rsa", None)
    monkeypatch.setattr(sides, "compare", lambda *_: {})  # of the floors, which are not kept
    again = analyses.compare_measures(planted)
    floors = (again["analysis"] == "similarity_by_chance") | (again["model"] == "Random")
    assert not floors.any() and len(again) == len(frame) - 2 * len(metrics) * len(layers)


def test_too_few_tokens_for_canonical_correlations_are_refused(home):
    base = states(4)(encoders.load("tiny", device="cpu"))
    with pytest.raises(
        ValueError, match=r"\d+ tokens, \d+ without .* of 4 groups, for 32 dimen.*raise n_tokens"
    ):
        sides.curves({"Dep": base}, base, 20)


# -- what the table says ---------------------------------------------------------------------------


def test_orders_and_who_is_nearer():
    models = {"Dep": 0.5, "NLI": 0.9, "QA": 0.7}
    rows = [
        dict(analysis="similarity_measures", metric=metric, model=model, layer=2, value=value)
        for metric in sides.MEASURES
        for model, value in (models | {"Random": 0.95}).items()
    ]
    gaps = {("Dep", "NLI"): (-0.5, -0.3), ("Dep", "QA"): (-0.4, 0.1), ("NLI", "QA"): (0.1, 0.3)}
    rows += [
        dict(analysis="similarity_contrast", metric=metric, model=model, inputs=f"minus {other}", layer=2,
             value=models[model] - models[other], ci_low=low, ci_high=high)
        for metric in sides.MEASURES
        for (model, other), (low, high) in gaps.items()
    ]  # fmt: skip
    frame = results.table(rows)
    assert orders(frame, 2) == dict.fromkeys(sides.NAMES.values(), "NLI > QA ≈ Dep")
    assert sides.answer(frame).startswith("no two measures clearly disagree in any of 3 comparisons")
    assert "NLI > QA ≈ Dep (RSA, CKA, Procrustes, SVCCA, PWCCA, cosine)." in sides.answer(frame)
    table = nearer(frame[frame["analysis"] == "similarity_contrast"])
    assert list(table.columns) == list(sides.NAMES.values())
    assert table["CKA"].to_dict() == {
        (2, "Dep", "NLI"): "NLI",
        (2, "Dep", "QA"): np.nan,
        (2, "NLI", "QA"): "NLI",
    }
    assert sides.opposed(table).empty
    assert sides.with_rsa(table) == dict.fromkeys(list(sides.NAMES.values())[1:], "2 of 2")


def test_opposite_answers_are_found_and_counted():
    pairs = pd.MultiIndex.from_tuples([(k, "Dep", "QA") for k in range(3)], names=["layer", "model", "other"])
    table = pd.DataFrame(
        {"RSA": ["Dep", "Dep", None], "CKA": ["Dep", None, "QA"], "SVCCA": ["QA", "Dep", None]}, index=pairs
    )
    assert sides.opposed(table).index.get_level_values("layer").tolist() == [0]
    assert sides.with_rsa(table) == {"CKA": "1 of 1", "SVCCA": "1 of 2"}


def test_scores_of_pairs_are_the_measures_own_without_a_warning():
    x, y, _ = related(60, 12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = sides.scores({"as they are": (x, y), "one wider": (x, np.hstack([y, y]))})
    assert table.loc["as they are"].tolist() == pytest.approx(list(one_by_one(x, y).values()))
    assert table.loc["one wider", "CKA"] == pytest.approx(similarity.cka(x, np.hstack([y, y])))
    assert np.isnan(table.loc["one wider", "cosine"])


def test_maps_have_the_models_layers_upwards_and_bases_to_the_right():
    plotting.use_style()
    rows = [
        dict(
            metric=metric,
            model=model,
            layer=layer,
            inputs=f"base layer {other}",
            value=(10 * layer + other) / 100,
        )
        for metric in ("cka", "cosine")
        for model in ("Base", "Dep", "QA")
        for layer in range(-1, 11)
        for other in range(-1, 11)
    ]
    axes = plotting.layer_maps(results.table(rows), {"cosine": "cosine", "cka": "CKA"})
    assert axes.shape == (2, 3)
    assert [ax.get_title(loc="left") for ax in axes[0]] == ["Base", "Dep", "QA"]
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["cosine", "CKA"]
    (image,) = axes[1, 2].get_images()
    assert image.origin == "lower" and image.get_extent() == [-1.5, 10.5, -1.5, 10.5]
    shown = image.get_array()
    assert shown[10 + 1, 2 + 1] == pytest.approx(1.02) and shown[2 + 1, 10 + 1] == pytest.approx(0.3)
    assert image.get_clim() == (0, 1)
    plt.close("all")


def test_curves_of_measures_have_a_panel_each_with_what_unrelated_tokens_score():
    plotting.use_style()
    rows = [
        dict(analysis=analysis, metric=metric, model=model, layer=layer, value=value)
        for metric, value in (("rsa_pearson", 0.5), ("cka", 0.7))
        for analysis, model in (("similarity_measures", "QA"), ("similarity_by_chance", "Base"))
        for layer in (1, -1, 0)
    ]
    paper = results.table([dict(model="QA", layer=k, value=0.9) for k in (0, 1)])
    names = {"cka": "CKA", "rsa_pearson": "RSA"}
    axes = plotting.measure_curves(results.table(rows), names, paper)
    assert [ax.get_title(loc="left") for ax in axes] == ["CKA", "RSA"]
    assert [[line.get_ydata()[0] for line in ax.lines] for ax in axes] == [[0.7, 0.7], [0.5, 0.9, 0.5]]
    assert all(list(line.get_xdata()) == [0, 1] for ax in axes for line in ax.lines)
    assert [ax.lines[-1].get_linestyle() for ax in axes] == [":", ":"]
    assert axes[0].get_ylabel() == "similarity to Base"
    plt.close("all")
