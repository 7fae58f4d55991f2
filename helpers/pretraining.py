"""BERT pre-training from raw text: masked language modelling and next-sentence prediction.

The recipe is that of Devlin et al. (2019) at a small size. Text is encoded once into flat arrays on
disk; batch ``t`` is a pure function of (seed, t), so a run resumed from a checkpoint sees exactly the
data it would have seen.
"""

import dataclasses
import json
import lzma
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from helpers import store

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SCHEMA = 1  # raise when the encoded corpus changes form
IGNORED = -100


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
                for number, raw in enumerate(file, 1):
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


def hub_documents(name: str, split: str = "train", **options) -> Iterator[list[str]]:
    """Documents of a Hugging Face text data set: each row's ``text``, split at line ends."""
    import datasets

    for row in datasets.load_dataset(name, split=split, streaming=True, **options):
        paragraphs = [line.strip() for line in row["text"].splitlines() if line.strip()]
        if paragraphs:
            yield paragraphs


def train_tokenizer(files: list[Path], size: int):
    """Uncased WordPiece tokenizer of ``size`` pieces, trained on text files, as a BertTokenizerFast."""
    from tokenizers import BertWordPieceTokenizer

    trained = BertWordPieceTokenizer(lowercase=True)
    lines = (line for document in documents(files) for line in document)
    trained.train_from_iterator(
        lines, vocab_size=size, special_tokens=list(SPECIAL), show_progress=False
    )
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
        self.tokens = np.load(folder / "tokens.npy", mmap_mode="r")
        self.units = np.load(folder / "units.npy", mmap_mode="r")
        self.starts = np.load(folder / "starts.npy")

    @property
    def n_documents(self) -> int:
        return len(self.starts) - 1

    def windows(self, length: int) -> np.ndarray:
        """(n_windows, 2): consecutive stretches of ``length`` tokens within documents.

        Each begins where a sentence does, so neighbours may overlap; the last of a document reaches
        back to fill its length. Only documents shorter than ``length`` give shorter windows.
        """
        pieces = []
        for start, stop in zip(self.starts[:-1], self.starts[1:], strict=True):
            nominal = np.arange(start, max(start + 1, stop - length + 1), length)
            if stop - start > length and nominal[-1] + length < stop:
                nominal = np.append(nominal, stop - length)
            pieces.append(np.stack([nominal, np.minimum(nominal + length, stop)], axis=1))
        windows = np.concatenate(pieces)
        snapped = self.units[np.searchsorted(self.units, windows[:, 0], side="right") - 1]
        full = windows[:, 1] - windows[:, 0] == length
        windows[full, 0] = snapped[full]
        windows[full, 1] = snapped[full] + length
        return windows


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
    np.save(folder / "tokens.npy", np.memmap(raw, dtype=np.uint16, mode="r"))
    raw.unlink()
    np.save(folder / "units.npy", np.concatenate(units))
    np.save(folder / "starts.npy", np.unique(starts))


