"""The frozen bottom of an encoder: run once, its output kept, the blocks above trained on that.

A frozen block is run as in evaluation, without dropout: its output never changes then, and neither does
what is above it see the difference between running it anew in every step and reading what it gave once.
"""

import copy
import dataclasses
import functools
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from helpers import encoders, precision, store
from helpers.finetuning import data, heads, prediction

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
    found = [n for n, m in model.named_modules() if isinstance(m, nn.ModuleList) and len(m) == number]
    if len(found) != 1 or not hasattr(model, "embeddings") or hasattr(model, "embeddings_project"):
        raise _inseparable(model)
    return found[0].split(".")


def _inseparable(model: nn.Module) -> ValueError:
    return ValueError(
        f"cannot tell the blocks of a {model.config.model_type} encoder apart; BERT, RoBERTa, DistilBERT "
        "and those built like them can be frozen in part"
    )


def _check_sections(encoder: encoders.Encoder) -> None:
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


def _shallow(module: nn.Module) -> nn.Module:
    """The module with a table of children of its own, so that replacing one leaves the original alone."""
    twin = copy.copy(module)
    twin._modules = dict(module._modules)
    return twin


class _AsGiven(nn.Module):
    """In the place of embeddings: states that have been through them already."""

    def forward(self, input_ids=None, inputs_embeds=None, *_, **__) -> torch.Tensor:
        return inputs_embeds


class _LastStates(nn.Module):
    """In the place of a head: the states themselves."""

    def forward(self, states, pooled, *, mask) -> dict[str, torch.Tensor]:
        return {"states": states}


class Prefix:
    """Embeddings and bottom blocks of an encoder with the states that they give, for many runs to share.

    States are kept in half precision in unnamed files in the folder ``scratch``, ``2 * d`` bytes a
    wordpiece, which are gone with the process. Each set of inputs has one, which is moved up in place, block
    by block: a sweep that asks for ever higher layers runs each block once, and holds one layer at a time.
    """

    def __init__(self, encoder: str | Path, scratch: str | Path):
        self.encoder = encoders.load(encoder)
        _check_sections(self.encoder)
        self._scratch = Path(scratch)
        self._kept: dict[str, tuple[int, np.memmap]] = {}  # inputs -> layer, states (n_pieces, d)

    def states(self, inputs: data.Inputs, layer: int) -> data.Inputs:
        """The inputs with ``states`` (n_pieces, d) of a block, ``layer``, added to each one's features.

        They are views of a file, valid until another layer is asked for. Raises ValueError for a block the
        encoder lacks and FloatingPointError for states beyond half precision's range.
        """
        if layer not in self.encoder.layers[1:]:
            raise ValueError(f"unknown block {layer!r}; valid: 0 to {self.encoder.layers[-1]}")
        key = store.digest([[f["ids"].tolist(), f["second"]] for f in inputs.features])
        ends = np.cumsum(inputs.lengths)
        reached, kept = self._kept.get(key, (None, None))
        if reached is None or reached > layer:
            self._scratch.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._scratch) as file:  # mapped, it outlives its name and handle
                kept = np.memmap(file, PRECISION, "w+", shape=(int(ends[-1]), self.encoder.width))
            reached = -1
        # One block at a time and rounded after each, so that the states are the same wherever a sweep began.
        for block in range(reached + 1, layer + 1):
            self._kept.pop(key, None)  # a step that fails half-way leaves states of two blocks
            self._advance(inputs, ends, kept, block)
            self._kept[key] = block, kept
        features = [
            feature | {"states": kept[end - len(feature["ids"]) : end]}
            for feature, end in zip(inputs.features, ends, strict=True)
        ]
        return data.Inputs(features, inputs.record, inputs.windows, inputs.counts)

    def _advance(self, inputs: data.Inputs, ends: np.ndarray, kept: np.memmap, block: int) -> None:
        """Put the states of ``block`` in the place of those of the block below, a batch at a time."""
        encoder = self.encoder
        model = heads.TaskModel(section(encoder.model, block, block + 1), _LastStates()).eval()
        pad = encoder.tokenizer.pad_token_id or 0
        with torch.inference_mode(), precision.autocast(encoder.device, encoder.precision):
            for chosen in prediction.batches(inputs.lengths):
                places = [slice(ends[i] - inputs.lengths[i], ends[i]) for i in chosen]
                features = []
                for i, place in zip(chosen, places, strict=True):
                    feature = {name: inputs[i][name] for name in ("ids", "second")}
                    features.append(feature | ({"states": kept[place]} if block else {}))
                batch = data.collate(features, pad)
                output = model(**{name: x.to(encoder.device) for name, x in batch.items()})
                states = output["states"].float().cpu().numpy()
                if not np.abs(states).max() <= np.finfo(PRECISION).max:
                    raise FloatingPointError(
                        f"{encoder.name}: states of block {block} beyond half precision's range"
                    )
                for row, place in zip(states, places, strict=True):
                    kept[place] = row[: place.stop - place.start]


def above(predictor: prediction.Predictor, prefix: Prefix, layer: int) -> prediction.Predictor:
    """The predictor with the blocks above ``layer`` for its model, reading the prefix's states of that layer.

    Blocks and head are the given predictor's own: training the one trains the other.
    """
    encoder = predictor.encoder
    model = heads.TaskModel(section(encoder.model, layer + 1, len(encoder.layers)), predictor.model.head)
    return dataclasses.replace(predictor, model=model, below=functools.partial(prefix.states, layer=layer))
