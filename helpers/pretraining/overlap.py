"""How much of the book's test texts occurs in a pre-training corpus."""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import corpora, encoders, progress, provenance, store
from helpers.pretraining import text
from helpers.pretraining.release import RECORDED

LONGEST = 1000  # words; runs in common beyond it count as this long
_PRIME = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplying loses nothing modulo 2**64
_CLITIC = re.compile(r"\s+(?=n't\b|'(?:s|re|ve|ll|d|m)\b)")


def words(text: str) -> list[str]:
    """Lower-case words of letters and digits; clitics are joined to their word, however tokenised."""
    text = _CLITIC.sub("", text.lower().replace("\u2019", "'")).replace("'", "")
    return re.findall(r"[^\W_]+", text)


def overlap(
    files: list[Path], tests: dict[str, list[str]], *, sizes: tuple[int, ...] = (8, 12)
) -> pd.DataFrame:
    """How much of some test texts occurs in training text, by runs of words.

    ``tests`` gives each test set's sentences (or other short texts). One row per test set and size n:
    ``corpus, n, sentences, ngrams, found`` (n-grams of the test text that occur anywhere in the files),
    ``share``, ``sentences_hit, share_hit`` (with such an n-gram), ``longest`` (words of the longest run
    in common) and ``example`` (that run). The files are read once, as a stream; the test texts are held.
    """
    vocabulary: dict[str, int] = {}
    texts = {
        name: [np.array([vocabulary.setdefault(w, len(vocabulary) + 1) for w in words(t)]) for t in sentences]
        for name, sentences in tests.items()
    }
    # All sentences in one array, each after a 0, which stands for any word that no test text has.
    flat = np.concatenate([part for group in texts.values() for t in group for part in ([0], t)] + [[0]])
    flat = flat.astype(np.int64)
    hashes = {n: _rolling(flat, n) for n in sizes}
    inside = {n: _rolling(flat == 0, n, count=True) == 0 for n in sizes}
    known = {n: np.unique(hashes[n][inside[n]]) for n in sizes}
    found = {n: np.zeros(len(known[n]), bool) for n in sizes}
    smallest = min(sizes)
    longest = np.zeros(len(flat), np.int64)  # of the runs in common that begin at each place
    places: dict[int, list[int]] = {}
    for place in np.flatnonzero(inside[smallest]):
        places.setdefault(int(hashes[smallest][place]), []).append(int(place))
    for number, ids in enumerate(_coded(files, vocabulary), 1):
        for n in sizes:
            h = _rolling(ids, n)
            at = np.minimum(np.searchsorted(known[n], h), len(known[n]) - 1)
            hit = known[n][at] == h
            found[n][at[hit]] = True
            if n == smallest:
                _extend(ids, np.flatnonzero(hit), h, flat, places, longest)
        if number % 20 == 0:
            progress.say(f"overlap: {number} million words read")
    spelled = {i: w for w, i in vocabulary.items()}
    rows, offset = [], 0
    for name, group in texts.items():
        size = sum(len(t) + 1 for t in group)
        sentence = np.repeat(np.arange(len(group)), [len(t) + 1 for t in group])
        begin = int(np.argmax(longest[offset : offset + size])) + offset
        run = flat[begin : begin + longest[begin]]
        for n in sizes:
            part = slice(offset, min(offset + size, len(hashes[n])))
            valid = inside[n][part]
            hit = np.zeros(len(valid), bool)
            hit[valid] = found[n][np.searchsorted(known[n], hashes[n][part][valid])]
            struck = len(np.unique(sentence[: len(hit)][hit]))
            rows.append(
                {
                    "corpus": name,
                    "n": n,
                    "sentences": len(group),
                    "ngrams": int(valid.sum()),
                    "found": int(hit.sum()),
                    "share": hit.sum() / max(1, valid.sum()),
                    "sentences_hit": struck,
                    "share_hit": struck / max(1, len(group)),
                    "longest": len(run),
                    "example": " ".join(spelled[i] for i in run),
                }
            )
        offset += size
    return pd.DataFrame(rows)


TESTED = {
    "ud-ewt dev": ("ud-ewt", ("dev",)),
    "ud-ewt test": ("ud-ewt", ("test",)),
    "gum dev": ("gum", ("dev",)),
    "gum test": ("gum", ("test",)),
    "mnli-reduced": ("mnli-reduced", ("train", "dev")),
    "squad-reduced": ("squad-reduced", ("train", "dev")),
    "wikitext-2 dev": ("wikitext-2", ("dev",)),
    "wikitext-2 test": ("wikitext-2", ("test",)),
    "wikipedia": ("wikipedia", ("all",)),  # no test set, but the text that representations are compared on
}


def record_overlap(
    corpus: str | Path,
    folders: dict[str, str | Path],
    *,
    heldout: str = "heldout*",
    recorded: Path = RECORDED,
) -> pd.DataFrame:
    """Look for the texts of the book's results in a pre-training corpus and write ``overlap.csv``.

    ``folders`` says where each corpus of :data:`TESTED` lies; the others are left out. Repeated texts
    count once.
    """
    tests = {}
    for label, (name, splits) in TESTED.items():
        if name in folders:
            loaded = [r for split in splits for r in corpora.load(name, split, path=folders[name])]
            parts = [part for r in loaded for part in encoders.segments_of(r) if part]
            texts = [part if isinstance(part, str) else " ".join(part) for part in parts]
            tests[label] = list(dict.fromkeys(texts))
    files, held = text.split_files(corpus, heldout)
    frame = overlap(files, tests)
    with store.atomic_write(Path(recorded) / "overlap.csv") as file:
        frame.to_csv(file, index=False, float_format="%.6g")
    facts = {"commit": provenance.commit(), "files": {p.name: store.sha256(p) for p in files}}
    provenance.add_entry(Path(recorded), "overlap", facts | {"hardware": provenance.hardware()})
    return frame


def _rolling(ids: np.ndarray, n: int, count: bool = False) -> np.ndarray:
    """Hash of the n numbers from each place on (or their sum), (len(ids) - n + 1,)."""
    width = max(0, len(ids) - n + 1)
    total = np.zeros(width, np.uint64)
    for i in range(n):
        total = total if count else total * _PRIME
        total = total + ids[i : i + width].astype(np.uint64)
        total = total if count else total ^ (total >> np.uint64(29))
    return total


def _coded(files: list[Path], vocabulary: dict[str, int]) -> Iterable[np.ndarray]:
    """The files' words as numbers, a million or so at a time, a 0 between paragraphs."""
    ids: list[int] = []
    for document in text.documents(files):
        for paragraph in document:
            ids += [vocabulary.get(w, 0) for w in words(paragraph)]
            ids.append(0)
        if len(ids) >= 1_000_000:
            yield np.array(ids, np.int64)
            ids = []
    if ids:
        yield np.array(ids, np.int64)


def _extend(ids, hits, h, flat, places, longest) -> None:
    """Note how far each run in common goes on, at the place in ``flat`` where it begins."""
    for i in hits.tolist():
        for place in places.get(int(h[i]), ()):
            if i and ids[i - 1] and ids[i - 1] == flat[place - 1]:
                continue  # within a run already measured from its beginning
            stop = min(len(ids) - i, len(flat) - place, LONGEST)
            same = (ids[i : i + stop] == flat[place : place + stop]) & (ids[i : i + stop] > 0)
            longest[place] = max(longest[place], stop if same.all() else int(np.argmin(same)))