def prepare(files: list[Path], heldout: list[Path], size: int, cache: store.Store):
    """Tokenizer and encoded corpora: (tokenizer, training corpus, held-out corpus), from the store."""
    from transformers import BertTokenizerFast

    hashes = {p.name: store.sha256(p) for p in files}
    vocabulary = cache.get(
        "vocabulary",
        {"files": hashes, "size": size, "schema": SCHEMA},
        lambda folder: train_tokenizer(files, size).save_pretrained(folder),
    )
    tokenizer = BertTokenizerFast.from_pretrained(vocabulary)
    pieces = store.sha256(vocabulary / "tokenizer.json")
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
        self.vocabulary = len(tokenizer)
        self._windows: dict[int, np.ndarray] = {}
        self._orders: dict[tuple[int, int], np.ndarray] = {}

    def __len__(self) -> int:
        return self.recipe.steps

    def _window(self, length: int, position: int) -> np.ndarray:
        """Window number ``position`` of the endless shuffled stream of windows of this length."""
        if length not in self._windows:
            self._windows[length] = self.corpus.windows(length - 3)
        windows = self._windows[length]
        epoch, index = divmod(position, len(windows))
        if (length, epoch) not in self._orders:
            self._orders.clear()
            rng = np.random.default_rng([self.recipe.seed, length, epoch])
            self._orders[length, epoch] = rng.permutation(len(windows))
        return windows[self._orders[length, epoch][index]]

    def _pair(self, rng, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, int]:
        """Split a window at a sentence boundary; half the time replace what follows."""
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
        other = rng.integers(corpus.n_documents - 1) if corpus.n_documents > 1 else home
        other += other >= home and corpus.n_documents > 1
        low, high = corpus.starts[other], corpus.starts[other + 1]
        latest = max(low, high - len(b))
        begin = corpus.units[
            np.searchsorted(corpus.units, rng.integers(low, latest + 1), side="right") - 1
        ]
        return a, corpus.tokens[begin : min(begin + len(b), high)], 1

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        recipe = self.recipe
        count, length = recipe.batch_shape(step)
        origin = step if step < recipe.short_steps else step - recipe.short_steps
        rng = np.random.default_rng([recipe.seed, 1, step])
        ids = np.full((count, length), self.pad, dtype=np.int64)
        types = np.zeros((count, length), dtype=np.int64)
        attended = np.zeros((count, length), dtype=np.int64)
        is_random = np.zeros(count, dtype=np.int64)
        for row in range(count):
            a, b, is_random[row] = self._pair(rng, *self._window(length, origin * count + row))
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
        chance[np.isin(ids, (self.cls, self.sep, self.pad))] = 2.0
        wanted = max(1, round(self.recipe.masked * ids.shape[1]))
        picked = np.argpartition(chance, wanted, axis=1)[:, :wanted]
        flat = (np.arange(len(ids))[:, None] * ids.shape[1] + picked)[
            np.take_along_axis(chance, picked, axis=1) < 1.0
        ]
        labels = ids.reshape(-1)[flat].copy()
        how = rng.random(len(flat))
        pieces = rng.integers(len(SPECIAL), self.vocabulary, len(flat))
        ids.reshape(-1)[flat] = np.where(how < 0.8, self.mask, np.where(how < 0.9, labels, pieces))
        return flat, labels


# -- model and training --------------------------------------------------------------------------


