"""Hidden states of records, streamed: memory holds a chunk of them at a time, however large the corpus."""

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from helpers import precision, progress, store
from helpers.encoders.loading import Encoder
from helpers.encoders.segments import Window, align_records, check_pool, segments_of, windows

SCHEMA = 1  # raise when stored activations change form
CHUNK_BYTES = 256 * 2**20  # hidden states held at once
BATCH_PIECES = 1024  # on a CPU: small batches need less padding, and fit its caches
GPU_BATCH_PIECES = 32768


def hidden_states(
    encoder: Encoder, sentences: Iterable, *, layers: str | Sequence[int] = "all", pool: str = "mean"
) -> Iterator[np.ndarray]:
    """Stream the hidden states of records, in order: arrays (n_words, n_layers, d), float16.

    ``layers`` is ``"all"`` or a list on the paper's axis (-1 the embeddings). ``pool`` says what a row is:
    the ``mean`` of a word's pieces (the paper's rule), or one of the ``pieces``. Special pieces are left out.
    Records longer than the model's limit are read in overlapping windows. Raises ValueError for an unknown
    layer or pooling.
    """
    check_pool(pool)
    chosen: Sequence[Any] = encoder.layers if isinstance(layers, str) and layers == "all" else layers
    for layer in chosen:
        if layer not in encoder.layers:
            raise ValueError(f"unknown layer {layer!r}; valid: {encoder.layers[0]} to {encoder.layers[-1]}")
    for counts, states in _chunks(encoder, sentences, list(chosen), pool):
        yield from (part.transpose(0, 1).numpy() for part in torch.split(states, counts, dim=1))


def _forward(
    encoder: Encoder, ids: Sequence[Sequence[int]], types: Sequence[Sequence[int]]
) -> tuple[torch.Tensor, ...]:
    """States of inputs in one padded batch: a tensor (n_inputs, longest, d) per layer, embeddings first.

    ``ids`` are wordpieces, special ones included, ``types`` their segments' numbers, which only an encoder
    that has any reads.
    """
    shape = len(ids), max(map(len, ids))
    padded = torch.full(shape, encoder.tokenizer.pad_token_id or 0)
    kinds, mask = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    for row, (own, own_types) in enumerate(zip(ids, types, strict=True)):
        n = len(own)
        padded[row, :n], kinds[row, :n], mask[row, :n] = torch.tensor(own), torch.tensor(own_types), 1
    inputs = {"input_ids": padded}
    if not mask.all():  # attention is faster without one
        inputs["attention_mask"] = mask
    if encoder.typed:
        inputs["token_type_ids"] = kinds
    inputs = {name: x.to(encoder.device) for name, x in inputs.items()}
    return encoder.model(**inputs, output_hidden_states=True).hidden_states


