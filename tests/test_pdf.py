"""The book as one PDF: pages put together, links between them, and what the browser prints."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup

from helpers import pdf

ROOT = Path(__file__).resolve().parents[1]
HEAD = '<link rel="stylesheet" href="../_static/book.css"/><script src="../_static/theme.js"></script>'
PAGES = {
    "book/first": (
        HEAD,
        '<h1>First<a class="headerlink" href="#first">#</a></h1>'
        '<p id="limits">Of <a href="#limits">this</a>, '
        '<a href="../notebooks/second.html#limits">that</a>, <a href="../notebooks/second.html">all</a>, '
        '<a href="api/listed.html#x">a function</a> and <a href="https://example.org/a.html#b">more</a>.</p>',
    ),
    "notebooks/second": (
        HEAD + '<script>window.MathJax = {}</script><script src="../_static/mathjax/startup.js"></script>',
        "<h1>Second</h1>"
        '<p id="limits"><img src="../_images/curve.svg"/><img src="data:image/png;base64,"/></p>'
        '<details class="admonition hide above-input"><p>hidden = 1</p></details>'
        "<details><summary>Numbers</summary>0.5</details><button>Copy</button>"
        '<svg><g id="part"></g><use href="#part"/></svg>',
    ),
}


@pytest.fixture
def book(tmp_path):
    """Folders of sources and of built pages."""
    root, html = tmp_path / "sources", tmp_path / "html"
    root.mkdir()
    (root / "_config.yml").write_text(yaml.safe_dump(dict(title="A small book", author="Nobody")))
    listed = {"file": "notebooks/second", "sections": [{"file": "book/api/listed"}]}
    toc = dict(root="book/first", parts=[dict(caption="A part", chapters=[listed])])
    (root / "_toc.yml").write_text(yaml.safe_dump(toc))
    for name, (head, text) in PAGES.items():
        path = html / f"{name}.html"
        path.parent.mkdir(parents=True)
        article = f'<article class="bd-article">{text}</article>'
        path.write_text(f"<html><head>{head}</head><body><nav>x</nav>{article}</body></html>")
    return root, html


@pytest.fixture
def joined(book):
    return BeautifulSoup(pdf.joined(*book), "html.parser")


def test_contents_lead_to_each_page_under_its_part(joined):
    assert joined.body["class"] == ["bd-content"]  # for which book.css has rules
    assert joined.title.string == "A small book" and joined.select_one("nav p").string == "A part"
    assert [(a.string, a["href"]) for a in joined.select("nav a")] == [
        ("First", "#book/first"),
        ("Second", "#notebooks/second"),
    ]
    assert [article["id"] for article in joined.select("article")] == list(PAGES)


def test_links_stay_within_the_book_and_ids_are_its_own(joined):
    assert [a["href"] for a in joined.select("article a")] == [
        "#book/first:limits",
        "#notebooks/second:limits",
        "#notebooks/second",
        "https://example.org/a.html#b",
    ]
    ids = [element["id"] for element in joined.select("[id]")]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in joined.select("a[href^='#']")} <= set(ids)
    assert "a function" in joined.get_text()  # whose page is not printed
    assert joined.select_one("use")["href"] == "#part" and "part" in ids


def test_what_pages_fold_away_and_what_needs_a_screen_is_left_out(joined):
    assert not joined.select("article :is(button, script, .headerlink)")
    assert "hidden = 1" not in joined.get_text()
    assert joined.select_one("details").has_attr("open")


def test_styles_figures_and_mathematics_are_found_from_the_folder_of_all(joined):
    assert [link["href"] for link in joined.select("link")] == ["_static/book.css", pdf.STYLE]
    scripts = joined.select("script")
    assert [script.get("src") for script in scripts] == [None, "_static/mathjax/startup.js"]
    assert [image["src"] for image in joined.select("img")] == ["_images/curve.svg", "data:image/png;base64,"]


def test_a_page_that_was_not_built_and_a_browser_that_is_not_there_are_said(book, monkeypatch):
    root, html = book
    (html / "notebooks" / "second.html").unlink()
    with pytest.raises(FileNotFoundError, match=r"second\.html is not there: build the book first"):
        pdf.joined(root, html)
    monkeypatch.setenv("PATH", str(root))
    with pytest.raises(FileNotFoundError, match="none of chromium, chromium-browser"):
        pdf.write(root, html, root / "book.pdf")


def test_a_browser_that_prints_nothing_is_an_error_with_its_last_words(book, tmp_path, monkeypatch):
    root, html = book
    browser = tmp_path / "chromium"
    browser.write_text("#!/bin/sh\necho first >&2\necho 'no display' >&2\n")
    browser.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(OSError, match="printed nothing: no display"):
        pdf.write(root, html, root / "book.pdf")
    assert not (root / "book.pdf").exists()


def test_two_pages_and_their_contents_are_printed(book, tmp_path):
    try:
        pdf.browser()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    root, html = book
    (html / "_static").mkdir()
    shutil.copy(ROOT / "book" / pdf.STYLE, html / pdf.STYLE)  # which begins a page at each of the book's
    before = sorted(html.rglob("*"))
    made = pdf.write(root, html, tmp_path / "out" / "book.pdf").read_bytes()
    assert made.startswith(b"%PDF-") and 3_000 < len(made) < 1e6
    assert len(re.findall(rb"/Type\s*/Page\b", made)) == 3
    assert b"/Title (A small book)" in made and b"/Outlines" in made
    assert sorted(html.rglob("*")) == before
