"""What each analysis reads, checked before anything is computed."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from helpers import corpora, encoders, progress
from helpers.corpora import CORPORA, TEXTS, Pair, Question, edges, named
from helpers.corpora.registry import OUTSIDE
from helpers.finetuning.tasks import TASKS
from helpers.profiles import Profile
from helpers.validation import unknown


def _tuned(settings: Profile) -> set[str]:
    return {task.corpus for task in settings.tasks}


def _swept(settings: Profile) -> set[str]:
    return {task.corpus for task in settings.sweep or settings.tasks}


def _compared(settings: Profile) -> set[str]:
    return _tuned(settings) | {settings.text}


def _domains(settings: Profile) -> set[str]:
    genres = "ud-ewt" if "ud-ewt" in {*_tuned(settings), *settings.paths} else "uds-dep"
    return _compared(settings) | {genres}


def _probed(settings: Profile) -> set[str]:
    labelled = {name for source in edges.suite_sources(settings.suite).values() for name in source.corpora}
    return _tuned(settings) | (labelled or {"edges"})  # the suite json has what is in that folder


def _followed(settings: Profile) -> set[str]:
    read = {task.corpus for task in settings.tasks if task.model in settings.dynamics_models}
    if not read:
        return read
    trees = {task.corpus for task in settings.tasks if task.model == "Dep"}
    known = edges.suite_sources(settings.suite)
    labelled = {c for name in settings.dynamics_probing if name in known for c in known[name].corpora}
    if settings.dynamics_probing and not known:  # the suite json
        labelled = {"edges"}
    return read | trees | labelled | {settings.text}


def _read_by_heads(settings: Profile) -> set[str]:
    return _probed(replace(settings, tasks=tuple(t for t in settings.tasks if t.model in ("Dep", "QA"))))


# Analysis -> the corpora that it reads.
READS: dict[str, Callable[[Profile], set[str]]] = {
    "finetuning": _tuned,
    "corpus_baselines": _tuned,
    "pair_probe": lambda settings: {task.corpus for task in settings.tasks if task.model == "NLI"},
    "rsa": _compared,
    "rsa_between_layers": lambda settings: {settings.text},
    "rsa_by_rate": lambda settings: _compared(settings) if settings.tuning_rates else set(),
    "out_of_domain": _domains,
    "structural_probe": _tuned,
    "edge_probing": _probed,
    "control_task": _probed,
    "partial_freezing": _swept,
    "truncation": _swept,
    "reinitialisation": _swept,
    "controls": lambda settings: _compared(settings) | _probed(settings) if settings.controls else set(),
    "description_length": _probed,
    "amnesic": _read_by_heads,
    "training_dynamics": _followed,
    "similarity_measures": _compared,
}


def check(settings: Profile, only: Iterable[str] = ()) -> None:
    """Check that a run can start: :func:`check_corpora`, and its encoder loads.

    Nothing but the encoder is downloaded. Raises ValueError, or FileNotFoundError for what is not there, with
    a message for the user in one line.
    """
    check_corpora(settings, only)
    try:
        encoders.load(settings.encoder, device="cpu")
    except (OSError, RuntimeError, KeyError) as error:  # from transformers, of files it can make no sense of
        raise ValueError(f"encoder {settings.encoder}: {' '.join(str(error).split())}") from error


def check_corpora(settings: Profile, only: Iterable[str] = ()) -> None:
    """See that the corpora suit the tasks, and that every folder that was given has a corpus which is read.

    ``only`` are the analyses to run, all by default. Errors as for :func:`check`.
    """
    for name in only:
        if name not in READS:
            raise ValueError(unknown("analysis", name, READS))
    for task in (*settings.tasks, *settings.sweep):
        wanted = TASKS[task.model].record
        if named(task.corpus).kind is not wanted:
            every = (*CORPORA.values(), *OUTSIDE.values())
            fit = ", ".join(corpus.name for corpus in every if corpus.kind is wanted)
            raise ValueError(f"{task.model} cannot be tuned on {task.corpus}; it can be on {fit}")
    read = _read(settings, only)
    for name, folder in settings.paths.items():
        if name not in read:
            raise ValueError(f"{folder}: this run does not read {name}; {_readers(name, settings)}")
        _check_folder(name, Path(folder), settings)


def fetch(settings: Profile, only: Iterable[str] = ()) -> None:
    """Download into the store what the analyses read and it lacks; what is given as a folder is left alone.

    Raises FetchError.
    """
    for name in sorted(_read(settings, only) - set(settings.paths)):
        (row,) = corpora.describe([name])  # one by one: several come from the same source
        if row["present"] is False:
            size = f", {row['bytes'] / 1e6:.0f} MB" if row["bytes"] else ""
            progress.say(f"fetching {name}: {row['source']} ({row['licence']}{size})")
            corpora.download([name])


def _read(settings: Profile, only: Iterable[str]) -> set[str]:
    return {name for analysis in only or READS for name in READS[analysis](settings)}


def _readers(name: str, settings: Profile) -> str:
    """Which analyses read a corpus under these settings or, where none does, with one of them changed."""

    def reading(profile: Profile) -> str:
        return ", ".join(analysis for analysis, reads in READS.items() if name in reads(profile))

    if now := reading(settings):
        return f"these do: {now}"
    suites = [*edges.SUITES, *([name] if name in edges.SUITE_NAMES else [])]
    variants = {f"suite={suite}": replace(settings, suite=suite) for suite in suites}
    if name in TEXTS:
        variants[f"text={name}"] = replace(settings, text=name)
    for task in settings.tasks:
        if TASKS[task.model].record is named(name).kind:
            other = replace(task, corpus=name)
            tasks = tuple(other if task is one else one for one in settings.tasks)
            variants[f"tasks.{task.model}.corpus={name}"] = replace(settings, tasks=tasks)
    ways = [f"{then} with {way}" for way, variant in variants.items() if (then := reading(variant))]
    return f"these do: {'; '.join(ways)}" if ways else "no analysis does"


def _check_folder(name: str, place: Path, settings: Profile) -> None:
    if not place.exists():
        raise FileNotFoundError(f"{place}: no such file or folder; it was given for {name}")
    if name == "edges":
        edges.tasks("json", {name: place})
        return
    corpus = named(name)
    tuned = [task for task in (*settings.tasks, *settings.sweep) if task.corpus == name]
    splits = set(corpus.files)
    if corpus.kind in (Pair, Question):  # which no analysis but those of their own task reads
        splits = {split for task in tuned for split in (task.train_split, task.eval_split)}
    for split in sorted(splits):
        try:
            corpora.files(name, split, path=place)
        except FileNotFoundError:
            if not (corpus.hub and any(place.rglob("*.parquet"))):  # the Hub's own format
                raise
