"""Requirements, pins, the environments made from them, and the package as it is installed elsewhere."""

import ast
import importlib.metadata
import json
import os
import re
import shutil
import site
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from helpers import markup, profiles
from helpers.__main__ import _parser, _settings
from helpers.corpora import CORPORA

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
# Brought along by PyTorch's GPU builds alone, so different from machine to machine.
GPU_ONLY = re.compile(r"^(nvidia-|cuda-|triton$|pytorch-triton)")


def pins(lines) -> dict[str, str]:
    """Name -> version of ``name==version`` lines; fails on any other line and on duplicates."""
    found = {}
    for line in lines:
        match = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.]+)", line)
        assert match, f"not an exact pin: {line!r}"
        name = canonicalize_name(match[1])
        assert name not in found, f"pinned twice: {name}"
        found[name] = match[2]
    return found


def requirements(lines) -> dict[str, Requirement]:
    """By name; what an extra needs of the package's own is in that extra's list."""
    parsed = map(Requirement, lines)
    return {canonicalize_name(r.name): r for r in parsed if r.name != PROJECT["project"]["name"]}


EXTRAS = PROJECT["project"]["optional-dependencies"]
CORE = requirements(PROJECT["project"]["dependencies"])
BOOK = requirements(EXTRAS["plots"] + EXTRAS["book"])
TEST = requirements(EXTRAS["cluster"] + EXTRAS["test"])
CONSTRAINTS = pins((ROOT / "constraints.txt").read_text(encoding="utf-8").split())


def required(roots) -> set[str]:
    """All distributions that the named ones need here, themselves included."""
    seen, queue = set(), [(canonicalize_name(name), frozenset()) for name in roots]
    visited = set()
    while queue:
        name, extras = queue.pop()
        if (name, extras) in visited or GPU_ONLY.match(name):
            continue
        visited.add((name, extras))
        seen.add(name)
        for line in importlib.metadata.requires(name) or []:
            needed = Requirement(line)
            applies = needed.marker is None or any(
                needed.marker.evaluate({"extra": extra}) for extra in (extras or {""})
            )
            if applies:
                queue.append((canonicalize_name(needed.name), frozenset(needed.extras)))
    return seen


def test_requirements_are_ranges_that_hold_the_pinned_version():
    for name, requirement in (CORE | BOOK | TEST).items():
        operators = {clause.operator for clause in requirement.specifier}
        assert operators == {">=", "<"}, f"not a range: {requirement}"
        assert CONSTRAINTS[name] in requirement.specifier, f"{requirement}, but {CONSTRAINTS[name]} is pinned"
        lowest = next(c.version for c in requirement.specifier if c.operator == ">=")
        assert CONSTRAINTS[name].startswith(lowest), f"{requirement}: older than what is tested"
    assert sum(map(len, (CORE, BOOK, TEST))) == len(CORE | BOOK | TEST)


def test_what_is_installed_is_what_is_pinned():
    # Only what lies in the environment: setuptools, once imported, adds copies of its own.
    # The public version is the one without what comes after "+", which names a build.
    found = importlib.metadata.distributions(path=site.getsitepackages())
    here = {canonicalize_name(d.name): Version(d.version).public for d in found}
    assert set(CORE | BOOK) <= set(here)
    wrong = {name: (v, here[name]) for name, v in CONSTRAINTS.items() if here.get(name, v) != v}
    assert not wrong, f"pinned and installed differ: {wrong}"


def test_constraints_cover_everything_that_is_needed():
    needed = required([*CORE, *BOOK, *TEST])
    missing, idle = sorted(needed - set(CONSTRAINTS)), sorted(set(CONSTRAINTS) - needed)
    assert not missing, "needed, but not pinned: run 'make constraints'"
    if sys.platform == "linux" and sys.version_info[:2] == (3, 11):
        assert not idle, "pinned, but nothing needs it: run 'make constraints'"


def test_jupyter_book_stays_at_version_1():
    assert "2" not in BOOK["jupyter-book"].specifier


def test_conda_environment_takes_its_packages_from_the_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["name"] == PROJECT["project"]["name"]
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    *conda, from_pip = environment["dependencies"]
    assert from_pip == {"pip": ["-c constraints.txt", "-e .[book,cluster,test]"]}
    python, pip = conda
    assert pip == "pip"
    oldest = re.fullmatch(r">=(\d+\.\d+)", PROJECT["project"]["requires-python"])[1]
    assert python == f"python={oldest}"


