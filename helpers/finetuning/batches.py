"""Inputs of a task model: from text to wordpieces, and from wordpieces to padded batches.

What does not fit the recipe's ``max_length`` is never lost silently: every task counts what it cut, windowed
or skipped in :attr:`Inputs.counts`.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from helpers import encoders, precision
from helpers.corpora.records import Sentence
from helpers.encoders import Encoder
from helpers.profiles import TuningRecipe

IGNORED = -100  # a target, or a word number, that does not count
BATCH_PIECES = 4096  # wordpieces in a batch outside training
GROUP = 100  # batches of inputs of similar lengths


@dataclass
class Inputs(torch.utils.data.Dataset):
    """Inputs of the model, one or more for each record.

    ``features`` holds for each input its wordpieces ``ids``, ``second``, the position where the second
    segment begins, and what the head reads: numbers and arrays that :func:`collate` pads. ``record`` is the
    number of the record that an input was made from, ``notes`` whatever the task needs to turn the model's
    outputs into predictions.
    """

    features: list[dict[str, Any]] = field(default_factory=list)
    record: list[int] = field(default_factory=list)
    notes: list[Any] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.features[index]

    @property
    def lengths(self) -> np.ndarray:
        """Wordpieces of each input, special ones included: (n_inputs,)."""
        return np.array([len(feature["ids"]) for feature in self.features])


# -- encoding --------------------------------------------------------------------------------------


def room(encoder: Encoder, recipe: TuningRecipe, *, pair: bool) -> int:
    """Wordpieces left for text beside the special ones.

    Raises ValueError if the recipe's ``max_length`` exceeds the encoder's or leaves no room for text.
    """
    if recipe.max_length > encoder.max_length:
        raise ValueError(
            f"max_length {recipe.max_length} is more than {encoder.name}'s {encoder.max_length} positions"
        )
    before, between, after, _ = encoder.templates[pair]
    left = recipe.max_length - len(before) - len(between) - len(after)
    if left < 2:
        raise ValueError(f"max_length {recipe.max_length} leaves no room for text")
    return left


def join(encoder: Encoder, a: list[int], b: list[int] | None = None) -> dict[str, Any]:
    """Features ``ids`` and ``second`` of one segment's or two segments' wordpieces."""
    before, between, after, types = encoder.templates[b is not None]
    first = [*before, *a, *(between if b is not None else ())]
    ids = [*first, *(b or ()), *after]
    return {"ids": np.array(ids, dtype=np.int32), "second": len(first) if types[-1] else len(ids)}


def sentences(
    records: Sequence[Sentence], encoder: Encoder, recipe: TuningRecipe, *, skip_long: bool
) -> Inputs:
    """One input for each sentence; longer ones are skipped, or cut after the last word that fits.

    Features for the head: ``word_of`` (n_pieces,), the word that each wordpiece belongs to, counted from 1,
    with 0 for the first special piece ([CLS]) and ``IGNORED`` for the others; ``words`` (n_words,), all true.
    """
    limit = room(encoder, recipe, pair=False)
    shift = len(encoder.templates[False][0])
    inputs = Inputs()
    skipped = cut = 0
    for r, (sentence, [(ids, word_of)]) in enumerate(encoders.align_records(encoder.tokenizer, records)):
        n = len(sentence.words)
        if len(ids) > limit:
            if skip_long:
                skipped += 1
                continue
            n = word_of[limit]  # the word of the first wordpiece that does not fit
            if n == 0:
                continue
            cut += 1
            ids = [piece for piece, word in zip(ids, word_of, strict=True) if word < n]
        feature = join(encoder, ids)
        positions = np.full(len(feature["ids"]), IGNORED, dtype=np.int16)
        positions[0] = 0
        positions[shift : shift + len(ids)] = np.array(word_of[: len(ids)]) + 1
        inputs.features.append(feature | {"word_of": positions, "words": np.ones(n, dtype=bool)})
        inputs.record.append(r)
    inputs.counts = {"sentences": len(records)} | ({"skipped_long": skipped} if skip_long else {"cut": cut})
    return inputs


# -- batches ---------------------------------------------------------------------------------------


def collate(
    features: Sequence[dict[str, Any]], encoder: Encoder, *, multiple: int = 1
) -> dict[str, torch.Tensor]:
    """A batch of inputs, padded to the longest: what the encoder reads, (n_inputs, n_pieces), and the head.

    Widths are rounded up to a ``multiple``, but not beyond what the encoder can read.
    Padding does not count: ``IGNORED`` in whole numbers, False in booleans, 0 in floating-point numbers.
    Where the features have ``states`` (n_pieces, d), the encoder reads them instead of wordpieces: it is one
    that begins above the embeddings (:func:`helpers.finetuning.blocks.section`).
    """
    lengths = np.array([len(feature["ids"]) for feature in features])

    def width(n: int) -> int:
        return n if multiple == 1 else max(n, min(-(-n // multiple) * multiple, encoder.max_length))

    positions = np.arange(width(lengths.max()))
    present = positions < lengths[:, None]
    arrays = {"attention_mask": present.astype(np.int64)}
    if encoder.typed:
        second = present & (positions >= np.array([[feature["second"]] for feature in features]))
        arrays["token_type_ids"] = second.astype(np.int64)
    if "states" not in features[0]:
        arrays["input_ids"] = _stack([f["ids"] for f in features], encoder.tokenizer.pad_token_id or 0, width)
    for name in features[0].keys() - {"ids", "second"}:
        values = [np.asarray(feature[name]) for feature in features]
        fill = {"b": False, "f": 0.0}.get(values[0].dtype.kind, IGNORED)
        arrays["inputs_embeds" if name == "states" else name] = (
            _stack(values, fill, width) if values[0].ndim else np.array(values)
        )
    kinds = {"b": np.bool_, "f": np.float32}
    return {
        name: torch.from_numpy(array.astype(kinds.get(array.dtype.kind, np.int64)))
        for name, array in arrays.items()
    }


def _stack(arrays: list[np.ndarray], fill: float, width: Callable[[int], int]) -> np.ndarray:
    shape = len(arrays), width(max(map(len, arrays))), *arrays[0].shape[1:]
    out = np.full(shape, fill, dtype=arrays[0].dtype)
    for row, array in zip(out, arrays, strict=True):
        row[: len(array)] = array
    return out


@contextlib.contextmanager
def evaluating(encoder: Encoder) -> Iterator[None]:
    """Context of a forward pass outside training: no gradients, the encoder's precision."""
    with torch.inference_mode(), precision.autocast(encoder.device, encoder.precision):
        yield


