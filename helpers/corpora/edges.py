"""The edge-probing tasks (Tenney et al. 2019) and the corpora that their labels come from, by suite.

:data:`SUITES` is the table of them. ``uds`` takes all from one corpus that is downloaded, some as stand-ins
(:mod:`helpers.corpora.uds_edges`); ``open`` from human annotation in freely licensed corpora; ``ontonotes``
is the paper's suite, for those who have OntoNotes 5 and SPR1; ``json`` is a folder of jiant's edge-probing
files, of these or any other tasks; and ``ud:NAME`` is a treebank of one's own.

Training, development and test parts are the corpora's own. PropBank's annotation of the English Web
Treebank is divided as UD's; SemEval's development part is cut from its training file, as in jiant.
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from helpers import progress
from helpers.corpora import conll2012, conllu, edge_json, gum, registry, semeval, uds, uds_edges
from helpers.corpora.files import sha256_of
from helpers.corpora.records import LabelledSpans, Sentence, Target
from helpers.store import Store, digest
from helpers.validation import unknown

SPLITS = uds.SPLITS
SCHEMA = 3  # raise when the targets made of the same files change

# Spelled as in the paper's results, which have no SPR2 (another corpus with the same kind of labels).
TASKS = ("POS", "Constituents", "Dependencies", "Entities", "SRL", "Coreference", "SPR1", "SPR2", "Relations")

_ROLES = re.compile(r"ARG[0-5A]|ARGM-.+")
# The labels by which Tenney et al. (2019) score these tasks: coreferent pairs, roles that are neither
# references (R-ARG1) nor continued arguments (C-ARG1), and relations that have a name.
SUBSETS: dict[str, Callable[[str], bool]] = {
    "Coreference": lambda label: label == "1",
    "SRL": lambda label: _ROLES.fullmatch(label) is not None,
    "Relations": lambda label: label != "Other",
}

Paths = Mapping[str, str | Path]  # corpus -> local folder (or file)
Files = dict[str, dict[str, list[Path]]]  # corpus -> split -> files
Targets = dict[str, list[LabelledSpans]]  # task -> sentences


@dataclass(frozen=True)
class Source:
    """Where labels come from.

    ``read`` makes, of the files of ``corpora`` (names of the registry), the records of a split for each task
    that they have labels for. ``subfolder`` is the part of the corpus's folder that has them.
    """

    what: str
    corpora: tuple[str, ...]
    read: Callable[[str, Files], Targets]
    subfolder: str = ""


def tasks(suite: str, paths: Paths | None = None) -> tuple[str, ...]:
    """The tasks of a suite whose corpora are downloaded or have a local folder in ``paths``.

    :func:`missing` says what the others need. Raises ValueError for an unknown suite or corpus.
    """
    lacking = missing(suite, paths)
    return tuple(task for task in _sources(suite, paths) if task not in lacking)


def missing(suite: str, paths: Paths | None = None) -> dict[str, str]:
    """Tasks of a suite that lack a corpus, and which folders they need. Errors as for :func:`tasks`."""
    absent = {task: _absent(source, paths) for task, source in _sources(suite, paths).items()}
    return {task: f"{task} needs {_needs(names)}" for task, names in absent.items() if names}


def load(
    task: str, split: str, suite: str, *, paths: Paths | None = None, limit: int | None = None
) -> list[LabelledSpans]:
    """The sentences of a split (train, dev or test) that have targets of the task, in the corpus's order.

    ``paths`` gives local folders by name of the corpus, as in the profiles. ``limit`` takes that many
    sentences at random, always the same; tasks on one corpus share them as far as they have targets there, so
    that few sentences need to be encoded. Targets are made from a corpus once and kept in the store.

    Raises ValueError for an unknown suite, task, split, corpus or limit, or if a task lacks a folder;
    FileNotFoundError if the folder lacks a file; CorpusError for malformed files; and
    :class:`helpers.corpora.fetch.FetchError` if a download fails.
    """
    uds.check_split(split)
    lines = (_made(task, suite, paths) / f"{task}.{split}.jsonl").read_bytes().splitlines()
    return [_unpack(json.loads(line)) for line in _sample(lines, limit)]


def clean(task: str, suite: str) -> Callable[[str], bool] | None:
    """Which labels Tenney et al. (2019) score a task by, or None if by all (see :data:`SUBSETS`)."""
    if suite == "uds" and task == "SRL":
        return None  # its labels are not PropBank's
    return SUBSETS.get(task)


def sources(suite: str, paths: Paths | None = None) -> dict[str, str]:
    """Where the labels of a suite's tasks come from. Errors as for :func:`tasks`."""
    return {task: source.what for task, source in _sources(suite, paths).items()}