def test_binder_installs_the_package_and_the_books_tools_at_the_pinned_versions():
    folder = ROOT / "binder"
    lines = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    index, pinned, package = [line for line in lines if not line.startswith("#")]
    assert index in (ROOT / "README.md").read_text(encoding="utf-8")
    assert (folder / pinned.removeprefix("-c ")).resolve() == ROOT / "constraints.txt"
    (extra,) = re.fullmatch(r"-e \.\[(\w+)\]", package).groups()
    assert "jupyterlab" in requirements(EXTRAS[extra])
    oldest = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert (folder / "runtime.txt").read_text(encoding="utf-8") == f"python-{oldest}\n"
    assert os.access(folder / "postBuild", os.X_OK)
    (command,) = re.findall(r"^python -m helpers (.*)", (folder / "postBuild").read_text(), re.M)
    assert _parser().parse_args(command.split()).action == "fetch"


@pytest.mark.parametrize("address", ["", "https://github.com/someone/book"])
def test_launch_buttons_need_the_repositorys_address_alone(address):
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert set(config["repository"]) == {"url", "branch"} and config["launch_buttons"]["binderhub_url"]
    options = {"repository_url": address, "launch_buttons": config["launch_buttons"]}
    markup._launch_from_an_address(None, SimpleNamespace(html_theme_options=options))
    assert ("launch_buttons" in options) is bool(address)


def test_pre_commit_runs_the_pinned_tools():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert {"ruff-check", "nbstripout", "large-files"} <= {hook["id"] for hook in hooks}
    for hook in hooks:
        for name, version in pins(hook["additional_dependencies"]).items():
            assert CONSTRAINTS.get(name, version) == version, hook["id"]


