"""Encoders: load, align words to wordpieces, stream hidden states.

Layers are numbered as in the paper: -1 the embeddings, 0 the first block's output, ... L-1 the last
(Hugging Face's ``hidden_states[layer + 1]``).
"""

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from helpers import precision as numeric
from helpers import store
from helpers.corpora.records import LabelledSpans, Pair, Passage, Question, Sentence

ASSETS = Path(__file__).parent / "assets"
SCHEMA = 1  # raise when stored activations change form
POOLS = ("mean", "first", "pieces")
CHUNK_BYTES = 256 * 2**20  # hidden states held at once
BATCH_PIECES = 1024  # on a CPU: small batches need less padding, and fit its caches
GPU_BATCH_PIECES = 32768

Segment = str | tuple[str, ...]


@dataclass(frozen=True)
class Encoder:
    """A pre-trained transformer with its tokenizer. Made by :func:`load`."""

    name: str
    model: torch.nn.Module
    tokenizer: object
    fingerprint: str  # SHA-256 over configuration, tokenizer and weights
    precision: str  # of matrix products: bf16 or fp32

    @property
    def layers(self) -> range:
        """Layer numbers on the paper's axis: -1 for the embeddings, then the blocks."""
        return range(-1, self.model.config.num_hidden_layers)

    @property
    def width(self) -> int:
        return self.model.config.hidden_size

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def typed(self) -> bool:
        """Whether the model tells two segments apart by ``token_type_ids``; DistilBERT and RoBERTa do not."""
        return getattr(self.model.config, "type_vocab_size", 0) > 1

    @property
    def max_length(self) -> int:
        """Longest input in wordpieces, special ones included."""
        positions = getattr(self.model.config, "max_position_embeddings", None) or 512
        # RoBERTa and its kin keep the first positions for padding, and have a padding vector to show for it.
        table = getattr(getattr(self.model, "embeddings", None), "position_embeddings", None)
        reserved = getattr(table, "padding_idx", None)
        return positions if reserved is None else positions - reserved - 1

    @cached_property
    def templates(self) -> dict[bool, tuple]:
        """Special pieces around (False) one segment and (True) two: see :func:`_template`."""
        return {pair: _template(self.tokenizer, pair) for pair in (False, True)}


# -- loading -------------------------------------------------------------------------------------


def resolve(name: str | Path) -> Path:
    """Local folder of an encoder.

    ``name`` is ``minibert`` (seed 0) or ``minibert-seed<n>``, shipped with this package; ``tiny``, a
    small random BERT for tests; a local folder in Hugging Face's format; or a Hub id, downloaded once.
    Only configurations, tokenizers and weights are fetched, never code. Raises ValueError naming what
    was tried.
    """
    name = str(name)
    if name == "tiny":
        return store.Store().get("tiny-encoder", {"schema": SCHEMA}, _build_tiny)
    if name.startswith("minibert"):
        folder = ASSETS / ("minibert-seed0" if name == "minibert" else name)
        if not folder.is_dir():
            raise ValueError(f"unknown encoder {name!r}; shipped: {', '.join(_shipped())}")
        _check_shipped(folder)
        return folder
    if Path(name).is_dir():
        if not (Path(name) / "config.json").is_file():
            raise ValueError(f"{name}: not an encoder's folder, it has no config.json")
        return Path(name)
    if name.count("/") > 1 or name.startswith((".", "/", "~")):
        raise ValueError(f"encoder folder {name} does not exist")
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                name,
                allow_patterns=["*.json", "*.txt", "*.model", "model*.safetensors", "pytorch_model*.bin"],
            )
        )
    except Exception as error:
        raise ValueError(
            f"encoder {name!r} is neither shipped ({', '.join(_shipped())}, tiny), a local folder, nor to "
            f"be had from the Hugging Face Hub ({type(error).__name__}: {error})"
        ) from error


def _shipped() -> list[str]:
    return ["minibert", *sorted(p.name for p in ASSETS.glob("minibert-*"))]


