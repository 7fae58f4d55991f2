"""An encoder's report: its checks, and a page that says what the tables do, and nothing to another host."""

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers import __main__ as command_line
from helpers import analyses, checks, encoders, profiles, report, results, svg
from helpers.claims import judging
from helpers.corpora.records import Sentence
from helpers.encoders import families
from helpers.profiles import StructuralRecipe, Task, TuningRecipe

ROOT = Path(__file__).resolve().parents[1]
WORDS = "the cats sat on a mat and dogs ran far ☃".split()


class Page(HTMLParser):
    """Tags with their attributes, and the texts of elements by their path."""

    def __init__(self, text: str):
        super().__init__()
        self.source, self.tags, self.texts, self.path = text, [], {}, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag != "meta":
            self.path.append(tag)

    def handle_endtag(self, tag):
        assert self.path.pop() == tag, f"{tag} is closed where it is not open"

    def handle_data(self, data):
        self.texts.setdefault(self.path[-1] if self.path else "", []).append(data)

    @property
    def text(self):
        return " ".join(text for name, own in self.texts.items() if name != "style" for text in own)


@pytest.fixture(scope="module")
def corpora_here(tmp_path_factory):
    """Folders with a small treebank, in which one word in eleven has no pieces, and with text."""
    folder, rng = tmp_path_factory.mktemp("corpora"), np.random.default_rng(0)
    for split, n_sentences in (("train", 24), ("dev", 12), ("test", 16)):
        blocks = []
        for i in range(n_sentences):
            lines = [f"# sent_id = {split}-{i}"]
            for k in range(1, int(rng.integers(4, 9)) + 1):
                head = 0 if k == 1 else int(rng.integers(1, k))
                relation = "dep" if head else "root"
                lines.append(f"{k}\t{rng.choice(WORDS)}\t_\tNOUN\t_\t_\t{head}\t{relation}\t_\t_")
            blocks.append("\n".join(lines) + "\n\n")
        (folder / f"en_ewt-ud-{split}.conllu").write_text("".join(blocks), encoding="utf-8")
    lines = [" ".join(rng.choice(WORDS[:-1], 9)).capitalize() + "." for _ in range(30)]
    (folder / "mine.txt").write_text("\n\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def settings(corpora_here, home):
    paths = {"ud-ewt": str(corpora_here), "text": str(corpora_here / "mine.txt")}
    smoke = profiles.settings(
        "smoke", encoder="tiny-electra", paths=paths, text="text", seeds=[3, 5], n_tokens=100, probe_rank=4,
        n_bootstrap=40, sweep_layers=[2],
    )  # fmt: skip
    dep = Task("Dep", "ud-ewt", TuningRecipe(epochs=1, batch_size=8), 12, 8)
    return dataclasses.replace(smoke, tasks=(dep,), structural=StructuralRecipe(epochs=2))


@pytest.fixture(scope="module")
def written(settings):
    """The page of a run of two analyses, and its settings."""
    path, failure = report.write(settings, only=["finetuning", "rsa"])
    assert failure is None and path == results.folder(settings) / "report.html"
    return Page(path.read_text(encoding="utf-8")), settings


# -- the page ------------------------------------------------------------------------------------------


def points(page: Page, title: str) -> dict[tuple[str, int], float]:
    """(curve, layer) -> value, by what the points of a figure say."""
    (figure,) = [part for part in page.source.split("<figure>")[1:] if f"<h3>{title}</h3>" in part]
    found = {}
    for text in Page(figure.partition("</figure>")[0]).texts["li"]:
        if match := re.fullmatch(r"(.+), layer (−?\d+): (−?[\d.]+)(?: \[.*\])?", text):
            name, layer, value = (part.replace("−", "-") for part in match.groups())
            found[name, int(layer)] = float(value)
    return found


def test_curves_have_the_numbers_of_the_tables(written):
    page, settings = written
    table = pd.read_csv(results.folder(settings) / "rsa.csv")
    table = table[(table["metric"] == "rsa_pearson") & (table["layer"] >= 0)]
    shown = points(page, "RSA to Base")
    curves = {
        "Dep": table[(table["analysis"] == "rsa") & (table["seed"] == 3)],
        "random weights": table[(table["analysis"] == "rsa") & (table["model"] == "Random")],
        "two seeds of Dep": table[table["analysis"] == "rsa_between_seeds"],
    }
    expected = {(n, row.layer): row.value for n, rows in curves.items() for row in rows.itertuples()}
    assert len(expected) == 3 * 4 and shown == pytest.approx(expected, abs=0.00501)
    trees = checks.untuned_trees(settings)
    trees = trees[(trees["analysis"] == "structural_probe") & trees["model"].isin(["Base", "Random"])]
    names = trees["model"].replace("Random", "random weights")
    expected = dict(zip(zip(names, trees["layer"], strict=True), trees["value"], strict=True))
    assert points(page, "Structural probe: UUAS") == pytest.approx(expected, abs=0.00501)


def test_scores_have_the_numbers_of_the_table(written):
    page, settings = written
    table = pd.read_csv(results.folder(settings) / "finetuning.csv")
    las = table[(table["metric"] == "las") & (table["inputs"] == "in_domain")]
    shown = [text for text in page.texts["div"] if "[" in text]
    for row, text in zip(las.itertuples(), shown, strict=True):
        numbers = [float(number) for number in re.findall(r"[\d.]+", text)]
        assert numbers == pytest.approx([100 * x for x in (row.value, row.ci_low, row.ci_high)], abs=0.0501)
    others = table[(table["metric"] == "las") & (table["inputs"] != "in_domain")]
    assert f"{100 * others['value'].max():.1f} (" in page.text


def test_ablations_have_their_floors():
    """The best score that needs no learning, of any seed: the lines without markers."""
    rows = [
        dict(analysis="truncation", metric="las", model="Dep", inputs="", layer=k, value=0.5) for k in (0, 1)
    ]
    named = dict(in_domain=0.6, untrained=0.2, previous_word=0.1)
    scores = [
        dict(analysis="finetuning", metric="las", model="Dep", inputs=name, seed=3, value=value)
        for name, value in named.items()
    ]
    tables = {"truncation": results.table(rows), "finetuning": results.table(scores)}
    title, curves, *_ = report._ablation(tables)
    assert title == "Truncation" and [curve.label for curve in curves] == [
        "Dep",
        "best without learning the task",
    ]
    assert curves[1].points[0][1] == 0.2 and curves[1].line == "dashed"


def test_verdicts_are_those_of_the_claims(written):
    page, settings = written
    tables = {name: results.saved(name, settings) for name in ("finetuning", "rsa")}
    judged = judging.judge(tables | {"trees": checks.untuned_trees(settings)}, encoder="tiny-electra")
    shown = [text for text in page.texts["span"] if text[0] in "✓✗?○–"]
    assert [words for text in shown if (words := text[2:]) not in ("good",)] == list(judged["in_words"])


def test_what_was_not_run_is_said(written):
    page, _ = written
    missing = {name for name in page.texts["b"] if name in report.READ}
    assert missing == set(report.READ) - {"finetuning", "rsa", "rsa_between_layers"}
    in_figures = 3  # of edge probes, and of the two ablations of which one is drawn
    assert page.text.count(": not run") == len(missing) + in_figures


def test_it_needs_no_other_file_and_no_host(written):
    page, _ = written
    assert "//" not in page.text and not {"script", "link", "img", "iframe"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        assert not {"src", "href", "srcset", "action"} & attributes.keys(), tag
        assert not any(name.startswith("on") for name in attributes), tag
        assert all("//" not in str(value) for value in attributes.values()), tag
    assert not re.search(r"url\(|@import|//", report.STYLE.read_text(encoding="utf-8"))


def test_texts_are_escaped(settings, home):
    evil = "<script>alert(1)<b>"
    encoder = encoders.load("tiny-electra", device="cpu")
    named = dataclasses.replace(settings, encoder=str(home / evil))
    found = [checks.Check("<i>", "a & b", checks.GOOD, '"')]
    tables = {"rsa_between_layers": analyses.rsa_between_layers(settings)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report.provenance, "fingerprints", lambda settings: {})
        text = report.page(named, encoder, found, tables | trees(), run=[], failure=evil)
    page = Page(text)
    assert evil in page.text and "<script" not in text and not {"script", "i"} & {tag for tag, _ in page.tags}
    assert evil in page.texts["h1"][0] and evil in page.texts["title"][0]


def test_colours_are_those_of_the_books_figures():
    plotting = pytest.importorskip("helpers.plotting")
    from matplotlib.colors import to_hex

    style = report.STYLE.read_text(encoding="utf-8")
    for model, colour in plotting.COLOURS.items():
        if model != "Base":  # the colour of text, on light and on dark
            assert re.search(rf"\.{model} {{ --curve: {to_hex(colour)};", style), model


# -- the command ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mendable", "status"), [(True, 2), (False, 1)])
def test_a_failed_analysis_is_on_the_page(settings, monkeypatch, tmp_path, capsys, mendable, status):
    def failing(settings, only):
        raise analyses.AnalysesFailed(f"1 of 1 analyses failed: {only[0]} (<why>)", mendable)

    monkeypatch.setattr(analyses, "run_all", failing)
    monkeypatch.setattr(profiles, "settings", lambda profile, **changes: settings)
    out = tmp_path / "page.html"
    arguments = ["report", "--profile", "smoke", "--only", "truncation", "--out", str(out)]
    assert command_line.main(arguments) == status
    printed = capsys.readouterr()
    assert printed.out == f"{out}\n" and printed.err.endswith("truncation (<why>)\n")
    assert "Failed: 1 of 1 analyses failed: truncation (<why>)" in Page(out.read_text()).text


def test_what_a_report_computes():
    assert report.asked() == report.READ and report.asked(["rsa"], "x") == ("rsa",)
    assert report.asked((), "x") == (), "a checkpoint that was tuned elsewhere needs no tuning"


def test_the_names_of_analyses_are_known():
    assert set(report.READ) <= set(analyses.ANALYSES)


# -- a pair of checkpoints -----------------------------------------------------------------------------


def test_a_checkpoint_against_its_origin(settings, tmp_path):
    """Only the last block is changed: below it RSA is 1 and trees are the origin's."""
    encoder = encoders.load("tiny-electra", device="cpu")
    for weights in encoder.model.encoder.layer[-1].parameters():
        weights.data = weights.data + 0.5 * np.random.default_rng(0).standard_normal()
    with encoders.seeded(0):
        encoder.model.encoder.layer[-1].output.dense.weight.data.normal_()
    encoder.model.save_pretrained(tmp_path)
    encoder.tokenizer.save_pretrained(tmp_path)
    frame = report.pair(settings, tmp_path)
    tuned = results.select(frame, model="Tuned").set_index(["analysis", "layer"])["value"]
    assert [tuned["rsa", k] for k in range(-1, 3)] == pytest.approx([1] * 4)
    assert tuned["rsa", 3] < 0.99
    base = results.select(checks.untuned_trees(settings), analysis="structural_probe", model="Base")
    assert list(tuned["structural_probe"])[:-1] == pytest.approx(list(base["value"])[:-1], abs=1e-6)
    with pytest.raises(encoders.EncoderError, match="it has 12 blocks, tiny-electra has 4"):
        report.pair(settings, "minibert")


# -- checks --------------------------------------------------------------------------------------------


def test_words_without_pieces_are_counted():
    encoder = encoders.load("tiny-electra", device="cpu")
    words = ("the", "water", "☃", "houses", "the", "☃", "new", "house")
    check = checks.has_pieces(encoder, [Sentence("s", words)])
    n_pieces = len(
        encoder.tokenizer(list(words), is_split_into_words=True, add_special_tokens=False).input_ids
    )
    assert "8 words: 25.00% have no piece but [UNK]" in check.found and "most often: ☃" in check.found
    assert f"{n_pieces / 8:.2f} pieces per word" in check.found and check.state == checks.LOOK
    assert checks.has_pieces(encoder, [Sentence("s", words[:2])]).state == checks.GOOD
    long = checks.has_pieces(encoder, [Sentence("s", ("the",) * n) for n in (510, 511)])
    assert "1 of 2 sentences are longer than one input" in long.found


def between(*high):
    rows = [
        dict(analysis="rsa_between_layers", metric="rsa_pearson", model="Base", layer=k, value=h - 0.01,
             ci_low=h - 0.02, ci_high=h)
        for k, h in enumerate(high)
    ]  # fmt: skip
    return results.table(rows)


def test_idle_blocks_are_named():
    idle = checks.blocks_work(between(0.7, 0.995, 0.9, 0.999))
    assert idle.state == checks.LOOK and idle.found.startswith("2 of 4 blocks (1 and 3) do almost nothing")
    assert "block 0 changes its input most, with an RSA to the layer below of 0.690" in idle.found
    assert checks.blocks_work(between(0.7, 0.9)).state == checks.GOOD


def trees(base=(0.3, 0.5), random=(0.3, 0.3), half=0.05):
    rows = []
    for k, (own, other) in enumerate(zip(base, random, strict=True), start=-1):
        for analysis, model, value in (
            ("structural_probe", "Base", own),
            ("structural_probe", "Random", other),
            ("structural_probe_delta", "Random", other - own),
            ("structural_probe_delta", "Lexical", base[0] - own),
        ):
            if (analysis, model, k) != ("structural_probe_delta", "Lexical", -1):
                row = dict(analysis=analysis, metric="uuas", model=model, layer=k, value=value)
                rows.append(row | dict(ci_low=value - half, ci_high=value + half))
    return {"structural_probe": results.table(rows)}


@pytest.mark.parametrize(
    ("base", "random", "chain", "lacking"),
    [
        ((0.3, 0.5), (0.3, 0.3), 0.4, ""),
        ((0.3, 0.5), (0.3, 0.3), 0.46, "a chain of neighbours"),
        ((0.3, 0.5), (0.47, 0.3), 0.4, "random weights"),
        ((0.46, 0.5), (0.3, 0.3), 0.4, "its own embeddings"),
        ((0.5, 0.3), (0.3, 0.3), 0.4, "its own embeddings"),
        ((0.5, 0.5), (0.5, 0.5), 0.6, "its own embeddings, random weights and a chain of neighbours"),
    ],
)
def test_trees_have_to_be_clear_of_what_knows_none(base, random, chain, lacking):
    check = checks.trees_begin(trees(base, random)["structural_probe"], chain)
    assert check.state == (checks.LOOK if lacking else checks.GOOD)
    assert f"not clearly above {lacking}." in check.means if lacking else "clear of" in check.means


def test_untuned_trees_are_the_analysis_own(settings):
    """The same rows as the whole analysis writes of Base, Random and the embeddings."""
    whole = analyses.structural_probes(dataclasses.replace(settings, seeds=(3,)))
    whole = whole[~whole["model"].isin(["Dep"]) & (whole["metric"] == "uuas")]
    keys = ["analysis", "model", "layer"]
    columns = [*keys, "metric", "value", "ci_low", "ci_high", "n"]
    own = checks.untuned_trees(settings).sort_values(keys, ignore_index=True)[columns]
    pd.testing.assert_frame_equal(own, whole.sort_values(keys, ignore_index=True)[columns])


def test_layers_of_ablations_are_at_the_same_share_of_depth():
    quick = profiles.settings("quick", encoder="x")

    def layers(n_blocks, **changes):
        encoder = type("Stack", (), {"layers": range(-1, n_blocks)})
        return checks.fitted(dataclasses.replace(quick, **changes), encoder).sweep_layers

    assert quick.sweep_layers == (5, 11) == layers(12)
    assert (layers(6), layers(24), layers(4), layers(1)) == ((2, 5), (11, 23), (1, 3), (0,))
    assert layers(6, sweep_layers=(1,)) == (1,), "set by the user"
    assert checks.fitted(profiles.settings("laptop"), None).sweep_layers == (), "all"


# -- charts --------------------------------------------------------------------------------------------


def test_points_are_where_their_numbers_are():
    nan = float("nan")
    curve = svg.Curve("a", "Dep", [(0, 0.0, nan, nan, "low"), (2, 1.0, nan, nan, "high")], "circle")
    drawn = svg.chart([curve], across="x", up="y", described="d")
    left, right = svg.LEFT, svg.WIDTH - svg.RIGHT
    top, bottom = svg.TOP, svg.HEIGHT - svg.BOTTOM
    assert f'points="{left},{bottom} {right},{top}" class="line solid Dep"' in drawn
    assert f'transform="translate({left} {bottom})"' in drawn
    level = svg.Curve("b", "Base", [(0, 0.5, nan, nan, "")], line="dotted")
    middle = (top + bottom) // 2
    drawn = svg.chart([curve, level], across="x", up="y", described="d")
    assert f'points="{left},{middle} {right},{middle}" class="line dotted Base"' in drawn
    with pytest.raises(ValueError, match="needs a point"):
        svg.chart([], across="x", up="y", described="d")


@pytest.mark.parametrize(
    ("low", "high", "marks"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0.31, 0.42, [0.3, 0.35, 0.4, 0.45]), (0.5, 0.5, [0.5, 0.51])],
)
def test_axes_have_round_numbers_around_the_values(low, high, marks):
    assert svg._marks(low, high) == pytest.approx(marks)


def test_only_markup_is_not_escaped():
    assert svg.tag("p", "<b>", svg.tag("b", "&"), class_='"') == '<p class="&quot;">&lt;b&gt;<b>&amp;</b></p>'


# -- what the pages say of encoders --------------------------------------------------------------------


def test_the_page_lists_the_families_that_work():
    text = (ROOT / "book" / "how_to_run.md").read_text(encoding="utf-8")
    section = text.partition("## Your own encoder")[2].partition("### ")[0]
    listed = re.findall(r"^\| (\S+) \| `(\S+/\S+)` \| (.*?) ?\|$", section, re.M)
    assert listed == [(row["family"], row["example"], row["note"]) for row in families.describe()]
