"""Corpora by name: every format is read into the few record types of :mod:`helpers.corpora.records`.

``load("ud-ewt", "dev")`` downloads what can be downloaded; ``path=`` gives a local folder in the corpus's
official file format instead. :func:`describe`, :func:`download` and :func:`verify` are what
``python -m helpers data`` shows and does.
"""

import fnmatch
import functools
import importlib
import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from helpers.corpora import conllu, fetch, hub, nli, squad, text
from helpers.corpora.records import Answer, CorpusError, Pair, Passage, Question, Record, Sentence
from helpers.store import Store, digest, sha256

__all__ = [
    "Answer", "CORPORA", "CorpusError", "Pair", "Passage", "Question", "Record", "Sentence",
    "describe", "download", "files", "fingerprint", "load", "sample", "verify",
]  # fmt: skip

SAMPLE_SEED = 0  # of the sample that ``limit`` takes


@dataclass(frozen=True)
class Corpus:
    """A corpus: its official files, how they are read, and where they come from if no folder is given.

    ``files`` lists for each split the file names (or patterns) that are looked for in a local folder,
    the first that matches wins. At most one of ``source`` (a name in :data:`fetch.SOURCES`), ``hub``
    (a function of split and name, with ``hub_name``) and ``recast`` (the function of
    :mod:`helpers.corpora.recast` that makes it) is given; with none, it needs a local folder. One without
    ``read``, ``hub`` and ``recast`` holds no records but labels to probe for (:mod:`helpers.corpora.edges`).
    """

    what: str
    licence: str
    files: dict[str, tuple[str, ...]]
    read: Callable[[Path], list] | None = None
    source: str | None = None
    hub: Callable[[str, str | Path], list] | None = None
    hub_name: str = ""
    recast: str | None = None
    note: str = ""

    @property
    def only_probed(self) -> bool:
        """Whether it is read by :mod:`helpers.corpora.edges` alone."""
        return not (self.read or self.hub or self.recast)


def _wikipedia(path: Path) -> list[Passage]:
    # Half a minute of parsing, so once.
    spec = {
        "reader": "wikipedia",
        "schema": text.SCHEMA,
        "sha256": sha256(path),
        "versions": {name: version(name) for name in ("mwparserfromhell", "syntok")},
    }

    def build(folder: Path) -> None:
        with open(folder / "passages.jsonl", "w", encoding="utf-8") as out:
            for passage in text.read_wikipedia(path):
                row = [passage.id, passage.text, passage.document]
                out.write(json.dumps(row, ensure_ascii=False) + "\n")

    folder = Store().get("passages", spec, build)
    with open(folder / "passages.jsonl", encoding="utf-8") as rows:
        return [Passage(*json.loads(row)) for row in rows]


def _per_split(pattern: str, *splits: str) -> dict[str, tuple[str, ...]]:
    return {split: (pattern.format(split),) for split in splits}


_MNLI = {"train": ("multinli_1.0_train.jsonl",), "dev": ("multinli_1.0_dev_matched.jsonl",)}
_SQUAD = _per_split("{}-v1.1.json", "train", "dev")
_WIKITEXT = {
    "train": ("train.txt", "wiki.train.tokens"),
    "dev": ("valid.txt", "wiki.valid.tokens"),
    "test": ("test.txt", "wiki.test.tokens"),
}
_ONTONOTES = {
    split: (f"**/{name}/**/english/**/*gold_conll", f"**/{name}/**/*gold_conll", f"*{name}*gold_conll")
    for split, name in (("train", "train"), ("dev", "development"), ("test", "test"))
}
_UDS = _per_split("decomp-0.3.2-py3-none-any.whl", "train", "dev", "test")

