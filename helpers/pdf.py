"""The book as one PDF: its pages, as they were built, one after another, printed by Chromium.

Chapters are printed with their solutions, code that pages fold away is left out, and so are the sections of
the table of contents, which list functions. Links within the book lead to its pages; other local ones become
plain text. How it looks is in ``book/_static/print.css``.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from posixpath import dirname, join, normpath
from urllib.parse import unquote, urlsplit

import yaml
from bs4 import BeautifulSoup, Tag

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FOLDED = "details.above-input"  # code that a page hides
SCREEN_ONLY = f"a.headerlink, button, script, {FOLDED}"
STYLE = "_static/print.css"
PATIENCE = 120_000  # milliseconds for scripts, on a clock that stands still while they load or work


def browser() -> str:
    """Path of Chromium or Chrome. Raises FileNotFoundError if there is neither."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise FileNotFoundError(f"no browser to print with: none of {', '.join(BROWSERS)} is installed")
    return found


def write(root: Path, html: Path, out: Path) -> Path:
    """Print the book whose sources are in ``root`` and whose built pages are in ``html``; returns ``out``.

    Raises FileNotFoundError without a browser or for a page that has not been built, OSError with the
    browser's last words if it prints nothing.
    """
    program = browser()
    text = joined(root, html)
    out.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="pdf-", ignore_cleanup_errors=True) as folder,
        # Beside the pages, whose styles and figures it shows.
        tempfile.NamedTemporaryFile("w", suffix=".html", dir=html, encoding="utf-8") as page,
    ):
        page.write(text)
        page.flush()
        printed = Path(folder, "book.pdf")
        command = [program, "--headless", "--disable-gpu", f"--user-data-dir={folder}/profile"]
        command += ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []  # root has none
        command += ["--allow-file-access-from-files", f"--virtual-time-budget={PATIENCE}"]
        command += ["--no-pdf-header-footer", "--generate-pdf-document-outline"]
        command += [f"--print-to-pdf={printed}", Path(page.name).as_uri()]
        done = subprocess.run(command, capture_output=True, text=True)
        if not printed.is_file():
            said = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["it said nothing"]
            raise OSError(f"{program} printed nothing: {said[0]}")
        shutil.move(printed, out)
    return out


def joined(root: Path, html: Path) -> str:
    """All pages as one of HTML, to be shown from the folder ``html``: title, contents, then the pages.

    Raises FileNotFoundError for a page that has not been built.
    """
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    parts = [("", [toc["root"]])]
    parts += [(part.get("caption", ""), [c["file"] for c in part["chapters"]]) for part in toc["parts"]]
    names = [name for _, own in parts for name in own]
    pages = {name: _read(html / f"{name}.html") for name in names}
    made = BeautifulSoup('<!DOCTYPE html><html data-theme="light"><head><meta charset="utf-8"/></head>'
                         "<body></body></html>", "html.parser")  # fmt: skip
    head, body = made.select_one("head"), made.select_one("body")
    assert head is not None and body is not None
    made.html["lang"] = config.get("sphinx", {}).get("config", {}).get("language", "en")  # type: ignore[index]
    head.append(_tag("title", config["title"]))
    for element in _needed(pages):
        head.append(element)
    head.append(_tag("link", rel="stylesheet", href=STYLE))
    body["class"] = "bd-content"  # as around a page's text, for its styles
    body.append(_tag("p", config["title"], **{"class": "book-title"}))
    body.append(_tag("p", config["author"], **{"class": "book-author"}))
    titles = {name: _article(name, page, set(names)) for name, page in pages.items()}
    contents = _tag("nav", **{"class": "book-contents"})
    for caption, own in parts:
        if caption:
            contents.append(_tag("p", caption))
        listed = _tag("ul")
        for name in own:
            entry = _tag("li")
            heading = titles[name].select_one("h1")
            entry.append(_tag("a", heading.get_text() if heading else name, href=f"#{name}"))
            listed.append(entry)
        contents.append(listed)
    body.append(contents)
    for article in titles.values():
        body.append(article)
    return str(made)


def _tag(name: str, text: str = "", **attributes: str) -> Tag:
    made = BeautifulSoup("", "html.parser").new_tag(name, attrs=attributes)
    if text:
        made.string = text
    return made


def _read(path: Path) -> BeautifulSoup:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: build the book first (python -m helpers book)")
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def _needed(pages: dict[str, BeautifulSoup]) -> list[Tag]:
    """The pages' style sheets and the script that renders their mathematics, once each, as seen from the
    folder of all."""
    found: dict[str, Tag] = {}
    for name, page in pages.items():
        for element in page.select("head link[rel=stylesheet], head script"):
            if element.name == "script" and "mathjax" not in str(element).lower():
                continue
            for key in ("href", "src"):
                if element.has_attr(key):
                    element[key] = _seen(name, str(element[key]))
            found.setdefault(str(element), element)
    return list(found.values())


def _seen(name: str, link: str) -> str:
    """A link of a page as seen from the folder of all."""
    return link if urlsplit(link).scheme else normpath(join(dirname(name), link))


def _article(name: str, page: BeautifulSoup, names: set[str]) -> Tag:
    """A page's text, its ids made the book's own and its links to pages of the book links to those."""
    article = page.select_one("article")
    if article is None:
        raise ValueError(f"{name}.html has no article: it is no page of the book")
    for element in article.select(SCREEN_ONLY):
        element.decompose()
    for element in article.select("details"):
        element["open"] = ""
    for element in article.select("[id]"):
        if element.find_parent("svg") is None:  # whose parts refer to one another
            element["id"] = f"{name}:{element['id']}"
    for image in article.select("img[src]"):
        image["src"] = _seen(name, str(image["src"]))
    for link in article.select("a[href]"):
        parts = urlsplit(str(link["href"]))
        if parts.scheme:
            continue
        target = normpath(join(dirname(name), unquote(parts.path))).removesuffix(".html")
        target = target if parts.path else name
        if target not in names:
            link.unwrap()
        else:
            link["href"] = f"#{target}:{unquote(parts.fragment)}" if parts.fragment else f"#{target}"
    article["id"] = name
    return article
