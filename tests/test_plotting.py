"""Figures show the numbers they are given."""

import io
from types import SimpleNamespace

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
    dep, qa, *ceilings, named = ax.lines
    assert [line.get_linestyle() for line in ceilings] == [":", ":"]
    assert [line.get_color() for line in ceilings] == [dep.get_color(), qa.get_color()]
    np.testing.assert_allclose(ceilings[1].get_ydata(), 0.9)
    assert all(line.get_xdata().tolist() == [0, 1, 2] for line in (dep, qa, *ceilings))
    shown = [label for label in ax.get_legend_handles_labels()[1] if not label.startswith("_")]
    assert shown == ["Dep", "QA", "two seeds of a model, in its colour"]
    assert named.get_color() not in plotting.COLOURS.values() and not len(named.get_xdata())


def test_gaps_are_drawn_by_task_with_random_beside():
    frame = curves().assign(inputs="raw", task=lambda rows: rows["model"] + "-corpus")
    random = frame.assign(model="Random", value=0.1)
    tasks = {"Dep": "Dep-corpus", "QA": "QA-corpus"}
    lengths = frame[frame["model"] == "QA"].assign(inputs="format")  # which the first task lacks
    names = {"raw": "as in the paper", "format": "length equal"}
    axes = plotting.domain_gaps(pd.concat([frame, random, lengths]), tasks, names)
    assert [text.get_text() for text in axes[0, 0].figure.legends[0].get_texts()] == list(names.values())
    assert axes.shape == (2, 2) and axes[0, 1].get_title("left") == "Random on Dep's texts"
    for row, own in zip(axes, (0.5, 0.7), strict=True):
        for ax, value in zip(row, (own, 0.1), strict=True):
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


def test_trees_are_arcs_to_the_left_and_right_of_the_words():
    gold, predicted = np.array([[0, 1], [1, 3], [2, 3]]), np.array([[0, 1], [1, 2], [2, 3]])
    ax = plotting.trees(["the", "cats", "of", "Rome"], gold, predicted)
    assert [text.get_text() for text in ax.texts] == ["the", "cats", "of", "Rome"]
    assert [text.get_position()[1] for text in ax.texts] == [0, 1, 2, 3]
    top, bottom = ax.transData.transform([(0, 0), (0, 3)])[:, 1]
    assert top > bottom, "the first word stands above"
    arcs = [(line.get_xdata(), line.get_ydata(), line.get_linestyle()) for line in ax.lines]
    left = [(min(y), max(y)) for x, y, _ in arcs if (np.asarray(x) < 0).all()]
    right = [(min(y), max(y)) for x, y, _ in arcs if (np.asarray(x) > 0).all()]
    np.testing.assert_allclose(left, gold)
    np.testing.assert_allclose(right, predicted)
    # Only the edge that the tree has not is dashed, and of a colour of its own.
    (dashed,) = [line for line in ax.lines if line.get_linestyle() != "-"]
    assert sorted(dashed.get_ydata())[0] == 1
    assert dashed.get_color() not in {line.get_color() for line in ax.lines if line is not dashed}


def test_words_of_trees_do_not_touch_each_other_nor_the_arcs():
    words = ["a", "Gubernatorial", "caretaker", "of", "unparliamentarinesses", "threatening"] * 2
    chain = np.array([[k, k + 1] for k in range(len(words) - 1)] + [[0, 11]])
    drawn = SimpleNamespace(words=words, gold=chain, predicted={"Base": chain, "Dep": chain, "QA": chain})
    axes = plotting.predicted_trees([drawn, drawn])
    assert [ax.get_title("left") for ax in axes] == ["Base", "Dep", "QA"] * 2
    axes[0].figure.draw_without_rendering()
    for ax in axes:
        boxes = [text.get_window_extent() for text in ax.texts]
        assert not any(a.overlaps(b) for n, a in enumerate(boxes) for b in boxes[:n])
        edges = (min(box.x0 for box in boxes), max(box.x1 for box in boxes))
        for line in ax.lines:
            x = line.get_transform().transform(line.get_xydata())[:, 0]
            assert (x <= edges[0]).all() or (x >= edges[1]).all()


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
    assert [t.get_text() for t in other.texts] == ["−25.0*", "0.0"] and other.texts[0].get_position()[
        1
    ] == 2.5
    assert [t.get_text() for t in ax.get_xticklabels()] == ["Dep", "QA"]
    assert [t.get_text() for t in ax.texts] == ["+3.4", "−1.2*", "−25.0*", "0.0"]
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
    axes = plotting.panels(groups, plotting.layer_curves, paper=[("SRL", theirs)])
    dashed = axes[1].lines[-1]
    assert dashed.get_ydata().tolist() == [0.9] and dashed.get_linestyle() == "--"
    assert [ax.get_title("left") for ax in axes] == ["POS", "SRL", "SPR"]
    assert [ax.lines[-1].get_ydata().tolist() for ax in axes] == [[0.1], [0.9], [0.5]]
    # The place that three panels leave free has the legend; four would have it above them.
    (legend,) = [ax.get_legend() for ax in axes[0].figure.axes if ax.get_legend()]
    assert [t.get_text() for t in legend.get_texts()] == ["Dep", "Base", "NLI", "the paper"]
    assert [bool(ax.get_ylabel()) for ax in axes] == [True, False, True]
    assert not any(ax.get_xlabel() for ax in axes), "one label stands for all"
    assert axes[0].figure.get_supxlabel().startswith("layer")


