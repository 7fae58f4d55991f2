"""Blocks of an encoder, frozen, cut off or re-initialised.

A frozen bottom is run once and its output kept; the blocks above are trained on that. It is run as in
evaluation, without dropout: its output never changes then, so that it makes no difference to what is above
whether it is run anew in every step or once.
"""

import contextlib
import copy
import dataclasses
import functools
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from helpers import encoders, store
from helpers.encoders import Encoder, EncoderError, families
from helpers.encoders.families import Family
from helpers.finetuning import batches
from helpers.finetuning.batches import Inputs
from helpers.finetuning.prediction import Predictor, TaskModel

PRECISION = np.float16  # of stored states: bfloat16's matrix products in the blocks err eight times as much


def section(model: nn.Module, start: int, stop: int, *, top: bool = True) -> nn.Module:
    """Blocks ``start`` to ``stop - 1`` of an encoder as a model of their own, which shares their weights.

    From block 0 on it has the embeddings and is called like the encoder. From a later one it is called with
    ``inputs_embeds``, the states (n_inputs, n_pieces, d) that block ``start - 1`` gives. What reads the last
    block (BERT's pooler, ModernBERT's norm) is kept in either case, unless ``top`` is false. Errors as of
    :func:`separable`.
    """
    family = separable(model, "cut into blocks")
    kept = cast(nn.ModuleList, model.get_submodule(family.blocks))[start:stop]
    if family.never_empty and not len(kept):
        kept.append(_Unchanged())
    parts: dict[str, nn.Module | None] = {family.blocks: kept}
    if start > 0:
        parts |= {"embeddings": _AsGiven()}
        parts |= {part: nn.Identity() for part in family.beneath} | {part: None for part in family.first}
    if not top:
        parts |= {part: None if part == "pooler" else nn.Identity() for part in family.above}
    return _with(model, parts)


def separable(model: nn.Module, what: str) -> Family:
    """The family of a model whose blocks have weights of their own.

    Raises EncoderError, saying ``what`` cannot be done, if they have not, and for an unknown family.
    """
    family = families.of(model.config)
    if family.one_block:
        raise EncoderError(
            f"{family.name} cannot be {what}: all its blocks are one set of weights, applied again and again"
        )
    return family


def _with(model: nn.Module, parts: Mapping[str, nn.Module | None]) -> nn.Module:
    """A shallow copy of the model with the given parts replaced where it has them."""
    twin = _shallow(model)
    for path, part in parts.items():
        *parents, name = path.split(".")
        holder = twin
        for step in parents:
            setattr(holder, step, _shallow(getattr(holder, step)))
            holder = getattr(holder, step)
        if getattr(holder, name, None) is not None:
            setattr(holder, name, part)
    return twin


def _shallow(module: nn.Module) -> nn.Module:
    """The module with a table of children of its own, so that replacing one leaves the original alone."""
    twin = copy.copy(module)
    twin._modules = dict(module._modules)
    return twin


def _has(model: nn.Module, part: str) -> bool:
    return any(name == part for name, _ in model.named_modules())


class _AsGiven(nn.Module):
    """In the place of embeddings: states that have been through them already."""

    def forward(self, input_ids=None, inputs_embeds=None, *_, **__) -> torch.Tensor:
        return inputs_embeds


class _Unchanged(nn.Module):
    """In the place of a block: what it reads, and no attention."""

    def forward(self, states, *_, **__) -> tuple[torch.Tensor, None]:
        return states, None


# -- cut off, re-initialised -------------------------------------------------------------------------


def truncated(encoder: Encoder, layer: int) -> nn.Module:
    """The encoder without the blocks above ``layer``, whose output becomes the last hidden states.

    It shares the encoder's weights; what is above the blocks (BERT's pooler, ModernBERT's norm) now reads
    that layer. Raises ValueError for a block that the encoder lacks.
    """
    _check_block(encoder, layer, encoder.layers[-1])
    family = encoder.family
    config = copy.deepcopy(encoder.model.config)
    config.num_hidden_layers = layer + 1
    for name in family.per_block:
        setattr(config, name, getattr(config, name)[: layer + 1])
    if family.one_block:  # applied less often
        holder = family.blocks.rpartition(".")[0]
        stack = _shallow(encoder.model.get_submodule(holder))
        stack.config = config
        model = _with(encoder.model, {holder: stack})
    else:
        model = section(encoder.model, 0, layer + 1)
    model.config = config
    return model


def reinitialised(encoder: Encoder, lowest: int, seed: int) -> nn.Module:
    """The encoder with its blocks from ``lowest`` on re-initialised, as its configuration draws them.

    What is above the blocks (BERT's pooler, ModernBERT's norm) is re-initialised with them, as in Zhang et
    al. (2021; "Revisiting Few-sample BERT Fine-tuning"). If ``lowest`` is the number of blocks, nothing is.
    The encoder itself stays as it is. Raises ValueError for a larger number, and errors as of
    :func:`separable`.
    """
    family = separable(encoder.model, "re-initialised in part")
    _check_block(encoder, lowest, len(encoder.layers) - 1)
    model = copy.deepcopy(encoder.model)
    if lowest == len(encoder.layers) - 1:
        return model
    with encoders.seeded(seed):
        fresh = type(model)(model.config).to(encoder.device)
    parts = [f"{family.blocks}.{block}" for block in range(lowest, len(encoder.layers) - 1)]
    parts += [*family.above, *(family.first if lowest == 0 else ())]
    for part in parts:
        if _has(model, part):
            model.get_submodule(part).load_state_dict(fresh.get_submodule(part).state_dict())
    return model.eval()