def _chunks(
    encoder: Encoder, records: Iterable, layers: list[int], pool: str
) -> Iterator[tuple[list[int], torch.Tensor]]:
    """Stream (row counts of the records, states (n_layers, n_rows, d)).

    Chunks hold about ``CHUNK_BYTES`` of states; batches within a chunk are sorted by length, so little is
    padded.
    """
    limit = max(512, CHUNK_BYTES // (2 * len(layers) * encoder.width))
    inputs: list[Window] = []
    counts: list[int] = []
    n_rows = 0
    for record, parts in align_records(encoder.tokenizer, records):
        own, n = windows(encoder, record, parts, pool, n_rows)
        inputs += own
        counts.append(n)
        n_rows += n
        if n_rows >= limit:
            yield counts, _states(encoder, inputs, n_rows, layers)
            inputs, counts, n_rows = [], [], 0
    if counts:
        yield counts, _states(encoder, inputs, n_rows, layers)


def _states(encoder: Encoder, inputs: list[Window], n_rows: int, layers: list[int]) -> torch.Tensor:
    """Mean states of the rows, (n_layers, n_rows, d) float16 on the CPU."""
    device = encoder.device
    out = torch.empty((len(layers), n_rows, encoder.width), dtype=torch.float16)
    pieces = torch.bincount(_joined([w.rows for w in inputs]), minlength=n_rows)
    # Words cut by a window's edge are summed here until all their pieces have been seen.
    sums: dict[tuple[int, int], tuple[torch.Tensor, int]] = {}
    with torch.no_grad(), precision.autocast(device, encoder.precision):
        for batch in _batches(inputs, BATCH_PIECES if device.type == "cpu" else GPU_BATCH_PIECES):
            rows, inverse = torch.unique(_joined([w.rows for w in batch]), return_inverse=True)
            seen = torch.bincount(inverse, minlength=len(rows))
            split = torch.nonzero(seen != pieces[rows]).flatten()
            longest = max(len(w.ids) for w in batch)
            flat = _joined([i * longest + w.positions for i, w in enumerate(batch)]).to(device)
            layered = _forward(encoder, [w.ids for w in batch], [w.types for w in batch])
            # One layer at a time: the states of all at once would be read and written several times over.
            for number, layer in enumerate(layers):
                states = layered[layer + 1].reshape(-1, encoder.width)[flat]
                if len(rows) == len(inverse):
                    means = torch.empty_like(states)
                    means[inverse.to(device)] = states
                else:
                    means = torch.zeros((len(rows), encoder.width), device=device)
                    means.index_add_(0, inverse.to(device), states.float())
                    means /= seen.to(device)[:, None]
                out[number].index_copy_(0, rows, means.half().cpu())
                if len(split):
                    totals = means[split].float() * seen[split, None].to(device)
                    _gather(sums, out[number], number, rows[split], totals, seen[split], pieces)
    for layer_states in out:
        if not torch.isfinite(layer_states.sum(dtype=torch.float32)):
            raise FloatingPointError(f"{encoder.name}: hidden states beyond half precision's range")
    return out


def _joined(arrays: Sequence[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.concatenate(arrays)) if arrays else torch.empty(0, dtype=torch.int64)


def _gather(
    sums: dict, out: torch.Tensor, layer: int, rows: torch.Tensor, totals: torch.Tensor,
    counts: torch.Tensor, pieces: torch.Tensor,
) -> None:  # fmt: skip
    """Add parts of words that a window's edge cut, and write the mean where the last part has come."""
    for row, total, count in zip(rows.tolist(), totals, counts.tolist(), strict=True):
        before, seen = sums.pop((layer, row), (0.0, 0))
        total, seen = before + total, seen + count
        if seen == pieces[row]:
            out[row] = (total / seen).half().cpu()
        else:
            sums[layer, row] = (total, seen)


def _batches(inputs: list[Window], pieces: int) -> Iterator[list[Window]]:
    """Inputs of which a position is used, longest first, in batches of at most ``pieces``, padded."""
    ordered = sorted((w for w in inputs if len(w.positions)), key=lambda w: -len(w.ids))
    while ordered:
        size = max(1, pieces // len(ordered[0].ids))
        yield ordered[:size]
        ordered = ordered[size:]


# -- in the store ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Activations:
    """Hidden states in the store: for each layer a memory-mapped array (n_rows, d) of float16."""

    folder: Path
    layers: tuple[int, ...]
    n_rows: int
    width: int

    def layer(self, layer: int) -> np.ndarray:
        """States of one layer on the paper's axis, (n_rows, d), memory-mapped.

        Raises ValueError for a layer that is not stored.
        """
        if layer not in self.layers:
            raise ValueError(f"unknown layer {layer!r}; stored: {self.layers[0]} to {self.layers[-1]}")
        with open(self.folder / _layer_file(layer), "rb") as file:  # by its path, numpy takes twice as long
            return np.memmap(file, dtype=np.float16, mode="r", shape=(self.n_rows, self.width))

    @cached_property
    def record(self) -> np.ndarray:
        """Number of the record that each row comes from, (n_rows,)."""
        return np.load(self.folder / "record.npy")


def _layer_file(layer: int) -> str:
    return f"layer_{layer:02d}.f16" if layer >= 0 else "embeddings.f16"


def extract(
    encoder: Encoder,
    records: Sequence[Any],
    cache: store.Store,
    *,
    pool: str = "pieces",
    rows: Sequence[int] | np.ndarray | None = None,
) -> Activations:
    """Hidden states of all layers for records, from the store or computed into it.

    Written as they come, so memory does not grow with the corpus. ``rows``, increasing numbers among
    all rows of the records, keeps only those (see :func:`helpers.encoders.segments.row_counts`). Raises
    ValueError for an unknown pooling or rows out of order or range.
    """
    check_pool(pool)
    if rows is not None:
        rows = np.asarray(rows, dtype=np.int64)
        if len(rows) == 0 or (np.diff(rows) <= 0).any() or rows[0] < 0:
            raise ValueError("rows must be a non-empty, strictly increasing sequence of row numbers")
    spec = {
        "schema": SCHEMA,
        "encoder": encoder.fingerprint,
        "precision": encoder.precision,
        # None for a missing second segment keeps the keys of existing artifacts.
        "records": store.digest([(*segments_of(record), None)[:2] for record in records]),
        "pool": pool,
        "rows": None if rows is None else store.digest(rows.tolist()),
    }
    folder = cache.get("activations", spec, lambda into: _write(encoder, records, pool, rows, into))
    shape = json.loads((folder / "shape.json").read_text())
    return Activations(folder, tuple(encoder.layers), shape["n_rows"], shape["width"])


def _write(
    encoder: Encoder, records: Sequence[Any], pool: str, rows: np.ndarray | None, folder: Path
) -> None:
    layers = list(encoder.layers)
    record_of: list[np.ndarray] = []
    done_records, done_rows = 0, 0
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(open(folder / _layer_file(layer), "wb")) for layer in layers]
        for counts, states in _chunks(encoder, records, layers, pool):
            numbers = np.repeat(np.arange(done_records, done_records + len(counts)), counts)
            done_records += len(counts)
            n_rows = len(numbers)
            if rows is not None:
                inside = rows[(rows >= done_rows) & (rows < done_rows + n_rows)] - done_rows
                numbers, states = numbers[inside], states[:, torch.from_numpy(inside)]
            done_rows += n_rows
            for layer, file in zip(states, files, strict=True):
                layer.contiguous().numpy().tofile(file)
            record_of.append(numbers)
            progress.steps(f"reading with {encoder.name}", done_records, len(records))
    if rows is not None and rows[-1] >= done_rows:
        raise ValueError(f"row {rows[-1]} asked for, the records give {done_rows}")
    record = np.concatenate(record_of)
    np.save(folder / "record.npy", record)
    shape = {"n_rows": len(record), "width": encoder.width}
    (folder / "shape.json").write_text(json.dumps(shape))
