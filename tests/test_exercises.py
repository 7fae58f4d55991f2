"""Exercises: each has a grade, minutes and a solution, and every solution's code runs."""

import ast
import json
import re

import pytest

from helpers import book
from helpers.handout import GRADES, exercises

ROOT = book.source_root()
NOTEBOOKS = book.notebooks(ROOT)
TITLE = re.compile(rf"({'|'.join(GRADES)}), (\d+) minutes")

notebooks = pytest.mark.parametrize("name", NOTEBOOKS, ids=lambda name: name.stem)


def read(name):
    return json.loads((ROOT / name).read_text(encoding="utf-8"))


@notebooks
def test_exercises_have_grades_minutes_and_solutions_with_code(name):
    found = exercises(read(name))
    titles = {exercise.label: TITLE.fullmatch(exercise.title) for exercise in found}
    assert all(titles.values()), [label for label, title in titles.items() if not title]
    assert {title[1] for title in titles.values()} == set(GRADES)
    grades = [GRADES.index(title[1]) for title in titles.values()]
    assert grades == sorted(grades), "the easier ones come first"
    assert all(5 <= int(title[2]) <= 120 for title in titles.values())
    for exercise in found:
        assert exercise.solution_code and len(exercise.solution) > len(exercise.solution_code), exercise.label


def test_labels_are_unique_in_the_book():
    labels = [exercise.label for name in NOTEBOOKS for exercise in exercises(read(name))]
    assert len(labels) == len(set(labels))


# -- running them ----------------------------------------------------------------------------------


def bound(code):
    """Names that code assigns, imports or defines at its top level, comprehensions' own left out."""
    names = set()
    for line in ast.parse(code).body:
        if isinstance(line, (ast.Import, ast.ImportFrom)):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in line.names}
        elif isinstance(line, (ast.FunctionDef, ast.ClassDef)):
            names.add(line.name)
        elif isinstance(line, (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.For, ast.With)):
            inside = ast.walk(line)
            names |= {n.id for n in inside if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        names |= {n.target.id for n in ast.walk(line) if isinstance(n, ast.NamedExpr)}
    return names


def free(code):
    """Names that code reads and has not bound itself before."""
    names, known = set(), set()
    for line in ast.parse(code).body:
        inside = list(ast.walk(line))
        own = {node.arg for node in inside if isinstance(node, ast.arg)}
        for node in inside:
            if isinstance(node, (ast.comprehension, ast.For)):
                own |= {n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)}
        reads = {n.id for n in inside if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        if isinstance(line, ast.AugAssign) and isinstance(line.target, ast.Name):
            reads.add(line.target.id)
        if isinstance(line, (ast.For, ast.With)):
            own |= bound(ast.unparse(line))
        names |= reads - own - known
        known |= bound(ast.unparse(line))
    return names


def needed(cells, code):
    """The parameters' cell and those of the cells, in order, that make what the code reads."""
    chosen, names = [], free(code)
    for cell in reversed(cells):
        source = "".join(cell["source"])
        made = bound(source)
        if made & names or "parameters" in cell["metadata"].get("tags", []):
            chosen.insert(0, cell)
            names = (names - made) | free(source)
    return chosen


def code_cell(source, *tags):
    return {"cell_type": "code", "source": source, "metadata": {"tags": list(tags)}}


def test_what_a_solution_needs_is_found_through_cells_that_others_need():
    cells = [
        code_cell("profile = 'quick'", "parameters"),
        code_cell("import numpy as np\nsettings = begin(globals())"),
        code_cell("frame = slow(settings)"),
        code_cell("x = frame.head()\nfor k in (1, 2):\n    y = k"),
        code_cell("draw(frame)"),
        code_cell("x = [n for n in np.arange(3)]"),
    ]
    assert needed(cells, "print(x)") == [cells[0], cells[1], cells[5]]
    assert needed(cells, "print(y)") == [cells[k] for k in (0, 1, 2, 3)]
    assert needed(cells, "n = 1") == [cells[0]]


@pytest.mark.slow
@notebooks
def test_solutions_run_in_the_order_of_the_exercises(name, monkeypatch, tmp_path):
    """At the smoke profile, after the notebook's cells that they need, in the store of the book's tests."""
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(ROOT / "_build" / "tests"))
    monkeypatch.chdir(tmp_path)
    notebook = read(name)
    codes = {e.label: f"{e.given_code}\n{e.solution_code}" for e in exercises(notebook)}
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    space = {"__name__": "__main__", "In": [""]}
    for cell in needed(cells, "\n".join(codes.values())):
        sources = ["".join(cell["source"])]
        if "parameters" in cell["metadata"].get("tags", []):
            live = "steps = 2\n" if "steps" in bound(sources[0]) else ""  # of training as one watches
            sources.append(f'# Parameters\nprofile = "smoke"\n{live}')
        for source in sources:
            space["In"].append(source)
            exec(compile(source, f"{name}, cell {cell.get('id')}", "exec"), space)
    for label, code in codes.items():
        exec(compile(code, f"{name.stem}: {label}", "exec"), space)
    plt.close("all")
