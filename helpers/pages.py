"""What pages say of the book's own files, made when they are built: a Sphinx extension.

How long each notebook takes stands in its metadata, how the book is cited in ``CITATION.cff``, and what
recorded runs were computed on beside their tables, and nowhere else. Pages show them by the names in
:data:`TEXTS` between double braces; notebooks get lines below their answers.
"""

import copy
import functools
import importlib
import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import yaml

from helpers import book, plotting, provenance, results
from helpers.claims import findings
from helpers.claims.judging import called, origin
from helpers.claims.run import Run
from helpers.claims.words import listed
from helpers.vocabulary import BASELINES, LAST, MODELS

FINDINGS = Path("book/findings.svg")  # drawn into the folder that pages are built from
CHAPTERS = {  # findings, and where they are explained
    "probes": "03_edge_probing",
    "trees": "04_structural_probes",
    "depth": "05_rsa",
    "ablations": "06_layer_ablations",
    "texts": "07_out_of_domain",
}
# The tables of findings that another run may have while the pages' run has none.
NEEDED = {"ablations": ("partial_freezing", "truncation", "reinitialisation")}
ROOMS = sorted(file.parent.name for file in Path(__file__).parent.glob("*/__init__.py"))
SHOWING = {  # top-level modules that make figures and pages
    *("book", "handout", "interactive", "markup", "notebook", "pages", "pdf", "plotting", "report"),
    *("statements", "svg"),
}
SUMMARY = ("**Question.", "**Answer.", "**How sure.")  # how the paragraphs that open a notebook begin
PROFILE = "quick"  # at which notebooks' minutes are shown


def setup(app: Any) -> dict[str, Any]:
    """Sphinx's entry point."""
    app.connect("builder-inited", _draw)
    app.connect("source-read", _read)
    app.connect("autodoc-process-docstring", _plain)
    app.connect("missing-reference", _where_defined)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def duration(minutes: float) -> str:
    """In words: seconds to the nearest five below a minute and a half, whole minutes above."""
    if minutes < 1.5:
        return f"about {max(5, 5 * round(12 * minutes))} seconds"
    return f"about {minutes:.0f} minutes"