def _check_shipped(folder: Path) -> None:
    """Compare a shipped encoder's files with the checksums recorded when it was made."""
    listed = folder / "SHA256SUMS"
    if not listed.is_file():
        raise store.DamagedArtifact(f"{listed}: missing; reinstall the package")
    for line in listed.read_text(encoding="utf-8").splitlines():
        expected, name = line.split()
        if not (folder / name).is_file() or store.sha256(folder / name) != expected:
            raise store.DamagedArtifact(f"{folder / name}: missing or altered; reinstall the package")


def _build_tiny(folder: Path) -> None:
    """A random BERT of 4 blocks x 32 with MiniBERT's vocabulary."""
    from transformers import AutoTokenizer, BertConfig, BertModel

    tokenizer = AutoTokenizer.from_pretrained(ASSETS / "minibert-seed0")
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=64,
    )
    with seeded(0):
        BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextlib.contextmanager
def seeded(seed: int):
    """Draw from torch's generator, seeded within the block and as it was afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextlib.contextmanager
def quiet():
    """Silence transformers' reports on heads that a checkpoint has and an encoder does not."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def load(
    name: str | Path,
    *,
    random_init: int | None = None,
    device: str = "auto",
    precision: str | None = None,
) -> Encoder:
    """Load an encoder (see :func:`resolve` for the names) for reading hidden states.

    ``random_init`` draws fresh weights from that seed instead of the trained ones: the paper's Random
    baseline. ``precision`` of matrix products is ``bf16`` (autocast) or ``fp32``; None: the
    faster one of this machine. Raises ValueError for an unknown name, a model without a fast tokenizer (words
    cannot be aligned) or an unknown precision.
    """
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    if precision not in (None, *numeric.PRECISIONS):
        raise ValueError(f"unknown precision {precision!r}; valid: {', '.join(numeric.PRECISIONS)}")
    folder = resolve(name)
    with quiet():
        # Byte-level tokenizers need the space before each word; WordPiece ignores the option.
        tokenizer = AutoTokenizer.from_pretrained(folder, add_prefix_space=True)
        if not tokenizer.is_fast:
            raise ValueError(f"{name}: has no fast tokenizer, so words cannot be aligned to wordpieces")
        with seeded(random_init or 0):  # a checkpoint may lack a part, such as the pooler, that is drawn then
            if random_init is None:
                model = AutoModel.from_pretrained(folder, dtype=torch.float32)
            else:
                model = AutoModel.from_config(AutoConfig.from_pretrained(folder), dtype=torch.float32)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return Encoder(
        name=str(name) if random_init is None else f"{name} (random {random_init})",
        model=model.eval().to(device),
        tokenizer=tokenizer,
        fingerprint=fingerprint(folder, random_init),
        precision=precision or numeric.fastest(device),
    )


def fingerprint(folder: Path, random_init: int | None = None) -> str:
    """Hash that changes whenever an encoder's configuration, tokenizer or weights do."""
    files = [
        p
        for p in sorted(folder.iterdir())
        if p.suffix in (".json", ".txt", ".model", ".safetensors", ".bin") and p.name != store.MANIFEST
    ]
    if random_init is not None:
        files = [p for p in files if p.suffix not in (".safetensors", ".bin")]
    return store.digest({"files": {p.name: store.sha256(p) for p in files}, "random_init": random_init})


# -- from records to wordpieces --------------------------------------------------------------------


def segments(record) -> tuple[Segment, Segment | None]:
    """The one or two segments that a record is read as.

    A sentence gives its words; a pair premise and hypothesis; a question itself and its context (the
    paper's "question [SEP] passage"); a passage its text. A tuple or list of words, or a string, is a
    segment by itself.
    """
    if isinstance(record, (Sentence, LabelledSpans)):
        return record.words, None
    if isinstance(record, Pair):
        return record.premise, record.hypothesis
    if isinstance(record, Question):
        return record.question, record.context
    if isinstance(record, Passage):
        return record.text, None
    if isinstance(record, str):
        return record, None
    if isinstance(record, (tuple, list)) and all(isinstance(w, str) for w in record):
        return tuple(record), None
    raise TypeError(f"expected a corpus record, words or text, got {type(record).__name__}")


