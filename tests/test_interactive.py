"""Interactive figures: the data they carry, what they show without the script, and what it makes of them."""

import json
import re
import shutil

import numpy as np
import pytest
from bs4 import BeautifulSoup
from scipy.spatial import procrustes
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import cosine_similarity

from helpers import book, interactive

WORDS = ["</script><b>", "&amp;", "a", "the", '"quoted"', "a"]
STATIC = book.source_root() / "book" / "_static"


@pytest.fixture(scope="module")
def states():
    """States of six words in Base and in a tuned model, (6, 4, 8) each."""
    rng = np.random.default_rng(0)
    base = rng.normal(size=(6, 4, 8)).cumsum(axis=1)
    return base, base + 0.3 * rng.normal(size=base.shape).cumsum(axis=1)


@pytest.fixture(scope="module")
def cosines(states):
    return [cosine_similarity(side[:, -1]) for side in states]


@pytest.fixture(scope="module")
def figures(states):
    return {
        "planes": interactive.word_planes(WORDS, *states, "Dep"),
        "pairs": interactive.word_pairs(WORDS, *(side[:, -1] for side in states), "Dep"),
    }


def parsed(figure):
    """The figure's elements, and its data."""
    soup = BeautifulSoup(figure._repr_html_(), "html.parser")
    return soup, json.loads(soup.script.string)


def test_cosines_are_given_to_three_decimals_and_shown_in_every_cell(figures, cosines):
    soup, data = parsed(figures["pairs"])
    assert data["words"] == WORDS and [model["name"] for model in data["models"]] == ["Base", "Dep"]
    for given, model, svg in zip(cosines, data["models"], soup.select(".panel > svg"), strict=True):
        np.testing.assert_allclose(model["cosines"], given, atol=0.0005)
        shown = [title.string.rsplit(": ", 1)[1].replace("−", "-") for title in svg.select(".cell title")]
        np.testing.assert_allclose(np.reshape(np.array(shown, float), (6, 6)), given, atol=0.0005)


def test_colours_span_the_values_off_the_diagonal_and_the_pair_that_moves_most_is_marked(figures, cosines):
    soup, data = parsed(figures["pairs"])
    upper, scaled = np.triu_indices(6, 1), []
    for given, svg in zip(cosines, soup.select(".panel > svg"), strict=True):
        shades = np.array([float(cell["fill-opacity"]) for cell in svg.select(".cell")]).reshape(6, 6)[upper]
        low, high = given[upper].min(), given[upper].max()
        scaled.append((given[upper] - low) / (high - low))
        np.testing.assert_allclose(shades, scaled[-1], atol=0.005)
    most = np.abs(scaled[1] - scaled[0]).argmax()
    assert data["start"] == [upper[0][most], upper[1][most]]
    i, j = data["start"]
    expected = (
        f"{WORDS[i]}, {WORDS[j]}: cosine {cosines[0][i, j]:.3f} in Base and {cosines[1][i, j]:.3f} in Dep"
    )
    assert soup.select_one(".readout").string == expected.replace("-", "−")


def test_planes_are_principal_components_each_laid_on_the_one_before(figures, states):
    _, data = parsed(figures["planes"])
    assert data["words"] == WORDS and len(data["layers"]) == 4
    units, previous = [], None
    for number, layer in enumerate(data["layers"]):
        places = [np.array(layer[side]) for side in ("base", "tuned")]
        for side, shown in zip(states, places, strict=True):
            plane = PCA(2).fit_transform(side[:, number])
            ratios = pdist(shown) / pdist(plane / np.sqrt(np.square(plane).sum(axis=1).mean()))
            units.append(ratios.mean())
            np.testing.assert_allclose(ratios, units[-1], rtol=0.02)  # of a tenth of a pixel
        # What no rotation can improve: scipy's own Procrustes leaves the same distance.
        centred = [shown - shown.mean(axis=0) for shown in places]
        for one, other in [centred] if previous is None else [centred, (previous, centred[0])]:
            one, other = (side / np.linalg.norm(side) for side in (one, other))
            turns = np.trace(one.T @ other)
            assert 1 - turns**2 == pytest.approx(procrustes(one, other)[2], abs=2e-3)
        apart = np.linalg.norm(places[0] - places[1], axis=1).mean() / units[-1]
        said = float(re.search(r"points are (\S+) apart", layer["note"])[1])
        assert said == pytest.approx(apart, abs=0.02)
        previous = centred[0]
    np.testing.assert_allclose(units, units[0], rtol=0.01)  # one scale for all layers and both models
    first = [PCA(2).fit(side[:, 0]).explained_variance_ratio_.sum() for side in states]
    assert (
        f"{100 * first[0]:.0f}\u00a0% of the variance in Base and {100 * first[1]:.0f}\u00a0%"
        in (data["layers"][0]["note"])
    )