CORPORA: dict[str, Corpus] = {
    "ud-ewt": Corpus(
        what="UD English EWT: web text in five genres with dependency trees",
        licence="CC BY-SA 4.0",
        files=_per_split("en_ewt-ud-{}.conllu", "train", "dev", "test"),
        read=conllu.read,
        source="ud-ewt",
        note="no published checksums: those of the first download are recorded and held to",
    ),
    "gum": Corpus(
        what="GUM: fifteen genres with dependency trees",
        licence="CC, mixed; some texts non-commercial",
        files={s: (f"en_gum-{s}.conllu", f"en_gum-ud-{s}.conllu") for s in ("train", "dev", "test")},
        read=conllu.read,
    ),
    "mnli": Corpus(
        what="MultiNLI: sentence pairs in five genres; dev is the matched part",
        licence="MultiNLI's own terms",
        files=_MNLI,
        read=nli.read,
        hub=hub.pairs,
        hub_name=hub.MNLI,
        note="224 MB on the Hub, downloaded and checked by the datasets library, in its own cache",
    ),
    "mnli-reduced": Corpus(
        what="MultiNLI's matched development pairs, split by premise; dev is the test part",
        licence="MultiNLI's own terms",
        files=_MNLI,
        read=nli.read,
    ),
    "squad": Corpus(
        what="SQuAD v1.1: questions on Wikipedia paragraphs",
        licence="CC BY-SA 4.0",
        files=_SQUAD,
        read=squad.read,
        hub=hub.questions,
        hub_name=hub.SQUAD,
        note="35 MB as JSON, downloaded and checked by the datasets library, in its own cache",
    ),
    "squad-reduced": Corpus(
        what="SQuAD v1.1's public development questions, split by article; dev is the test part",
        licence="CC BY-SA 4.0",
        files=_SQUAD,
        read=squad.read,
    ),
    "wikipedia": Corpus(
        what="sentences of 106 Wikipedia articles (any MediaWiki XML dump as a local file)",
        licence="CC BY-SA 3.0",
        files={"all": ("*.xml*.bz2", "*.bz2", "*.xml")},
        read=_wikipedia,
        source="wikipedia-sample",
    ),
    "wikitext-2": Corpus(
        what="WikiText-2: sentences of Wikipedia's good and featured articles",
        licence="CC BY-SA 3.0",
        files=_WIKITEXT,
        read=text.read_wikitext,
    ),
    "text": Corpus(
        what="your own plain text: a paragraph a line, a blank line between documents",
        licence="yours",
        files={"all": ("*.txt",)},
        read=text.read,
    ),
    "uds-dep": Corpus(
        what="dependency trees (UD v1) of the English Web Treebank, from UDS 2.0",
        licence="CC BY-SA 4.0",
        files=_UDS,
        source="decomp",
        recast="dep",
    ),
    "uds-nli": Corpus(
        what="inference pairs recast from UDS 2.0's ratings of factuality, proto-roles, genericity and time",
        licence="CC BY-SA 4.0",
        files=_UDS,
        source="decomp",
        recast="nli",
    ),
    "uds-qa": Corpus(
        what="questions recast from UDS 2.0's predicates and arguments",
        licence="CC BY-SA 4.0",
        files=_UDS,
        source="decomp",
        recast="qa",
    ),
    "propbank-ewt": Corpus(
        what="PropBank's English Web Treebank: constituency trees and semantic roles",
        licence="CC BY-SA 4.0",
        files={"all": ("**/*.gold_skel", "propbank-ewt.tar*")},
        note="its words are masked and come from ud-ewt; probed by the suite open",
    ),
    "semeval-2010-task8": Corpus(
        what="SemEval-2010 Task 8: relations between nominals",
        licence="CC BY 3.0",
        files={
            split: (name, f"**/{name}")
            for split, name in (("train", "TRAIN_FILE.TXT"), ("test", "TEST_FILE_FULL.TXT"))
        },
        note="probed by the suites open and ontonotes",
    ),
    "ontonotes": Corpus(
        what="OntoNotes 5, English, in the columns of CoNLL-2012",
        licence="LDC's own terms",
        files=_ONTONOTES,
        note="probed by the suite ontonotes; folders train, development and test, as in CoNLL-2012",
    ),
    "spr1": Corpus(
        what="SPR1: proto-role properties on Penn Treebank sentences (Teichert et al. 2017), jiant's JSON",
        licence="LDC's own terms for the sentences",
        files={split: (f"{split}.json", f"*{split}*.json") for split in ("train", "dev", "test")},
        note="probed by the suite ontonotes",
    ),
    "edges": Corpus(
        what="your own edge-probing tasks in jiant's JSON: a folder for each, of that name",
        licence="yours",
        files={split: (f"{split}.json", f"*{split}*.json") for split in ("train", "dev", "test")},
        note="probed by the suite json",
    ),
}


