"""Encoders loaded and checked: that the weights fit, that words get pieces, that no foreign code is run."""

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from helpers import precision as numeric
from helpers import store
from helpers.encoders import families
from helpers.encoders.families import EncoderError
from helpers.encoders.registry import resolve, seeded

VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
NAMED = 3  # tensors that a message names
# Common words by script. A vocabulary with pieces for all words of one script, or OWN_WORDS of its own,
# passes.
OWN_WORDS = 10
WORDS = (
    ("water", "house", "they", "under", "new"),
    ("вода", "дом", "они", "под", "новый"),
    ("νερό", "σπίτι", "αυτοί", "κάτω", "νέο"),
    ("ماء", "بيت", "هم", "تحت", "جديد"),
    ("מים", "בית", "הם", "תחת", "חדש"),
    ("पानी", "घर", "वे", "नीचे", "नया"),
    ("জল", "ঘর", "তারা", "নিচে", "নতুন"),
    ("நீர்", "வீடு", "அவர்கள்", "கீழே", "புதிய"),
    ("น้ำ", "บ้าน", "เขา", "ใต้", "ใหม่"),
    ("물", "집", "그들", "아래", "새"),
    ("水", "家", "人", "下", "新"),
)


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
    def family(self) -> families.Family:
        return families.of(self.model.config)

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
    faster one of this machine. Code that comes with an encoder is never run.

    Raises ValueError for an unknown precision, and :class:`EncoderError` for an unknown name; a model that
    is not of the families of :mod:`helpers.encoders.families`; weights that do not fit the configuration, but
    for a pooler that is missing; and a tokenizer that is missing, not fast (words cannot be aligned), or
    leaves ordinary words unknown.
    """
    from transformers import AutoModel

    if precision not in (None, *numeric.PRECISIONS):
        raise ValueError(f"unknown precision {precision!r}; valid: {', '.join(numeric.PRECISIONS)}")
    folder = resolve(name)
    with quiet(), _named(name):
        config = _configuration(folder)
        tokenizer = _tokenizer(folder, config)
        with seeded(random_init or 0):  # a checkpoint may lack a pooler, which is drawn then
            if random_init is None:
                model = _trained(folder, config)
            else:
                model = AutoModel.from_config(config, dtype=torch.float32, trust_remote_code=False)
    place = numeric.device(device)
    return Encoder(
        name=str(name) if random_init is None else f"{name} (random {random_init})",
        model=model.eval().to(place),
        tokenizer=tokenizer,
        fingerprint=fingerprint(folder, random_init),
        precision=precision or numeric.fastest(place),
    )


@contextlib.contextmanager
def _named(name: str | Path) -> Iterator[None]:
    """Begin the messages of errors with the encoder's name."""
    try:
        yield
    except ValueError as error:
        raise EncoderError(f"encoder {name}: {error}") from error


@contextlib.contextmanager
def _reading(what: str) -> Iterator[None]:
    """Turn any error from reading a file into an EncoderError."""
    try:
        yield
    except Exception as error:
        raise EncoderError(f"cannot read its {what} ({type(error).__name__}: {error})") from error


def _configuration(folder: Path) -> Any:
    """The configuration of a family that is supported, made without any code that came with it.

    One without a ``model_type`` is taken for BERT's, whose first releases had none; whether it is, the
    weights decide.
    """
    from transformers import CONFIG_MAPPING

    with _reading("config.json"):
        raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if not isinstance(raw, dict):
            raise ValueError("not an object")
    family = families.named(str(raw.get("model_type") or "bert"), own_code="auto_map" in raw)
    with _reading("config.json"):
        config = CONFIG_MAPPING[family.model_type].from_dict(raw)
    families.check(config)
    config.name_or_path = str(folder)
    config._attn_implementation = None  # it may name code on the Hub
    return config


