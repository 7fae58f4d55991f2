"""A small book in a browser: what its pages ask for, show and do, and to whom they are accessible.

Its two pages have one of each thing that pages of the book are made of. The whole book's pages go through
the same in tests/test_book.py.
"""

import json
import shutil

import nbformat.v4 as v4
import pytest
import yaml

from helpers import book

ROOT = book.source_root()
CASE = (
    "She wrote <script>document.title='x'</script> to <mailto:a@example.org> & left $x$ for "
    "[you](javascript:0)."
)
LONG = "a claim of many words, " * 6

PROSE = """# Prose

Inline $p_i = B h_i$ and

$$
\\mathrm{RSA}(A, B) = \\operatorname{corr}_{i<j}\\bigl(\\cos(\\mathbf a_i, \\mathbf a_j),
\\cos(\\mathbf b_i, \\mathbf b_j)\\bigr)
$$

as in {cite:t}`merchant2020` and `helpers.finetuning.metrics.attachment_scores_of_everything()`.

:::{exercise}
:label: ex-one

What does {numref}`fig-curve` show?
:::

:::{solution} ex-one
:class: dropdown

A line.
:::

:::{exercise}
:label: ex-two

And [the notebook](../notebooks/cells.ipynb)?
:::

```{bibliography}
```
"""