def prefaced(notebook: dict[str, Any]) -> dict[str, Any]:
    """A notebook, as JSON, with lines below its answer: how long it takes, whose recorded numbers it shows.

    The first needs minutes at the profile shown in its metadata, the second code that reads the recorded run.
    """
    lines = []
    minutes = notebook["metadata"].get("minutes", {}).get(PROFILE)
    if minutes is not None:
        lines.append(
            f"Takes {duration(minutes)} on two cores at the {PROFILE} profile, as part of a "
            "full build from an empty store. Run alone, it first computes what earlier notebooks would have "
            "stored."
        )
    code = ("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    if any("results.RUN" in source or "recorded_run" in source for source in code):
        who = f"{encoder(book.source_root())}.{_depths()}"
        lines.append(f"Unless another encoder is named, recorded numbers are from {who}")
    if not lines:
        return notebook
    changed = copy.deepcopy(notebook)
    parts = "".join(changed["cells"][0]["source"]).split("\n\n")
    at = 1 + max(i for i, part in enumerate(parts) if i == 0 or part.startswith(SUMMARY))
    changed["cells"][0]["source"] = "\n\n".join([*parts[:at], *(f"*{line}*" for line in lines), *parts[at:]])
    return changed


def _depths() -> str:
    """Where in the paper's twelve layers those of the recorded encoder lie, if it has other ones."""
    n = int(results.recorded(results.RUN, "rsa")[0]["layer"].max()) + 1
    if n == LAST + 1 or (LAST + 1) % n:
        return ""
    there = [str((block + 1) * (LAST + 1) // n - 1) for block in range(n)]
    return f" Its layers 0 to {n - 1} lie at the depth of the paper's {listed(there)}."


def times(root: Path) -> str:
    """Table in Markdown of the notebooks in the table of contents, with what each takes, and their sum."""
    rows, total = [], 0.0
    for name in book.notebooks(root):
        notebook = json.loads((root / name).read_text(encoding="utf-8"))
        minutes = notebook["metadata"].get("minutes", {}).get(PROFILE)
        total += minutes or 0
        title = _title(notebook)
        shown = "not measured" if minutes is None else duration(minutes)
        rows.append(f"| {name.stem[:2]} | [{title}](../{name.as_posix()}) | {shown} |")
    rows.append(f"| | All of them | {duration(total)} |")
    return "\n".join(["| | Notebook | Time |", "|---|---|---|", *rows])


def _title(notebook: dict[str, Any]) -> str:
    return "".join(notebook["cells"][0]["source"]).split("\n")[0].removeprefix("# ")


def citation(root: Path) -> str:
    """BibTeX entries of the book and of the paper, as ``CITATION.cff`` has them, in a fenced block."""
    cff = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    paper = cff["preferred-citation"]
    book = {"author": _names(cff["authors"]), "title": cff["title"], "version": cff["version"]}
    book |= {"note": f"Licence {cff['license']}"}
    article = {
        "author": _names(paper["authors"]),
        "title": paper["title"],
        "booktitle": paper["collection-title"],
        "publisher": paper["publisher"]["name"],
        "year": paper["year"],
        "pages": f"{paper['start']}--{paper['end']}",
        "doi": paper["doi"],
        "url": paper["url"],
    }
    entries = [("software", "what-happens-to-bert", book), ("inproceedings", "merchant2020", article)]
    blocks = []
    for kind, key, fields in entries:
        lines = [f"  {name:<9} = {{{value}}}" for name, value in fields.items()]
        blocks.append(f"@{kind}{{{key},\n" + ",\n".join(lines) + "\n}")
    return "```bibtex\n" + "\n\n".join(blocks) + "\n```"


def _names(authors: list[dict[str, str]]) -> str:
    """Authors as BibTeX has them; a group's name in braces, so that it is not taken apart."""
    people = [
        f"{{{a['name']}}}" if "name" in a else f"{a['family-names']}, {a['given-names']}" for a in authors
    ]
    return " and ".join(people)


def recorded(root: Path) -> str:
    """Table in Markdown of what the recorded runs were computed on."""
    rows = []
    for file in sorted((root / "book" / "recorded").glob("*/provenance.json")):
        kinds: dict[tuple[str, ...], int] = {}
        for saved in provenance.read(file.parent).values():
            packages = saved.get("packages", {})
            hardware = saved.get("hardware", "not recorded")  # a list where training moved between machines
            kind = (
                hardware if isinstance(hardware, str) else "; ".join(hardware),
                str(saved.get("threads", "not recorded")),
                str(saved.get("python", "not recorded")),
                str(packages.get("torch", "not recorded")),
            )
            kinds[kind] = kinds.get(kind, 0) + 1
        rows += [f"| {file.parent.name} | {n} | {' | '.join(kind)} |" for kind, n in kinds.items()]
    head = "| Run | Tables | Hardware | Threads | Python | PyTorch |\n|---|---|---|---|---|---|"
    return "\n".join([head, *rows])


def modules(root: Path, room: str = "", *, showing: bool = False) -> str:
    """A section in Markdown for each module of a subpackage, filled by autodoc.

    Without one, those of the top level: either those that make figures and pages or all others.
    """
    folder = root / "helpers" / room
    files = sorted(folder.rglob("*.py") if room else folder.glob("*.py"))
    if not room:
        files = [file for file in files if (file.stem in SHOWING) is showing]
    parts = [f"```{{eval-rst}}\n.. automodule:: helpers.{room}\n```"] if room else []
    for file in files:
        name = ".".join(file.relative_to(root).with_suffix("").parts)
        if not file.stem.startswith("__"):
            parts.append(f"## `{name}`\n\n```{{eval-rst}}\n.. automodule:: {name}\n   :members:\n```")
    return "\n\n".join(parts)


def found(root: Path) -> str:
    """What the recorded run found, in Markdown: the answer, five lines, the figure, verdicts, numbers."""
    said, (encoder, curves, paper) = findings.recorded(), _curves()
    said |= {subject: findings.shown(subject, *analyses) for subject, analyses in NEEDED.items()}
    settings = results.recorded_settings()
    tuned = ", ".join(f"*{task['corpus']}* ({task['model']})" for task in settings["tasks"])
    lines = []
    for name, chapter in CHAPTERS.items():
        title = _title(json.loads((root / "notebooks" / f"{chapter}.ipynb").read_text(encoding="utf-8")))
        lines.append(f"- {said[name].short} ([{title}](../notebooks/{chapter}.ipynb))")
    shown = [model for model in MODELS if model in set(curves["model"])]
    left_out = [model for model in MODELS if model not in shown]
    caption = (
        "How similar each layer still is to Base after fine-tuning (RSA; 1: tokens are arranged as before). "
        f"Left: the paper's BERT, read off its Figure 2. Right: {encoder}, with 95 % intervals; *Random*, an "
        "encoder that was never trained, is the floor."
    )
    if left_out:
        caption += f" {listed(left_out)} did not learn the task and is left out on the right."
    layers = len(set(curves["layer"])), len(set(paper["layer"]))
    if layers[0] != layers[1]:
        caption += f" The last of its {layers[0]} layers stands for the last of the paper's {layers[1]}."
    figure = [
        f"```{{figure}} {FINDINGS.name}",
        ":name: fig-findings",
        f":alt: Two panels of lines over the layers. {_ends('Left, the paper', paper)} "
        f"{_ends(f'Right, {encoder}', curves)}",
        "",
        caption,
        "```",
    ]
    numbers = [f"- {said[name].long}" for name in ("learnt", *CHAPTERS)]
    others = []
    for run in results.recorded_runs().keys() - {results.RUN}:
        chosen = results.recorded_settings(run)
        there = findings.recorded(run)
        shorts = [there[subject].short for subject in ("learnt", "depth", "verdicts")]
        shorts += ["This rests on one fine-tuning seed."] if len(chosen["seeds"]) == 1 else []
        other, what = called(chosen["encoder"]), origin(chosen["encoder"])
        title = f"**With {other} in place of {encoder}.** ({other} is {what}.)"
        others.append(f"{title} {' '.join(shorts)}")
    parts = [
        f"**{said['answer'].short}** {said['answer'].long} {said['learnt'].short}",
        "\n".join(lines),
        "\n".join(figure),
        f"**Which models can be judged.** {said['untested'].long}",
        f"**The verdicts.** {said['verdicts'].short} {said['verdicts'].long} "
        "Each verdict stands in [the paper and this book](../notebooks/08_paper_and_here.ipynb).",
        *sorted(others),
        ":::{admonition} The numbers behind these lines\n:class: note, dropdown\n"
        + "\n".join(numbers)
        + "\n\nMeans over fine-tuning seeds with 95 % intervals, from the recorded run "
        + f"*{results.RUN}*: {encoder}, {origin(settings['encoder'])}. Here it was tuned on {tuned} "
        + "([corpora](../notebooks/09_corpora.ipynb)).\n:::",
    ]
    return "\n\n".join(parts)


def encoder(root: Path) -> str:
    """The encoder of the recorded run that pages speak of, and where it comes from."""
    there = results.recorded_settings()["encoder"]
    return f"{called(there)}, {origin(there)}"


def _curves() -> tuple[str, pd.DataFrame, pd.DataFrame]:
    """The encoder of the recorded run, its RSA curves of models that learnt their tasks, and the paper's."""
    run = Run(results.recorded_run())
    curves = findings.similarity(run, [*findings.learnt(run), *BASELINES])
    return called(results.recorded_settings()["encoder"]), curves, results.paper("rsa")


def _ends(where: str, curves: pd.DataFrame) -> str:
    """In words, where curves end: a sentence of a figure's description."""
    last = curves[curves["layer"] == curves["layer"].max()]
    ends = [f"{row.model} at {results.format_number(row.value)}" for row in last.itertuples()]
    return f"{where}: at the last layer {listed(ends)}."


def draw_findings(path: Path) -> None:
    """The figure of :func:`found` as SVG, in the book's style, drawn for the column."""
    encoder, curves, paper = _curves()
    with plt.style.context(plotting.STYLE):
        left, right = plotting.grid(2, height=3.1, sharey=True)
        plotting.layer_curves(paper, left, dashed=True).set(title="the paper: BERT-base", xlabel="layer")
        plotting.layer_curves(curves, right).set(title=f"this book: {encoder}", xlabel="layer", ylabel="")
        left.set_ylabel("similarity to Base (RSA)")
        plotting.shared_legend([right, left])
        left.figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(left.figure)


def _draw(app: Any) -> None:
    path = Path(app.srcdir) / FINDINGS
    if path.parent.is_dir():
        draw_findings(path)


TEXTS: dict[str, Callable[[Path], str]] = {
    "times": times,
    "citation": citation,
    "recorded": recorded,
    "modules": modules,
    "modules of figures and pages": functools.partial(modules, showing=True),
    "findings": found,
    "encoder": encoder,
    **{f"modules {room}": functools.partial(modules, room=room) for room in ROOMS},
}


def _read(app: Any, name: str, source: list[str]) -> None:
    if str(app.env.doc2path(name)).endswith(".ipynb"):
        source[0] = json.dumps(prefaced(json.loads(source[0])))
    for text, made in TEXTS.items():
        mark = f"{{{{ {text} }}}}"
        if mark in source[0]:
            source[0] = source[0].replace(mark, made(book.source_root()))


def _where_defined(app: Any, env: Any, node: Any, content: Any) -> Any:
    """A reference to a name of a room as one to where it is defined, or as plain text if it has no entry.

    None, which is a warning, for a name that does not exist.
    """
    parent, _, name = str(node.get("reftarget", "")).rpartition(".")
    if node.get("refdomain") != "py" or not parent.startswith("helpers."):
        return None
    try:
        found = getattr(importlib.import_module(parent), name)
    except (ImportError, AttributeError):
        return None
    place = f"{getattr(found, '__module__', parent)}.{name}"
    domain = env.get_domain("py")
    return (
        domain.resolve_xref(env, node["refdoc"], app.builder, node["reftype"], place, node, content)
        or content
    )


def _plain(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """In docstrings, only roles and double backticks are markup; bars, stars and indents mean themselves."""
    made: list[str] = []
    for blank, group in itertools.groupby(lines, key=lambda line: not line.strip()):
        paragraph = list(group)
        indents = {len(line) - len(line.lstrip()) for line in paragraph}
        uneven = not blank and len(indents) > 1
        for line in paragraph:
            parts = re.split(r"(``.*?``|:\w+:`.*?`)", line)
            parts[::2] = [re.sub(r"([|*]|_\b(?!\w))", r"\\\1", part) for part in parts[::2]]
            made.append(("| " if uneven else "") + "".join(parts))
    lines[:] = made
