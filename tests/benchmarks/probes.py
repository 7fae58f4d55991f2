"""Probes of all layers at once beside one layer after another, in one run on the same data.

    python tests/benchmarks/probes.py UD_ENGLISH_EWT [structural] [edge] [memory]

structural: the distance probes of all layers against the published formulation, a tensor (sentences, n, n,
rank) of differences, on 2,000 sentences of UD EWT at d = 256, rank 256 and d = 768, rank 512. Seconds a layer
and epoch; the loss on development sentences after the same steps.

edge: part-of-speech probes of all 13 layers and of their mix on extracted states, extraction included,
against reading each batch with the encoder anew and training one layer at a time. The second is timed on two
layers and its time multiplied.

memory: the most that training allocates on 1,000 sentences and on 10,000.

Exits with an error where results differ or a bound of the project is broken: 20 times a layer and epoch at a
loss within 0.5 %, 10 times for edge probes, memory that grows by less than a tenth of what the states take.
"""

import argparse
import contextlib
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch
from transformers import BertConfig, BertModel

from helpers import corpora, encoders, progress
from helpers.corpora import edges
from helpers.corpora.records import LabelledSpans, Sentence
from helpers.encoders import Encoder
from helpers.probing import edge, layerwise, spans, structural
from helpers.profiles import EdgeRecipe, StructuralRecipe
from helpers.store import Store

EPOCHS = 2  # the first has what is slow once
faults: list[str] = []


def check(holds: bool, complaint: str) -> None:
    if not holds:
        faults.append(complaint)


def wide(width: int) -> Encoder:
    """MiniBERT, or twelve random blocks of another width: what the weights are does not matter here."""
    mini = encoders.load("minibert", device="cpu")
    if width == mini.width:
        return mini
    config = BertConfig(
        vocab_size=len(mini.tokenizer),
        hidden_size=width,
        num_attention_heads=width // 64,
        intermediate_size=4 * width,
    )
    model = BertModel(config).eval()
    return Encoder(f"12 x {width}", model, mini.tokenizer, f"benchmark {width}", mini.precision)


def parsed(encoder: Encoder, sentences: list[Sentence], cache: Store) -> structural.Parsed:
    states = encoders.extract(encoder, sentences, cache, pool="mean")
    heads = np.array([head for s in sentences for head in s.heads])
    lengths = np.array([len(s.words) for s in sentences])
    return structural.Parsed([states.layer(k) for k in states.layers], heads, lengths)


# -- structural probes -----------------------------------------------------------------------------


def published_loss(weights: torch.Tensor, data: structural.Parsed, layer: int, chosen) -> torch.Tensor:
    """Hewitt and Manning's loss of a batch as their paper writes it: every pair's difference, squared."""
    starts, lengths = data.starts[chosen], data.lengths[chosen]
    longest = lengths.max()
    words = torch.zeros(len(chosen), longest, data.width)
    gold = torch.full((len(chosen), longest, longest), -1.0)
    for row, (start, n) in enumerate(zip(starts, lengths, strict=True)):
        words[row, :n] = torch.from_numpy(data.states[layer][start : start + n].astype(np.float32))
        gold[row, :n, :n] = torch.from_numpy(
            structural.tree_distances(data.heads[start : start + n]).astype(np.float32)
        )
    shown = words @ weights.T
    distances = (shown[:, :, None] - shown[:, None]).square().sum(-1)
    there = gold >= 0
    errors = ((distances - gold).abs() * there).sum((1, 2))
    return (errors / torch.from_numpy(lengths).float().square()).mean()