def test_equal_models_lie_on_each_other(states):
    _, data = parsed(interactive.word_planes(WORDS, states[0], states[0] @ np.eye(8)[::-1], "QA"))
    for layer in data["layers"]:
        np.testing.assert_allclose(layer["base"], layer["tuned"], atol=0.11)
        assert "points are 0.00 apart" in layer["note"]


def test_labels_stay_inside_the_drawing(figures):
    _, data = parsed(figures["planes"])
    for layer in data["layers"]:
        at, half = np.array(layer["labels"]), interactive.LETTER * np.array([len(word) for word in WORDS]) / 2
        assert (at[:, 0] - half >= 0).all() and (at[:, 0] + half <= interactive.WIDTH).all()
        assert (at[:, 1] >= 0).all() and (at[:, 1] <= interactive.HEIGHT).all()


@pytest.mark.parametrize(("kind", "drawings", "times"), [("planes", 2, 1), ("pairs", 2, 2)])
def test_without_the_script_all_words_are_drawn_and_nothing_in_them_is_markup(figures, kind, drawings, times):
    soup, _ = parsed(figures[kind])
    svgs = soup.select(".panel > svg")
    assert len(svgs) == drawings and all(svg["role"] == "img" and svg["aria-label"] for svg in svgs)
    for svg in svgs:
        shown = [text.string for text in svg.select(".word, .row, .column")]
        assert sorted(shown) == sorted(times * WORDS)
    assert soup.select("b") == [] and len(soup.select("script")) == 1
    assert "<" not in soup.script.string and " ".join(WORDS) in soup.div["aria-label"]


def test_what_cannot_be_drawn_is_refused(states):
    before, after = (side[:, -1] for side in states)
    with pytest.raises(ValueError, match="2 words; a sentence of 3 to 24"):
        interactive.word_pairs(WORDS[:2], before[:2], after[:2], "Dep")
    with pytest.raises(ValueError, match=r"after: expected 2 axes and 6 rows, one per word, got \(5, 8\)"):
        interactive.word_pairs(WORDS, before, after[:5], "Dep")
    with pytest.raises(ValueError, match="before: row 1 is all zeros"):
        interactive.word_pairs(WORDS, before * (np.arange(6) != 1)[:, None], after, "Dep")
    with pytest.raises(ValueError, match="expected the same layers, two or more, got 4 and 3"):
        interactive.word_planes(WORDS, states[0], states[1][:, :3], "Dep")
    broken = states[1].copy()
    broken[2, 0, 0] = np.nan
    with pytest.raises(ValueError, match="after: row 2 has NaN or infinity"):
        interactive.word_planes(WORDS, states[0], broken, "Dep")
    with pytest.raises(ValueError, match="layer 0: all words have the same vector"):
        interactive.word_planes(WORDS, states[0], np.where([[0], [1], [0], [0]], 1.0, states[1]), "Dep")


def test_the_script_is_small():
    assert (STATIC / "interactive.js").stat().st_size < 30e3


# -- in a browser --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(figures, tmp_path_factory):
    """Folder of a page with both figures, the book's style and its script."""
    folder = tmp_path_factory.mktemp("interactive")
    for name in ("book.css", "interactive.js"):
        shutil.copy(STATIC / name, folder / name)
    body = "".join(f"<figure>{figure._repr_html_()}</figure>" for figure in figures.values())
    (folder / "page.html").write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Figures</title>'
        '<link rel="icon" href="data:,"><meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="stylesheet" href="book.css"><script defer src="interactive.js"></script></head>'
        f'<body><main><h1>Figures</h1>{body}</main></body></html>',
        encoding="utf-8",
    )  # fmt: skip
    return folder


