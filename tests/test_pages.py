"""What pages say of the book's own files."""

import json
import re
from types import SimpleNamespace

import pytest
import yaml
from pybtex.database import parse_string

from helpers import book, pages, results
from helpers.claims import findings
from helpers.claims.run import Run
from helpers.vocabulary import MODELS

ROOT = book.source_root()


def notebook(source, **metadata):
    return {"metadata": metadata, "cells": [{"cell_type": "markdown", "source": source, "metadata": {}}]}


@pytest.mark.parametrize(
    ("minutes", "words"),
    [
        (0.01, "about 5 seconds"),
        (0.2, "about 10 seconds"),
        (0.6, "about 35 seconds"),
        (1.2, "about 70 seconds"),
        (2.2, "about 2 minutes"),
        (12.6, "about 13 minutes"),
    ],
)
def test_durations_in_words(minutes, words):
    assert pages.duration(minutes) == words


@pytest.mark.parametrize("source", ["# Title\n\nText", ["# Title\n", "\n", "Text"]])
def test_a_notebook_says_below_its_title_how_long_it_takes(source):
    given = notebook(source, minutes={"quick": 2.2})
    lines = pages.prefaced(given)["cells"][0]["source"].split("\n")
    assert lines[0] == "# Title" and lines[-1] == "Text"
    assert lines[2].startswith("*Takes about 2 minutes on two cores at the quick profile")
    assert given["cells"][0]["source"] == source  # the one given is left alone
    assert pages.prefaced(notebook(source)) == notebook(source)


def test_a_notebook_that_reads_recorded_results_says_whose_they_are():
    given = notebook("# Title\n\nText")
    given["cells"].append({"cell_type": "code", "source": "results.recorded_run()", "metadata": {}})
    title, _, line, *rest = pages.prefaced(given)["cells"][0]["source"].split("\n")
    assert title == "# Title" and rest[-1] == "Text"
    of_others = json.loads((ROOT / "notebooks" / "01_pretraining.ipynb").read_text(encoding="utf-8"))
    assert "recorded numbers are from" not in "".join(pages.prefaced(of_others)["cells"][0]["source"])
    assert re.fullmatch(r"\*Unless .{10,} are from Mini\w+, a small encoder that .{15,}\.\*", line)
    assert "layers 0 to 5 lie at the depth of the paper's 1, 3, 5, 7, 9 and 11." in line  # MiniLM's


def test_sphinx_reads_notebooks_with_that_line_and_pages_with_their_texts():
    app = SimpleNamespace(env=SimpleNamespace(doc2path=lambda name: f"/stage/{name}"))
    text = json.dumps(notebook("# Title", minutes={"quick": 1}))
    for name, changed in (("05.ipynb", True), ("book/intro.md", False)):
        source = [text]
        pages._read(app, name, source)
        assert (source[0] != text) is changed
    source = ["Before\n\n{{ times }}\n\n{{ other }}"]
    pages._read(app, "book/teaching.md", source)
    assert source == [f"Before\n\n{pages.times(ROOT)}\n\n{{{{ other }}}}"]


def test_every_text_is_on_a_page():
    written = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "book").rglob("*.md"))
    assert all(f"{{{{ {name} }}}}" in written for name in pages.TEXTS)


def test_what_was_found_is_said_in_five_lines_with_a_figure_and_links():
    text = pages.found(ROOT)
    said = findings.recorded()
    said |= {subject: findings.shown(subject, *needed) for subject, needed in pages.NEEDED.items()}
    lines = re.findall(r"^- (.*) \(\[[^\]]*\]\(\S+\)\)$", text, re.M)
    assert lines == [said[name].short for name in pages.CHAPTERS]
    for chapter in pages.CHAPTERS.values():
        assert (ROOT / "notebooks" / f"{chapter}.ipynb").is_file() and f"/{chapter}.ipynb)" in text
    assert re.search(r"^:alt: \S.{60,}$", text, re.M) and pages.FINDINGS.name in text
    assert all(said[name].long in text for name in (*pages.CHAPTERS, "untested", "verdicts"))
    learnt = findings.learnt(Run(results.recorded_run()))
    (alt,) = re.findall(r"^:alt: .* Right, (.*)$", text, re.M)
    assert [model for model in MODELS if f"{model} at" in alt] == learnt
    others = results.recorded_runs().keys() - {results.RUN}
    assert all(findings.recorded(run)["verdicts"].short in text for run in others)


