"""The book as built: every notebook run at the smoke profile, every page, link and picture."""

import os
import re
import secrets
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from papermill.exceptions import PapermillExecutionError

from helpers import book, profiles, progress, provenance, results, store

ROOT = book.source_root()
NOTEBOOKS = book.notebooks(ROOT)


@pytest.fixture(scope="session")
def home():
    """A store of the tests' own, kept between runs so that corpora are fetched and parsed once."""
    before = os.environ.get("FINETUNING_BOOK_HOME")
    os.environ["FINETUNING_BOOK_HOME"] = str(ROOT / "_build" / "tests")
    yield ROOT / "_build" / "tests"
    os.environ.pop("FINETUNING_BOOK_HOME")
    if before is not None:
        os.environ["FINETUNING_BOOK_HOME"] = before


@pytest.fixture(scope="session")
def built(home):
    """Folder of the built pages, and what was said on the way."""
    lines = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, "say", lines.append)
        status = book.build("smoke")
    assert status == 0, "\n".join(lines)
    return home / "_build" / "html", lines


@pytest.fixture
def said(monkeypatch):
    """What is said to the user while a test runs."""
    lines = []
    monkeypatch.setattr(progress, "say", lines.append)
    return lines


class Page(HTMLParser):
    def __init__(self, path: Path):
        super().__init__()
        self.ids, self.links, self.images = set(), [], []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if "id" in attributes:
            self.ids.add(attributes["id"])
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        if tag == "img":
            self.images.append(attributes)

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="session")
def pages(built):
    folder, _ = built
    names = [n.with_suffix(".html") for n in NOTEBOOKS] + [Path("book/intro.html"), Path("index.html")]
    return {name: Page(folder / name) for name in names}


def test_the_report_names_every_notebook_and_where_the_book_is(built, home):
    folder, lines = built
    text = "\n".join(lines)
    for name in NOTEBOOKS:
        assert re.search(rf"  {name.stem} +(\d|from the store)", text)
    assert f"the book: {folder / 'index.html'}" in text and "0 failed" in text


def test_every_notebook_was_run_to_its_end(built, home):
    for name in NOTEBOOKS:
        notebook = nbformat.read(home / "_build" / "stage" / name, as_version=4)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert all(cell.execution_count for cell in code), name
        assert not [o for cell in code for o in cell.outputs if o.output_type == "error"], name


def test_links_and_anchors_lead_somewhere(built, pages):
    folder, _ = built
    known = dict(pages)
    dead = []
    for name, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or link.startswith("//"):
                continue
            target = (folder / name.parent / unquote(parts.path)).resolve() if parts.path else folder / name
            if not target.exists():
                dead.append(f"{name}: {link}")
            elif parts.fragment and target.suffix == ".html":
                relative = target.relative_to(folder.resolve()) if parts.path else name
                known.setdefault(relative, Page(target))
                if unquote(parts.fragment) not in known[relative].ids:
                    dead.append(f"{name}: {link}")
    assert not dead


def test_pictures_exist_and_say_what_they_show(built, pages):
    folder, _ = built
    figures = 0
    for name in NOTEBOOKS:
        for image in pages[name.with_suffix(".html")].images:
            source = image["src"]
            if not source.startswith(("http", "data:")):
                assert (folder / name.parent / source).exists(), source
            if "_images" in source:
                figures += 1
                assert len(image.get("alt", "")) > 20, f"{name}: {source} has no alternative text"
    assert figures >= 5


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light")])
def test_pages_are_quiet_fit_the_screen_and_are_accessible_in_a_browser(built, pages, visit, width, scheme):
    folder, _ = built
    found = {}
    for name in pages.keys() - {Path("index.html")}:
        seen = visit(folder, str(name), width=width, scheme=scheme)
        wide = seen.page.evaluate(
            """[...document.querySelectorAll("figure img")].filter(image => image.naturalWidth > 6.5 * 96)
               .map(image => `${image.src} is ${image.naturalWidth} pixels wide`)"""
        )
        problems = [*seen.complaints, *seen.elsewhere, *seen.violations(), *wide]
        if overflow := max(0, seen.overflow()):
            problems.append(f"wider than the screen by {overflow} pixels")
        heavy = {n: size for n, size in seen.bytes.items() if n.endswith(".js") and size > 300e3}
        found |= {str(name): [*problems, *heavy]} if problems or heavy else {}
        seen.page.context.close()
    assert not found


def test_every_glued_number_is_there(pages):
    missing = re.compile(r"glue:|Traceback|\bnan\b")
    found = {str(name): missing.findall(page.text) for name, page in pages.items()}
    assert not {name: words for name, words in found.items() if words}