def test_the_slider_moves_the_points_and_says_which_layer(site, visit, figures):
    _, data = parsed(figures["planes"])
    seen = visit(site, "page.html", width=390)
    seen.page.emulate_media(reduced_motion="reduce")
    figure = seen.page.locator("[data-kind=planes]")
    assert figure.locator(".panel > svg").count() == 1
    slider = seen.page.get_by_role("slider", name="Layer")
    for key, number in (("Home", 0), ("ArrowRight", 1), ("End", 3)):
        slider.press(key)
        layer = data["layers"][number]
        assert figure.locator(".title").inner_text() == layer["name"]
        assert figure.locator(".readout").inner_text() == layer["note"]
        assert slider.get_attribute("aria-valuetext") == f"{layer['name']}. {layer['note']}"
        for kind, across, down in (("base", "cx", "cy"), ("tuned", "cx", "cy"), ("word", "x", "y")):
            places = figure.locator(f".{kind}").evaluate_all(
                "(nodes, names) => nodes.map(node => names.map(name => Number(node.getAttribute(name))))",
                [across, down],
            )
            np.testing.assert_allclose(places, layer["labels" if kind == "word" else kind], atol=1e-6)
    assert seen.complaints == [] and seen.elsewhere == [] and seen.overflow() <= 0
    assert seen.violations() == []


def test_points_move_smoothly_unless_motion_is_unwanted(site, visit, figures):
    layers = parsed(figures["planes"])[1]["layers"]
    page = visit(site, "page.html").page
    slider, ring = page.get_by_role("slider", name="Layer"), page.locator(".base").first
    page.clock.install(time=0)
    page.clock.pause_at(1000)
    goal = layers[0]["base"][0][0]
    slider.press("Home")
    page.clock.run_for(150)
    low, high = sorted([layers[-1]["base"][0][0], goal])
    assert low < float(ring.get_attribute("cx")) < high
    page.clock.run_for(1000)
    assert float(ring.get_attribute("cx")) == goal
    page.emulate_media(reduced_motion="reduce")
    slider.press("End")
    assert float(ring.get_attribute("cx")) == layers[-1]["base"][0][0]


def test_a_cell_under_the_pointer_or_in_focus_is_named_and_marked_in_both_maps(site, visit, cosines):
    seen = visit(site, "page.html", scheme="dark")
    figure = seen.page.locator("[data-kind=pairs]")
    maps = [figure.locator(".panel > svg").nth(k) for k in (0, 1)]

    def check(i, j):
        numbers = " and ".join(
            f"{side[i, j]:.3f} in {name}" for side, name in zip(cosines, ("Base", "Dep"), strict=True)
        )
        expected = f"{WORDS[i]}, {WORDS[j]}: cosine {numbers}".replace("-", "−")
        assert figure.locator(".readout").inner_text() == expected
        for one in maps:
            cell = one.locator(".cell").nth(6 * i + j)
            assert cell.get_attribute("aria-label") == expected and cell.get_attribute("tabindex") == "0"
            assert one.locator(".cell[tabindex='0']").count() == 1
            for side in ("x", "y"):
                assert one.locator(".chosen").get_attribute(side) == cell.get_attribute(side)
            assert one.locator(".row.current").all_text_contents() == [WORDS[i]]
            assert one.locator(".column.current").all_text_contents() == [WORDS[j]]

    maps[1].locator(".cell").nth(8).hover()
    check(1, 2)
    maps[0].locator(".cell[tabindex='0']").focus()
    for key, place in (
        ("ArrowDown", (2, 2)), ("ArrowRight", (2, 3)), ("ArrowUp", (1, 3)), ("ArrowLeft", (1, 2)),
        ("End", (1, 5)), ("ArrowRight", (1, 5)), ("Home", (1, 0)), ("ArrowUp", (0, 0)), ("ArrowUp", (0, 0)),
    ):  # fmt: skip
        seen.page.keyboard.press(key)
        check(*place)
    assert seen.complaints == [] and seen.violations() == []
