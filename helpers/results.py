"""Results as tidy tables: one row a number, scores as fractions of 1, with their provenance beside them.

The columns are spelled as in the table of the paper's own numbers, so that the two join.
"""

import dataclasses
import functools
import json
import os
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from helpers import profiles, store

COLUMNS = [
    "analysis", "metric", "model", "task", "inputs", "layer", "value", "ci_low", "ci_high", "seed", "n",
]  # fmt: skip
PAPER = Path(__file__).parent / "assets" / "paper_results.csv"
RECORDED = Path(__file__).resolve().parents[1] / "book" / "recorded"
PACKAGES = ("torch", "transformers", "tokenizers", "datasets", "accelerate", "numpy", "scipy", "pandas")
PROVENANCE = "provenance.json"


def table(rows: list[dict]) -> pd.DataFrame:
    """Rows as a table with all of :data:`COLUMNS`, empty where a row is silent.

    Raises ValueError for a column that results do not have.
    """
    unknown = {key for row in rows for key in row} - set(COLUMNS)
    if unknown:
        raise ValueError(f"unknown columns {sorted(unknown)}; results have {', '.join(COLUMNS)}")
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame.astype({"layer": "Int64", "seed": "Int64", "n": "Int64"})


def run_name(settings: profiles.Profile) -> str:
    """Folder of a run's results: the profile's name, with a hash added where settings were overridden."""
    if settings == profiles.PROFILES[settings.name]:
        return settings.name
    return f"{settings.name}-{store.digest(dataclasses.asdict(settings))[:8]}"


def save(analysis: str, frame: pd.DataFrame, settings: profiles.Profile, **details) -> Path:
    """Write ``results/<run>/<analysis>.csv`` and the analysis's entry in ``provenance.json`` beside it.

    ``details`` are added to the entry: seconds, hashes of the data, what was left out.
    """
    folder = store.home() / "results" / run_name(settings)
    path = folder / f"{analysis}.csv"
    with store.atomic_write(path) as file:
        frame.to_csv(file, index=False, float_format="%.6g")
    add_entry(folder, analysis, provenance(settings) | details)
    return path


def saved(analysis: str, settings: profiles.Profile) -> pd.DataFrame | None:
    """The table of an analysis as last saved; None if it is not there, lacks points that failed, or is of
    other settings, code, weights or data."""
    folder = store.home() / "results" / run_name(settings)
    path = folder / f"{analysis}.csv"
    if not path.exists():
        return None
    entry = read_provenance(folder).get(analysis, {})
    now = json.loads(json.dumps(provenance(settings)))
    if any(entry.get(key) != now[key] for key in ("code", "settings", "weights", "corpora", "packages")):
        return None
    return None if entry.get("failed") else read(path)


def add_entry(folder: Path, analysis: str, entry: dict) -> None:
    """Put an entry into a folder's ``provenance.json``, keeping the others."""
    with store.locked(store.home() / "results" / ".lock"):
        known = read_provenance(folder) if (folder / PROVENANCE).exists() else {}
        known[analysis] = entry
        with store.atomic_write(folder / PROVENANCE) as file:
            json.dump(known, file, indent=1, ensure_ascii=False)


def provenance(settings: profiles.Profile) -> dict:
    """What a number depends on: commit and hash of the code, settings, fingerprints of the encoder and of
    local corpora, versions, hardware."""
    chosen = dataclasses.asdict(settings)
    chosen["paths"] = sorted(settings.paths)  # where they lie is the machine's business, not the result's
    return {
        "commit": commit(),
        "code": code(),
        "settings": chosen,
        **inputs(settings),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "hardware": hardware(),
    }


def inputs(settings: profiles.Profile) -> dict:
    """Fingerprints of the encoder (``weights``) and of the corpora given as local folders (``corpora``)."""
    from helpers import corpora

    given = {name: corpora.fingerprint(name, path) for name, path in sorted(settings.paths.items())}
    return {"weights": _fingerprint(settings.encoder), "corpora": given}


@functools.cache
def code() -> str:
    """Hash of the package's files, as they were when first asked."""
    package = Path(__file__).parent
    files = [*package.rglob("*.py"), *package.rglob("*.mplstyle"), *(package / "assets").rglob("*")]
    return store.digest({str(p.relative_to(package)): store.sha256(p) for p in sorted(files) if p.is_file()})


@functools.lru_cache(maxsize=4)
def _fingerprint(encoder: str) -> str:
    from helpers import encoders

    return encoders.fingerprint(encoders.resolve(encoder))


def encoder_of(source: dict) -> str:
    """The encoder that recorded numbers are of, by their provenance, as a page should name it.

    MiniBERT is trained further from time to time, so a name may have come to stand for other weights.
    """
    name = source["settings"]["encoder"]
    stale = name.startswith("minibert") and source["weights"] != _fingerprint(name)
    return f"{name} as it was before it was trained further" if stale else name


def told(source: dict) -> str:
    """A line under recorded numbers: their encoder, hardware and commit."""
    return f"{encoder_of(source)}; {source['hardware']}; commit {source['commit'][:10]}"


