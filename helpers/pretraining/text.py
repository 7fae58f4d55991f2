"""Text for pre-training: documents from files or data sets, the vocabulary, wordpieces on disk."""

import functools
import lzma
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from helpers import store

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SCHEMA = 1  # raise when the encoded corpus changes form
HELDOUT_EVERY = 200  # of a data set without held-out files, one document in so many is held out
_TITLE = re.compile(r" ?= [^=].* = ?$")  # an article's title in WikiText


def text_files(folder: str | Path, pattern: str = "*.txt*") -> list[Path]:
    """The ``.txt`` and ``.txt.xz`` files of a folder, in order. Raises FileNotFoundError if none."""
    files = [p for p in sorted(Path(folder).glob(pattern)) if p.suffix in (".txt", ".xz")]
    if not files:
        raise FileNotFoundError(f"{folder}: no file matches {pattern} (.txt or .txt.xz)")
    return files


def documents(files: list[Path]) -> Iterator[list[str]]:
    """Documents of UTF-8 text files, each a list of paragraphs.

    One paragraph per line; a blank line ends a document. Raises ValueError naming file and line where
    the text is not UTF-8 or the compressed stream is cut short.
    """
    for path in files:
        paragraphs: list[str] = []
        number = 0
        opened = lzma.open(path, "rb") if path.suffix == ".xz" else open(path, "rb")
        try:
            with opened as file:
                for raw in file:
                    number += 1
                    line = raw.decode("utf-8").strip()
                    if line:
                        paragraphs.append(line)
                    elif paragraphs:
                        yield paragraphs
                        paragraphs = []
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}:{number}: not UTF-8 text ({error.reason})") from None
        except (EOFError, lzma.LZMAError) as error:
            raise ValueError(f"{path}: damaged xz stream after line {number} ({error})") from None
        if paragraphs:
            yield paragraphs


def hub_documents(name: str, config: str | None = None, split: str = "train") -> Iterator[list[str]]:
    """Documents of a Hugging Face text data set (a Hub id or a local folder of its files).

    A row of several lines is a document, its lines the paragraphs. Rows of one line are taken for the
    paragraphs of a running text, in documents of at most 1,000 that also end where a title in WikiText's
    convention (`` = Title = ``) begins another. Raises ValueError if the rows have no ``text``.
    """
    import datasets

    running: list[str] = []
    for row in datasets.load_dataset(name, config, split=split, streaming=True):
        if not isinstance(row.get("text"), str):
            raise ValueError(f"data set {name}: its rows have no text column, but {', '.join(row)}")
        paragraphs = [line.strip() for line in row["text"].splitlines() if line.strip()]
        if running and (len(paragraphs) > 1 or len(running) == 1000 or _TITLE.match(row["text"].rstrip())):
            yield running
            running = []
        if len(paragraphs) > 1:
            yield paragraphs
        else:
            running += paragraphs
    if running:
        yield running


def write_split(texts: Iterable[list[str]], folder: Path, every: int = HELDOUT_EVERY) -> None:
    """Write documents into ``folder`` as ``train.txt`` and, one in ``every``, ``heldout.txt``.

    Raises ValueError for fewer than two documents.
    """
    number = 0
    with (
        open(folder / "train.txt", "w", encoding="utf-8") as train,
        open(folder / "heldout.txt", "w", encoding="utf-8") as heldout,
    ):
        for number, paragraphs in enumerate(texts, 1):
            (train if number % every != 1 else heldout).write("\n".join(paragraphs) + "\n\n")
    if number < 2:
        raise ValueError(f"documents found: {number}; at least two are needed, one to hold out")


def train_tokenizer(files: list[Path], size: int) -> Any:
    """Uncased WordPiece tokenizer of ``size`` pieces, trained on text files, as a BertTokenizerFast."""
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertTokenizerFast  # type: ignore[attr-defined]

    trained = BertWordPieceTokenizer(lowercase=True)
    lines = (line for document in documents(files) for line in document)
    trained.train_from_iterator(lines, vocab_size=size, special_tokens=list(SPECIAL), show_progress=False)
    return BertTokenizerFast(vocab=trained.get_vocab(), do_lower_case=True, model_max_length=512)