def published(
    train: structural.Parsed, dev: structural.Parsed, layer: int, rank: int, recipe: StructuralRecipe
):
    """Seconds of the last epoch and the loss on ``dev`` after it, for one layer."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.empty(rank, train.width).uniform_(-0.05, 0.05, generator=generator).requires_grad_()
    adam = torch.optim.Adam([weights], lr=recipe.learning_rate)
    for epoch in range(EPOCHS):
        order = np.random.default_rng([0, epoch]).permutation(len(train.lengths))
        began = time.perf_counter()
        for at in range(0, len(order), recipe.batch_size):
            adam.zero_grad()
            published_loss(weights, train, layer, order[at : at + recipe.batch_size]).backward()
            adam.step()
        seconds = time.perf_counter() - began
    with torch.no_grad():
        losses = [published_loss(weights, dev, layer, np.array([i])) for i in range(len(dev.lengths))]
    return seconds, float(torch.stack(losses).mean())


def measure_structural(folder: str) -> None:
    sentences = corpora.load("ud-ewt", "train", path=folder, limit=2000)
    held_out = corpora.load("ud-ewt", "dev", path=folder, limit=100)
    recipe = StructuralRecipe(epochs=EPOCHS)
    print("distance probes, 2,000 sentences: seconds per layer and epoch, loss on 100 other sentences")
    for width, rank in ((256, 256), (768, 512)):
        with tempfile.TemporaryDirectory() as cache:
            train, dev = (parsed(wide(width), part, Store(cache)) for part in (sentences, held_out))
            ends = []
            progress.steps = lambda *_, ends=ends: ends.append(time.perf_counter())  # after each epoch
            trained = structural.fit("distance", train, dev, rank=rank, recipe=recipe, seed=0, device="cpu")
            # The last epoch, its look at the held-out sentences included.
            ours = (ends[-1] - ends[-2]) / train.n_layers
            layer = 7
            theirs, loss = published(train, dev, layer, rank, recipe)
        own = -trained.scores[layer]
        off = abs(own - loss) / loss
        print(
            f"  d {width}, rank {rank}: {ours:.3f} s, published {theirs:.1f} s, ratio {theirs / ours:.0f}; "
            f"loss {own:.5f}, published {loss:.5f}, off by {off:.2%}",
            flush=True,
        )
        check(off < 0.005, f"structural probes at d {width}: losses differ by {off:.2%}")
        check(theirs / ours >= 20, f"structural probes at d {width}: only {theirs / ours:.0f} times as fast")


# -- edge probes -----------------------------------------------------------------------------------


class Anew(edge.EdgeProbes):
    """The probe of one layer, each batch of sentences read with the encoder when it comes."""

    def __init__(self, encoder: Encoder, layer: int, sentences: list, *args):
        super().__init__(*args)
        self.encoder, self.layers, self.sentences = encoder, [layer], sentences
        self.record = self.activations.record

    def initial(self) -> layerwise.Parameters:
        return {name: p[:1] for name, p in super().initial().items()}  # without one for a mix

    def states(self, p, batch: spans.Batch, alive: list[int]) -> torch.Tensor:
        records = self.record[batch.rows[:, 0]]
        chosen = [self.sentences[i] for i in records]
        streamed = encoders.hidden_states(self.encoder, chosen, layers=self.layers, pool="pieces")
        begin = np.searchsorted(self.record, records)
        # Padding repeats a row of another sentence; no span covers it, so any row will do.
        block = np.stack(
            [
                states[np.clip(rows - start, 0, len(states) - 1), 0]
                for states, rows, start in zip(streamed, batch.rows, begin, strict=True)
            ]
        )
        return torch.from_numpy(block).to(self.like.dtype)[None]


def part_of_speech(folder: str, n: int, tokenizer) -> tuple[spans.Reading, edge.EdgeTask]:
    paths = {"ud-ewt": folder}
    records: dict[str, list[LabelledSpans]] = {
        split: edges.load("POS", split, "open", paths=paths, limit=limit)
        for split, limit in (("train", n), ("dev", 200), ("test", 200))
    }
    reading = spans.read(tokenizer, records.values())
    return reading, edge.prepare(records, reading)


def measure_edge(folder: str) -> None:
    encoder = encoders.load("minibert", device="cpu")
    reading, task = part_of_speech(folder, 2000, encoder.tokenizer)
    recipe = EdgeRecipe(
        projection=64, hidden=64, learning_rate=2e-3, batch_size=16, validate_every=125, max_steps=250
    )
    print("edge probes (POS, 2,000 sentences, two epochs): seconds for all layers, extraction included")
    with tempfile.TemporaryDirectory() as root:
        cache = Store(root)
        began = time.perf_counter()
        states = reading.extract(encoder, cache)
        result = edge.EdgeProbes.trained(task, "benchmark", lambda: states, recipe, seed=0, cache=cache)
        ours = time.perf_counter() - began
        theirs = 0.0
        layers = (3, 11)
        for layer in layers:
            place = Path(root) / f"layer{layer}"
            place.mkdir()
            began = time.perf_counter()
            Anew(encoder, layer, reading.sentences, task, states, recipe, 0).train(place, 1e9)
            theirs += time.perf_counter() - began
            own = edge.micro_f1(result.counts(states.layers.index(layer)))
            other = edge.micro_f1(edge.Result(place).counts(0))
            print(f"  layer {layer}: micro-F1 {own:.4f}, one at a time {other:.4f}")
            check(abs(own - other) < 0.01, f"edge probes: F1 of layer {layer} is {own:.4f} and {other:.4f}")
    theirs *= len(states.layers) / len(layers)
    print(f"  {ours:.1f} s, one layer after another {theirs:.0f} s, ratio {theirs / ours:.1f}", flush=True)
    check(theirs / ours >= 10, f"edge probes: only {theirs / ours:.1f} times as fast")


# -- memory ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def peak():
    """The most memory allocated within the block beyond what was before, in MB, in a list. Linux only.

    Pages of mapped files are not counted: the system drops them when it needs room.
    """

    def allocated() -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024

    most, done, before = [0.0], threading.Event(), allocated()

    def watch() -> None:
        while not done.wait(0.02):
            most[0] = max(most[0], allocated() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield most
    finally:
        done.set()
        watcher.join()


def measure_memory(folder: str) -> None:
    encoder = encoders.load("minibert", device="cpu")
    print("most memory allocated in training the probes of all layers, in MB")
    needed, taken = {}, {}
    for n in (1000, 10_000):
        with tempfile.TemporaryDirectory() as root:
            sentences = corpora.load("ud-ewt", "train", path=folder, limit=n)
            data = parsed(encoder, sentences, Store(root))
            taken[n] = sum(layer.nbytes for layer in data.states) / 2**20
            recipe = StructuralRecipe(epochs=1)
            for kind in structural.KINDS:
                with peak() as most:
                    structural.fit(kind, data, data, rank=128, recipe=recipe, seed=0, device="cpu")
                needed[kind, n] = most[0]
            reading, task = part_of_speech(folder, n, encoder.tokenizer)
            states = reading.extract(encoder, Store(root))
            options = EdgeRecipe(projection=64, hidden=64, batch_size=16, validate_every=60, max_steps=60)
            with peak() as most:
                edge.EdgeProbes.trained(
                    task, "benchmark", lambda s=states: s, options, seed=0, cache=Store(root)
                )
            needed["edge", n] = most[0]
        figures = ", ".join(f"{kind} {mb:.0f}" for (kind, count), mb in needed.items() if count == n)
        print(f"  {n:,} sentences, states of {taken[n]:.0f} MB: {figures}", flush=True)
    for kind in (*structural.KINDS, "edge"):
        grown = needed[kind, 10_000] - needed[kind, 1000]
        check(grown < 0.1 * (taken[10_000] - taken[1000]), f"{kind} probes: memory grows by {grown:.0f} MB")


PARTS = {"structural": measure_structural, "edge": measure_edge, "memory": measure_memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("treebank", help="folder of UD English EWT's CoNLL-U files")
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; default: all")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown part {unknown.pop()!r}; valid: {', '.join(PARTS)}")
    for name in arguments.parts or PARTS:
        PARTS[name](arguments.treebank)
    sys.exit("; ".join(faults) or None)


if __name__ == "__main__":
    main()