def load(name: str, split: str, *, path: str | Path | None = None, limit: int | None = None) -> list[Record]:
    """The records of a corpus's split, in its order.

    ``path`` is a local folder with the corpus's official files (:data:`CORPORA` lists their names; for
    mnli and squad also a folder with the Hub's parquet files; for text and wikipedia also one file).
    Without it the corpus comes from the store or is downloaded. ``limit`` takes that many records at
    random, always the same ones and a smaller sample always within a larger, and keeps their order: the
    first so many would be one document, genre or article.

    Raises ValueError for an unknown name, split or limit, FileNotFoundError if the folder lacks the
    file, :class:`fetch.FetchError` if a download fails, and CorpusError for malformed files.
    """
    corpus = _corpus(name)
    if corpus.only_probed:
        raise ValueError(f"{name} has labels to probe for; helpers.corpora.edges.load reads them by task")
    _check_split(name, corpus, split)
    return sample(_records(name, corpus, split, path), limit)


def sample(records: list, limit: int | None) -> list:
    """``limit`` records at random in their order: always the same, a smaller sample within a larger.

    None takes all. Raises ValueError for a limit below 1.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1, or None for all records, got {limit}")
    if limit is None or limit >= len(records):
        return records
    order = list(range(len(records)))
    random.Random(SAMPLE_SEED).shuffle(order)
    return [records[i] for i in sorted(order[:limit])]


def files(name: str, split: str, *, path: str | Path | None = None) -> list[Path]:
    """The official files that hold a split: in the local folder ``path``, else downloaded.

    Not for corpora that the ``datasets`` library downloads. Errors as for :func:`load`.
    """
    corpus = _corpus(name)
    _check_split(name, corpus, split)
    if path is not None:
        return _local(name, corpus, split, Path(path).expanduser())
    if not corpus.source:
        raise ValueError(_needs_folder(name, corpus, split))
    return _official(corpus, split, fetch.folder(corpus.source))


def fingerprint(name: str, path: str | Path) -> str:
    """Hash of the files in a local folder that could be the corpus's, or of the one file given.

    Raises ValueError for an unknown corpus; a folder without such files has a hash as well.
    """
    patterns = {pattern.rpartition("/")[2] for split in _corpus(name).files.values() for pattern in split}
    place = Path(path).expanduser()
    found = {p for pattern in (*patterns, "*.parquet") for p in place.rglob(pattern) if p.is_file()}
    files = [place] if place.is_file() else sorted(found)
    return digest({str(p.relative_to(place)): sha256_of(p) for p in files})


def sha256_of(path: Path) -> str:
    """Hash of a file, computed anew if its size or time has changed: OntoNotes has ten thousand files."""
    state = path.stat()
    return _sha256(path, state.st_size, state.st_mtime_ns)


@functools.cache
def _sha256(path: Path, size: int, time: int) -> str:
    return sha256(path)


def describe(names: Iterable[str] | None = None) -> list[dict]:
    """What there is: one row a corpus, ``name, what, licence, splits, source, bytes, files, present, note``.

    ``files`` has a row for each file to download, ``file, bytes, sha256, known`` (see
    :func:`fetch.checksums`), and ``bytes`` their sum if all are known. ``present`` says whether they are
    in the store, None for a corpus that is not kept there.
    """
    rows = []
    for name in CORPORA if names is None else names:
        corpus = _corpus(name)
        files = fetch.checksums(corpus.source) if corpus.source else []
        sizes = [row["bytes"] for row in files]
        if corpus.source:
            source = fetch.SOURCES[corpus.source].origin
        elif corpus.hub:
            source = f"Hugging Face Hub: {corpus.hub_name}"
        else:
            source = "local folder with " + ", ".join(patterns[0] for patterns in corpus.files.values())
        rows.append(
            {
                "name": name,
                "what": corpus.what,
                "licence": corpus.licence,
                "splits": tuple(corpus.files),
                "source": source,
                "bytes": sum(sizes) if sizes and None not in sizes else None,
                "files": files,
                "present": fetch.present(corpus.source) if corpus.source else None,
                "note": corpus.note,
            }
        )
    return rows


def download(names: Iterable[str]) -> None:
    """Fetch corpora that have a source and check them. Raises ValueError for those that have none."""
    names = list(names)
    for name in names:
        corpus = _corpus(name)
        if not corpus.source and not corpus.hub:
            raise ValueError(_needs_folder(name, corpus, next(iter(corpus.files))))
    for name in names:
        corpus = _corpus(name)
        if corpus.source:
            fetch.folder(corpus.source)
        else:
            for split in corpus.files:
                corpus.hub(split, corpus.hub_name)


def verify(names: Iterable[str] | None = None) -> list[dict]:
    """Check downloaded corpora against their checksums: one row a corpus, ``name, ok, detail``.

    ``ok`` is None where there is nothing to check: not downloaded, or not kept in the store.
    """
    checked: dict[str, str | None] = {}  # several corpora come from one source
    rows = []
    for name in CORPORA if names is None else names:
        corpus = _corpus(name)
        if not corpus.source:
            detail = corpus.note or "a local folder of yours"
            rows.append({"name": name, "ok": None, "detail": f"not kept in the store: {detail}"})
        elif not fetch.present(corpus.source):
            rows.append({"name": name, "ok": None, "detail": "not downloaded"})
        else:
            if corpus.source not in checked:
                checked[corpus.source] = fetch.verify(corpus.source)
            problem = checked[corpus.source]
            rows.append({"name": name, "ok": problem is None, "detail": problem or "as recorded"})
    return rows


def _corpus(name: str) -> Corpus:
    if name not in CORPORA:
        raise ValueError(f"unknown corpus {name!r}; valid: {', '.join(CORPORA)}")
    return CORPORA[name]


def _check_split(name: str, corpus: Corpus, split: str) -> None:
    if split not in corpus.files:
        raise ValueError(f"unknown split {split!r} of {name}; valid: {', '.join(corpus.files)}")


def _records(name: str, corpus: Corpus, split: str, path: str | Path | None) -> list[Record]:
    if path is not None and corpus.hub:
        place = Path(path).expanduser()
        if not _official(corpus, split, place) and any(place.rglob("*.parquet")):
            return corpus.hub(split, place)
    if path is None and corpus.hub:
        return corpus.hub(split, corpus.hub_name)
    # A recast task reads its own form of the wheel from the store, so without a folder it needs no file.
    found = [] if corpus.recast and path is None else files(name, split, path=path)
    if corpus.recast:
        make = getattr(importlib.import_module("helpers.corpora.recast"), corpus.recast)
        return make(split, wheel=found[0] if found else None)
    return [record for file in found for record in corpus.read(file)]


def _official(corpus: Corpus, split: str, place: Path) -> list[Path]:
    """The files of a split in a folder, or the given file if it can only be that split's."""
    patterns = corpus.files[split]
    if place.is_file():
        fits = len(corpus.files) == 1 or any(fnmatch.fnmatch(place.name, p) for p in patterns)
        return [place] if fits else []
    return next((found for p in patterns if (found := sorted(place.glob(p)))), [])


def _local(name: str, corpus: Corpus, split: str, place: Path) -> list[Path]:
    files = _official(corpus, split, place)
    if files:
        return files
    expected = f"{name} ({split}) expects {' or '.join(corpus.files[split])}"
    if not place.exists():
        raise FileNotFoundError(f"{place}: no such file or folder; {expected}")
    if place.is_file():
        raise FileNotFoundError(f"{place}: {expected}; give that file or its folder")
    there = sorted(p.name for p in place.iterdir())
    listing = ", ".join(there[:10]) + (f" and {len(there) - 10} more" if len(there) > 10 else "")
    raise FileNotFoundError(f"{place}: {expected}; in the folder: {listing or 'nothing'}")


def _needs_folder(name: str, corpus: Corpus, split: str) -> str:
    how = f'load("{name}", "{split}", path=<folder>)'
    if corpus.only_probed:
        how = f'paths={{"{name}": <folder>}}'
    return f"{name} cannot be downloaded; give a local folder with {' or '.join(corpus.files[split])}: {how}"
