"""The handout of a class: every notebook without its solutions, and without markup that only pages show."""

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers import pages

GRADES = ("Warm-up", "Practice", "Project")
ANSWER = "# Your answer"  # the code cell below an exercise

_DIRECTIVE = re.compile(
    r"^:::\{(exercise|solution)\} *([^\n]*)\n((?::\w+:[^\n]*\n)*)(.*?)^::: *$\n?", re.M | re.S
)
_LABEL = re.compile(r"^:label: *(\S+)", re.M)
_PYTHON = re.compile(r"^```python\n(.*?)^```", re.M | re.S)
_TO_A_PAGE = re.compile(r"\[([^\]]*)\]\([^)\s]+\.md\)")
_ROLE = re.compile(r"\{([a-z:]+)\}`([^`]+)`")
_BOX = re.compile(r"^:::\{(\w+)\} *([^\n]*)\n(?::\w+:[^\n]*\n)*(.*?)^::: *$\n?", re.M | re.S)
_TARGET = re.compile(r"^\([a-z-]+\)=\n", re.M)


@dataclass(frozen=True)
class Exercise:
    """An exercise of a notebook: its label, its title (grade and minutes), what it asks, and its solution.

    ``solution`` is Markdown, "" if there is none.
    """

    label: str
    title: str
    text: str
    solution: str

    @property
    def given_code(self) -> str:
        """The Python that it begins with, "" if there is none."""
        return "\n".join(_PYTHON.findall(self.text))

    @property
    def solution_code(self) -> str:
        """The solution's Python, which may use the notebook's variables and those of earlier exercises."""
        return "\n".join(_PYTHON.findall(self.solution))


def exercises(notebook: dict[str, Any]) -> list[Exercise]:
    """The exercises of a notebook, as JSON, in order."""
    asked, solved = {}, {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            for kind, title, options, text in _DIRECTIVE.findall("".join(cell["source"])):
                if kind == "solution":
                    solved[title.strip()] = text.strip()
                else:
                    label = _LABEL.search(options)
                    asked[label[1] if label else title] = title.strip(), text.strip()
    return [Exercise(label, *shown, solved.get(label, "")) for label, shown in asked.items()]


def without_solutions(notebook: dict[str, Any]) -> dict[str, Any]:
    """A notebook, as JSON, without solutions: each exercise is a cell, and below it an empty one for code.

    The text around the exercises becomes plain Markdown, as JupyterLab shows it: boxes get their titles in
    bold, references their names, and what only the built page fills in an ellipsis.
    """
    made = copy.deepcopy(pages.prefaced(notebook))
    made["cells"] = [new for cell in made["cells"] for new in _handed_out(cell)]
    return made


def _handed_out(cell: dict[str, Any]) -> Iterator[dict[str, Any]]:
    source = "".join(cell["source"])
    if cell["cell_type"] != "markdown":
        yield cell
        return
    parts, at = [], 0
    for found in _DIRECTIVE.finditer(source):
        parts.append(("text", source[at : found.start()]))
        if found[1] == "exercise":
            parts.append(("exercise", f"**Exercise** ({found[2].strip()})\n\n{_plain(found[4].strip())}"))
        at = found.end()
    parts.append(("text", source[at:]))
    number = 0
    for kind, text in parts:
        if not text.strip():
            continue
        shown = text if kind == "exercise" else _plain(text)
        yield cell | {"source": shown.strip("\n"), "id": _id(cell, number)}
        number += 1
        if kind == "exercise":
            yield {
                "cell_type": "code",
                "execution_count": None,
                "id": _id(cell, number),
                "metadata": {},
                "outputs": [],
                "source": ANSWER,
            }
            number += 1


def _plain(source: str) -> str:
    """Markdown without MyST's roles, boxes and targets, and without links to pages that a handout lacks."""

    def role(found: re.Match[str]) -> str:
        kind, text = found[1], found[2]
        name = re.sub(r" *<[^>]*>$", "", text)  # of "name <target>"
        if kind == "glue:text":
            return "…"
        if kind.startswith("cite"):
            return f"[{', '.join(key.strip() for key in text.split(','))}]"
        if kind == "numref":
            return "the figure above"
        return f"`{name.lstrip('~')}`" if kind.startswith("py:") else name

    def box(found: re.Match[str]) -> str:
        return f"**{found[2].strip() or found[1].capitalize()}**\n\n{found[3].strip()}\n"

    text = _ROLE.sub(role, _BOX.sub(box, _TARGET.sub("", _TO_A_PAGE.sub(r"\1", source))))
    return re.sub(r"…(?:\s+…)+", "…", text)


def _id(cell: dict[str, Any], number: int) -> str:
    """A cell's own id for its first part, and others for the rest."""
    return cell["id"] if number == 0 else f"{cell['id'][:56]}-{number}"


def write(out: Path, sources: list[Path]) -> list[Path]:
    """Write the notebooks ``sources`` without solutions into the folder ``out``; returns the files made.

    Raises FileExistsError, before anything is written, if one is there already: a student may have worked in
    it.
    """
    targets = [out / source.name for source in sources]
    for target in targets:
        if target.exists():
            raise FileExistsError(f"{target} is there already; name another folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    for source, target in zip(sources, targets, strict=True):
        notebook = without_solutions(json.loads(source.read_text(encoding="utf-8")))
        text = json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True)
        target.write_text(text + "\n", encoding="utf-8")
    return targets
