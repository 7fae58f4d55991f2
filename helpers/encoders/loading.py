"""Encoders by name: shipped, from a folder or the Hub, or with random weights."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from helpers import precision as numeric
from helpers import store

ASSETS = Path(__file__).parents[1] / "assets"
SCHEMA = 1  # raise when the tiny encoder changes


@dataclass(frozen=True)
class Encoder:
    """A pre-trained transformer with its tokenizer. Made by :func:`load`."""

    name: str
    model: Any  # of transformers
    tokenizer: Any
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
def seeded(seed: int) -> Iterator[None]:
    """Draw from torch's generator, seeded within the block and as it was afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextlib.contextmanager
def quiet() -> Iterator[None]:
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
    place = numeric.device(device)
    return Encoder(
        name=str(name) if random_init is None else f"{name} (random {random_init})",
        model=model.eval().to(place),
        tokenizer=tokenizer,
        fingerprint=fingerprint(folder, random_init),
        precision=precision or numeric.fastest(place),
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


def _template(tokenizer: Any, pair: bool) -> tuple[list[int], list[int], list[int], list[int]]:
    """Special pieces before, between and after the segments, and the two segments' type ids."""
    encoded = tokenizer(*(["a"] * (1 + pair)), return_special_tokens_mask=True, return_token_type_ids=True)
    ids, special = encoded["input_ids"], encoded["special_tokens_mask"]
    plain = [i for i, mask in enumerate(special) if not mask]
    first, last = plain[0], plain[-1]
    # A segment of one letter is one piece in every vocabulary in use, so specials between the first
    # and the last plain piece separate the segments.
    between = [ids[i] for i in range(first, last) if special[i]]
    return ids[:first], between, ids[last + 1 :], encoded["token_type_ids"]