def origins(folder: Path) -> pd.DataFrame:
    """What the tables in a folder of results are of: a row for each encoder, way of tuning it and hardware.

    Columns: ``encoder`` (:func:`encoder_of`), ``analyses``, ``tuned``, ``probing suite``, ``fine-tuning
    seeds`` (their number), ``hardware`` and ``commit``, in words. Analyses of a run can be of different
    encoders and models if MiniBERT was trained further, or a recipe changed, while it was being recorded.
    """
    rows = []
    for analysis, entry in read_provenance(folder).items():
        chosen = entry["settings"]
        swept = analysis in ("partial_freezing", "truncation", "reinitialisation")
        tasks = chosen["sweep"] or chosen["tasks"] if swept else chosen["tasks"]
        seeds = chosen["sweep_seeds" if swept else "seeds"]
        made = [
            encoder_of(entry),
            "; ".join(map(_tuned, tasks)),
            chosen["suite"],
            len(seeds),
            entry["hardware"],
        ]
        rows.append([*made, analysis.replace("_", " "), entry["commit"][:10]])
    columns = ["encoder", "tuned", "probing suite", "fine-tuning seeds", "hardware", "analyses", "commit"]
    frame = pd.DataFrame(rows, columns=columns)
    joined = frame.groupby(columns[:5], sort=False).agg(lambda values: ", ".join(dict.fromkeys(values)))
    return joined.reset_index()[["encoder", "analyses", *columns[1:5], "commit"]]


def _tuned(task: dict) -> str:
    """What a model was tuned on, and how, in a line."""
    recipe, limit, epochs = task["recipe"], task["train_limit"], task["recipe"]["epochs"]
    dropout = recipe.get("dropout")  # not in the oldest entries
    records = f", {limit:,} records" if limit else ""
    told = "the encoder's dropout" if dropout is None else f"dropout {dropout:g}"
    return f"{task['model']} on {task['corpus']}{records}, {epochs:g} epoch{'s' * (epochs != 1)}, {told}"


def banner(settings: profiles.Profile) -> str:
    """What a notebook or a run prints first: profile, encoder, device, versions, commit."""
    tasks = ", ".join(f"{t.model} on {t.corpus}" for t in settings.tasks)
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES[:3])
    return (
        f"profile   {run_name(settings)}\nencoder   {settings.encoder}\ntasks     {tasks}\n"
        f"device    {hardware()}\nversions  Python {platform.python_version()}, {packages}\n"
        f"commit    {commit() or 'not in a repository'}"
    )


@functools.cache
def commit() -> str:
    """Commit of the working copy, with ``+changes`` if it differs from it; empty outside a repository.

    As it was when first asked: that is the code which a process has loaded. Recorded results do not count as
    changes, since nothing is computed from them and a run writes them one after another.
    """
    root, code = Path(__file__).resolve().parents[1], ["--", ".", ":(exclude)book/recorded"]
    try:
        head, status = (
            subprocess.run(["git", *command], cwd=root, capture_output=True, text=True, check=True).stdout
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no", *code])
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head.strip() + ("+changes" if status.strip() else "")


def hardware() -> str:
    """Processor, number of cores, graphics card if there is one, and the precision of products."""
    import torch

    from helpers import precision

    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [x.split(":", 1)[1].strip() for x in cpuinfo.read_text().splitlines() if "model name" in x]
        name = models[0] if models else name
    parts = [f"{name}, {os.cpu_count()} cores"]
    cuda = torch.cuda.is_available()
    if cuda:
        parts.append(torch.cuda.get_device_name())
    parts.append(precision.fastest("cuda" if cuda else "cpu"))
    return ", ".join(parts)


def read(path: Path) -> pd.DataFrame:
    """A table of results. Raises FileNotFoundError, or ValueError naming the columns that are missing."""
    frame = pd.read_csv(path, dtype={"layer": "Int64", "seed": "Int64", "n": "Int64"}, keep_default_na=True)
    missing = [c for c in COLUMNS if c not in frame]
    if missing:
        raise ValueError(f"{path}: lacks the columns {', '.join(missing)}")
    return frame


def read_provenance(folder: Path) -> dict:
    """The provenance of a folder of results, by analysis."""
    return json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))


def record(analysis: str, settings: profiles.Profile) -> None:
    """Copy an analysis's table and provenance into ``book/recorded/<profile>/``."""
    source, target = store.home() / "results" / run_name(settings), RECORDED / settings.name
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy(source / f"{analysis}.csv", target)
    add_entry(target, analysis, read_provenance(source)[analysis])


def recorded(profile: str, analysis: str) -> tuple[pd.DataFrame, dict]:
    """Results committed with the book and their provenance.

    Raises FileNotFoundError listing the recorded runs that there are.
    """
    path = RECORDED / profile / f"{analysis}.csv"
    if not path.exists():
        there = sorted(f"{p.parent.name}/{p.stem}" for p in RECORDED.glob("*/*.csv"))
        raise FileNotFoundError(
            f"no recorded run {profile}/{analysis}; there are: {', '.join(there) or 'none'}"
        )
    return read(path), read_provenance(path.parent).get(analysis, {})


def paper(analysis: str) -> pd.DataFrame:
    """The paper's numbers for an analysis, with the columns ``exhibit``, ``tolerance`` and ``source``.

    ``source`` tells numbers read in its text or tables from those digitised from its figures, to within
    ``tolerance``. Raises ValueError listing the analyses that the paper has.
    """
    frame = pd.read_csv(PAPER, dtype={"layer": "Int64"})
    if analysis not in set(frame["analysis"]):
        valid = ", ".join(sorted(set(frame["analysis"])))
        raise ValueError(f"the paper has no analysis {analysis!r}; it has {valid}")
    return frame[frame["analysis"] == analysis].reset_index(drop=True)
