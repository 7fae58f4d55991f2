"""Where a number comes from: commit and hash of the code, settings, encoder, data, packages, hardware.

Written beside every table of results, and said by every page that shows one.
"""

import dataclasses
import functools
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from helpers import profiles, progress, store

PACKAGES = ("torch", "transformers", "tokenizers", "datasets", "numpy", "scipy", "pandas")
FILE = "provenance.json"
# A saved table is outdated as soon as one of these differs.
DECISIVE = ("code", "settings", "weights", "corpora", "packages")


# -- of this process -----------------------------------------------------------------------------------


def entry(settings: profiles.Profile) -> dict:
    """All that the numbers of a run depend on, as it is now."""
    import torch

    chosen = dataclasses.asdict(settings)
    # Where folders lie does not change the result.
    chosen |= {"encoder": without_place(settings.encoder), "paths": sorted(settings.paths)}
    return {
        "commit": commit(),
        "code": code_hash(),
        "settings": chosen,
        **fingerprints(settings),
        "python": platform.python_version(),
        "packages": versions(PACKAGES),
        "hardware": hardware(),
        "threads": torch.get_num_threads(),  # sums in another order differ in their last digits
    }


def without_place(encoder: str) -> str:
    """An encoder's name; for a folder only its last part, since results may be published.

    A pre-training run's ``model`` is named after the run's folder.
    """
    path = Path(encoder)
    if not path.is_absolute():
        return encoder
    return path.parent.name if path.name == "model" else path.name


def is_current(saved: dict, settings: profiles.Profile) -> bool:
    """Whether a saved entry has the settings, code, weights, data and packages of now."""
    now = json.loads(json.dumps(entry(settings)))
    return all(saved.get(key) == now[key] for key in DECISIVE)


def run_name(settings: profiles.Profile) -> str:
    """Folder of a run's results: the profile's name, with a hash added where settings were overridden."""
    if settings == profiles.PROFILES[settings.name]:
        return settings.name
    return f"{settings.name}-{store.digest(dataclasses.asdict(settings))[:8]}"


def banner(settings: profiles.Profile) -> str:
    """What a notebook or a run prints first: profile, encoder, device, versions, commit."""
    tasks = ", ".join(f"{t.model} on {t.corpus}" for t in settings.tasks)
    packages = ", ".join(f"{name} {number}" for name, number in versions(PACKAGES[:3]).items())
    return (
        f"profile   {run_name(settings)}\nencoder   {settings.encoder}\ntasks     {tasks}\n"
        f"device    {hardware()}\nversions  Python {platform.python_version()}, {packages}\n"
        f"commit    {commit() or 'not in a repository'}"
    )


def fingerprints(settings: profiles.Profile) -> dict:
    """Hashes of the encoder (``weights``) and of the corpora given as local folders (``corpora``)."""
    from helpers import corpora

    given = {name: corpora.fingerprint(name, path) for name, path in sorted(settings.paths.items())}
    return {"weights": _weights(settings.encoder), "corpora": given}


@functools.lru_cache(maxsize=4)
def _weights(encoder: str) -> str:
    from helpers import encoders

    return encoders.fingerprint(encoders.resolve(encoder))


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The installed version of each package."""
    return {name: version(name) for name in packages}


@functools.cache
def code_hash() -> str:
    """Hash of the package's files, as they were when first asked."""
    package = Path(__file__).parent
    files = [*package.rglob("*.py"), *package.rglob("*.mplstyle"), *(package / "assets").rglob("*")]
    return store.digest({str(p.relative_to(package)): store.sha256(p) for p in sorted(files) if p.is_file()})