def pos(sentences: Iterable[Sentence], column: str = "xpos") -> list[LabelledSpans]:
    """Parts of speech: every word that has a tag, with the treebank's own (XPOS) or UD's (``upos``)."""

    def targets(sentence: Sentence) -> Iterator[Target]:
        for i, tag in enumerate(getattr(sentence, column)):
            if tag != "_":
                yield Target((i, i + 1), None, (tag,))

    return [LabelledSpans.of(sentence, targets(sentence)) for sentence in sentences]


def dependencies(sentences: Iterable[Sentence]) -> list[LabelledSpans]:
    """Relations, subtypes included: ``span1`` is the dependent, ``span2`` its head.

    As in Tenney et al. (2019) every word is a dependent, and the root's head is the root itself.
    """

    def targets(sentence: Sentence) -> Iterator[Target]:
        for i, (head, relation) in enumerate(zip(sentence.heads, sentence.deprels, strict=True)):
            yield Target((i, i + 1), (head - 1, head) if head else (i, i + 1), (relation,))

    return [LabelledSpans.of(sentence, targets(sentence)) for sentence in sentences]


# ---------------------------------------------------------------------------------------------------
# Sources


def _each(read: Callable[[Path], list], paths: Iterable[Path]) -> list:
    return [record for path in paths for record in read(path)]


def _read_uds(split: str, files: Files) -> Targets:
    wheel = files["uds-dep"][split]
    graphs = uds.load(split, wheel=wheel[0] if wheel else None)
    sentences = [uds.sentence(graph) for graph in graphs]
    return {
        "POS": pos(sentences),
        "Constituents": uds_edges.constituents(graphs),
        "Dependencies": dependencies(sentences),
        "Entities": uds_edges.entities(graphs),
        "SRL": uds_edges.srl(graphs),
        "SPR2": uds_edges.protoroles(graphs),
    }


def _treebank(what: str, corpus: str) -> Source:
    def read(split: str, files: Files) -> Targets:
        sentences = _each(conllu.read, files[corpus][split])
        # One tag set for the whole task: a split without tags of the treebank's own decides for all.
        own = all(any(map(conllu.has_xpos, files[corpus][part])) for part in SPLITS)
        if not own:
            progress.say(f"{what} ({split}): no tags in the column XPOS; POS has those of UPOS instead")
        tagged = pos(sentences, "xpos" if own else "upos")
        left_out = sum(len(record.words) - len(record.targets) for record in tagged)
        if left_out:
            progress.say(f"{what} ({split}): {left_out:,} words without a part of speech left out of POS")
        return {"POS": tagged, "Dependencies": dependencies(sentences)}

    return Source(what, (corpus,), read)


def _read_propbank(split: str, files: Files) -> Targets:
    treebank = _each(conllu.read, files["ud-ewt"][split])
    joined, _ = conll2012.join_words(_each(conll2012.read, files["propbank-ewt"]["all"]), treebank)
    if len(joined) < len(treebank):
        kept, total = f"{len(joined):,}", f"{len(treebank):,}"
        progress.say(
            f"PropBank EWT ({split}): {kept} of the {total} sentences of ud-ewt, the others left out"
        )
    return {"Constituents": conll2012.constituents(joined), "SRL": conll2012.srl(joined)}


