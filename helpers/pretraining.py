"""BERT pre-training from raw text: masked language modelling and next-sentence prediction.

The recipe is that of Devlin et al. (2019) at a small size. Text is encoded once into flat arrays on
disk; batch ``t`` is a pure function of (seed, t), so a run resumed from a checkpoint sees exactly the
data it would have seen. :func:`run` is what ``python -m helpers pretrain`` calls.

On a GPU, for a billion tokens a seed (steps of 65,536 tokens, so that the device has something to do; a
batch 16 times the default's bears a larger rate)::

    python -m helpers pretrain CORPUS --out pretraining/seed0 --device cuda \\
        --set seed=0 --set tokens=1e9 --set batch_tokens=65536 --set learning_rate=1e-3

Run the same line again after an interruption: it goes on from ``checkpoint.pt``. Before a long run,
``--set tokens=2e7`` into another folder shows speed and share of the chip's peak within a minute. This
module needs torch, transformers, tokenizers, safetensors and numpy; the encoded corpus lies in the
store (``artifacts/encoded-text``, two bytes a wordpiece) and may be copied to a machine without the text
by copying ``artifacts/``, as long as the text files are there too to be recognised by their hashes.
"""

import dataclasses
import json
import lzma
import math
import os
import platform
import re
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from helpers import precision, store

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SCHEMA = 1  # raise when the encoded corpus changes form
_BLOCK = re.compile(r"(bert\.encoder\.layer\.)(\d+)(\..+)")
JUDGED_LENGTH = 128  # wordpieces of a held-out input
STACKED_WARMUP = 100  # steps of linear warm-up with an optimiser that starts afresh in mid-run
CHECKPOINT = "checkpoint.pt"
HELDOUT_EVERY = 200  # of a data set without held-out files, one document in so many is held out
_TITLE = re.compile(r" ?= [^=].* = ?$")  # an article's title in WikiText