@functools.cache
def commit() -> str:
    """Commit of the working copy, with ``+changes`` if it differs from it; empty outside a repository.

    As it was when first asked: that is the code which a process has loaded. Recorded results do not count as
    changes: nothing is computed from them, and a run writes them one after another.
    """
    root, code = Path(__file__).resolve().parents[1], ["--", ".", ":(exclude)book/recorded"]
    if not (root / ".git").exists():  # installed: any repository above is not this package's
        return ""
    try:
        head, status = (
            subprocess.run(["git", *command], cwd=root, capture_output=True, text=True, check=True).stdout
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no", *code])
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head.strip() + ("+changes" if status.strip() else "")


def hardware() -> str:
    """Processor, number of cores, graphics card if there is one, and the precision of matrix products."""
    import torch

    from helpers import precision

    parts = [f"{precision.processor()}, {os.cpu_count()} cores"]
    cuda = torch.cuda.is_available()
    if cuda:
        parts.append(torch.cuda.get_device_name())
    parts.append(precision.fastest("cuda" if cuda else "cpu"))
    return ", ".join(parts)


# -- beside a table ------------------------------------------------------------------------------------


def add_entry(folder: Path, analysis: str, saved: dict, table: bytes | None = None) -> None:
    """Put an analysis's entry into a folder's ``provenance.json``, keeping the others.

    With the content of a ``table``, also write ``<analysis>.csv``; the entry gets its SHA-256 (``table``)
    and one of its own (``checksum``). A ``provenance.json`` that cannot be read is moved aside.
    """
    with store.locked(store.home() / "results" / ".lock"):
        try:
            known = read(folder) if (folder / FILE).exists() else {}
        except ValueError as error:
            (folder / FILE).replace(folder / f"{FILE}.unreadable")
            progress.say(f"{error}; kept as {FILE}.unreadable")
            known = {}
        if table is not None:
            with store.atomic_write(folder / f"{analysis}.csv", "wb") as file:
                file.write(table)
            saved = _with_hashes(saved, table)
        known[analysis] = saved
        with store.atomic_write(folder / FILE) as file:
            json.dump(known, file, indent=1, ensure_ascii=False)


def _with_hashes(saved: dict, table: bytes) -> dict:
    as_read = json.loads(json.dumps(saved))  # tuples are lists in it
    plain = {name: value for name, value in as_read.items() if name not in ("table", "checksum")}
    hashed = plain | {"table": hashlib.sha256(table).hexdigest()}
    return hashed | {"checksum": store.digest(hashed)}


def damage(saved: dict | None, table: bytes | None) -> str:
    """What is wrong with an entry or its table's content, by the entry's hashes; empty if nothing is.

    None stands for what is not there.
    """
    if saved is None:
        return f"no entry in {FILE}"
    if table is None:
        return "missing"
    if saved.get("checksum") != store.digest({k: v for k, v in saved.items() if k != "checksum"}):
        return f"its entry in {FILE} is not as it was written"
    if saved.get("table") != hashlib.sha256(table).hexdigest():
        return f"not the table that {FILE} describes"
    return ""


def read(folder: Path) -> dict[str, dict]:
    """The entries of a folder of results, by analysis.

    Raises FileNotFoundError, and ValueError if the file is not one of entries.
    """
    path = folder / FILE
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not readable ({error})") from None
    if not isinstance(known, dict) or not all(isinstance(saved, dict) for saved in known.values()):
        raise ValueError(f"{path}: not readable (no entries by analysis)")
    return known


def encoder_name(saved: dict) -> str:
    """The encoder of recorded numbers, as a page should name it.

    MiniBERT is trained further from time to time, so its name may have come to stand for other weights.
    """
    name = saved["settings"]["encoder"]
    stale = name.startswith("minibert") and saved["weights"] != _weights(name)
    return f"{name} as it was before it was trained further" if stale else name


def _short(commit: str) -> str:
    """A commit in ten digits, with ``+changes`` if it had any."""
    return commit[:10] + commit[40:]


def describe(saved: dict) -> str:
    """A line to print under recorded numbers: their encoder, hardware and commit."""
    return f"{encoder_name(saved)}; {saved['hardware']}; commit {_short(saved['commit'])}"


def origins(folder: Path) -> pd.DataFrame:
    """What the tables in a folder of results are of: one row per encoder, way of tuning it and hardware.

    Columns: ``encoder`` (:func:`encoder_name`), ``analyses``, ``tuned``, ``probing suite``, ``fine-tuning
    seeds`` (their number), ``hardware`` and ``commit``, in words. Analyses of one run can be of different
    encoders and models if MiniBERT was trained further, or a recipe changed, while it was being recorded.
    """
    rows = []
    for analysis, saved in read(folder).items():
        chosen = saved["settings"]
        swept = analysis in ("partial_freezing", "truncation", "reinitialisation")
        tasks = chosen["sweep"] or chosen["tasks"] if swept else chosen["tasks"]
        rows.append(
            {
                "encoder": encoder_name(saved),
                "tuned": "; ".join(map(_tuned, tasks)),
                "probing suite": chosen["suite"],
                "fine-tuning seeds": len(chosen["sweep_seeds" if swept else "seeds"]),
                "hardware": saved["hardware"],
                "analyses": analysis.replace("_", " "),
                "commit": _short(saved["commit"]),
            }
        )
    frame = pd.DataFrame(rows)
    keys = [column for column in frame if column not in ("analyses", "commit")]
    joined = frame.groupby(keys, sort=False).agg(lambda values: ", ".join(dict.fromkeys(values)))
    return joined.reset_index()[["encoder", "analyses", *keys[1:], "commit"]]


def _tuned(task: dict) -> str:
    """What a model was tuned on, and how, in a line."""
    recipe, limit, epochs = task["recipe"], task["train_limit"], task["recipe"]["epochs"]
    rate = recipe.get("dropout")  # not in the oldest entries
    records = f", {limit:,} records" if limit else ""
    dropout = "the encoder's dropout" if rate is None else f"dropout {rate:g}"
    return f"{task['model']} on {task['corpus']}{records}, {epochs:g} epoch{'s' * (epochs != 1)}, {dropout}"