class EncodedCorpus:
    """Wordpieces of a corpus on disk, memory-mapped.

    ``tokens`` (n_tokens,) uint16; ``units`` (n_units,) starts of the sentences; ``starts``
    (n_documents + 1,) offsets of the documents.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        # As plain arrays: slices of np.memmap are several times slower to make.
        self.tokens = np.asarray(np.load(folder / "tokens.npy", mmap_mode="r"))
        self.units = np.asarray(np.load(folder / "units.npy", mmap_mode="r"))
        self.starts = np.load(folder / "starts.npy")

    @property
    def n_documents(self) -> int:
        return len(self.starts) - 1

    def windows(self, length: int, shift: int = 0) -> np.ndarray:
        """(n_windows, 2): begin and end of stretches of ``length`` tokens within documents.

        A document is cut into windows one after another, the last reaching back to fill its length; then
        each but the last is moved back to where its sentence begins, if that is within half a window, so
        neighbours may overlap or leave out part of a sentence. ``shift`` moves all cuts within the
        documents, so that other parts are left out; number and order stay. Only documents shorter than
        ``length`` give shorter windows.
        """
        starts, stops = self.starts[:-1], self.starts[1:]
        counts = np.maximum(1, -((starts - stops) // length))  # rounded up
        document = np.repeat(np.arange(len(starts)), counts)
        number = np.arange(len(document)) - np.repeat(np.cumsum(counts) - counts, counts)
        latest = np.maximum(starts, stops - length)[document]
        begins = np.clip(starts[document] + number * length + shift, starts[document], latest)
        snapped = self.units[np.searchsorted(self.units, begins, side="right") - 1]
        # A document's last window stays where it is, or its end would never be seen.
        moves = (begins - snapped <= length // 2) & (begins < latest)
        begins = np.where(moves, snapped, begins)
        return np.stack([begins, np.minimum(begins + length, stops[document])], axis=1)


def encode(files: list[Path], tokenizer, folder: Path) -> None:
    """Tokenise text files into ``folder`` as an :class:`EncodedCorpus`, streaming."""
    if len(tokenizer) > 2**16:
        raise ValueError(f"vocabulary of {len(tokenizer)} pieces; encoded corpora hold at most 65,536")
    ends = np.array(tokenizer.convert_tokens_to_ids([".", "!", "?"]), dtype=np.uint16)
    raw = folder / "tokens.raw"
    units, starts, total = [], [0], 0
    batch: list[list[str]] = []

    def flush(file) -> None:
        nonlocal total
        lines = [line for document in batch for line in document]
        if not lines:  # the tokenizer takes no empty batch
            return
        encoded = iter(tokenizer(lines, add_special_tokens=False, verbose=False)["input_ids"])
        for document in batch:
            for _ in document:
                ids = np.array(next(encoded), dtype=np.uint16)
                after_end = np.flatnonzero(np.isin(ids[:-1], ends)) + 1
                units.append(total + np.concatenate([[0], after_end]))
                ids.tofile(file)
                total += len(ids)
            starts.append(total)
        batch.clear()

    with open(raw, "wb") as file:
        size = 0
        for document in documents(files):
            batch.append(document)
            size += len(document)
            if size >= 4096:
                flush(file)
                size = 0
        flush(file)
    if not total:
        raise ValueError(f"no text in {', '.join(str(p) for p in files)}")
    np.save(folder / "tokens.npy", np.memmap(raw, dtype=np.uint16, mode="r"))
    raw.unlink()
    np.save(folder / "units.npy", np.concatenate(units))
    np.save(folder / "starts.npy", np.unique(starts))


def prepare(
    files: list[Path], heldout: list[Path], vocabulary: int | str | Path, cache: store.Store
) -> tuple[Any, EncodedCorpus, EncodedCorpus]:
    """Tokenizer and encoded corpora: (tokenizer, training corpus, held-out corpus), from the store.

    ``vocabulary`` is the number of pieces of one trained on ``files``, or a folder with a tokenizer.
    """
    from transformers import AutoTokenizer

    if isinstance(vocabulary, int):
        size = vocabulary
        hashes = {p.name: store.sha256(p) for p in files}
        vocabulary = cache.get(
            "vocabulary",
            {"files": hashes, "size": vocabulary, "schema": SCHEMA},
            lambda into: train_tokenizer(files, size).save_pretrained(into),
        )
    if not (Path(vocabulary) / "tokenizer.json").is_file():
        raise FileNotFoundError(
            f"{vocabulary}: no tokenizer.json; give a tokenizer's folder or a number of pieces"
        )
    tokenizer = AutoTokenizer.from_pretrained(vocabulary, trust_remote_code=False)
    pieces = store.sha256(Path(vocabulary) / "tokenizer.json")
    corpora = []
    for part in (files, heldout):
        spec = {
            "files": {p.name: store.sha256(p) for p in part},
            "tokenizer": pieces,
            "schema": SCHEMA,
        }
        folder = cache.get("encoded-text", spec, functools.partial(encode, part, tokenizer))
        corpora.append(EncodedCorpus(folder))
    return tokenizer, corpora[0], corpora[1]


def prepare_documents(
    texts: list[list[str]], vocabulary: int | str | Path, cache: store.Store, every: int
) -> tuple[Any, EncodedCorpus, EncodedCorpus]:
    """:func:`prepare` for documents at hand (lists of paragraphs), one in ``every`` of them held out."""
    spec = {"documents": store.digest(texts), "every": every, "schema": SCHEMA}
    folder = cache.get("text", spec, lambda into: write_split(texts, into, every))
    return prepare([folder / "train.txt"], [folder / "heldout.txt"], vocabulary, cache)


def split_files(folder: str | Path, pattern: str) -> tuple[list[Path], list[Path]]:
    """Training and held-out text files of a folder; the latter match ``pattern``. Raises as text_files."""
    held = text_files(folder, pattern)
    return [path for path in text_files(folder) if path not in held], held


def training_files(corpus: str | Path, pattern: str, cache: store.Store) -> tuple[list[Path], list[Path]]:
    """Training and held-out text files of a folder or data set."""
    folder = Path(corpus).expanduser()
    tables = sorted(folder.rglob("*.parquet")) if folder.is_dir() else []
    if folder.is_dir() and not tables:
        return split_files(folder, pattern)
    if not folder.is_dir() and (str(corpus).count("/") > 1 or str(corpus).startswith((".", "~", "/"))):
        raise FileNotFoundError(f"{corpus}: no such folder")
    name, _, config = (str(folder), "", "") if tables else str(corpus).partition(":")
    files = {str(p.relative_to(folder)): store.sha256(p) for p in tables}
    spec = {"name": name, "config": config, "files": files, "schema": SCHEMA}
    texts = hub_documents(name, config or None)
    text = cache.get("hub-text", spec, lambda into: write_split(texts, into))
    return [text / "train.txt"], [text / "heldout.txt"]