CELLS = (
    ("parameters", 'profile = "smoke"'),
    (
        "hide-input",
        """
import pandas as pd
from IPython.display import display
from helpers import corpora, plotting
from helpers.notebook import begin, glue, plain
settings = begin(globals())
(pair,) = corpora.load("mnli", "train", path=FOLDER)
glue(premise=pair.premise, score="0.52 [0.50, 0.54]")
print(pair.premise)
""",
    ),
    (
        "",
        'both = {"premise": [pair.premise], pair.premise: [0.5]}; display(plain(pd.DataFrame(both)))',
    ),
    ("", 'display(pd.DataFrame({"premise": [pair.premise], "label": [pair.label]}))'),
    ("", f'display(plain(pd.DataFrame({{"claim": ["{LONG}"], "ours": ["0.52 [0.50, 0.54]"]}})))'),
    ("", 'display(pd.DataFrame({f"column {k}": ["0.52 [0.50, 0.54]"] for k in range(12)}))'),
    (
        "figure",
        """
rows = [(model, layer, 0.5) for model in ("Dep", "Base") for layer in range(4)]
frame = pd.DataFrame(rows, columns=["model", "layer", "value"]).assign(metric="rsa_pearson")
plotting.panels([(pair.premise[:20], frame), ("b", frame)], plotting.layer_curves);
""",
    ),
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Folder of the pages of a small book, one of them a notebook that was run."""
    folder = tmp_path_factory.mktemp("book")
    root, stage, corpus = folder / "sources", folder / "_build" / "stage", folder / "mnli"
    for part in (root, stage / "notebooks", corpus):
        part.mkdir(parents=True)
    for name in book.SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, root / name)
    for page in (root / "book").glob("*.md"):
        page.unlink()
    toc = {"root": "book/prose", "parts": [{"chapters": [{"file": "notebooks/cells"}]}]}
    (root / "_toc.yml").write_text(yaml.safe_dump({"format": "jb-book", **toc}))
    (root / "book" / "prose.md").write_text(PROSE)
    record = dict(sentence1=CASE, sentence2="She wrote.", gold_label="entailment", pairID="1e", promptID="1")
    (corpus / "multinli_1.0_train.jsonl").write_text(json.dumps(record) + "\n")
    cells = [v4.new_markdown_cell("# Cells\n\nFrom {glue:text}`score`: {glue:text}`premise`")]
    for tag, source in CELLS:
        cell = v4.new_code_cell(source.replace("FOLDER", repr(str(corpus))).strip())
        if tag == "figure":
            shown = {
                "figure": {"name": "fig-curve", "caption": "A curve."},
                "image": {"alt": "A curve. " * 4},
            }
            cell.metadata["mystnb"] = shown
        elif tag:
            cell.metadata["tags"] = [tag]
        cells.append(cell)
    template = folder / "cells.ipynb"
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    template.write_text(json.dumps(v4.new_notebook(cells=cells, metadata=kernel)))
    book._papermill(template, stage / "notebooks" / "cells.ipynb", {"profile": "smoke"})
    problem = book._build_pages(root, stage, folder / "_build")
    assert not problem, problem
    return folder / "_build" / "html"


@pytest.mark.parametrize("page", ["book/prose.html", "notebooks/cells.html"])
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_pages_are_quiet_fit_the_screen_and_are_accessible(site, visit, page, width, scheme):
    seen = visit(site, page, width=width, scheme=scheme)
    assert seen.complaints == [] and seen.elsewhere == []
    assert seen.overflow() <= 0
    assert seen.violations() == []


def test_mathematics_is_set_by_the_books_own_mathjax_and_only_where_there_is_any(site, visit):
    prose, cells = (visit(site, page) for page in ("book/prose.html", "notebooks/cells.html"))
    prose.page.wait_for_selector("mjx-container")
    assert prose.page.locator("mjx-container").count() == 2
    assert prose.page.locator("mjx-merror").count() == 0
    assert any("mathjax" in name for name in prose.bytes)
    assert not any("mathjax" in name for name in cells.bytes)


def test_without_an_address_of_the_repository_nothing_offers_to_launch_notebooks(site):
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    page = (site / "notebooks" / "cells.html").read_text(encoding="utf-8")
    assert (config["launch_buttons"]["binderhub_url"] in page) is bool(config["repository"]["url"])


def test_pages_are_light(site, visit):
    for page in ("book/prose.html", "notebooks/cells.html"):
        fetched = visit(site, page).bytes
        theme = ("_static/styles/", "_static/scripts/", "_static/vendor/")
        assert sum(size for name, size in fetched.items() if not name.startswith(theme)) < 1.5e6
        assert max(size for name, size in fetched.items() if name.endswith(".js")) < 300e3


def test_text_of_corpora_is_shown_literally_and_nothing_in_it_runs(site, visit):
    page = visit(site, "notebooks/cells.html").page
    assert page.title() == "Cells — What happens to BERT"
    article = page.locator("article").inner_text().replace("’", "'")  # Sphinx's quotes in sentences
    assert article.count(CASE) == 5  # in a sentence, printed, in a table and its head, and in another table
    assert page.locator("article script, article a[href^=mailto], article a[href^=javascript]").count() == 0


def test_figures_are_vectors_as_wide_as_the_column_and_turn_with_the_theme(site, visit):
    for scheme, expected in (("light", "none"), ("dark", "invert(1) hue-rotate(180deg)")):
        image = visit(site, "notebooks/cells.html", scheme=scheme).page.locator("figure img")
        look = image.evaluate(
            """image => { const style = getComputedStyle(image); return [image.src, image.naturalWidth,
                 image.clientWidth, style.filter, style.backgroundColor, style.padding]; }"""
        )
        assert look[0].endswith(".svg") and look[1] <= 6.5 * 96 and look[2] == look[1]
        assert look[3:] == [expected, "rgba(0, 0, 0, 0)", "0px"]


def test_numbers_in_sentences_are_not_bold_and_intervals_do_not_break(site, visit):
    page = visit(site, "notebooks/cells.html").page
    weight = "node => getComputedStyle(node).fontWeight"
    assert page.locator("span.pasted-text").first.evaluate(weight) == "400"
    assert page.locator("td", has_text="0.50").first.inner_text() == "0.52\u00a0[0.50,\u00a00.54]"


def test_all_tables_look_alike(site, visit):
    look = """table => { const [cell, head] = [table.querySelector("td"), table.querySelector("th")]; return
        [table, cell.parentElement, cell, head.closest("tr")].map(node => { const style =
        getComputedStyle(node); return [style.backgroundColor, style.color, style.fontSize]; }); }"""
    look = " ".join(look.split())
    for scheme in ("light", "dark"):
        tables = visit(site, "notebooks/cells.html", scheme=scheme).page.locator(".cell_output table").all()
        looks = [str(table.evaluate(look)) for table in tables]
        assert len(looks) == 4 and len(set(looks)) == 1


def test_rows_of_text_are_blocks_of_labelled_lines_on_a_phone(site, visit):
    for width, display, label in ((390, "block", '"ours: "'), (1280, "table-cell", "none")):
        page = visit(site, "notebooks/cells.html", width=width).page
        cell = page.locator("table.texts td[data-label=ours]")
        assert cell.evaluate("node => getComputedStyle(node).display") == display
        assert cell.evaluate("node => getComputedStyle(node, '::before').content") == label