def _read_gum(split: str, files: Files) -> Targets:
    sentences = _each(gum.read, files["gum"][split])
    return {"Entities": gum.entities(sentences), "Coreference": gum.coreference(sentences)}


def _read_semeval(split: str, files: Files) -> Targets:
    (file,) = files["semeval-2010-task8"]["test" if split == "test" else "train"][:1]
    records = semeval.read(file)
    if split != "test":
        records = semeval.split(records)[split == "dev"]
    return {"Relations": records}


def _read_ontonotes(split: str, files: Files) -> Targets:
    sentences = _each(conll2012.read, files["ontonotes"][split])
    return {
        "POS": pos(sentences),
        "Constituents": conll2012.constituents(sentences),
        "Entities": conll2012.entities(sentences),
        "SRL": conll2012.srl(sentences),
        "Coreference": conll2012.coreference(sentences),
    }


def _json_source(what: str, corpus: str, task: str, subfolder: str = "") -> Source:
    def read(split: str, files: Files) -> Targets:
        return {task: _each(edge_json.read, files[corpus][split])}

    return Source(what, (corpus,), read, subfolder)


_UDS = Source("UDS 2.0", ("uds-dep",), _read_uds)
_UD_EWT = _treebank("UD EWT", "ud-ewt")
_PROPBANK = Source("PropBank EWT", ("propbank-ewt", "ud-ewt"), _read_propbank)
_GUM = Source("GUM", ("gum",), _read_gum)
_SEMEVAL = Source("SemEval-2010 Task 8", ("semeval-2010-task8",), _read_semeval)
_ONTONOTES = Source("OntoNotes 5", ("ontonotes",), _read_ontonotes)

SUITES: dict[str, dict[str, Source]] = {
    "uds": {task: _UDS for task in ("POS", "Constituents", "Dependencies", "Entities", "SRL", "SPR2")},
    "open": {
        "POS": _UD_EWT,
        "Constituents": _PROPBANK,
        "Dependencies": _UD_EWT,
        "Entities": _GUM,
        "SRL": _PROPBANK,
        "Coreference": _GUM,
        "SPR2": _UDS,
        "Relations": _SEMEVAL,
    },
    "ontonotes": {
        "POS": _ONTONOTES,
        "Constituents": _ONTONOTES,
        "Dependencies": _UD_EWT,
        "Entities": _ONTONOTES,
        "SRL": _ONTONOTES,
        "Coreference": _ONTONOTES,
        "SPR1": _json_source("SPR1", "spr1", "SPR1"),
        "Relations": _SEMEVAL,
    },
    "json": {},  # whatever the folder has
}


class _Names(Collection[str]):
    """The names of the suites, with those of one's own treebanks listed as ``ud:NAME``."""

    def __contains__(self, name: object) -> bool:
        return name in SUITES or (str(name).startswith("ud:") and str(name) in registry.NAMES)

    def __iter__(self) -> Iterator[str]:
        return iter((*SUITES, registry.OUTSIDE["ud"].name))

    def __len__(self) -> int:
        return len(SUITES) + 1


SUITE_NAMES = _Names()


def suite_sources(suite: str) -> dict[str, Source]:
    """The tasks of a suite, and where their labels come from; none for json, whose tasks are a folder's.

    Raises ValueError, listing the valid ones, for an unknown suite.
    """
    if suite not in SUITE_NAMES:
        raise ValueError(unknown("suite", suite, SUITE_NAMES))
    if suite in SUITES:
        return SUITES[suite]
    return dict.fromkeys(("POS", "Dependencies"), _treebank(suite, suite))


