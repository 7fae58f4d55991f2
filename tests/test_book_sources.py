"""What pages and notebooks must keep to, checked in their sources."""

import ast
import io
import json
import re
import tokenize
from pathlib import Path

import pytest
import yaml
from pybtex.database import parse_file

from helpers.notebook import SETTINGS

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = sorted((ROOT / "book").rglob("*.md"))
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
MOST_CODE_LINES = 100
CLASSROOM, MOST_IN_CLASS = "2", 130  # how numbers of notebooks begin that build a method from scratch
COLUMN = 78  # characters of code that a page's column has room for
PARAMETERS = SETTINGS - {"tasks", "sweep", "edge", "structural"}  # names of modules and tables as well

notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
sources = pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS], ids=lambda path: path.stem)


def cells(path: Path, kind: str) -> list[dict]:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def source(cell: dict) -> str:
    return "".join(cell["source"])


def prose(path: Path) -> str:
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    return "\n\n".join(source(cell) for cell in cells(path, "markdown"))


def headings(text: str) -> list[tuple[int, str]]:
    """(level, title) of the headings in Markdown, those inside code fences left out."""
    found, fence = [], None
    for line in text.splitlines():
        mark = re.match(r"\s*(`{3,}|~{3,})(.*)", line)
        if mark and fence is None:
            fence = mark[1]
        elif mark and mark[1].startswith(fence) and not mark[2].strip():
            fence = None
        elif fence is None and (heading := re.match(r"(#{1,6})\s+(.*)", line)):
            found.append((len(heading[1]), heading[2].strip()))
    return found


def cited(text: str) -> set[str]:
    groups = re.findall(r"\{cite(?::[a-z]+)?\}`([^`]+)`", text)
    return {key.strip() for group in groups for key in group.split(",")}


def toc_files() -> list[str]:
    chapters = [chapter for part in TOC["parts"] for chapter in part["chapters"]]
    sections = [section for chapter in chapters for section in chapter.get("sections", [])]
    return [TOC["root"], *(page["file"] for page in [*chapters, *sections])]


# -- the book ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", toc_files())
def test_table_of_contents_names_files_that_exist(name):
    assert [s for s in (".md", ".ipynb") if (ROOT / f"{name}{s}").is_file()], f"{name} is not there"


def test_every_page_is_in_the_table_of_contents():
    listed = toc_files()
    assert len(listed) == len(set(listed))
    there = {str(path.relative_to(ROOT).with_suffix("")) for path in [*PAGES, *NOTEBOOKS]}
    assert there <= set(listed)


@sources
def test_one_title_and_no_skipped_heading_level(path):
    found = headings(prose(path))
    assert [level for level, _ in found].count(1) == 1, "a page has one heading of level 1"
    assert found[0][0] == 1, "the first heading is the page's title"
    for (before, _), (level, title) in zip(found, found[1:], strict=False):
        assert level <= before + 1, f"{title!r}: level {level} follows level {before}"
    titles = [title for _, title in found]
    assert len(titles) == len(set(titles)), "two headings alike make two link targets alike"


@sources
def test_citations_are_in_the_bibliography(path):
    known = set(parse_file(ROOT / "book" / "references.bib").entries)
    assert cited(prose(path)) <= known


def test_bibliography_entries_are_complete():
    database = parse_file(ROOT / "book" / "references.bib")
    for key, entry in database.entries.items():
        assert entry.persons.get("author"), key
        assert {"title", "year"} <= set(entry.fields), key
        assert re.match(r"[a-z]+\d{4}", key)[0].endswith(entry.fields["year"]), key
    dois = [entry.fields["doi"] for entry in database.entries.values() if "doi" in entry.fields]
    assert len(dois) == len(set(dois))


@sources
def test_links_to_other_pages_lead_somewhere(path):
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", prose(path)):
        assert (path.parent / target).is_file(), target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_figures_of_pages_have_alt_texts(path):
    for figure in re.findall(r"```\{figure\}.*?\n\n", path.read_text(encoding="utf-8"), re.S):
        assert re.search(r"^:alt: \S.{20,}", figure, re.M), figure


# -- notebooks -----------------------------------------------------------------------------------


@notebooks
def test_no_outputs_are_stored(path):
    for cell in cells(path, "code"):
        assert cell["outputs"] == [] and cell["execution_count"] is None, source(cell)[:80]


@notebooks
def test_kernel_is_plain_python(path):
    metadata = json.loads(path.read_text(encoding="utf-8"))["metadata"]
    assert metadata["kernelspec"]["name"] == "python3"


@notebooks
def test_exactly_one_parameters_cell_of_commented_literals(path):
    tagged = [c for c in cells(path, "code") if "parameters" in c["metadata"].get("tags", [])]
    assert len(tagged) == 1
    text = source(tagged[0])
    comments = {
        token.start[0]
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT and len(token.string) > 5
    }
    statements = ast.parse(text).body
    assert statements
    for statement in statements:
        assert isinstance(statement, (ast.Assign, ast.AnnAssign)), ast.unparse(statement)
        ast.literal_eval(statement.value)
        assert comments & set(range(statement.lineno, statement.end_lineno + 1)), (
            f"no comment on the line of: {ast.unparse(statement)}"
        )


@notebooks
def test_comments_of_parameters_fit_the_column(path):
    (text,) = [source(c) for c in cells(path, "code") if "parameters" in c["metadata"].get("tags", [])]
    assert [line for line in text.splitlines() if len(line) > COLUMN] == []


@notebooks
def test_tables_are_shown_by_helpers_that_escape_what_corpora_hold(path):
    for cell in cells(path, "code"):
        for node in ast.walk(ast.parse(source(cell))):
            styled = isinstance(node, ast.Attribute) and node.attr in ("style", "to_html")
            assert not styled, f"helpers.notebook.plain instead: {source(cell)[:80]}"


@notebooks
def test_settings_are_set_in_the_parameters_cell_only(path):
    """The next cell takes them from the notebook's variables, also when it is run once more later on."""
    for cell in cells(path, "code"):
        if "parameters" not in cell["metadata"].get("tags", []):
            for node in ast.walk(ast.parse(source(cell))):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    assert node.id not in PARAMETERS, f"{node.id} is a setting: {source(cell)[:80]}"
                if isinstance(node, ast.alias):
                    assert (node.asname or node.name) not in PARAMETERS, node.name


@notebooks
def test_code_is_short_and_defines_nothing_outside_the_classroom(path):
    texts = [source(cell) for cell in cells(path, "code")]
    lines = [line for text in texts for line in text.splitlines() if line.strip() and line.strip()[0] != "#"]
    if path.stem.startswith(CLASSROOM):
        assert len(lines) < MOST_IN_CLASS
        return
    assert len(lines) < MOST_CODE_LINES
    for text in texts:
        for node in ast.walk(ast.parse(text)):
            assert not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)), (
                f"line {node.lineno} of the cell: definitions belong in helpers"
            )


@notebooks
def test_figures_are_named_captioned_and_described(path):
    for cell in cells(path, "code"):
        render = cell["metadata"].get("mystnb", {})
        if "figure" in render or "image" in render:
            assert {"name", "caption"} <= set(render.get("figure", {})), source(cell)[:80]
            assert len(render.get("image", {}).get("alt", "")) > 20, source(cell)[:80]


@notebooks
def test_first_cell_is_the_title(path):
    first = json.loads(path.read_text(encoding="utf-8"))["cells"][0]
    assert first["cell_type"] == "markdown" and source(first).startswith("# ")