def test_panels_stand_two_a_row_with_one_legend_above():
    frame = curves().assign(metric="uuas")
    groups = [("uuas", frame), (("POS", "accuracy"), frame), ("c", frame), ("d", frame)]
    axes = plotting.panels(groups, plotting.layer_curves)
    assert [ax.get_title("left") for ax in axes] == ["UUAS", "POS, accuracy", "c", "d"]
    (legend,) = axes[0].figure.legends
    assert [t.get_text() for t in legend.get_texts()] == ["Dep", "QA"]
    figure = axes[0].figure
    figure.draw_without_rendering()
    highest = max(ax.get_tightbbox().y1 for ax in axes)
    assert highest < legend.get_window_extent().y0 < legend.get_window_extent().y1 <= figure.bbox.y1


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
    assert [ax.get_title("left") for ax in axes[:2]] == ["Base", "tuned on NLI"]
    scales = [ax.images[0].colorbar.ax.get_xlim() for ax in axes[:2]]
    np.testing.assert_allclose(scales, [(0.1, 1), (0.7, 1)])
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["a", "b", "c"]


# -- what all figures keep to --------------------------------------------------------------------


def luminance(colour) -> float:
    """Relative, as WCAG 2 defines it."""
    rgb = np.array(matplotlib.colors.to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(a, b) -> float:
    low, high = sorted([luminance(a), luminance(b)])
    return (high + 0.05) / (low + 0.05)


def inverted(colour) -> np.ndarray:
    """What ``invert(1) hue-rotate(180deg)`` makes of a colour (Filter Effects Module Level 1)."""
    rotation = 2 * np.array([[0.213, 0.715, 0.072]] * 3) - np.eye(3)
    return np.clip(rotation @ (1 - np.array(matplotlib.colors.to_rgb(colour))), 0, 1)


def test_lines_contrast_with_light_and_dark_pages():
    shades = [shade for n in range(1, 9) for shade in plotting._shades(n)]
    for colour in (*plotting.PALETTE, *plotting.COLOURS.values(), plotting.REFERENCE, *shades):
        assert contrast(colour, "white") >= 3, colour
        assert contrast(inverted(colour), "#121212") >= 3, colour


def drawings():
    """A figure of each kind, as full as the book has them."""
    layers = range(-1, 12)
    models = list(plotting.COLOURS)
    every = pd.DataFrame(
        [(m, t, k, 0.5, 0.4, 0.6) for m in models for t in "abcdefg" for k in layers],
        columns=["model", "inputs", "layer", "value", "ci_low", "ci_high"],
    ).assign(metric="distance_spearman", analysis="rsa", far=0.1)
    labels = {letter: f"a text from somewhere {letter}" for letter in "abcdefg"}
    tuned = every[every["model"].isin(["Dep", "NLI", "QA"])]
    groups = list(every.groupby("inputs"))

    def changes(n):
        names = {letter: f"Dependencies {letter}" for letter in "abcdefg"}
        frame = every[(every["layer"] == 0) & every["model"].isin(models[:n])]
        return frame.replace({"inputs": names}).assign(value=-0.25)

    yield plotting.layer_curves(every)
    yield plotting.panels(groups, plotting.layer_curves, paper=groups[:2])[0]
    yield plotting.panels(groups[:4], plotting.layer_curves, sharey=True)[0]
    yield plotting.panels(groups[:3], plotting.rsa_curves, sharey=True)[0]
    yield plotting.sweeps(tuned, tuned, dict(list(labels.items())[:2]), xlabel="last frozen layer")[0]
    gaps = pd.concat([tuned.assign(task=tuned["model"]), every.assign(model="Random", task="Dep")])
    yield plotting.domain_gaps(gaps, {m: m for m in ("Dep", "NLI", "QA")}, dict(list(labels.items())[:4]))[
        0, 0
    ]
    yield plotting.differences({"here": changes(3), "the paper's Table 1": changes(4)})[0]
    yield plotting.differences({"here": changes(3), "there": changes(3)})[0]
    long = [f"{model}: exact match on some corpus" for model in ("Dep", "NLI", "QA")]
    dots = [(label, f"a kind of baseline {kind}", 0.5) for label in long for kind in range(7)]
    plt.close("all")
    yield plotting.scores(pd.DataFrame(dots, columns=["label", "kind", "value"]))
    yield plotting.word_similarities(["understanding"] * 12, np.eye(12), np.eye(12), "NLI")[0]


def test_figures_fit_the_column_and_their_words_are_large_and_whole():
    for ax in drawings():
        figure = ax.figure
        figure.draw_without_rendering()
        assert figure.get_size_inches()[0] <= 6.5
        assert figure.get_facecolor()[3] == ax.get_facecolor()[3] == 0, "the page's colour shows through"
        drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
        assert min(drawn.x0, drawn.y0) > -0.02 and drawn.x1 < width + 0.02 and drawn.y1 < height + 0.02
        assert min(text.get_fontsize() for text in figure.findobj(matplotlib.text.Text)) >= 9
        plt.close(figure)


def test_vector_figures_are_the_same_each_time():
    def drawn() -> str:
        plotting.layer_curves(curves(), plt.figure().gca())
        buffer = io.StringIO()
        plt.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
        return buffer.getvalue()

    assert drawn() == drawn() and len(drawn()) < 60_000


def test_words_with_dollar_signs_are_shown_as_they_are():
    plt.figure().gca().set_title("left $x$")
    buffer = io.StringIO()
    plt.savefig(buffer, format="svg")
    assert "<!-- left $x$ -->" in buffer.getvalue()