def _trained(folder: Path, config: Any) -> torch.nn.Module:
    """The model with its trained weights, all of them, but for a pooler that is missing."""
    from transformers import AutoModel

    with _reading("weights"):
        model, report = AutoModel.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # to name them ourselves
            output_loading_info=True,
        )
    own = {name for name, _ in model.named_children()} - {"pooler"}
    prefix = f"{model.base_model_prefix}."
    # Tables of positions were saved with older versions; other tensors below the model's own parts are layers
    # that the configuration does not know.
    left = (name.removeprefix(prefix) for name in report["unexpected_keys"])
    problems = {
        "missing": [name for name in report["missing_keys"] if not name.startswith("pooler.")],
        "of another shape": [
            name if isinstance(name, str) else name[0] for name in report["mismatched_keys"]
        ],
        "unknown to it": [n for n in left if n.split(".")[0] in own and not n.endswith("position_ids")],
    }
    if any(problems.values()) or report["error_msgs"]:
        said = [f"{len(names)} {what} ({_first(names)})" for what, names in problems.items() if names]
        if problems["missing"] and report["unexpected_keys"]:
            said.append(f"the file has, among others, {_first(report['unexpected_keys'])}")
        family = families.of(config).name
        raise EncoderError(
            f"the weights are not those of the {family} that config.json describes: tensors "
            f"{'; '.join([*said, *report['error_msgs']])}"
        )
    return model


def _first(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:NAMED]) + (", ..." if len(ordered) > NAMED else "")


def _tokenizer(folder: Path, config: Any) -> Any:
    """The tokenizer, checked: fast, with pieces for ordinary words, all of which the model has."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import AutoTokenizer

    if not any(any(folder.glob(pattern)) for pattern in VOCABULARIES):
        raise EncoderError(f"no tokenizer in {folder}; one of these is needed: {', '.join(VOCABULARIES)}")
    with _reading("tokenizer"):
        # Byte-level tokenizers need the space before each word; WordPiece ignores the option, and so do
        # classes of no family, such as ModernBERT's.
        tokenizer = AutoTokenizer.from_pretrained(
            folder, config=config, add_prefix_space=True, trust_remote_code=False
        )
    if not tokenizer.is_fast:
        raise EncoderError("no fast tokenizer, so words cannot be aligned to wordpieces")
    if isinstance(splitting := tokenizer.backend_tokenizer.pre_tokenizer, ByteLevel):
        splitting.add_prefix_space = True
    candidates = [*WORDS, own] if len(own := _own_words(tokenizer)) == OWN_WORDS else WORDS
    spelled = [words for words in candidates if all(_pieces(tokenizer, [word]) for word in words)]
    if not spelled:
        raise EncoderError(
            f"its tokenizer has no pieces for ordinary words of any language ({', '.join(WORDS[0])}, ...); "
            "the vocabulary is missing or another tokenizer's"
        )
    if any(_pieces(tokenizer, words) != _pieces(tokenizer, " ".join(words)) for words in spelled):
        raise EncoderError("its tokenizer gives words by themselves other pieces than words in a text")
    highest = max(tokenizer.get_vocab().values())
    if highest >= config.vocab_size:
        raise EncoderError(
            f"its tokenizer numbers pieces up to {highest}, the model has only {config.vocab_size} of them; "
            "they do not belong together"
        )
    if not _template(tokenizer, False)[0]:
        raise EncoderError("its tokenizer puts no special piece, such as [CLS], before a text")
    return tokenizer


def _own_words(tokenizer: Any) -> tuple[str, ...]:
    """Up to ``OWN_WORDS`` pieces of the vocabulary that look like words."""
    pieces = set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)
    words = (piece.lstrip("Ġ▁") for piece in sorted(pieces))  # marks of a space
    return tuple(islice((word for word in words if len(word) > 2 and word.isalpha()), OWN_WORDS))


def _pieces(tokenizer: Any, text: str | Sequence[str]) -> list[int]:
    """Pieces of a text or of words; none if one of them is unknown."""
    split = not isinstance(text, str)
    ids = tokenizer(list(text) if split else text, is_split_into_words=split, add_special_tokens=False)[
        "input_ids"
    ]
    return [] if tokenizer.unk_token_id in ids else ids


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


def set_dropout(encoder: Any, probability: float) -> None:
    """Set every dropout of an encoder, and its configuration, to this probability."""
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = probability
        if isinstance(getattr(module, "attention_dropout", None), float):  # ModernBERT's
            module.attention_dropout = probability
    # Also where a configuration has other names for it, as DistilBERT's: heads read the first.
    encoder.config.hidden_dropout_prob = encoder.config.attention_probs_dropout_prob = probability