@dataclass(frozen=True)
class Recipe:
    """Everything a pre-training run can vary. The defaults are MiniBERT's."""

    seed: int = 0
    tokens: int = 1_000_000_000  # wordpieces seen in all, padding not counted
    vocabulary: int = 16_000
    layers: int = 12
    hidden: int = 256
    heads: int = 4
    intermediate: int = 1024
    positions: int = 512
    short_length: int = 128
    long_share: float = 0.1  # share of the tokens, at the end, seen at the full length
    batch_tokens: int = 4096
    learning_rate: float = 5e-4
    warmup: float = 0.02  # shares of all steps: linear warm-up, then constant, then linear decay
    decay: float = 0.3
    weight_decay: float = 0.01
    clip: float = 1.0
    masked: float = 0.15

    def batch_shape(self, step: int) -> tuple[int, int]:
        """(sequences, length) of the batch at a step."""
        length = self.short_length if step < self.short_steps else self.positions
        return max(1, self.batch_tokens // length), length

    @property
    def steps(self) -> int:
        return max(1, self.tokens // self.batch_tokens)

    @property
    def short_steps(self) -> int:
        return self.steps - int(self.long_share * self.steps)

    def rate(self, step: int) -> float:
        """Learning rate at a step: linear warm-up, constant, linear decay to zero."""
        up = (step + 1) / max(1.0, self.warmup * self.steps)
        down = (self.steps - step) / max(1.0, self.decay * self.steps)
        return self.learning_rate * min(1.0, up, down)

    def steady(self, step: int) -> bool:
        """Whether a step is outside warm-up, decay and long inputs, so that the schedule may change there."""
        return step <= self.short_steps and self.rate(step) == self.learning_rate


def demonstration(steps: int, seed: int = 0) -> Recipe:
    """A recipe to watch: a model of two blocks on 1,024 wordpieces a step, some minutes for 1,000 steps."""
    return Recipe(
        seed=seed,
        tokens=steps * 1024,
        vocabulary=4000,
        layers=2,
        hidden=128,
        heads=2,
        intermediate=512,
        positions=128,
        long_share=0.0,
        batch_tokens=1024,
        learning_rate=2e-3,
        warmup=0.05,
    )


# -- text ----------------------------------------------------------------------------------------


def text_files(folder: str | Path, pattern: str = "*.txt*") -> list[Path]:
    """The ``.txt`` and ``.txt.xz`` files of a folder, in order. Raises FileNotFoundError if none."""
    files = [p for p in sorted(Path(folder).glob(pattern)) if p.suffix in (".txt", ".xz")]
    if not files:
        raise FileNotFoundError(f"{folder}: no file matches {pattern} (.txt or .txt.xz)")
    return files


def documents(files: list[Path]) -> Iterator[list[str]]:
    """Documents of UTF-8 text files, each a list of paragraphs.

    One paragraph a line; a blank line ends a document. Raises ValueError naming file and line where
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
        raise ValueError(f"{number} document; at least two are needed, one of them to be held out")


def train_tokenizer(files: list[Path], size: int):
    """Uncased WordPiece tokenizer of ``size`` pieces, trained on text files, as a BertTokenizerFast."""
    from tokenizers import BertWordPieceTokenizer

    trained = BertWordPieceTokenizer(lowercase=True)
    lines = (line for document in documents(files) for line in document)
    trained.train_from_iterator(lines, vocab_size=size, special_tokens=list(SPECIAL), show_progress=False)
    return _as_bert_tokenizer(trained.get_vocab())


def _as_bert_tokenizer(vocabulary: dict[str, int]):
    from transformers import BertTokenizerFast

    return BertTokenizerFast(vocab=vocabulary, do_lower_case=True, model_max_length=512)


# -- encoded corpus ------------------------------------------------------------------------------


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
    ends = np.array(tokenizer.convert_tokens_to_ids([".", "!", "?"]), dtype=np.uint16)
    if len(tokenizer) > 2**16:
        raise ValueError(f"vocabulary of {len(tokenizer)} pieces; encoded corpora hold at most 65,536")
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


def prepare(files: list[Path], heldout: list[Path], vocabulary: int | str | Path, cache: store.Store):
    """Tokenizer and encoded corpora: (tokenizer, training corpus, held-out corpus), from the store.

    ``vocabulary`` is the number of pieces of one trained on ``files``, or a folder with a tokenizer.
    """
    from transformers import BertTokenizerFast

    if isinstance(vocabulary, int):
        hashes = {p.name: store.sha256(p) for p in files}
        vocabulary = cache.get(
            "vocabulary",
            {"files": hashes, "size": vocabulary, "schema": SCHEMA},
            lambda folder: train_tokenizer(files, vocabulary).save_pretrained(folder),
        )
    if not (Path(vocabulary) / "tokenizer.json").is_file():
        raise FileNotFoundError(
            f"{vocabulary}: no tokenizer.json; give a tokenizer's folder or a number of pieces"
        )
    tokenizer = BertTokenizerFast.from_pretrained(vocabulary)
    pieces = store.sha256(Path(vocabulary) / "tokenizer.json")
    corpora = []
    for part in (files, heldout):
        spec = {
            "files": {p.name: store.sha256(p) for p in part},
            "tokenizer": pieces,
            "schema": SCHEMA,
        }
        folder = cache.get("encoded-text", spec, lambda into, part=part: encode(part, tokenizer, into))
        corpora.append(EncodedCorpus(folder))
    return tokenizer, *corpora


def prepare_documents(texts: list[list[str]], vocabulary: int | str | Path, cache: store.Store, every: int):
    """:func:`prepare` for documents at hand (lists of paragraphs), one in ``every`` of them held out."""
    spec = {"documents": store.digest(texts), "every": every, "schema": SCHEMA}
    folder = cache.get("text", spec, lambda into: write_split(texts, into, every))
    return prepare([folder / "train.txt"], [folder / "heldout.txt"], vocabulary, cache)


# -- batches -------------------------------------------------------------------------------------


class Batches(torch.utils.data.Dataset):
    """Training batches by step number; batch ``t`` depends on nothing but (corpus, recipe, t).

    A batch is a dict of ``input_ids``, ``token_type_ids``, ``attention_mask`` (sequences, length),
    ``masked`` (n_masked,) flat positions of the masked pieces, ``labels`` (n_masked,) their identities
    and ``is_random`` (sequences,): 0 where segment B follows A, 1 where it comes from elsewhere.
    """

    def __init__(self, corpus: EncodedCorpus, tokenizer, recipe: Recipe):
        self.corpus, self.recipe = corpus, recipe
        self.cls, self.sep, self.mask, self.pad = tokenizer.convert_tokens_to_ids(
            ["[CLS]", "[SEP]", "[MASK]", "[PAD]"]
        )
        self.plain = np.setdiff1d(np.arange(len(tokenizer)), tokenizer.all_special_ids)
        self._epochs: dict[tuple[int, int], np.ndarray] = {}
        self._counts: dict[int, int] = {}

    def __len__(self) -> int:
        return self.recipe.steps

    def _window(self, length: int, position: int) -> np.ndarray:
        """Window number ``position`` of the endless shuffled stream of windows of this length.

        Every epoch after the first cuts the documents elsewhere.
        """
        if length not in self._counts:
            self._counts[length] = len(self.corpus.windows(length - 3))
        epoch, index = divmod(position, self._counts[length])
        if (length, epoch) not in self._epochs:
            rng = np.random.default_rng([self.recipe.seed, length, epoch])
            order = rng.permutation(self._counts[length])
            shift = int(rng.integers(1 - length // 2, length // 2)) if epoch else 0
            self._epochs = {(length, epoch): self.corpus.windows(length - 3, shift)[order]}
        return self._epochs[length, epoch][index]

    def _pair(self, rng, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, int]:
        """Split a window at a sentence boundary; half the time replace what follows.

        What replaces it begins with a sentence of another document. It is drawn uniformly over tokens, as
        the windows are: drawn over documents, long ones would be recognised as true continuations.
        """
        corpus = self.corpus
        first, last = np.searchsorted(corpus.units, [start + 1, stop])
        inner = corpus.units[first:last]
        # The middle half of the window, so that neither segment is a scrap.
        quarter = (stop - start) // 4
        inner = inner[(inner >= start + quarter) & (inner <= stop - quarter)]
        cut = int(rng.choice(inner)) if len(inner) else (start + stop) // 2
        a, b = corpus.tokens[start:cut], corpus.tokens[cut:stop]
        if rng.random() < 0.5:
            return a, b, 0
        home = np.searchsorted(corpus.starts, start, side="right") - 1
        before, after = corpus.starts[home], corpus.starts[home + 1]
        if corpus.n_documents > 1:
            place = rng.integers(len(corpus.tokens) - (after - before))
            place += (after - before) * (place >= before)
        else:
            place = rng.integers(len(corpus.tokens))
        other = np.searchsorted(corpus.starts, place, side="right") - 1
        low, high = corpus.starts[other], corpus.starts[other + 1]
        place = min(place, max(low, high - len(b)))
        begin = corpus.units[np.searchsorted(corpus.units, place, side="right") - 1]
        return a, corpus.tokens[begin : min(begin + len(b), high)], 1

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        recipe = self.recipe
        count, length = recipe.batch_shape(step)
        origin = step if step < recipe.short_steps else step - recipe.short_steps
        rng = np.random.default_rng([recipe.seed, 1, step])
        windows = [self._window(length, origin * count + row) for row in range(count)]
        return self.assemble(rng, windows, length)

    def assemble(self, rng: np.random.Generator, windows, length: int) -> dict[str, torch.Tensor]:
        """A batch of ``length`` from windows (begin, end) of the corpus, at most ``length`` - 3 long."""
        count = len(windows)
        ids = np.full((count, length), self.pad, dtype=np.int64)
        types = np.zeros((count, length), dtype=np.int64)
        attended = np.zeros((count, length), dtype=np.int64)
        is_random = np.zeros(count, dtype=np.int64)
        for row in range(count):
            a, b, is_random[row] = self._pair(rng, *windows[row])
            n_a, n = len(a) + 2, len(a) + len(b) + 3
            ids[row, 0] = self.cls
            ids[row, 1 : n_a - 1] = a
            ids[row, [n_a - 1, n - 1]] = self.sep
            ids[row, n_a : n - 1] = b
            types[row, n_a:n] = 1
            attended[row, :n] = 1
        masked, labels = self._mask(rng, ids)
        arrays = dict(input_ids=ids, token_type_ids=types, attention_mask=attended)
        arrays |= dict(masked=masked, labels=labels, is_random=is_random)
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def _mask(self, rng, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mask in place 80 / 10 / 10 %; returns flat positions and original pieces."""
        chance = rng.random(ids.shape)
        special = np.isin(ids, (self.cls, self.sep, self.pad))
        chance[special] = 2.0
        wanted = np.maximum(1, np.round(self.recipe.masked * (~special).sum(axis=1))).astype(int)
        order = np.argsort(chance, axis=1)
        rows, ranks = np.nonzero(np.arange(ids.shape[1]) < wanted[:, None])
        flat = np.sort(rows * ids.shape[1] + order[rows, ranks])
        labels = ids.reshape(-1)[flat].copy()
        how = rng.random(len(flat))
        pieces = self.plain[rng.integers(len(self.plain), size=len(flat))]
        ids.reshape(-1)[flat] = np.where(how < 0.8, self.mask, np.where(how < 0.9, labels, pieces))
        return flat, labels


# -- model and training --------------------------------------------------------------------------


def new_model(recipe: Recipe, tokenizer):
    """A freshly initialised ``BertForPreTraining`` of the recipe's shape; its seed is the recipe's.

    Dropout is off: no token is seen often enough to be learnt by heart. Two things start otherwise than in
    BERT, because a small model on small batches is long in finding out that neighbours matter, and learns
    little but word frequencies until it has: positions as sinusoids (Vaswani et al. 2017; they are learnt
    on from there), and keys equal to queries, large enough for attention to favour what is near or alike
    (mimetic initialisation, Trockman and Kolter 2023).
    """
    from transformers import BertConfig, BertForPreTraining

    torch.manual_seed(recipe.seed)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        intermediate_size=recipe.intermediate,
        max_position_embeddings=recipe.positions,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = BertForPreTraining(config)
    with torch.no_grad():
        model.bert.embeddings.position_embeddings.weight.copy_(_sinusoids(recipe.positions, recipe.hidden))
        for block in model.bert.encoder.layer:
            query, key = block.attention.self.query.weight, block.attention.self.key.weight
            query.normal_(std=recipe.hidden**-0.5)
            key.copy_(query)
    return model


def _sinusoids(positions: int, width: int) -> torch.Tensor:
    """Sines and cosines of geometrically spaced wavelengths, (positions, width), not far above the words."""
    angles = torch.arange(positions)[:, None] * 10_000.0 ** (-torch.arange(0, width, 2) / width)
    return 0.07 * torch.cat([angles.sin(), angles.cos()], dim=1)


def losses(model, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Both objectives on a batch: ``mlm`` and ``nsp`` (mean cross-entropy in nats) and their accuracies.

    Vocabulary scores are computed at the masked positions alone.
    """
    output = model.bert(
        input_ids=batch["input_ids"],
        token_type_ids=batch["token_type_ids"],
        attention_mask=batch.get("attention_mask"),
    )
    states = output.last_hidden_state
    states = states.reshape(-1, states.shape[-1])[batch["masked"]]
    scores = model.cls.predictions(states).float()
    follows = model.cls.seq_relationship(output.pooler_output).float()
    return {
        "mlm": F.cross_entropy(scores, batch["labels"]),
        "nsp": F.cross_entropy(follows, batch["is_random"]),
        "mlm_accuracy": (scores.argmax(-1) == batch["labels"]).float().mean().detach(),
        "nsp_accuracy": (follows.argmax(-1) == batch["is_random"]).float().mean().detach(),
    }


def evaluate(model, batches: Batches, device: torch.device, n_batches: int = 16) -> dict[str, float]:
    """Held-out means of :func:`losses` over the first batches of a held-out corpus."""
    model.eval()
    sums: dict[str, float] = {}
    with torch.inference_mode(), precision.autocast(device):
        for step in range(n_batches):
            for name, value in losses(model, _to(batches[step], device)).items():
                sums[name] = sums.get(name, 0.0) + float(value) / n_batches
    model.train()
    return sums


def judge(heldout: EncodedCorpus, tokenizer, recipe: Recipe) -> Batches:
    """The held-out batches that all runs are evaluated on, whatever their seed and the length they are at."""
    length = min(JUDGED_LENGTH, recipe.positions)
    return Batches(
        heldout, tokenizer, dataclasses.replace(recipe, seed=10_000, short_length=length, long_share=0.0)
    )


def _to(batch: dict[str, torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
    """Batch on the device, without its attention mask where nothing is padded (attention is faster so)."""
    if bool(batch["attention_mask"].all()):
        batch = {k: v for k, v in batch.items() if k != "attention_mask"}
    return {k: v.to(device, non_blocking=True) for k, v in batch.items()}


def _optimizer(model, recipe: Recipe) -> torch.optim.Optimizer:
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98), eps=1e-6, fused=True)


class Interrupted(RuntimeError):
    """Training stopped before its last step; the checkpoint resumes it."""


def pretrain(
    recipe: Recipe,
    folder: str | Path,
    tokenizer,
    corpus: EncodedCorpus,
    heldout: EncodedCorpus,
    *,
    device: str = "auto",
    checkpoint_every: float = 180.0,
    log_every: int = 100,
    n_evaluations: int = 12,
    stop: Callable[[int], bool] | None = None,
    compile_model: bool | None = None,
    report=print,
) -> Path:
    """Train, or go on training, in ``folder``; returns the folder of the finished model.

    ``folder`` receives ``checkpoint.pt`` (weights, optimiser, step) every ``checkpoint_every`` seconds,
    ``log.jsonl`` (see :func:`read_log`; a line every ``log_every`` steps), ``tokenizer/`` and at the end
    ``model/``. A run that finds a checkpoint goes on from it, with the same result as if it had not been
    stopped. Between warm-up and decay the recipe may then differ in ``tokens``, ``learning_rate``, ``decay``,
    ``long_share``, ``short_length`` (short inputs first: Press et al. 2021) and ``layers``, a multiple of
    those before (:func:`stacked`; the optimiser starts afresh and the rate warms up again). Raises
    ValueError for any other change, FloatingPointError when the loss is no number any more, and
    :class:`Interrupted`, after saving, when ``stop(n)`` says so, n being the steps done in this call.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    device = _device(device)
    model = new_model(recipe, tokenizer).to(device)
    if device.type == "cpu":  # the fused kernel's bf16 backward pass is the slower one there
        model.set_attn_implementation("eager")
    optimizer = _optimizer(model, recipe)
    # What is summed since the last line of the log is kept too, or that line would be wrong after a stop.
    stacked_at = None  # the step at which the optimiser last started afresh
    step, tokens, seconds, pending = 0, 0, 0.0, {"steps": 0, "tokens": 0, "seconds": 0.0, "sums": {}}
    checkpoint = folder / CHECKPOINT
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        _check_same_run(Recipe(**state["recipe"]), recipe, state["step"], checkpoint)
        if state["recipe"]["layers"] == recipe.layers:
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            stacked_at = state.get("stacked_at")
        else:
            model.load_state_dict(stacked(state["model"], recipe.layers))
            stacked_at = state["step"]
        step, tokens, seconds = state["step"], state["tokens"], state["seconds"]
        pending = state.get("pending", pending)
    if not (folder / "tokenizer").is_dir():
        tokenizer.save_pretrained(folder / "tokenizer")
    _drop_log_after(folder / "log.jsonl", step)
    known = read_log(folder)
    evaluated = {row["step"] for row in known if "heldout" in row}
    for name, value in (("machine", _machine(device)), ("recipe", dataclasses.asdict(recipe))):
        if [row[name] for row in known if name in row][-1:] != [value]:
            _log(folder, {"step": step, name: value})

    def save() -> None:
        counts = dict(step=step, tokens=tokens, seconds=seconds, pending=pending, stacked_at=stacked_at)
        _save(checkpoint, recipe, model, optimizer, counts)

    def hold_out() -> None:
        if step not in evaluated:
            held = evaluate(model, judged, device)
            _log(folder, {"step": step, "tokens": tokens, "heldout": held})
            report(f"step {step}: held-out MLM loss {held['mlm']:.3f}")

    use_compile = device.type == "cuda" if compile_model is None else compile_model
    objective = torch.compile(losses, dynamic=True) if use_compile else losses
    loader = torch.utils.data.DataLoader(
        Batches(corpus, tokenizer, recipe),
        batch_size=None,
        sampler=range(step, recipe.steps),
        num_workers=min(8, os.cpu_count() or 1) if device.type == "cuda" else 0,
        pin_memory=device.type == "cuda",
    )
    judged = judge(heldout, tokenizer, recipe)
    milestones = {round(recipe.steps * (i / n_evaluations) ** 2) for i in range(n_evaluations)}
    began = saved = window = time.time()
    first = step
    model.train()
    for batch in loader:
        if step in milestones:
            hold_out()
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate(step)
            if stacked_at is not None:  # a fresh optimiser's first steps would undo what the model knows
                group["lr"] *= min(1.0, (step - stacked_at + 1) / STACKED_WARMUP)
        n_tokens = int(batch["attention_mask"].sum())
        with precision.autocast(device):
            parts = objective(model, _to(batch, device))
            loss = parts["mlm"] + parts["nsp"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        sums = pending["sums"]
        for name, value in parts.items():
            sums[name] = sums[name] + value.detach() if name in sums else value.detach()
        step += 1
        tokens += n_tokens
        pending["tokens"] += n_tokens
        pending["steps"] += 1
        stopping = stop is not None and step < recipe.steps and stop(step - first)
        logging = step % log_every == 0 or step == recipe.steps
        if logging or stopping:
            means = {k: float(v) / pending["steps"] for k, v in sums.items()}  # waits for the device
            if not math.isfinite(means["mlm"]):
                raise FloatingPointError(f"loss is {means['mlm']} at step {step}; lower the learning rate")
            now = time.time()
            pending["seconds"] += now - window
            seconds += now - window
            window = now
        if logging:
            speed = pending["tokens"] / pending["seconds"]
            _log(folder, {"step": step, "tokens": tokens, "seconds": seconds, **means, "tokens_per_s": speed})
            left = (recipe.steps - step) * recipe.batch_tokens / speed
            report(
                f"step {step}/{recipe.steps}  MLM {means['mlm']:.3f}  NSP {means['nsp']:.3f}  "
                f"{speed:,.0f} tokens/s{_peak_share(model, recipe, speed, device)}  {left / 60:.0f} min left"
            )
            pending = {"steps": 0, "tokens": 0, "seconds": 0.0, "sums": {}}
            if now - saved > checkpoint_every:
                save()
                saved = now
        if stopping:
            save()
            raise Interrupted(f"{folder}: stopped at step {step} of {recipe.steps}")
    if first < recipe.steps:
        save()
    hold_out()
    report(f"finished after {time.time() - began:.0f} s here")
    return save_model(model, tokenizer, folder / "model")


def _device(name: str) -> torch.device:
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f"unknown device {name!r}; valid: auto, cpu, cuda")
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def _save(path: Path, recipe: Recipe, model, optimizer: torch.optim.Optimizer, counts: dict) -> None:
    state = {"recipe": dataclasses.asdict(recipe), "model": model.state_dict()}
    state |= {"optimizer": optimizer.state_dict()} | counts
    with store.atomic_write(path, "wb") as file:
        torch.save(state, file)


def restart(
    folder: str | Path, recipe: Recipe, model, *, step: int, tokens: int, seconds: float, log: list[dict]
) -> None:
    """Write a checkpoint into ``folder`` from which :func:`pretrain` goes on with a model's weights.

    ``step``, ``tokens`` and ``seconds`` are what the model has had, ``log`` rows as :func:`read_log` gives
    them. The optimiser starts afresh and the rate warms up again. Raises FileExistsError if the folder has
    a checkpoint, and ValueError if the recipe has the step in its warm-up, decay or long inputs.
    """
    folder = Path(folder)
    checkpoint = folder / CHECKPOINT
    if checkpoint.exists():
        raise FileExistsError(f"{checkpoint}: there is a run already; go on with it, or take another folder")
    if not recipe.steady(step):
        raise ValueError(
            f"step {step:,} of {recipe.steps:,} is in the schedule's warm-up, decay or long inputs; "
            f"ask for more tokens than {recipe.tokens:,}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with store.atomic_write(folder / "log.jsonl") as file:
        file.writelines(json.dumps(row) + "\n" for row in [*log, {"step": step, "restart": True}])
    counts = dict(step=step, tokens=tokens, seconds=seconds, stacked_at=step)
    _save(checkpoint, recipe, model, _optimizer(model, recipe), counts)


def _machine(device: torch.device) -> str:
    kind = precision.fastest(device)
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, {kind}, torch {torch.__version__}"
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    name = models[0] if models else platform.processor() or platform.machine()
    threads = torch.get_num_threads()
    return f"{name}, {threads} thread{'s' * (threads != 1)}, {kind}, torch {torch.__version__}"


def stacked(weights: dict[str, torch.Tensor], layers: int) -> dict[str, torch.Tensor]:
    """Weights of a BERT deepened to ``layers`` blocks that computes nearly what it did before.

    Each block is followed by copies of itself, as in progressive stacking (Gong et al. 2019), but the copies
    start with nothing to say: the maps that write their attention and their feed-forward layer into the
    stream are zero, as in function-preserving growth (Chen et al. 2016), and their layer norms restore the
    mean and size that the block's own gave the vectors. Without that, copies undo what a post-norm model
    knows, and it does not come back. Raises ValueError unless ``layers`` is a multiple of the present number.
    """
    names = [_BLOCK.fullmatch(name) for name in weights]
    present = 1 + max(int(found[2]) for found in names if found)
    if layers % present:
        raise ValueError(f"cannot stack {present} blocks into {layers}; choose a multiple")
    copies, deep = layers // present, {}
    for (name, tensor), found in zip(weights.items(), names, strict=True):
        if found is None:
            deep[name] = tensor
            continue
        block, part = int(found[2]), found[3]
        last = f"{found[1]}{block}.output.LayerNorm."
        scale, shift = weights[last + "weight"].float(), weights[last + "bias"].float()
        for copy in range(copies):
            if copy and ".output.dense." in part:  # of the attention and of the feed-forward layer
                new = torch.zeros_like(tensor)
            elif copy and part.endswith("LayerNorm.weight"):
                new = torch.full_like(tensor, (scale.square().mean() + shift.var(correction=0)).sqrt())
            elif copy and part.endswith("LayerNorm.bias"):
                new = torch.full_like(tensor, shift.mean())
            else:
                new = tensor.clone()
            deep[f"{found[1]}{block * copies + copy}{part}"] = new
    return deep


def _check_same_run(old: Recipe, new: Recipe, step: int, path: Path) -> None:
    free = ("tokens", "learning_rate", "decay", "layers", "short_length", "long_share")
    changed = [f.name for f in dataclasses.fields(old) if getattr(old, f.name) != getattr(new, f.name)]
    if bound := [name for name in changed if name not in free]:
        raise ValueError(f"{path}: was trained with other settings ({', '.join(bound)})")
    if changed and not (old.steady(step) and new.steady(step)):
        raise ValueError(
            f"{path}: at step {step} the schedule is or would be in its warm-up, decay or long inputs; "
            f"{', '.join(changed)} can be changed between these alone"
        )


def read_log(folder: str | Path) -> list[dict]:
    """Rows of a run's ``log.jsonl``, each with ``step`` and of one of five kinds.

    Training: ``tokens`` and ``seconds`` in all, means since the row before of ``mlm, nsp`` (nats) and
    ``mlm_accuracy, nsp_accuracy``, ``tokens_per_s``. Held out: ``tokens`` and ``heldout``, the same four
    names. ``machine`` and ``recipe``: what the steps from here on ran on, and by. ``restart``: the optimiser
    started afresh here. A last line cut short is left out.
    """
    path = Path(folder) / "log.jsonl"
    lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
    return [json.loads(line) for line in lines[:-1]]  # what follows the last line end is incomplete


def _drop_log_after(path: Path, step: int) -> None:
    """Forget what was logged after the checkpoint that a run resumes from."""
    if path.exists():
        rows = [row for row in read_log(path.parent) if row["step"] <= step]
        with store.atomic_write(path) as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)


def _log(folder: Path, row: dict) -> None:
    with open(folder / "log.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def _peak_share(model, recipe: Recipe, speed: float, device: torch.device) -> str:
    """Share of an H100/H200's dense bf16 peak (989 TFLOP/s), by the 6 x parameters rule."""
    if device.type != "cuda" or torch.cuda.get_device_capability(device)[0] != 9:
        return ""
    blocks = sum(p.numel() for p in model.bert.encoder.parameters())
    head = recipe.masked * sum(p.numel() for p in model.cls.predictions.parameters())
    return f" ({6 * (blocks + head) * speed / 989e12:.1%} of peak)"


def save_model(model, tokenizer, folder: Path) -> Path:
    """Save in fp16 as ``BertForPreTraining``, with BERT's dropout switched on for fine-tuning."""
    model = model.to("cpu")
    model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = 0.1
    model.half().save_pretrained(folder)
    for name in ("is_local", "local_files_only"):  # where it was loaded from is no part of a tokenizer
        tokenizer.init_kwargs.pop(name, None)
    tokenizer.save_pretrained(folder)
    return folder


# -- from the command line -------------------------------------------------------------------------


def run(
    corpus: str | Path,
    out: str | Path,
    settings: dict,
    *,
    heldout: str = "heldout*",
    device: str = "auto",
    cache: store.Store | None = None,
    report=print,
) -> Path:
    """Pre-train on a corpus with some of the recipe's ``settings`` replaced; returns the model's folder.

    ``corpus`` is a folder of ``.txt`` or ``.txt.xz`` files (see :func:`documents`), of which those matching
    the pattern ``heldout`` are held out, or a Hugging Face text data set, ``NAME`` or ``NAME:CONFIG`` or a
    local folder of its files, of which one document in 200 is. ``vocabulary`` may also be the folder of a
    tokenizer. Where ``out`` holds a checkpoint, settings not given are those it was made with.

    Raises ValueError for an unknown setting or value, listing the valid ones, and FileNotFoundError where
    there is no text. When interrupted (SIGINT, SIGTERM) it saves a checkpoint and raises SystemExit.
    """
    out = Path(out)
    settings = dict(settings)
    _device(device)
    pieces = settings.pop("vocabulary", None)
    if isinstance(pieces, (int, float)):
        settings["vocabulary"], pieces = pieces, None
    base = Recipe()
    if (out / CHECKPOINT).exists():
        state = torch.load(out / CHECKPOINT, map_location="cpu", weights_only=True, mmap=True)
        base = Recipe(**state["recipe"])
        del state
    recipe = replaced(base, settings)
    begun = out / "tokenizer" if (out / CHECKPOINT).exists() else None
    if begun and pieces is None and "vocabulary" not in settings:
        vocabulary = begun
    else:
        vocabulary = recipe.vocabulary if pieces is None else pieces
    cache = cache or store.Store()
    files, held = _text_of(corpus, heldout, cache)
    report(f"{len(files)} text files; preparing vocabulary and text (minutes the first time)")
    tokenizer, train, test = prepare(files, held, vocabulary, cache)
    if begun and tokenizer.get_vocab() != type(tokenizer).from_pretrained(begun).get_vocab():
        raise ValueError(f"{out}: was begun with another vocabulary, which is in {begun}")
    if pieces is not None:
        recipe = dataclasses.replace(recipe, vocabulary=len(tokenizer))
    report(
        f"{len(train.tokens):,} wordpieces in {train.n_documents:,} documents, {len(test.tokens):,} held "
        f"out; {recipe.tokens / len(train.tokens):.2f} passes in {recipe.steps:,} steps"
    )
    asked: list[int] = []  # signals to stop; the step under way is finished first
    before = {s: signal.signal(s, lambda s, _: asked.append(s)) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        options = dict(device=device, report=report, stop=lambda done: bool(asked))
        return pretrain(recipe, out, tokenizer, train, test, **options)
    except Interrupted as stopped:
        report(f"{stopped}; the same command goes on from there")
        raise SystemExit(128 + asked[0]) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def replaced(recipe: Recipe, settings: dict) -> Recipe:
    """The recipe with some settings replaced. Raises ValueError for unknown ones and values out of range."""
    types = {f.name: f.type for f in dataclasses.fields(Recipe)}
    checked = {}
    for name, value in settings.items():
        if name not in types:
            valid = ", ".join(f"{f.name} ({getattr(recipe, f.name)})" for f in dataclasses.fields(Recipe))
            raise ValueError(f"unknown setting {name!r}; valid, with their values: {valid}")
        whole = types[name] is int
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not number or (whole and value != int(value)):
            raise ValueError(f"setting {name!r}: expected a {'whole ' * whole}number, got {value!r}")
        if name in ("long_share", "warmup", "decay", "masked") and not 0 <= value <= 1:
            raise ValueError(f"setting {name!r}: expected a share between 0 and 1, got {value!r}")
        if value < 0 or (value == 0 and whole and name != "seed"):
            raise ValueError(f"setting {name!r}: expected a number above 0, got {value!r}")
        checked[name] = int(value) if whole else float(value)
    new = dataclasses.replace(recipe, **checked)
    if new.hidden % new.heads:
        raise ValueError(f"hidden ({new.hidden}) must be a multiple of heads ({new.heads})")
    if not 16 <= new.short_length <= new.positions:
        raise ValueError(f"short_length must lie between 16 and positions ({new.positions})")
    return new


def _text_of(corpus: str | Path, pattern: str, cache: store.Store) -> tuple[list[Path], list[Path]]:
    """Training and held-out text files of a folder or data set."""
    folder = Path(corpus).expanduser()
    tables = sorted(folder.rglob("*.parquet")) if folder.is_dir() else []
    if folder.is_dir() and not tables:
        held = text_files(folder, pattern)
        return [p for p in text_files(folder) if p not in held], held
    if not folder.is_dir() and (str(corpus).count("/") > 1 or str(corpus).startswith((".", "~", "/"))):
        raise FileNotFoundError(f"{corpus}: no such folder")
    name, _, config = (str(folder), "", "") if tables else str(corpus).partition(":")
    files = {str(p.relative_to(folder)): store.sha256(p) for p in tables}
    spec = {"name": name, "config": config, "files": files, "schema": SCHEMA}
    texts = hub_documents(name, config or None)
    text = cache.get("hub-text", spec, lambda into: write_split(texts, into))
    return [text / "train.txt"], [text / "heldout.txt"]