def padded(inputs: Inputs, encoder: Encoder) -> Iterator[tuple[list[int], dict[str, torch.Tensor]]]:
    """All inputs, batch by batch: their numbers, and the batch on the encoder's device."""
    for chosen in by_length(inputs.lengths):
        batch = collate([inputs[i] for i in chosen], encoder)
        yield chosen, {name: tensor.to(encoder.device) for name, tensor in batch.items()}


def by_length(lengths: np.ndarray) -> list[list[int]]:
    """Numbers of inputs in batches of at most ``BATCH_PIECES`` wordpieces, longest inputs first."""
    order = np.argsort(-lengths, kind="stable").tolist()
    batches = []
    while order:
        size = max(1, BATCH_PIECES // int(lengths[order[0]]))
        batches.append(order[:size])
        order = order[size:]
    return batches


class Order:
    """Which inputs each training step is for: random batches of similar lengths, epoch after epoch.

    A function of seed and step alone, so that a killed run can resume anywhere. Each ``GROUP`` batches' worth
    of inputs, drawn at random, are sorted by length and cut into batches, which are then shuffled; an
    incomplete batch comes last. ``lengths`` (n_inputs,) are wordpieces.
    """

    def __init__(self, lengths: np.ndarray, batch_size: int, seed: int):
        self.lengths, self.batch_size, self.seed = lengths, batch_size, seed
        self.steps_per_epoch = -(-len(lengths) // batch_size)
        self._epoch, self._inputs = -1, np.empty(0, int)

    def at(self, step: int) -> np.ndarray:
        """Numbers of a step's inputs, steps counted from 0."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._inputs = epoch, self._drawn(epoch)
        return self._inputs[place * self.batch_size : (place + 1) * self.batch_size]

    def _drawn(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(self.lengths))
        size = GROUP * self.batch_size
        groups = [order[i : i + size] for i in range(0, len(order), size)]
        order = np.concatenate([g[np.argsort(self.lengths[g], kind="stable")[::-1]] for g in groups])
        whole = len(order) // self.batch_size * self.batch_size
        full = order[:whole].reshape(-1, self.batch_size)
        return np.concatenate([rng.permutation(full).ravel(), order[whole:]])