def test_results_are_written_with_their_provenance(built, home):
    frame = results.read(home / "results" / "smoke" / "rsa.csv")
    smoke = profiles.settings("smoke")
    tuned = frame[(frame["analysis"] == "rsa") & (frame["metric"] == "rsa_pearson")]
    assert set(tuned["model"]) == {"Dep", "NLI", "QA", "Random"}
    assert sorted(set(tuned["layer"])) == [-1, 0, 1, 2, 3]
    assert set(tuned[tuned["model"] == "Dep"]["seed"]) == set(smoke.seeds)
    inside = (tuned["ci_low"] <= tuned["value"] + 1e-9) & (tuned["value"] <= tuned["ci_high"] + 1e-9)
    assert inside.mean() > 0.9  # percentile intervals need not hold the estimate, but nearly all do
    assert provenance.read(home / "results" / "smoke")["rsa"]["settings"]["name"] == "smoke"


def test_a_second_build_runs_nothing_again(built, said):
    assert book.build("smoke", only=["05"]) == 0
    assert any("from the store" in line for line in said)


def test_parameters_reach_a_notebook_and_a_wrong_one_fails_with_the_valid_ones(built, home):
    assert book.build("smoke", only=["05"], overrides={"n_tokens": 100, "seeds": (0, 1)}) == 0
    notebook = nbformat.read(home / "_build" / "stage" / "notebooks" / "05_rsa.ipynb", as_version=4)
    assert any("n_tokens = 100" in cell.source and "seeds = [0, 1]" in cell.source for cell in notebook.cells)
    run = book._run(ROOT / NOTEBOOKS[0], home / "wrong.ipynb", {"profile": "qick"}, {})
    assert "unknown profile 'qick' (did you mean 'quick'?); valid: smoke, quick" in run.error


def test_notebooks_are_given_checked_values_and_absolute_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine" / "model").mkdir(parents=True)
    overrides = {"n_tokens": "1e2", "seeds": "[0, 1]", "encoder": "mine/model", "paths.mnli": "mnli"}
    overrides |= {"tasks.Dep.recipe.epochs": "2", "text": None}
    assert book._literals(overrides, profiles.settings("smoke", **overrides)) == {
        "n_tokens": 100,
        "seeds": [0, 1],
        "encoder": str(tmp_path / "mine" / "model"),
        "paths": {"mnli": str(tmp_path / "mnli")},
        "tasks": {"Dep": {"recipe": {"epochs": "2"}}},
        "text": None,
    }


def test_nothing_is_left_in_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    code = "import tempfile; open(tempfile.mkdtemp() + '/left', 'w').close()"
    with book._scratch(tmp_path / "output"):
        subprocess.run([sys.executable, "-c", code], check=True)  # a kernel that is killed, say
        (Path(tempfile.mkdtemp()) / "left").touch()
        assert len(list(tmp_path.rglob("left"))) == 2
    assert not list(tmp_path.iterdir())
    assert os.environ["TMPDIR"] == str(tmp_path) == tempfile.gettempdir()


def test_a_second_build_into_the_same_folder_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(tmp_path))
    monkeypatch.setattr(book.inputs, "fetch", lambda settings: None)
    ran = []
    monkeypatch.setattr(book, "_run", lambda *arguments: ran.append(arguments))
    message = f"another build is writing to {tmp_path}/_build: wait for it"
    with store.locked(tmp_path / "_build" / ".building"), pytest.raises(ValueError, match=message):
        book.build("smoke", only=["quickstart"])
    assert not ran


def test_ctrl_c_in_a_kernel_ends_the_build(home, monkeypatch):
    def interrupted(*arguments):
        raise PapermillExecutionError(3, 3, "fit()", "KeyboardInterrupt", "", [])

    monkeypatch.setattr(book, "_papermill", interrupted)
    monkeypatch.setattr(provenance, "code_hash", lambda: secrets.token_hex())
    with pytest.raises(KeyboardInterrupt):
        book._run(ROOT / NOTEBOOKS[0], home / "stopped.ipynb", {"profile": "smoke"}, {})


def test_a_failing_notebook_is_reported_and_the_others_still_run(built, home, monkeypatch, said):
    real = book._papermill

    def failing(template, target, parameters):
        if template.stem.startswith("02"):
            raise RuntimeError("planted")
        real(template, target, parameters)

    monkeypatch.setattr(book, "_papermill", failing)
    another = secrets.token_hex()  # a package that no run before has been of: the store outlives them
    monkeypatch.setattr(provenance, "code_hash", lambda: another)
    monkeypatch.setattr(book, "notebooks", lambda root: [n for n in NOTEBOOKS if n.stem[:2] in ("02", "05")])
    assert book.build("smoke", only="0") == 1
    text = "\n".join(said)
    assert "RuntimeError: planted" in text and re.search(r"05_rsa +\d.* s\n", text) and "1 failed" in text
