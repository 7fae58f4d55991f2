"""Figures show the numbers they are given."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

matplotlib.use("agg")
import matplotlib.pyplot as plt

from helpers import plotting


@pytest.fixture(autouse=True)
def figures():
    plotting.use_style()
    yield
    plt.close("all")


def curves():
    rows = [(m, k, v, v - 0.1, v + 0.1) for m, v in (("Dep", 0.5), ("QA", 0.7)) for k in (2, 0, 1)]
    frame = pd.DataFrame(rows, columns=["model", "layer", "value", "ci_low", "ci_high"])
    return frame.assign(metric="rsa_pearson").astype({"layer": "Int64"})


def test_a_line_and_a_band_for_each_model_in_the_layers_order():
    ax = plotting.layer_curves(curves())
    assert [line.get_label() for line in ax.lines] == ["Dep", "QA"]
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [0, 1, 2])
    np.testing.assert_allclose(ax.lines[1].get_ydata(), 0.7)
    assert len(ax.collections) == 2 and ax.get_ylabel() == "RSA to Base (Pearson)"
    colours = {line.get_color() for line in ax.lines}
    markers = {line.get_marker() for line in ax.lines}
    assert len(colours) == len(markers) == 2  # told apart without colour too


def test_the_papers_curves_are_dashed_and_have_no_band():
    ax = plotting.layer_curves(curves().drop(columns=["ci_low", "ci_high"]), dashed=True, label="{} (paper)")
    assert not ax.collections and ax.lines[0].get_label() == "Dep (paper)"
    assert ax.lines[0].get_linestyle() != "-" and ax.lines[0].get_markerfacecolor() == "none"


def test_each_models_ceiling_is_dotted_in_its_colour():
    own = curves().assign(analysis="rsa")
    below = own.assign(layer=-1).iloc[:1]
    ax = plotting.rsa_curves(pd.concat([own, below, own.assign(analysis="rsa_between_seeds", value=0.9)]))
    dep, qa, *ceilings = ax.lines
    assert [line.get_linestyle() for line in ceilings] == [":", ":"]
    assert [line.get_color() for line in ceilings] == [dep.get_color(), qa.get_color()]
    np.testing.assert_allclose(ceilings[1].get_ydata(), 0.9)
    assert all(line.get_xdata().tolist() == [0, 1, 2] for line in ax.lines)
    shown = [label for label in ax.get_legend_handles_labels()[1] if not label.startswith("_")]
    assert shown == ["Dep", "QA", "two seeds of a model"]


def test_gaps_are_drawn_by_task_with_random_below():
    frame = curves().assign(inputs="raw", task=lambda rows: rows["model"] + "-corpus")
    random = frame.assign(model="Random", value=0.1)
    tasks = {"Dep": "Dep-corpus", "QA": "QA-corpus"}
    axes = plotting.domain_gaps(pd.concat([frame, random]), tasks, {"raw": "as in the paper"})
    assert axes.shape == (2, 2) and axes[1, 0].get_title("left") == "Random on Dep's texts"
    for row, values in zip(axes, ([0.5, 0.7], [0.1, 0.1]), strict=True):
        for ax, value in zip(row, values, strict=True):
            np.testing.assert_allclose(ax.lines[0].get_ydata(), value)


def test_scores_are_dots_on_the_line_of_their_label():
    frame = pd.DataFrame(
        dict(label=["a", "b", "a"], kind=["ours", "ours", "paper"], value=[0.2, 0.4, 0.9])
        | dict(ci_low=[0.1, 0.3, np.nan], ci_high=[0.3, 0.5, np.nan])
    )
    ax = plotting.scores(frame)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b"]
    dots = {line.get_label(): line for line in ax.lines if line.get_label() in ("ours", "paper")}
    np.testing.assert_allclose(dots["ours"].get_xdata(), [0.2, 0.4])
    np.testing.assert_allclose(dots["paper"].get_ydata(), [0])
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first label on top


def test_every_model_of_the_results_has_its_own_colour_and_marker():
    from helpers.vocabulary import BASELINES, MODELS

    for looks in (plotting.COLOURS, plotting.MARKERS):
        assert {*MODELS, *BASELINES, "Base"} == set(looks) and len(set(looks.values())) == len(looks)


def test_texts_have_lines_in_the_order_of_their_names_and_filled_markers_where_p_is_small():
    frame = pd.DataFrame([(t, k, v) for t, v in (("a", 0.1), ("b", 0.2), ("c", 0)) for k in (1, 0)])
    frame.columns = ["inputs", "layer", "value"]
    ax = plotting.text_curves(frame, {"b": "second", "a": "first", "missing": "not there"})
    assert [line.get_label() for line in ax.lines] == ["second", "first"]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), 0.2)
    assert ax.lines[0].get_color() != ax.lines[1].get_color()
    assert ax.lines[0].get_marker() != ax.lines[1].get_marker()
    with_p = frame.assign(p_value=[0.2, 0.05] * 3, ci_low=-1.0, ci_high=1.0)
    ax = plotting.text_curves(with_p, {"a": "first"}, plt.figure().gca())
    dots = [line for line in ax.lines if line.get_linestyle() == "None"]
    filled, hollow = sorted(dots, key=lambda line: line.get_markerfacecolor() == "white")
    assert list(filled.get_xdata()) == [0] and list(hollow.get_xdata()) == [1]
    assert len(ax.collections) == 1 and ax.get_legend_handles_labels()[1] == ["first"]


def test_a_texts_dot_stands_at_its_distance_with_its_interval():
    frame = pd.DataFrame(dict(inputs=["here", "there"], far=[0.1, 0.4], value=[0.5, 0.9]))
    names = {"there": "far away", "here": "near"}
    ax = plotting.text_points(frame.assign(ci_low=0.4, ci_high=0.95), "far", names)
    handles, labels = ax.get_legend_handles_labels()
    assert labels == ["far away", "near"]
    dots = [handle.lines[0] for handle in handles]
    assert [(d.get_xdata()[0], d.get_ydata()[0]) for d in dots] == [(0.4, 0.9), (0.1, 0.5)]
    assert len({d.get_marker() for d in dots}) == 2
    bars = [handle.lines[2][0].get_segments()[0][:, 1] for handle in handles]
    np.testing.assert_allclose(bars, [[0.4, 0.95]] * 2)


def test_trees_are_arcs_above_and_below_the_words():
    gold, predicted = np.array([[0, 1], [1, 3], [2, 3]]), np.array([[0, 1], [1, 2], [2, 3]])
    ax = plotting.trees(["the", "cats", "of", "Rome"], gold, predicted)
    assert [text.get_text() for text in ax.texts] == ["the", "cats", "of", "Rome"]
    centre = [text.get_position()[0] for text in ax.texts]
    assert centre == sorted(centre)
    arcs = [(line.get_xdata(), line.get_ydata(), line.get_linestyle()) for line in ax.lines]
    above = [(min(x), max(x)) for x, y, _ in arcs if (np.asarray(y) > 0).all()]
    below = [(min(x), max(x)) for x, y, _ in arcs if (np.asarray(y) < 0).all()]
    for ends, edges in ((above, gold), (below, predicted)):
        np.testing.assert_allclose(ends, [[centre[a], centre[b]] for a, b in edges])
    # Only the edge that the tree has not is dashed, and of a colour of its own.
    dashed = [line for line in ax.lines if line.get_linestyle() != "-"]
    np.testing.assert_allclose(sorted(dashed[0].get_xdata())[0], centre[1])
    assert len(dashed) == 1 and dashed[0].get_color() not in {
        line.get_color() for line in ax.lines if line is not dashed[0]
    }


def test_differences_are_points_with_a_star_where_the_interval_excludes_zero():
    frame = pd.DataFrame(
        dict(
            model=["QA", "Dep", "QA", "Dep"],
            inputs=["SRL", "SRL", "POS", "POS"],
            value=[-0.012, 0.034, 0.0004, -0.25],
            ci_low=[-0.02, -0.01, -0.01, -0.3],
            ci_high=[-0.001, 0.05, 0.01, -0.2],
        )
    )
    less = frame[frame["inputs"] == "POS"].assign(inputs="NER")
    other, ax = plotting.differences({"less": less, "more": frame})
    assert (other.get_title("left"), ax.get_title("left")) == ("less", "more")
    assert [t.get_text() for t in other.get_yticklabels()] == ["SRL", "POS", "NER"]
    assert [t.get_text() for t in other.texts] == ["−25.0*", "+0.0"] and other.texts[0].get_position()[
        1
    ] == 2.5
    assert [t.get_text() for t in ax.get_xticklabels()] == ["Dep", "QA"]
    assert [t.get_text() for t in ax.texts] == ["+3.4", "−1.2*", "−25.0*", "+0.0"]
    colours = ax.collections[0].get_facecolors()
    assert colours[0][2] > colours[0][0] and colours[2][0] > colours[2][2], "gains blue, losses red"


def test_panels_have_their_groups_names_and_one_legend():
    frame = pd.DataFrame(
        dict(
            inputs=["POS", "POS", "SRL", "SRL", "SPR"],
            metric="micro_f1_layer",
            model=["Base", "Dep", "Base", "NLI", "Base"],
            layer=[0, 0, 1, 1, 2],
            value=[0.1, 0.2, 0.3, 0.4, 0.5],
        )
    )
    theirs = pd.DataFrame(dict(metric="micro_f1_layer", model=["Base"], layer=[5], value=[0.9]))
    groups = frame.groupby("inputs", sort=False)
    axes = plotting.panels(groups, plotting.layer_curves, rows=2, paper=[("SRL", theirs)])
    dashed = axes[1].lines[-1]
    assert dashed.get_ydata().tolist() == [0.9] and dashed.get_linestyle() == "--"
    assert [ax.get_title("left") for ax in axes] == ["POS", "SRL", "SPR"]
    assert [ax.lines[-1].get_ydata().tolist() for ax in axes] == [[0.1], [0.9], [0.5]]
    (legend,) = axes[0].figure.legends
    assert sorted(t.get_text() for t in legend.get_texts()) == ["Base", "Dep", "NLI"]
    assert [bool(ax.get_ylabel()) for ax in axes] == [True, False, True]
    assert [bool(ax.get_xlabel()) for ax in axes] == [False, True, True], "what has no panel below it"
    assert len([ax for ax in axes[0].figure.axes if ax.get_visible()]) == 3


def test_a_row_of_three_panels_has_one_label_below_it():
    frame = curves().assign(metric="uuas")
    groups = [("uuas", frame), (("POS", "accuracy"), frame), ("c", frame)]
    axes = plotting.panels(groups, plotting.layer_curves)
    assert [bool(ax.get_xlabel()) for ax in axes] == [False, True, False]
    assert [ax.get_title("left") for ax in axes] == ["UUAS", "POS, accuracy", "c"]


def test_sweeps_have_a_panel_a_model_with_the_papers_curve_dashed():
    metrics = {"Dep": "las", "QA": "f1"}
    rows = [
        dict(model=m, metric=metrics[m], inputs=i, layer=k, value=v)
        for m in metrics
        for i, v in (("one_rate", 0.3), ("tuned_head", 0.4))
        for k in (-1, 5)
    ]
    paper = [row | dict(value=0.9) for row in rows if row["inputs"] == "one_rate" and row["model"] == "QA"]
    names = {"one_rate": "one rate", "tuned_head": "own rate"}
    axes = plotting.sweeps(pd.DataFrame(rows), pd.DataFrame(paper), names, xlabel="last frozen layer")
    assert [(ax.get_title(loc="left"), ax.get_ylabel()) for ax in axes] == [("Dep", "LAS"), ("QA", "F1")]
    assert [len(ax.lines) for ax in axes] == [2, 3]
    own, papers = axes[1].lines[0], axes[1].lines[2]
    assert own.get_color() == papers.get_color() and papers.get_linestyle() != "-"
    np.testing.assert_array_equal(papers.get_ydata(), [0.9, 0.9])


def test_courses_have_a_row_a_model_a_panel_a_metric_and_a_line_a_layer():
    rows = [
        dict(model=m, metric=metric, layer=k, at=at, value=v, ci_low=v - 0.1, ci_high=v + 0.1, dashed=d)
        for m, score in (("Dep", "las"), ("QA", "f1"))
        for metric, k in ((score, None), ("rsa_pearson", 0), ("rsa_pearson", 1), ("rsa_pearson", 2))
        for at, v in ((0, 0.2), (1, 0.3), (100, 0.5))
        for d in (False, True)[: 2 if m == "QA" else 1]
    ]
    base = [dict(model="Base", metric="rsa_pearson", layer=k, value=0.7 + k / 10) for k in (0, 1, 2)]
    frame = pd.DataFrame([*rows, *base]).astype({"layer": "Int64"})
    metrics = {"las": "score", "f1": "score", "rsa_pearson": "RSA"}
    axes = plotting.courses(frame, metrics, [0, 2], xlabel="step")
    titles = [[ax.get_title(loc="left") for ax in row] for row in axes]
    assert titles == [["Dep: score", "Dep: RSA"], ["QA: score", "QA: RSA"]]
    assert [[len(ax.lines) for ax in row] for row in axes] == [[1, 4], [2, 6]]
    assert {ax.get_xscale() for ax in axes.flat} == {"log"} and axes[0, 0].get_xlabel() == "step"
    assert [label.get_text() for label in axes[0, 0].get_xticklabels()] == ["1", "100"]
    dotted, own = axes[0, 1].lines[:2]
    assert dotted.get_linestyle() == ":" and set(dotted.get_ydata()) == {0.7}
    np.testing.assert_array_equal(own.get_xdata(), [1, 100])  # 0 has no place on a logarithmic axis
    solid, dashed = axes[1, 0].lines
    assert solid.get_linestyle() == "-" != dashed.get_linestyle()
    (legend,) = axes[0, 0].figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["layer 0", "layer 2"]


def test_a_sentences_words_are_compared_before_and_after():
    before = np.array([[1, 0.5, 0.2], [0.5, 1, 0.1], [0.2, 0.1, 1]])
    after = np.array([[1, 0.9, 0.8], [0.9, 1, 0.7], [0.8, 0.7, 1]])
    axes = plotting.word_similarities(["a", "b", "c"], before, after, "NLI")
    (dots,) = axes[2].collections
    np.testing.assert_allclose(dots.get_offsets(), [[0.5, 0.9], [0.2, 0.8], [0.1, 0.7]])
    assert axes[0].get_title("left") == "Base: 0.10 (dark) to 1"
    assert axes[1].get_title("left") == "tuned on NLI: 0.70 (dark) to 1"
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["a", "b", "c"]