def test_the_figure_of_findings_is_drawn_into_the_folder_of_the_pages(tmp_path):
    pages._draw(SimpleNamespace(srcdir=tmp_path))  # of a project without the book's pages
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "book").mkdir()
    pages._draw(SimpleNamespace(srcdir=tmp_path))
    drawn = (tmp_path / pages.FINDINGS).read_text(encoding="utf-8")
    assert "<svg" in drawn and "<dc:date>" not in drawn
    assert 'width="403.2pt"' in drawn  # of the book's column


def test_recorded_runs_are_listed_with_what_they_ran_on():
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in pages.recorded(ROOT).splitlines()[2:]
    ]
    for folder in sorted((ROOT / "book" / "recorded").iterdir()):
        saved = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
        own = [row for row in rows if row[0] == folder.name]
        assert sum(int(row[1]) for row in own) == len(saved)
        for entry in saved.values():
            machines = entry["hardware"] if isinstance(entry["hardware"], list) else [entry["hardware"]]
            assert "; ".join(machines) in {row[2] for row in own}


def test_every_module_of_the_package_has_its_place_on_one_page():
    texts = {name: made(ROOT) for name, made in pages.TEXTS.items() if name.startswith("modules")}
    for file in (ROOT / "helpers").rglob("*.py"):
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        places = [text for text in texts.values() if f".. automodule:: {name}\n   :members:" in text]
        assert len(places) == (not file.stem.startswith("__")), name
    assert ".. automodule:: helpers.probing\n```" in texts["modules probing"]
    assert "## `helpers.corpora.recast.questions`" in texts["modules corpora"]
    assert {file.stem for file in (ROOT / "helpers").glob("*.py")} >= pages.SHOWING


def test_the_table_has_every_notebook_of_the_book_with_its_minutes_and_their_sum():
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in pages.times(ROOT).splitlines()[2:]]
    names = book.notebooks(ROOT)
    assert [row[0] for row in rows] == [*(name.stem[:2] for name in names), ""]
    minutes = [json.loads((ROOT / name).read_text())["metadata"]["minutes"]["quick"] for name in names]
    assert [row[2] for row in rows] == [pages.duration(m) for m in [*minutes, sum(minutes)]]
    for name, row in zip(names, rows, strict=False):
        assert re.fullmatch(rf"\[.+\]\(\.\./{name.as_posix()}\)", row[1])


def test_citations_are_bibtex_and_say_what_the_citation_file_says():
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    block = pages.citation(ROOT)
    assert block.startswith("```bibtex\n") and block.endswith("\n```")
    entries = parse_string(block.removeprefix("```bibtex").removesuffix("```"), "bibtex").entries
    own, paper = entries["what-happens-to-bert"], entries["merchant2020"]
    assert own.fields["title"] == cff["title"] and own.fields["version"] == cff["version"]
    assert [str(p) for p in own.persons["author"]] == ["{" + cff["authors"][0]["name"] + "}"]
    expected = [f"{a['family-names']}, {a['given-names']}" for a in cff["preferred-citation"]["authors"]]
    assert [str(person) for person in paper.persons["author"]] == expected
    assert paper.fields["doi"] == cff["preferred-citation"]["doi"] and paper.fields["pages"] == "33--44"


def test_the_citation_file_has_the_packages_version():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cff["version"] == project["version"]
    heads = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert heads[0] == project["version"]


def test_docstrings_keep_roles_and_literals_and_lose_other_markup():
    lines = ["``a*b`` and |X'Y|_F * 2, see :func:`helpers.a_b`."]
    pages._plain(None, "function", "f", None, None, lines)
    assert lines == [r"``a*b`` and \|X'Y\|_F \* 2, see :func:`helpers.a_b`."]
    lines = ["Two:", "", "one", "    is one", "two", "", "    x = 1"]
    pages._plain(None, "module", "m", None, None, lines)
    assert lines == ["Two:", "", "| one", "|     is one", "| two", "", "    x = 1"]