def _check_block(encoder: Encoder, number: int, highest: int) -> None:
    if not 0 <= number <= highest:
        raise ValueError(f"{encoder.name} has no block {number!r}; valid: 0 to {highest}")


@contextlib.contextmanager
def saved(encoder: Encoder, model: Any) -> Iterator[Path]:
    """A folder, gone afterwards, with a changed model and the encoder's tokenizer."""
    with tempfile.TemporaryDirectory() as folder, encoders.quiet():
        model.save_pretrained(folder)
        encoder.tokenizer.save_pretrained(folder)
        yield Path(folder)


# -- frozen ------------------------------------------------------------------------------------------


def _check_sections(encoder: Encoder) -> None:
    """Raise EncoderError unless the blocks, one after another, give what the whole encoder gives.

    They do not where the family's entry lacks something between or above the blocks.
    """
    family = separable(encoder.model, "frozen in part")
    last = encoder.layers[-1]
    read = encoder.tokenizer("one two three", return_tensors="pt", return_token_type_ids=False)
    read = read.to(encoder.device)
    with torch.inference_mode():
        whole = encoder.model(**read).last_hidden_state
        states = section(encoder.model, 0, 1, top=last == 0)(**read).last_hidden_state
        for block in range(1, last + 1):
            part = section(encoder.model, block, block + 1, top=block == last)
            states = part(inputs_embeds=states, attention_mask=read["attention_mask"]).last_hidden_state
    if not torch.allclose(states, whole, rtol=1e-3, atol=1e-3):
        raise EncoderError(
            f"{encoder.name} cannot be frozen in part: the blocks of this {family.name} do not add up to it"
        )


class _LastStates(nn.Module):
    """In the place of a head: the states themselves."""

    def forward(self, states, pooled, *, mask) -> dict[str, torch.Tensor]:
        return {"states": states}


class Prefix:
    """Embeddings and bottom blocks of an encoder with the states that they give, for many runs to share.

    States are kept in half precision, ``2 * d`` bytes for each wordpiece, in unnamed files in the folder
    ``scratch`` that disappear with the process. Each set of inputs has one, which moves up in place, block
    by block: a sweep that asks for ever higher layers runs each block once, and holds one layer at a time.
    """

    def __init__(self, encoder: str | Path, scratch: str | Path):
        self.encoder = encoders.load(encoder)
        _check_sections(self.encoder)
        self._scratch = Path(scratch)
        self._kept: dict[str, tuple[int, np.memmap]] = {}  # inputs -> layer, states (n_pieces, d)

    def states(self, inputs: Inputs, layer: int) -> Inputs:
        """The inputs with ``states`` (n_pieces, d) of a block, ``layer``, added to each one's features.

        They are views of a file, valid until another layer is asked for. Raises ValueError for a block the
        encoder lacks, FloatingPointError for states beyond half precision's range and
        :class:`helpers.store.DiskFull`.
        """
        _check_block(self.encoder, layer, self.encoder.layers[-1])
        key = store.digest([[f["ids"].tolist(), f["second"]] for f in inputs.features])
        ends = np.cumsum(inputs.lengths)
        if key not in self._kept or self._kept[key][0] > layer:
            self._scratch.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._scratch) as file:  # mapped, it outlives its name and handle
                shape = int(ends[-1]), self.encoder.width
                store.allocate(file, np.dtype(PRECISION).itemsize * shape[0] * shape[1], self._scratch)
                fresh = np.memmap(file, PRECISION, "r+", shape=shape)
            self._kept[key] = -1, fresh
        reached, kept = self._kept[key]
        # One block at a time and rounded after each, so that the states are the same wherever a sweep began.
        for block in range(reached + 1, layer + 1):
            self._kept.pop(key, None)  # a step that fails half-way leaves states of two blocks
            self._advance(inputs, ends, kept, block)
            self._kept[key] = block, kept
        features = [
            feature | {"states": kept[end - len(feature["ids"]) : end]}
            for feature, end in zip(inputs.features, ends, strict=True)
        ]
        return dataclasses.replace(inputs, features=features)

    def _advance(self, inputs: Inputs, ends: np.ndarray, kept: np.memmap, block: int) -> None:
        """Put the states of ``block`` in the place of those of the block below, a batch at a time."""
        encoder = self.encoder
        model = TaskModel(section(encoder.model, block, block + 1, top=False), _LastStates()).eval()
        places = [slice(end - length, end) for end, length in zip(ends, inputs.lengths, strict=True)]
        below = Inputs(
            [
                {"ids": feature["ids"], "second": feature["second"]}
                | ({"states": kept[place]} if block else {})
                for feature, place in zip(inputs.features, places, strict=True)
            ]
        )
        with batches.evaluating(encoder):
            for chosen, batch in batches.padded(below, encoder):
                states = model(**batch)["states"].float().cpu().numpy()
                if not np.abs(states).max() <= np.finfo(PRECISION).max:
                    raise FloatingPointError(
                        f"{encoder.name}: states of block {block} beyond half precision's range"
                    )
                for i, row in zip(chosen, states, strict=True):
                    kept[places[i]] = row[: places[i].stop - places[i].start]


def above(predictor: Predictor, prefix: Prefix, layer: int) -> Predictor:
    """The predictor with the blocks above ``layer`` for its model, reading the prefix's states of that layer.

    Blocks and head are the given predictor's own: training the one trains the other. Parts shared by blocks
    on both sides stay frozen.
    """
    encoder = predictor.encoder
    for part in encoder.family.shared:
        if _has(encoder.model, part):
            encoder.model.get_submodule(part).requires_grad_(False)
    model = TaskModel(section(encoder.model, layer + 1, len(encoder.layers)), predictor.model.head)
    return dataclasses.replace(predictor, model=model, below=functools.partial(prefix.states, layer=layer))