def _sources(suite: str, paths: Paths | None) -> dict[str, Source]:
    """As :func:`suite_sources`, also of the suite json."""
    paths = paths or {}
    named = suite_sources(suite)
    for name in paths:
        registry.named(name)
    if suite != "json":
        return named
    if "edges" not in paths:
        raise ValueError(f"the suite json needs {_needs(['edges'])}")
    place = Path(paths["edges"]).expanduser()
    if not place.is_dir():
        raise FileNotFoundError(f"{place}: no such folder; the suite json expects {_needs(['edges'])}")
    spelled = {task.lower(): task for task in TASKS}
    sources = {}
    for folder in sorted(place.iterdir()):
        if any(folder.glob("*.json")):
            task = spelled.get(folder.name.lower(), folder.name)
            sources[task] = _json_source(folder.name, "edges", task, folder.name)
    if not sources:
        raise FileNotFoundError(f"{place}: no task in it; the suite json expects {_needs(['edges'])}")
    order = {task: i for i, task in enumerate(TASKS)}
    return dict(sorted(sources.items(), key=lambda item: order.get(item[0], len(order))))


def _absent(source: Source, paths: Paths | None) -> list[str]:
    """The corpora that are neither given nor downloaded."""
    return [name for name in source.corpora if not (name in (paths or {}) or registry.named(name).source)]


def _needs(names: list[str]) -> str:
    """Which folders are lacking, and how to give them."""
    what = [f"{name} with {', '.join(p[0] for p in registry.named(name).files.values())}" for name in names]
    given = ", ".join(f'"{name}": <folder>' for name in names)
    return f"local folders ({'; '.join(what)}): paths={{{given}}}"


# ---------------------------------------------------------------------------------------------------
# Targets in the store


def _made(task: str, suite: str, paths: Paths | None) -> Path:
    """Folder in the store with the targets of a task's source."""
    sources = _sources(suite, paths)
    if task not in sources:
        raise ValueError(unknown(f"task of the suite {suite}", task, sources))
    source = sources[task]
    if _absent(source, paths):
        raise ValueError(f"{task} needs {_needs(_absent(source, paths))}")
    files = {name: _files(name, source.subfolder, (paths or {}).get(name)) for name in source.corpora}

    def build(folder: Path) -> None:
        for split in SPLITS:
            for made, records in source.read(split, files).items():
                with open(folder / f"{made}.{split}.jsonl", "w", encoding="utf-8") as out:
                    for record in filter(lambda record: record.targets, records):
                        out.write(json.dumps(_pack(record), ensure_ascii=False, separators=(",", ":")) + "\n")

    spec = {"schema": SCHEMA, "source": source.what, "files": {name: _hash(files[name]) for name in files}}
    return Store().get("edges", spec, build)


def _files(name: str, subfolder: str, path: str | Path | None) -> dict[str, list[Path]]:
    place = None if path is None else Path(path).expanduser() / subfolder
    return {split: registry.files(name, split, path=place) for split in registry.named(name).files}


def _hash(files: dict[str, list[Path]]) -> str:
    if not any(files.values()):  # in the store in another form
        return uds.fingerprint()
    return digest({split: [sha256_of(path) for path in paths] for split, paths in files.items()})


def _pack(record: LabelledSpans) -> list:
    """A record as nested lists, which are read at once."""
    targets = [[target.span1, target.span2, target.labels] for target in record.targets]
    return [record.id, record.words, targets, record.document, record.genre]


def _unpack(row: list) -> LabelledSpans:
    identifier, words, targets, document, genre = row
    unpacked = tuple(Target(tuple(s1), s2 and tuple(s2), tuple(held)) for s1, s2, held in targets)
    return LabelledSpans(identifier, tuple(words), unpacked, document, genre)


def _sample(lines: list[bytes], limit: int | None) -> list[bytes]:
    """The first ``limit`` in the order of a hash of the sentence, in their own order."""
    if limit is None or limit >= len(lines) or limit < 1:
        return registry.sample(lines, limit)  # all, or an error
    # What comes before the first bracket that closes is the sentence's id and words.
    ranks = [hashlib.sha256(line.split(b"]", 1)[0]).digest() for line in lines]
    return [lines[i] for i in sorted(sorted(range(len(lines)), key=ranks.__getitem__)[:limit])]
