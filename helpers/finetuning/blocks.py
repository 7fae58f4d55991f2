"""Blocks of an encoder, frozen, cut off or drawn anew.

A frozen bottom is run once and its output kept; the blocks above are trained on that. It is run as in
evaluation, without dropout: its output never changes then, so that it makes no difference to what is above
whether it is run anew in every step or once.
"""

import contextlib
import copy
import dataclasses
import functools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from helpers import encoders, store
from helpers.encoders import Encoder
from helpers.finetuning import batches
from helpers.finetuning.batches import Inputs
from helpers.finetuning.prediction import Predictor, TaskModel

PRECISION = np.float16  # of stored states: bfloat16's matrix products in the blocks err eight times as much


def section(model: nn.Module, start: int, stop: int) -> nn.Module:
    """Blocks ``start`` to ``stop - 1`` of an encoder as a model of their own, which shares their weights.

    From block 0 on it has the embeddings and is called like the encoder. From a later one it is called with
    ``inputs_embeds``, the states (n_inputs, n_pieces, d) of layer ``start - 1``. What is above the blocks
    (BERT's pooler) is kept in either case. Raises ValueError if the model's blocks cannot be told apart.
    """
    *path, name = blocks_path(model)
    view = inner = _shallow(model)
    if start > 0:
        view.embeddings = _AsGiven()
    for step in path:
        setattr(inner, step, _shallow(getattr(inner, step)))
        inner = getattr(inner, step)
    setattr(inner, name, getattr(inner, name)[start:stop])
    return view


def blocks_path(model: nn.Module) -> list[str]:
    """Where an encoder's list of blocks is, attribute by attribute: ``["encoder", "layer"]`` in BERT."""
    number = model.config.num_hidden_layers
    lists = [n for n, m in model.named_modules() if isinstance(m, nn.ModuleList) and len(m) == number]
    if len(lists) != 1 or not hasattr(model, "embeddings") or hasattr(model, "embeddings_project"):
        raise _inseparable(model)
    return lists[0].split(".")


def _inseparable(model: nn.Module) -> ValueError:
    return ValueError(
        f"cannot tell the blocks of a {model.config.model_type} encoder apart; BERT, RoBERTa, DistilBERT "
        "and those built like them can be frozen in part"
    )


def _shallow(module: nn.Module) -> nn.Module:
    """The module with a table of children of its own, so that replacing one leaves the original alone."""
    twin = copy.copy(module)
    twin._modules = dict(module._modules)
    return twin


class _AsGiven(nn.Module):
    """In the place of embeddings: states that have been through them already."""

    def forward(self, input_ids=None, inputs_embeds=None, *_, **__) -> torch.Tensor:
        return inputs_embeds


# -- cut off, drawn anew ----------------------------------------------------------------------------


def truncated(encoder: Encoder, layer: int) -> nn.Module:
    """The encoder without the blocks above ``layer``, whose output becomes the last hidden states.

    It shares the encoder's weights; what is above the blocks (BERT's pooler) now reads that layer. Raises
    ValueError for a block that the encoder lacks.
    """
    _check_block(encoder, layer, encoder.layers[-1])
    model = section(encoder.model, 0, layer + 1)
    model.config = copy.deepcopy(encoder.model.config)
    model.config.num_hidden_layers = layer + 1
    return model


def reinitialised(encoder: Encoder, lowest: int, seed: int) -> nn.Module:
    """The encoder with its blocks from ``lowest`` on drawn anew, as its configuration draws them.

    What is above the blocks (BERT's pooler) is drawn anew with them, as in Zhang et al. (2021; "Revisiting
    Few-sample BERT Fine-tuning"). If ``lowest`` is the number of blocks, nothing is. The encoder itself
    stays as it is. Raises ValueError for a larger number.
    """
    _check_block(encoder, lowest, len(encoder.layers) - 1)
    model = copy.deepcopy(encoder.model)
    if lowest == len(encoder.layers) - 1:
        return model
    with encoders.seeded(seed):
        fresh = type(model)(model.config).to(encoder.device)
    parts = [".".join([*blocks_path(model), str(block)]) for block in range(lowest, len(encoder.layers) - 1)]
    if getattr(model, "pooler", None) is not None:
        parts.append("pooler")
    for part in parts:
        model.get_submodule(part).load_state_dict(fresh.get_submodule(part).state_dict())
    return model.eval()


def _check_block(encoder: Encoder, number: int, highest: int) -> None:
    if not 0 <= number <= highest:
        raise ValueError(f"{encoder.name} has no block {number!r}; valid: 0 to {highest}")


@contextlib.contextmanager
def saved(encoder: Encoder, model: nn.Module) -> Iterator[Path]:
    """A folder, gone afterwards, with a changed model and the encoder's tokenizer."""
    with tempfile.TemporaryDirectory() as folder, encoders.quiet():
        model.save_pretrained(folder)
        encoder.tokenizer.save_pretrained(folder)
        yield Path(folder)


# -- frozen ------------------------------------------------------------------------------------------


def _check_sections(encoder: Encoder) -> None:
    """Raise ValueError unless the blocks, one after another, give what the whole encoder gives.

    They do not where the encoder has something between or above its blocks, such as a last norm.
    """
    read = encoder.tokenizer("one two three", return_tensors="pt", return_token_type_ids=False)
    read = read.to(encoder.device)
    with torch.inference_mode():
        whole = encoder.model(**read).last_hidden_state
        states = section(encoder.model, 0, 1)(**read).last_hidden_state
        for block in range(1, encoder.model.config.num_hidden_layers):
            above = section(encoder.model, block, block + 1)
            states = above(inputs_embeds=states, attention_mask=read["attention_mask"]).last_hidden_state
    if not torch.allclose(states, whole, rtol=1e-3, atol=1e-3):
        raise _inseparable(encoder.model)


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
        model = TaskModel(section(encoder.model, block, block + 1), _LastStates()).eval()
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

    Blocks and head are the given predictor's own: training the one trains the other.
    """
    encoder = predictor.encoder
    model = TaskModel(section(encoder.model, layer + 1, len(encoder.layers)), predictor.model.head)
    return dataclasses.replace(predictor, model=model, below=functools.partial(prefix.states, layer=layer))
