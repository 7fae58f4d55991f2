"""The last step of every page: a Sphinx extension that mends what the theme and the extensions leave.

``_config.yml`` names it. It takes thebe out, loads MathJax only where there is mathematics, and goes once
through each page as written: names, roles and ids that assistive technology trips over, and one look for
all tables of outputs.
"""

import re
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup, Tag

LONGEST_VALUE = 40  # characters in a cell; what is longer is text, to be read line by line
LONGEST_WORDS = 16  # characters in a line; cells without longer words are not wrapped, not even at hyphens
_INTERVAL = re.compile(r"(?<=\d) (?=\[)|(?<=\d,) (?=[−+-]?[\d.]+\])")


def setup(app: Any) -> dict[str, bool]:
    """What Sphinx calls when it loads the extension."""
    # Jupyter Book always loads sphinx-thebe, which nothing here uses and whose script fails on each page.
    for listeners in app.events.listeners.values():
        listeners[:] = [each for each in listeners if each.handler.__module__ != "sphinx_thebe"]
    app.connect("config-inited", _launch_from_an_address)
    app.connect("html-page-context", _needed_only, priority=900)
    app.connect("build-finished", _mend_all)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _launch_from_an_address(app: Any, config: Any) -> None:
    """Without the repository's address no launch buttons, at which the theme would fail."""
    if not config.html_theme_options.get("repository_url"):
        config.html_theme_options.pop("launch_buttons", None)


def _needed_only(app: Any, name: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Without the style sheet of thebe, and without MathJax where a page has no mathematics."""
    unneeded = ["sphinx-thebe"] if 'class="math' in context.get("body", "") else ["sphinx-thebe", "mathjax"]
    for kind in ("css_files", "script_files"):
        context[kind] = [
            file
            for file in context[kind]
            if not any(word in f"{file} {getattr(file, 'attributes', '')}".lower() for word in unneeded)
        ]


def _mend_all(app: Any, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        for path in sorted(Path(app.outdir).rglob("*.html")):
            path.write_text(mend(path.read_text(encoding="utf-8")), encoding="utf-8")
        for unused in Path(app.outdir, "_static", "scripts").glob("fontawesome.js*"):
            unused.unlink()


def mend(html: str) -> str:
    """A page as written by the theme, mended; a page mended already stays as it is."""
    soup = BeautifulSoup(html, "html.parser")
    # The theme's icons are in its style sheet and font as well; this draws them once more, with 1.5 MB.
    for script in soup.select('script[src*="scripts/fontawesome.js"]'):
        script.decompose()
    for sidebar in soup.select("#pst-primary-sidebar"):
        sidebar["role"], sidebar["aria-label"] = "region", "Contents of the book"
    for toggle in soup.select("summary:has(.toctree-toggle)"):  # an icon without a name
        toggle["aria-label"] = "Pages below this one"
    for element in soup.select("summary[aria-label], button[aria-label], a[aria-label]"):
        # Voice control goes by the visible words, so they must be the name.
        seen = " ".join(element.get_text(" ").split())
        if seen and seen.lower() not in str(element["aria-label"]).lower():
            del element["aria-label"]
    for element in soup.select("#exercise-content, #solution-content"):
        del element["id"]  # the same on each exercise of a page
    for entry in soup.select(".citation-list > .citation"):
        entry["role"] = "listitem"
    for equation in soup.select("div.math"):
        equation["tabindex"] = "0"  # it scrolls where it is wider than the screen
    for table in soup.select(".cell_output table"):
        _mend_table(table)
    return str(soup)


def _mend_table(table: Tag) -> None:
    """Give a table of an output the look of all others; label its cells if it is one of text.

    Such a table is read as blocks of labelled lines where the screen is narrow (book.css).
    """
    del table["border"]
    classes = {"dataframe", *map(str, filter(None, table.get_attribute_list("class")))}
    for empty in [th for th in table.select("th") if not th.get_text(strip=True)]:
        empty.name = "td"
    cells = table.select("tbody td, tbody th")
    for text in [text for cell in cells for text in cell.find_all(string=_INTERVAL)]:
        text.replace_with(_INTERVAL.sub("\u00a0", text))
    for cell in cells:
        if max(map(len, cell.stripped_strings), default=0) <= LONGEST_WORDS:
            cell["data-short"] = ""
    titles = [cell.get_text(" ", strip=True) for cell in table.select("thead tr:first-child > *")]
    single = len(table.select("thead tr")) == 1 and not table.select("[colspan], [rowspan]")
    if single and any(len(cell.get_text()) > LONGEST_VALUE for cell in cells):
        classes.add("texts")
        for row in table.select("tbody tr"):
            for title, cell in zip(titles, row.find_all(["td", "th"], recursive=False), strict=False):
                cell["data-label"] = title
    table["class"] = " ".join(sorted(classes))
