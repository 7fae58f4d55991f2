"""The pins, the environments made from them, and the files around the package agree."""

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from helpers import profiles
from helpers.__main__ import _overrides, _parser
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


RUN = pins(PROJECT["project"]["dependencies"])
TEST = pins(PROJECT["project"]["optional-dependencies"]["test"])
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


def test_pyproject_and_constraints_agree():
    for name, version in (RUN | TEST).items():
        assert CONSTRAINTS.get(name) == version, f"{name}: {version} in pyproject.toml"
    assert not set(RUN) & set(TEST)


def test_what_is_installed_is_what_is_pinned():
    # The public version is the one without what comes after "+", which names a build.
    here = {canonicalize_name(d.name): Version(d.version).public for d in importlib.metadata.distributions()}
    assert set(RUN) <= set(here)
    wrong = {name: (v, here[name]) for name, v in CONSTRAINTS.items() if here.get(name, v) != v}
    assert not wrong, f"pinned and installed differ: {wrong}"


def test_constraints_cover_everything_that_is_needed():
    needed = required([*RUN, *TEST])
    missing, idle = sorted(needed - set(CONSTRAINTS)), sorted(set(CONSTRAINTS) - needed)
    assert not missing, "needed, but not pinned: run 'make constraints'"
    if sys.platform == "linux" and sys.version_info[:2] == (3, 11):
        assert not idle, "pinned, but nothing needs it: run 'make constraints'"


def test_jupyter_book_stays_at_version_1():
    assert Version(RUN["jupyter-book"]) < Version("2")


def test_conda_environment_takes_its_packages_from_the_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["name"] == PROJECT["project"]["name"]
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    *conda, from_pip = environment["dependencies"]
    assert from_pip == {"pip": ["-c constraints.txt", "-e .[test]"]}
    python, pip = conda
    assert pip == "pip"
    oldest = re.fullmatch(r">=(\d+\.\d+)", PROJECT["project"]["requires-python"])[1]
    assert python == f"python={oldest}"


def test_pre_commit_runs_the_pinned_tools():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert {"ruff-check", "nbstripout", "large-files"} <= {hook["id"] for hook in hooks}
    for hook in hooks:
        for name, version in pins(hook["additional_dependencies"]).items():
            assert TEST.get(name, version) == version, hook["id"]


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


@pytest.mark.parametrize("folder", ["helpers", "notebooks", "tests"])
def test_every_direct_import_is_declared(folder):
    allowed = RUN | TEST if folder == "tests" else RUN
    distributions = importlib.metadata.packages_distributions()
    own = {"helpers", "tests"} | set(sys.stdlib_module_names)
    undeclared = {}
    # What tests/benchmarks compares with is imported where installed, and not needed otherwise.
    files = [p for p in sorted((ROOT / folder).rglob("*.*")) if p.suffix in (".py", ".ipynb")]
    for path in files:
        if "benchmarks" in path.parts or ".ipynb_checkpoints" in path.parts:
            continue
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
    for command in commands:
        options = _parser().parse_args(command.split())
        if hasattr(options, "profile"):
            profiles.settings(options.profile, **_overrides(options))
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