def _template(tokenizer, pair: bool) -> tuple[list[int], list[int], list[int], list[int]]:
    """Special pieces before, between and after the segments, and the two segments' type ids."""
    encoded = tokenizer(*(["a"] * (1 + pair)), return_special_tokens_mask=True, return_token_type_ids=True)
    ids, special = encoded["input_ids"], encoded["special_tokens_mask"]
    plain = [i for i, mask in enumerate(special) if not mask]
    first, last = plain[0], plain[-1]
    # A segment of one letter is one piece in every vocabulary in use, so specials between the first
    # and the last plain piece separate the segments.
    between = [ids[i] for i in range(first, last) if special[i]]
    return ids[:first], between, ids[last + 1 :], encoded["token_type_ids"]


def align(tokenizer, batch: Sequence[Segment]) -> list[tuple[list[int], list[int]]]:
    """Wordpieces of segments and the word each belongs to: a list of (piece ids, word numbers).

    Words are the tuple's items, or for a string those of the tokenizer's own splitting. A word of
    which the tokenizer leaves nothing (a lone control character, say) becomes the unknown piece, so
    that every word has at least one.
    """
    found: list = [None] * len(batch)
    for split in (True, False):
        places = [i for i, segment in enumerate(batch) if isinstance(segment, str) is not split]
        if not places:
            continue
        texts = [list(batch[i]) if split else batch[i] for i in places]
        encoded = tokenizer(
            texts,
            is_split_into_words=split,
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        for place, (i, ids) in enumerate(zip(places, encoded["input_ids"], strict=True)):
            words = encoded.word_ids(place)
            if split and len(set(words)) < len(batch[i]):
                ids, words = _fill_gaps(ids, words, len(batch[i]), tokenizer.unk_token_id)
            found[i] = (ids, words)
    return found


def _fill_gaps(ids: list[int], words: list[int], n_words: int, unknown: int):
    pieces: list[list[int]] = [[] for _ in range(n_words)]
    for piece, word in zip(ids, words, strict=True):
        pieces[word].append(piece)
    filled = [p or [unknown] for p in pieces]
    return [x for p in filled for x in p], [w for w, p in enumerate(filled) for _ in p]


@dataclass(frozen=True)
class _Window:
    """One input of the model and which of its positions are read off, into which rows."""

    ids: list[int]
    types: list[int]
    positions: list[int]  # positions in ids whose states are used
    rows: list[int]  # row of the chunk each goes to (wordpieces of one word share it)


def _windows(encoder: Encoder, record, a, b, pool: str, first_row: int):
    """Model inputs of one record: (windows, number of rows, word number of each row).

    What is longer than the model's limit is read in overlapping windows; each piece is taken from the
    window in which it has the most context on its poorer side. Of two segments the second is windowed
    and the first repeated.
    """
    before, between, after, types = encoder.templates[b is not None]
    (head, head_words), (body, body_words) = (a, b) if b is not None else (([], []), a)
    room = encoder.max_length - len(before) - len(between) - len(after) - len(head)
    if room < min(len(body), encoder.max_length // 4):
        name = getattr(record, "id", "")
        raise ValueError(
            f"record {name!r}: its first segment has {len(head)} wordpieces, too many beside a second one "
            f"for an encoder of {encoder.max_length} positions"
        )
    offset = (max(head_words) + 1) if head_words else 0
    words = [*head_words, *(w + offset for w in body_words)]
    n = len(head) + len(body)
    if pool == "pieces":
        row_of = list(range(n))
        row_words = words
    else:
        # Words keep their order, so a new row begins wherever the word number changes.
        starts = [i == 0 or words[i] != words[i - 1] for i in range(n)]
        row_of = (np.cumsum(starts) - 1).tolist() if n else []
        row_words = [w for w, start in zip(words, starts, strict=True) if start]
    keep = [True] * n if pool != "first" else starts
    windows = []
    step = max(1, room // 2)
    begins = [0] if len(body) <= room else [*range(0, len(body) - room, step), len(body) - room]
    spans = [(begin, min(begin + room, len(body))) for begin in begins]
    owner = _owners(spans, len(body))
    for number, (begin, end) in enumerate(spans):
        ids = [*before, *head, *between, *body[begin:end], *after]
        shift = len(before) + len(head) + len(between)
        kinds = [types[0]] * shift + [types[-1]] * (len(ids) - shift)
        positions, rows = [], []
        if number == 0:
            for i in range(len(head)):
                if keep[i]:
                    positions.append(len(before) + i)
                    rows.append(first_row + row_of[i])
        for i in range(begin, end):
            j = len(head) + i
            if owner[i] == number and keep[j]:
                positions.append(shift + i - begin)
                rows.append(first_row + row_of[j])
        windows.append(_Window(ids, kinds, positions, rows))
    return windows, len(row_words), row_words


def _owners(spans: list[tuple[int, int]], n: int) -> list[int]:
    """For each piece, the number of the window that shows it with the most context."""
    if len(spans) == 1:
        return [0] * n
    best, owner = [-1] * n, [0] * n
    for number, (begin, end) in enumerate(spans):
        for i in range(begin, end):
            left = i - begin if begin else n  # nothing is missing beyond a document's own ends
            right = end - 1 - i if end < n else n
            if min(left, right) > best[i]:
                best[i], owner[i] = min(left, right), number
    return owner


def row_counts(encoder: Encoder, records: Sequence, *, pool: str = "pieces") -> np.ndarray:
    """Rows that each record gives, (n_records,): its wordpieces, or its words for the other poolings."""
    _check_pool(pool)
    counts = []
    for chunk in _groups(records, 2000):
        for _, a, b in _aligned(encoder.tokenizer, chunk):
            parts = [a] if b is None else [a, b]
            counts.append(sum(len(ids) if pool == "pieces" else len(set(words)) for ids, words in parts))
    return np.array(counts)


def _check_pool(pool: str) -> None:
    if pool not in POOLS:
        raise ValueError(f"unknown pooling {pool!r}; valid: {', '.join(POOLS)}")


def _groups(items: Iterable, size: int) -> Iterator[list]:
    group: list = []
    for item in items:
        group.append(item)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _aligned(tokenizer, records: list) -> list[tuple]:
    parts = [segments(record) for record in records]
    seconds = [b for _, b in parts if b is not None]
    aligned = align(tokenizer, [a for a, _ in parts] + seconds)
    later = iter(aligned[len(parts) :])
    return [
        (record, aligned[i], None if parts[i][1] is None else next(later)) for i, record in enumerate(records)
    ]


# -- hidden states ---------------------------------------------------------------------------------


def _layer_list(encoder: Encoder, layers) -> list[int]:
    chosen = list(encoder.layers) if isinstance(layers, str) and layers == "all" else list(layers)
    for layer in chosen:
        if layer not in encoder.layers:
            raise ValueError(f"unknown layer {layer!r}; valid: {encoder.layers[0]} to {encoder.layers[-1]}")
    return chosen


def _chunks(encoder: Encoder, records: Iterable, layers: list[int], pool: str):
    """Stream (row counts of the records, word number of each row, states (n_layers, n_rows, d)).

    Chunks hold about ``CHUNK_BYTES`` of states, whatever the corpus; batches within a chunk are sorted
    by length, so little is padded.
    """
    limit = max(512, CHUNK_BYTES // (2 * len(layers) * encoder.width))
    windows: list[_Window] = []
    counts: list[int] = []
    words: list[int] = []
    for group in _groups(records, 256):
        for record, a, b in _aligned(encoder.tokenizer, group):
            new, n_rows, row_words = _windows(encoder, record, a, b, pool, len(words))
            windows += new
            counts.append(n_rows)
            words += row_words
            if len(words) >= limit:
                yield counts, words, _forward(encoder, windows, len(words), layers)
                windows, counts, words = [], [], []
    if counts:
        yield counts, words, _forward(encoder, windows, len(words), layers)


def _forward(encoder: Encoder, windows: list[_Window], n_rows: int, layers: list[int]) -> torch.Tensor:
    """Mean states of the rows, (n_layers, n_rows, d) float16 on the CPU."""
    device = encoder.device
    out = torch.empty((len(layers), n_rows, encoder.width), dtype=torch.float16)
    pieces = torch.bincount(
        torch.tensor([r for w in windows for r in w.rows], dtype=torch.int64), minlength=n_rows
    )
    # Words cut by a window's edge are summed here until all their pieces have been seen.
    sums: dict[tuple[int, int], tuple[torch.Tensor, int]] = {}
    with torch.no_grad(), numeric.autocast(device, encoder.precision):
        for batch in _batches(windows, batch_pieces(device)):
            rows, inverse = torch.unique(
                torch.tensor([r for w in batch for r in w.rows]), return_inverse=True
            )
            found = torch.bincount(inverse, minlength=len(rows))
            whole = found == pieces[rows]
            split = torch.nonzero(~whole).flatten()
            # One layer at a time: the states of all at once would be read and written several times over.
            for number, states in enumerate(_run(encoder, batch, layers)):
                if len(rows) == len(inverse):
                    means = torch.empty_like(states)
                    means[inverse.to(device)] = states
                else:
                    means = torch.zeros((len(rows), encoder.width), device=device)
                    means.index_add_(0, inverse.to(device), states.float())
                    means /= found.to(device)[:, None]
                out[number].index_copy_(0, rows, means.half().cpu())
                if len(split):
                    total = means[split].float() * found[split, None].to(device)
                    _gather(
                        sums, out[number], number, rows[split].tolist(), total, found[split].tolist(), pieces
                    )
    for layer in out:
        if not torch.isfinite(layer.sum(dtype=torch.float32)):
            raise FloatingPointError(f"{encoder.name}: hidden states beyond half precision's range")
    return out


def _gather(sums: dict, out: torch.Tensor, layer: int, rows: list, totals, counts: list, pieces) -> None:
    """Add parts of words that a window's edge cut, and write the mean where the last part has come."""
    for row, total, count in zip(rows, totals, counts, strict=True):
        before, seen = sums.pop((layer, row), (0.0, 0))
        total, seen = before + total, seen + count
        if seen == pieces[row]:
            out[row] = (total / seen).half().cpu()
        else:
            sums[layer, row] = (total, seen)


def batch_pieces(device: torch.device) -> int:
    """Wordpieces in a batch, padding counted."""
    return BATCH_PIECES if device.type == "cpu" else GPU_BATCH_PIECES


def _batches(windows: list[_Window], pieces: int) -> Iterator[list[_Window]]:
    ordered = sorted((w for w in windows if w.positions), key=lambda w: -len(w.ids))
    while ordered:
        size = max(1, pieces // len(ordered[0].ids))
        yield ordered[:size]
        ordered = ordered[size:]


def _run(encoder: Encoder, batch: list[_Window], layers: list[int]) -> Iterator[torch.Tensor]:
    """States of the wanted positions of a batch, layer by layer: (n_positions, d) each."""
    length = max(len(w.ids) for w in batch)
    ids = torch.full((len(batch), length), encoder.tokenizer.pad_token_id or 0)
    types = torch.zeros_like(ids)
    mask = torch.zeros_like(ids)
    for i, window in enumerate(batch):
        n = len(window.ids)
        ids[i, :n], types[i, :n], mask[i, :n] = torch.tensor(window.ids), torch.tensor(window.types), 1
    flat = torch.tensor([i * length + p for i, w in enumerate(batch) for p in w.positions])
    inputs = {"input_ids": ids}
    if not mask.all():  # attention is faster without one
        inputs["attention_mask"] = mask
    if encoder.typed:
        inputs["token_type_ids"] = types
    device = encoder.device
    output = encoder.model(**{k: v.to(device) for k, v in inputs.items()}, output_hidden_states=True)
    flat = flat.to(device)
    for layer in layers:
        yield output.hidden_states[layer + 1].reshape(-1, encoder.width)[flat]


def hidden_states(
    encoder: Encoder, sentences: Iterable, *, layers="all", pool: str = "mean"
) -> Iterator[np.ndarray]:
    """Stream the hidden states of records, in order: arrays (n_words, n_layers, d), float16.

    ``layers`` is ``"all"`` or a list on the paper's axis (-1 the embeddings). ``pool`` says what a row
    is: ``mean`` of a word's pieces (the paper's rule), its ``first`` piece, or ``pieces``, every
    wordpiece by itself. Special pieces are left out. Records longer than the model's limit are read in
    overlapping windows. Raises ValueError for an unknown layer or pooling.
    """
    _check_pool(pool)
    for counts, _, states in _chunks(encoder, sentences, _layer_list(encoder, layers), pool):
        yield from (part.transpose(0, 1).numpy() for part in torch.split(states, counts, dim=1))


@dataclass(frozen=True)
class Activations:
    """Hidden states in the store: for each layer a memory-mapped array (n_rows, d) of float16."""

    folder: Path
    layers: tuple[int, ...]
    n_rows: int
    width: int

    def layer(self, layer: int) -> np.ndarray:
        """States of one layer on the paper's axis, (n_rows, d), memory-mapped."""
        if layer not in self.layers:
            raise ValueError(f"unknown layer {layer!r}; stored: {self.layers[0]} to {self.layers[-1]}")
        with open(self.folder / _layer_file(layer), "rb") as file:  # by its path, numpy takes twice as long
            return np.memmap(file, dtype=np.float16, mode="r", shape=(self.n_rows, self.width))

    @cached_property
    def record(self) -> np.ndarray:
        """Number of the record that each row comes from, (n_rows,)."""
        return np.load(self.folder / "record.npy")

    @cached_property
    def word(self) -> np.ndarray:
        """Number of each row's word within its record, (n_rows,)."""
        return np.load(self.folder / "word.npy")


def _layer_file(layer: int) -> str:
    return f"layer_{layer:02d}.f16" if layer >= 0 else "embeddings.f16"


def extract(
    encoder: Encoder,
    records: Sequence,
    cache: store.Store,
    *,
    pool: str = "pieces",
    rows: np.ndarray | None = None,
    progress=None,
) -> Activations:
    """Hidden states of all layers for records, from the store or computed into it.

    Written as they come, so memory does not grow with the corpus. ``rows``, increasing numbers among
    all rows of the records, keeps only those (see :func:`row_counts`). ``progress(n)`` is told of each
    ``n`` records done. Raises ValueError for an unknown pooling or rows out of order or range.
    """
    _check_pool(pool)
    if rows is not None:
        rows = np.asarray(rows, dtype=np.int64)
        if len(rows) == 0 or (np.diff(rows) <= 0).any() or rows[0] < 0:
            raise ValueError("rows must be a non-empty, strictly increasing sequence of row numbers")
    spec = {
        "schema": SCHEMA,
        "encoder": encoder.fingerprint,
        "precision": encoder.precision,
        "records": store.digest([segments(record) for record in records]),
        "pool": pool,
        "rows": None if rows is None else store.digest(rows.tolist()),
    }
    folder = cache.get("activations", spec, lambda into: _write(encoder, records, pool, rows, into, progress))
    shape = json.loads((folder / "shape.json").read_text())
    return Activations(folder, tuple(encoder.layers), shape["n_rows"], shape["width"])


def _write(encoder: Encoder, records, pool: str, rows, folder: Path, progress) -> None:
    layers = list(encoder.layers)
    record_of, word_of = [], []
    done_records, done_rows = 0, 0
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(open(folder / _layer_file(layer), "wb")) for layer in layers]
        for counts, words, states in _chunks(encoder, records, layers, pool):
            numbers = np.repeat(np.arange(done_records, done_records + len(counts)), counts)
            words, n_rows = np.array(words), len(words)
            done_records += len(counts)
            if rows is not None:
                inside = rows[(rows >= done_rows) & (rows < done_rows + len(words))] - done_rows
                numbers, words, states = numbers[inside], words[inside], states[:, torch.from_numpy(inside)]
            done_rows += n_rows
            for layer, file in zip(states, files, strict=True):
                layer.contiguous().numpy().tofile(file)
            record_of.append(numbers)
            word_of.append(words)
            if progress:
                progress(len(counts))
    if rows is not None and rows[-1] >= done_rows:
        raise ValueError(f"row {rows[-1]} asked for, the records give {done_rows}")
    np.save(folder / "record.npy", np.concatenate(record_of))
    np.save(folder / "word.npy", np.concatenate(word_of))
    shape = {"n_rows": int(sum(map(len, record_of))), "width": encoder.width}
    (folder / "shape.json").write_text(json.dumps(shape))