def new_model(recipe: Recipe, tokenizer):
    """A freshly initialised ``BertForPreTraining`` of the recipe's shape; its seed is the recipe's.

    Dropout is off: no token is seen often enough to be learnt by heart.
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
    return BertForPreTraining(config)


def losses(model, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Both objectives on a batch: ``mlm`` and ``nsp`` (mean cross-entropy in nats), accuracies, ``n``.

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
        "mlm": F.cross_entropy(scores, batch["labels"], ignore_index=IGNORED),
        "nsp": F.cross_entropy(follows, batch["is_random"]),
        "mlm_accuracy": (scores.argmax(-1) == batch["labels"]).float().mean().detach(),
        "nsp_accuracy": (follows.argmax(-1) == batch["is_random"]).float().mean().detach(),
    }


def evaluate(model, batches: Batches, device: torch.device, n_batches: int = 16) -> dict[str, float]:
    """Held-out means of :func:`losses` over the first short batches of a held-out corpus."""
    model.eval()
    sums: dict[str, float] = {}
    with torch.inference_mode(), _autocast(device):
        for step in range(n_batches):
            for name, value in losses(model, _to(batches[step], device)).items():
                sums[name] = sums.get(name, 0.0) + float(value) / n_batches
    model.train()
    return sums


def _to(batch: dict[str, torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
    """Batch on the device, without its attention mask where nothing is padded (attention is faster so)."""
    if bool(batch["attention_mask"].all()):
        batch = {k: v for k, v in batch.items() if k != "attention_mask"}
    return {k: v.to(device, non_blocking=True) for k, v in batch.items()}


def _autocast(device: torch.device):
    return torch.autocast(device.type, dtype=torch.bfloat16)


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
    n_evaluations: int = 12,
    stop_after: int | None = None,
    compile_model: bool | None = None,
    report=print,
) -> Path:
    """Train, or go on training, in ``folder``; returns the folder of the finished model.

    ``folder`` receives ``checkpoint.pt`` (weights, optimiser, step) every ``checkpoint_every`` seconds,
    ``log.jsonl`` (a line an interval: step, tokens, losses, held-out losses, tokens/s) and at the end
    ``model/``. A run that finds a checkpoint goes on from it; the recipe may then differ in ``tokens``
    alone, as long as neither length nor rate of the past steps would have been others. Raises
    ValueError otherwise, and :class:`Interrupted` when ``stop_after`` steps of this call are done.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    device = torch.device(
        ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    )
    model = new_model(recipe, tokenizer).to(device)
    if device.type == "cpu":  # the fused kernel's bf16 backward pass is the slower one there
        model.set_attn_implementation("eager")
    optimizer = _optimizer(model, recipe)
    step, tokens, seconds = 0, 0, 0.0
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        _check_same_run(Recipe(**state["recipe"]), recipe, state["step"], checkpoint)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step, tokens, seconds = state["step"], state["tokens"], state["seconds"]
        _drop_log_after(folder / "log.jsonl", step)

    def save() -> None:
        state = {
            "recipe": dataclasses.asdict(recipe),
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "step": step,
            "tokens": tokens,
            "seconds": seconds,
        }
        with store.atomic_write(checkpoint, "wb") as file:
            torch.save(state, file)

    use_compile = device.type == "cuda" if compile_model is None else compile_model
    objective = torch.compile(losses, dynamic=True) if use_compile else losses
    loader = torch.utils.data.DataLoader(
        Batches(corpus, tokenizer, recipe),
        batch_size=None,
        sampler=range(step, recipe.steps),
        num_workers=8 if device.type == "cuda" else 0,
        pin_memory=device.type == "cuda",
    )
    judge = Batches(heldout, tokenizer, dataclasses.replace(recipe, seed=10_000))
    milestones = {round(recipe.steps * (i / n_evaluations) ** 2) for i in range(n_evaluations + 1)}
    torch.manual_seed(recipe.seed)
    began, saved = time.time(), time.time()
    window, window_tokens, first = time.time(), 0, step
    running: dict[str, torch.Tensor] = {}
    model.train()
    for batch in loader:
        if step in milestones and not (step and step == first):
            held = evaluate(model, judge, device)
            _log(folder, {"step": step, "tokens": tokens, "heldout": held})
            report(f"step {step}: held-out MLM loss {held['mlm']:.3f}")
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate(step)
        n_tokens = int(batch["attention_mask"].sum())
        with _autocast(device):
            parts = objective(model, _to(batch, device))
            loss = parts["mlm"] + parts["nsp"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        for name, value in parts.items():
            running[name] = running.get(name, 0.0) + value.detach()
        step += 1
        tokens += n_tokens
        window_tokens += n_tokens
        if step % 100 == 0 or step == recipe.steps:
            means = {k: float(v) / ((step - 1) % 100 + 1) for k, v in running.items()}
            if not math.isfinite(means["mlm"]):
                raise FloatingPointError(f"loss is {means['mlm']} at step {step}; lower the learning rate")
            now = time.time()
            speed = window_tokens / (now - window)
            seconds += now - window
            _log(folder, {"step": step, "tokens": tokens, "seconds": seconds, **means, "tokens_per_s": speed})
            left = (recipe.steps - step) * recipe.batch_tokens / speed
            report(
                f"step {step}/{recipe.steps}  MLM {means['mlm']:.3f}  NSP {means['nsp']:.3f}  "
                f"{speed:,.0f} tokens/s{_peak_share(model, recipe, speed, device)}  {left / 60:.0f} min left"
            )
            window, window_tokens, running = now, 0, {}
            if now - saved > checkpoint_every:
                save()
                saved = now
        if stop_after is not None and step - first >= stop_after and step < recipe.steps:
            save()
            raise Interrupted(f"{folder}: stopped at step {step} of {recipe.steps}")
    save()
    held = evaluate(model, judge, device)
    if first < recipe.steps:
        _log(folder, {"step": step, "tokens": tokens, "heldout": held})
    report(f"finished after {time.time() - began:.0f} s here: held-out MLM loss {held['mlm']:.3f}")
    return _save_model(model, tokenizer, folder / "model")


def _check_same_run(old: Recipe, new: Recipe, step: int, path: Path) -> None:
    if dataclasses.replace(old, tokens=new.tokens) != new:
        changed = [f.name for f in dataclasses.fields(old) if getattr(old, f.name) != getattr(new, f.name)]
        raise ValueError(f"{path}: was trained with other settings ({', '.join(changed)})")
    if old != new and (step > min(old.short_steps, new.short_steps) or old.rate(step) != new.rate(step)):
        raise ValueError(
            f"{path}: at step {step} a budget of {new.tokens:,} tokens would not have followed the same "
            f"schedule as {old.tokens:,}; change it while the rate is constant"
        )


def _drop_log_after(path: Path, step: int) -> None:
    """Forget what was logged after the checkpoint that a run resumes from."""
    if path.exists():
        lines = [x for x in path.read_text().splitlines(keepends=True) if json.loads(x)["step"] <= step]
        with store.atomic_write(path) as file:
            file.writelines(lines)


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


def _save_model(model, tokenizer, folder: Path) -> Path:
    """Save in fp16 as ``BertForPreTraining``, with BERT's dropout switched on for fine-tuning."""
    model = model.to("cpu")
    model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = 0.1
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
