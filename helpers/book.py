"""Run the notebooks, stage the book, build it.

Notebooks are templates: papermill fills their parameters and runs them into ``_build/stage``, a mirror of
the sources, from which Jupyter Book builds the pages without running anything again. A run notebook is
kept in the store under all that its outputs depend on, so a second build runs only what changed.
"""

import contextlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from helpers import profiles, progress, provenance, results, store
from helpers.analyses import inputs
from helpers.validation import nested

SOURCES = ("_config.yml", "_toc.yml", "CHANGELOG.md", "book")
OPTIONS = ("-W", "-n", "--keep-going", "--quiet")  # warnings are errors, references must resolve


@dataclass(frozen=True)
class Outcome:
    """What became of a notebook: seconds taken (0 if it was in the store) and its error, if any."""

    name: str
    seconds: float
    error: str = ""


def source_root() -> Path:
    """Folder of the book's sources. Raises FileNotFoundError where only the package is installed."""
    root = Path(__file__).resolve().parents[1]
    if not (root / "_toc.yml").is_file():
        raise FileNotFoundError(
            f"{root} lacks the book's pages: build it in a clone of the repository (pip install -e '.[book]')"
        )
    return root


def notebooks(root: Path) -> list[Path]:
    """The notebooks of the table of contents, in its order, as paths relative to ``root``."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    names = [c["file"] for part in toc["parts"] for c in part["chapters"]]
    return [Path(f"{n}.ipynb") for n in names if (root / f"{n}.ipynb").is_file()]


def named(root: Path, only: str | Iterable[str]) -> list[Path]:
    """Those of :func:`notebooks` whose name contains the text or one of the texts; all if there is none.

    Raises ValueError for a text that no name contains.
    """
    every, texts = notebooks(root), [only] if isinstance(only, str) else list(only)
    for text in texts:
        if not any(text in n.stem for n in every):
            names = ", ".join(n.stem for n in every)
            raise ValueError(f"no notebook's name contains {text!r}; there are: {names}")
    return [n for n in every if not texts or any(text in n.stem for text in texts)]


def build(
    profile: str = "quick", *, only: str | Sequence[str] = (), overrides: Mapping[str, Any] | None = None
) -> int:
    """Make the book at a profile; returns 0, or 1 if a notebook or the build failed.

    ``overrides`` replace single settings (:func:`helpers.profiles.settings`) in every notebook; ``only`` runs
    just the notebooks whose names contain the text, or one of the texts, and builds no pages. Before anything
    is run, raises ValueError for unknown settings, what :func:`helpers.analyses.inputs.check` finds, and if
    another build is at work in the same folder; FetchError if a corpus is not to be had.
    """
    overrides = overrides or {}
    settings = profiles.settings(profile, **overrides)
    root = source_root()
    chosen = named(root, only)
    inputs.check(settings)
    output = store.home() / "_build"
    stage = output / "stage"
    began = time.time()
    inputs.fetch(settings)
    parameters = {"profile": profile} | _literals(overrides, settings)
    dependencies = provenance.fingerprints(settings)
    expected = {n: _expected_seconds(root / n, profile) for n in chosen}
    outcomes = []
    with _alone(output), _scratch(output):
        if not only:
            shutil.rmtree(stage, ignore_errors=True)
        for number, name in enumerate(chosen):
            left = sum(expected[n] for n in chosen[number:])
            about = f", about {progress.clock(left)} left" if left else ""
            progress.say(f"notebook {number + 1} of {len(chosen)}, {name.stem}{about}")
            outcomes.append(_run(root / name, stage / name, parameters, dependencies))
            if outcomes[-1].error:
                progress.say(f"  FAILED: {outcomes[-1].error}")
        for outcome in outcomes:
            seconds = progress.clock(outcome.seconds) if outcome.seconds else "from the store"
            progress.say(f"  {outcome.name:<24} {'FAILED' if outcome.error else seconds}")
        failed = [outcome for outcome in outcomes if outcome.error]
        index = output / "html" / "index.html"
        if not only:
            progress.say("building the pages")
            if problem := _build_pages(root, stage, output):
                progress.say(f"  FAILED: {problem}")
                failed.append(Outcome("pages", 0, problem))
            if index.is_file():
                progress.say(f"the book: {index}")
        else:
            progress.say(f"notebooks as run: {stage / 'notebooks'}")
    progress.say(f"{progress.clock(time.time() - began)} in all, {len(failed)} failed")
    return 1 if failed else 0


@contextlib.contextmanager
def _alone(output: Path) -> Iterator[None]:
    """Refuse to build into a folder that another build is writing to, which would mix the two."""
    with store.locked(output / ".building", wait=False) as free:
        if not free:
            raise ValueError(
                f"another build is writing to {output}: wait for it, or build into another folder, with "
                "FINETUNING_BOOK_HOME set to it"
            )
        yield


@contextlib.contextmanager
def _scratch(output: Path) -> Iterator[None]:
    """A temporary folder for all that runs within the block, deleted with all that is in it.

    A kernel that is shut down does not delete its own. Compiled code is kept in ``output``.
    """
    before, folder_before = dict(os.environ), tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="book-", ignore_cleanup_errors=True) as folder:
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(output / "compiled"))
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = folder_before
            os.environ.clear()
            os.environ.update(before)


def _literals(overrides: Mapping[str, Any], settings: profiles.Profile) -> dict[str, Any]:
    """Overrides as parameters of a notebook: checked values, lists for tuples, dicts for settings within."""
    parameters = {}
    for name, value in nested(overrides).items():
        if value is not None and not isinstance(value, dict):
            value = getattr(settings, name)
        elif name == "paths":
            value = settings.paths
        parameters[name] = list(value) if isinstance(value, tuple) else value
    return parameters


def _expected_seconds(path: Path, profile: str) -> float:
    """What the notebook took when it was last measured at this profile, from its metadata; 0 if unknown."""
    metadata = json.loads(path.read_text(encoding="utf-8"))["metadata"]
    return 60 * metadata.get("minutes", {}).get(profile, 0)


def _run(template: Path, target: Path, parameters: dict, dependencies: dict) -> Outcome:
    from papermill.exceptions import PapermillExecutionError

    recorded = sorted(p for p in results.RECORDED.rglob("*") if p.is_file())
    spec = {
        "notebook": store.sha256(template),
        "parameters": parameters,
        "inputs": dependencies,
        "package": provenance.code_hash(),
        "recorded": {str(p.relative_to(results.RECORDED)): store.sha256(p) for p in recorded},
        "versions": provenance.versions(("papermill", "matplotlib", *provenance.PACKAGES)),
    }
    took = 0.0

    def execute(folder: Path) -> None:
        nonlocal took
        began = time.time()
        _papermill(template, folder / template.name, parameters)
        took = time.time() - began

    target.parent.mkdir(parents=True, exist_ok=True)
    artifacts = store.Store()
    try:
        folder = artifacts.get("notebook", spec, execute)
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        if isinstance(error, PapermillExecutionError):  # its own message is the whole traceback
            if error.ename == "KeyboardInterrupt":  # Ctrl-C reaches the kernel as well
                raise KeyboardInterrupt from None
            message = f"cell {error.cell_index}: {error.ename}: {error.evalue}"
        unfinished = artifacts.path("notebook", spec).with_suffix(".partial") / template.name
        if unfinished.is_file():
            shutil.copy(unfinished, target)
        return Outcome(template.stem, took, message)
    shutil.copy(folder / template.name, target)
    return Outcome(template.stem, took)


def _papermill(template: Path, target: Path, parameters: dict) -> None:
    import nbformat
    import papermill
    from traitlets.config import Config

    # The kernels' libraries ask for widgets that nothing here would show.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")
    # It warns of parameters that a notebook does not list; helpers.notebook takes every setting.
    logging.getLogger("papermill").setLevel(logging.ERROR)
    notebook = papermill.execute_notebook(
        str(template),
        str(target),
        parameters,
        kernel_name="python3",
        cwd=str(template.parent),
        progress_bar=False,  # it would run into the lines of helpers.progress
        stderr_file=sys.stderr,  # what helpers.progress says
        config=Config(
            {
                "KernelManager": {"transport": "ipc"},  # no open ports
                "NotebookClient": {"extra_arguments": ["--log-level=CRITICAL"]},  # its shutdown is no error
            }
        ),
    )
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata.tags.append("hide-input")
    nbformat.write(notebook, target)


def _build_pages(root: Path, stage: Path, output: Path) -> str:
    """Copy the sources beside the notebooks that were run and build; returns what went wrong, if anything."""
    for name in SOURCES:
        source = root / name
        if source.is_dir():
            shutil.copytree(
                source, stage / name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("recorded")
            )
        else:
            shutil.copy(source, stage / name)
    config = yaml.safe_load((stage / "_config.yml").read_text(encoding="utf-8"))
    config["execute"]["execute_notebooks"] = "off"
    (stage / "_config.yml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    # Jupyter Book puts its output into <path-output>/_build.
    start = "from jupyter_book.cli.main import main; main()"  # the package cannot be run with -m
    command = [sys.executable, "-c", start, "build", str(stage), *OPTIONS]
    command += ["--all", "--path-output", str(output.parent)]
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    (output / "book.log").write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode == 0:
        return ""
    lines = [x for x in (done.stdout + done.stderr).splitlines() if "WARNING" in x or "ERROR" in x]
    return (
        "\n".join(lines[:20] or (done.stdout + done.stderr).splitlines()[-20:])
        + f"\n(log: {output / 'book.log'})"
    )