def imported(source: str) -> set[str]:
    """Top-level names of the absolute imports of a piece of Python."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.split(".")[0])
    return names


def code(path: Path) -> str:
    if path.suffix == ".py":
        return path.read_text(encoding="utf-8")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


# What plots and builds, and needs an extra; the rest of the package is installed without.
WITH_EXTRAS = {
    "helpers/book.py",
    "helpers/markup.py",
    "helpers/notebook.py",
    "helpers/pages.py",
    "helpers/pdf.py",
    "helpers/plotting.py",
    "helpers/executors.py",
}


@pytest.mark.parametrize("folder", ["helpers", "what_happens_to_bert", "notebooks", "tests"])
def test_every_direct_import_is_declared(folder):
    distributions = importlib.metadata.packages_distributions()
    own = {"helpers", "what_happens_to_bert", "tests"} | set(sys.stdlib_module_names)
    undeclared = {}
    # What tests/benchmarks compares with is imported where installed, and not needed otherwise.
    files = [p for p in sorted((ROOT / folder).rglob("*.*")) if p.suffix in (".py", ".ipynb")]
    for path in files:
        if "benchmarks" in path.parts or ".ipynb_checkpoints" in path.parts:
            continue
        plain = folder.startswith(("helpers", "what")) and str(path.relative_to(ROOT)) not in WITH_EXTRAS
        allowed = CORE if plain else CORE | BOOK | (TEST if folder != "notebooks" else {})
        for module in imported(code(path)) - own:
            names = {canonicalize_name(name) for name in distributions.get(module, [])}
            if not names & set(allowed):
                undeclared[module] = str(path.relative_to(ROOT))
    assert not undeclared, f"imported but not in pyproject.toml: {undeclared}"


def test_package_takes_its_data_along():
    package = ROOT / "helpers"
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["helpers"]
    taken = {path for pattern in patterns for path in package.glob(pattern)}
    for path in package.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".py":
            assert path in taken, f"{path.relative_to(ROOT)} would be left out of an installed package"
        if path.suffix == ".py":
            assert (path.parent / "__init__.py").exists(), f"{path.parent.relative_to(ROOT)} is no package"


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """Function: run Python on the package as installed from a wheel, in a folder with a helpers.py in it."""
    folder = tmp_path_factory.mktemp("elsewhere")
    sources, site, work = folder / "sources", folder / "site", folder / "work"
    for name in ("helpers", "what_happens_to_bert"):
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    options = ["--no-deps", "--no-build-isolation", "--no-compile", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(site), str(sources)]
    subprocess.run(command, check=True)
    work.mkdir()
    (work / "helpers.py").write_text("raise SystemExit('the wrong helpers')")

    def run(*arguments):
        environment = {k: v for k, v in os.environ.items() if k not in ("FINETUNING_BOOK_HOME", "HOME")}
        environment |= {"PYTHONPATH": str(site), "HOME": str(folder / "user"), "XDG_CACHE_HOME": ""}
        return subprocess.run(
            [sys.executable, *arguments], cwd=work, env=environment, capture_output=True, text=True
        )

    run.folder, run.site = folder, site
    return run


@pytest.mark.slow
def test_the_package_works_installed_outside_a_clone(elsewhere):
    code = (
        "from what_happens_to_bert import store, similarity, results, encoders\n"
        "print(store.home()); print(similarity.__file__); print(encoders.load('minibert').width)\n"
        "print(len(results.paper('rsa')) > 0)"
    )
    done = elsewhere("-c", code)
    assert done.returncode == 0, done.stderr
    cache = "Library/Caches" if sys.platform == "darwin" else ".cache"
    home = elsewhere.folder / "user" / cache / "what-happens-to-bert"
    assert done.stdout.split() == [
        str(home),
        str(elsewhere.site / "helpers" / "similarity.py"),
        "256",
        "True",
    ]


@pytest.mark.slow
def test_the_command_is_the_packages_whatever_the_working_folder_has(elsewhere):
    script = str(elsewhere.site / "bin" / "what-happens-to-bert")
    for command in ([script], ["-m", "what_happens_to_bert"]):
        done = elsewhere(*command, "--version")
        assert done.stdout == f"what-happens-to-bert {PROJECT['project']['version']}\n", done.stderr
    usage = elsewhere(script, "--help").stdout
    assert usage.startswith("usage: what-happens-to-bert ")
    book = elsewhere(script, "book")
    assert book.returncode == 2 and "build it in a clone of the repository" in book.stderr
    shadowed = elsewhere("-m", "helpers", "--version")  # as the README says
    assert "the wrong helpers" in shadowed.stderr


def test_another_helpers_imported_before_is_an_error(tmp_path):
    (tmp_path / "helpers.py").write_text("")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import helpers; import what_happens_to_bert"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert f"another helpers was imported before: {tmp_path / 'helpers.py'}" in done.stderr


@pytest.mark.slow
def test_metadata_has_the_licences_of_the_weights_too(elsewhere):
    (metadata,) = elsewhere.site.glob("what_happens_to_bert-*.dist-info")
    text = (metadata / "METADATA").read_text(encoding="utf-8")
    assert "License-Expression: MIT AND CC-BY-4.0 AND CC-BY-SA-4.0\n" in text
    licences = [str(p.relative_to(metadata / "licenses")) for p in metadata.rglob("LICENSE")]
    assert sorted(licences) == ["LICENSE", "helpers/assets/minibert-seed0/LICENSE"]
    assert (elsewhere.site / "helpers" / "py.typed").exists()


def test_citation_prefers_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == PROJECT["project"]["version"]
    paper = citation["preferred-citation"]
    assert paper["doi"] == "10.18653/v1/2020.blackboxnlp-1.4"
    names = [author["family-names"] for author in paper["authors"]]
    assert names == ["Merchant", "Rahimtoroghi", "Pavlick", "Tenney"]


def test_readme_names_only_targets_that_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert {"book", "test"} <= targets
    for page in ("README.md", "book/how_to_run.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        mentioned = set(re.findall(r"^make ([a-z]+)|`make ([a-z]+)", text, re.M))
        assert {name for pair in mentioned for name in pair if name} <= targets, page
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["README.md", "book/how_to_run.md"])
def test_documented_commands_and_names_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    commands = re.findall(r"^python -m helpers (.*?)(?:  #.*)?$", text, re.M)
    commands += [" ".join(x.split()) for x in re.findall(r"`python -m helpers ([^`]*)`", text)]
    assert commands
    for command in set(commands) - {"--help"}:
        options = _parser().parse_args(command.split())
        if hasattr(options, "profile"):
            profile, changes = _settings(options)
            profiles.settings(profile, **changes)
    for example in re.findall(r"^```toml\n(.*?)^```", text, re.M | re.S):
        profiles.settings(**tomllib.loads(example))
    given = re.findall(r" -p (\w+) ('.*?'|\".*?\"|\S+)", text)
    for name, value in given:
        profiles.settings(**{name: value.strip("'\"")})
    assert given
    rows = re.findall(r"^\| (`.*?) \| (.*?) \|", text, re.M)
    named = {name: encoder for cell, encoder in rows for name in re.findall("`([a-z0-9-]+)`", cell)}
    assert set(profiles.PROFILES) <= set(named)
    for profile in profiles.PROFILES.values():
        assert profile.encoder.lower() in named[profile.name].lower(), profile.name
    if page.startswith("book"):
        assert set(named) - set(profiles.PROFILES) == set(CORPORA)


def test_style():
    """Ruff's rules, as in ``make lint``."""
    ruff = Path(sys.executable).with_name("ruff")
    command = [ruff, "check", "--quiet", "--output-format=concise", "."]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
