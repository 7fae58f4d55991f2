"""The handout: notebooks without solutions."""

import re

import nbformat
import pytest

from helpers import __main__ as command_line
from helpers import book, handout

ROOT = book.source_root()
SOURCES = [ROOT / name for name in book.notebooks(ROOT)]

NOTEBOOK = {
    "metadata": {"minutes": {"quick": 1}, "kernelspec": {"name": "python3", "display_name": "Python 3"}},
    "nbformat": 4,
    "nbformat_minor": 5,
    "cells": [
        {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# T\n\n[page](../book/x.md)"},
        {
            "cell_type": "code",
            "id": "b",
            "metadata": {"tags": ["parameters"]},
            "source": "profile = 'quick'",
            "outputs": [],
            "execution_count": None,
        },
        {
            "cell_type": "markdown",
            "id": "c",
            "metadata": {},
            "source": "## Exercises\n\n:::{exercise} Warm-up, 5 minutes\n:label: one\nAdd 1 and 1.\n:::\n\n"
            ":::{solution} one\n:class: dropdown\nIt is 2.\n\n```python\nassert 1 + 1 == 2\n```\n:::\n\n"
            "Good luck.",
        },
    ],
}


def test_exercises_are_read_with_their_solutions():
    (only,) = handout.exercises(NOTEBOOK)
    assert (only.label, only.title, only.text) == ("one", "Warm-up, 5 minutes", "Add 1 and 1.")
    assert only.solution.startswith("It is 2.") and only.solution_code == "assert 1 + 1 == 2\n"


def test_a_handout_keeps_everything_but_the_solution():
    cells = handout.without_solutions(NOTEBOOK)["cells"]
    kept = "\n".join(cell["source"] for cell in cells)
    assert "It is 2" not in kept and "assert" not in kept and "solution" not in kept
    assert [cell["cell_type"] for cell in cells] == [
        "markdown",
        "code",
        "markdown",
        "markdown",
        "code",
        "markdown",
    ]
    assert cells[1]["metadata"] == {"tags": ["parameters"]} and cells[1]["source"] == "profile = 'quick'"
    assert cells[3]["source"] == "**Exercise** (Warm-up, 5 minutes)\n\nAdd 1 and 1."
    assert cells[-1]["source"] == "Good luck." and "\npage" in cells[0]["source"]
    assert len({cell["id"] for cell in cells}) == len(cells)
    nbformat.validate(nbformat.from_dict(handout.without_solutions(NOTEBOOK)))


def test_text_around_exercises_becomes_plain_markdown():
    source = (
        "(here)=\n# T\n\n:::{admonition} Learning goals\n:class: tip\n- know {term}`RSA`\n:::\n\n"
        "It is {glue:text}`value` {glue:text}`more` {cite:p}`a2020, b2021` in "
        "{numref}`fig-x`; {ref}`the end <here>`, "
        "{py:class}`~helpers.x.Y`.\n\n:::{note}\nMind this.\n:::\n"
    )
    (cell,) = handout.without_solutions(
        NOTEBOOK | {"metadata": {}, "cells": [NOTEBOOK["cells"][0] | {"source": source}]}
    )["cells"]
    assert cell["source"] == (
        "# T\n\n**Learning goals**\n\n- know RSA\n\nIt is … [a2020, b2021] in the figure above; the end, "
        "`helpers.x.Y`.\n\n**Note**\n\nMind this."
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("class") / "handout"
    assert command_line.main(["handout", "--out", str(folder)]) == 0
    return folder


def test_every_notebook_is_handed_out_and_valid(written):
    assert sorted(path.name for path in written.iterdir()) == sorted(path.name for path in SOURCES)
    for path in written.iterdir():
        nbformat.validate(nbformat.read(path, as_version=4))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_exercises_stay_and_no_line_of_a_solution_does(written, source):
    original = nbformat.read(source, as_version=4)
    cells = nbformat.read(written / source.name, as_version=4).cells
    text = "\n".join(cell["source"] for cell in cells if cell["cell_type"] == "markdown")
    assert ":::{solution}" not in text and ":::{exercise}" not in text
    asked = handout.exercises(original)
    assert (
        text.count("**Exercise**") == len(asked) == [cell["source"] for cell in cells].count(handout.ANSWER)
    )
    assert not re.search(r"\{[a-z:]+\}`|^:::|^\([a-z-]+\)=", text, re.M)  # markup that JupyterLab would show
    for exercise in asked:
        lines = [line for line in exercise.solution.splitlines() if len(line) > 30]
        assert lines and not [line for line in lines if line in text]
    code = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
    before = [cell["source"] for cell in original.cells if cell["cell_type"] == "code"]
    assert [text for text in code if text != handout.ANSWER] == before


def test_one_notebook_can_be_asked_for_and_nothing_is_overwritten(tmp_path, capsys):
    out = tmp_path / "a" / "b"
    assert command_line.main(["handout", "--only", "20", "--out", str(out)]) == 0
    assert [path.name for path in out.iterdir()] == ["20_rsa_from_scratch.ipynb"]
    (out / "20_rsa_from_scratch.ipynb").write_text("my answers")
    assert command_line.main(["handout", "--out", str(out)]) == 2
    assert "20_rsa_from_scratch.ipynb is there already" in capsys.readouterr().err
    assert len(list(out.iterdir())) == 1 and (out / "20_rsa_from_scratch.ipynb").read_text() == "my answers"
    assert (
        command_line.main(["handout", "--only", "21", "--only", "quick", "--out", str(tmp_path / "two")]) == 0
    )
    names = ["00_quickstart.ipynb", "21_structural_probe_from_scratch.ipynb"]
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == names


def test_a_name_that_no_notebook_has_is_a_mistake_with_the_valid_ones(tmp_path, capsys):
    asked = ["handout", "--only", "20", "--only", "rsx", "--out", str(tmp_path / "out")]
    assert command_line.main(asked) == 2 and not (tmp_path / "out").exists()
    assert "no notebook's name contains 'rsx'; there are: 00_quickstart" in capsys.readouterr().err
