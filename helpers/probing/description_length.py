"""Online description length (Voita and Titov 2020): how many bits a probe saves in sending the labels.

Two people have the same sentences and the same states of them; one sends the labels to the other, in blocks.
The first block costs log2 K bits per label, K labels being possible. Then both train a probe on all that has
been sent, and its probabilities are the code of the next block. A label costs -log2 of its probability, so
what is easy to read costs little and what a probe has to learn from many examples costs much; test accuracy
shows only the end result. ``n log2 K`` bits over the bits of this code is the
*compression*.

The blocks consist of whole sentences, so that the intervals can be over sentences, in an order drawn at
random. The sender may use held-out labels to know when to stop training, as in the paper's code, and they are
not paid for. That code adds bits of the first block to nats of the others; here all are bits.
"""

import dataclasses
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from helpers import encoders, progress, store
from helpers.corpora.records import LabelledSpans
from helpers.encoders import Activations, Encoder
from helpers.finetuning.batches import Order
from helpers.probing import layerwise, probes, spans
from helpers.probing.layerwise import Parameters
from helpers.store import Store

# The paper's: percent of the data that have been sent after each block.
SENT = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.25, 12.5, 25.0, 50.0, 100.0)
VALIDATE_EVERY = 15  # steps at least; an epoch of the first blocks is one step


def block_ends(n: int) -> list[int]:
    """How many of ``n`` sentences have been sent after each block; increasing, the last one is ``n``.

    With few sentences several of the paper's blocks would have none, and are left out. Raises ValueError for
    no sentence.
    """
    if n < 1:
        raise ValueError("no sentence to send the labels of")
    return sorted({max(1, round(n * percent / 100)) for percent in SENT})


# -- the labels ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """The distinct sentences of all splits; a row of their states is a word."""

    sentences: list[tuple[str, ...]]

    def extract(self, encoder: Encoder, cache: Store) -> Activations:
        """Hidden states of all words, as means of their wordpieces, from the store or computed into it."""
        return encoders.extract(encoder, self.sentences, cache, pool="mean")


@dataclass(frozen=True)
class Labels:
    """Labels of words: of sentence i, those between offset i and offset i + 1 of ``row``.

    ``words`` (n_labels,) are rows of the reading's states, ``labels`` (n_labels,) numbers in the list of
    labels, -1 for one that training lacks.
    """

    words: np.ndarray
    labels: np.ndarray
    row: np.ndarray

    def __len__(self) -> int:
        """Number of sentences."""
        return len(self.row) - 1


@dataclass(frozen=True)
class LabelTask:
    """A task of one label per word, by split. Made by :func:`prepare`."""

    labels: tuple[str, ...]
    splits: dict[str, Labels]
    digest: str  # of the records

    def options(self) -> dict[str, Any]:
        return {}


def read(splits: Mapping[str, Sequence[LabelledSpans]]) -> Reading:
    """The sentences of a task's splits, each distinct one once."""
    return Reading(list(dict.fromkeys(r.words for records in splits.values() for r in records)))


def prepare(splits: Mapping[str, Sequence[LabelledSpans]], reading: Reading) -> LabelTask:
    """Records by split (train, dev, test) whose targets are single words with one label each, as arrays.

    Raises ValueError for a split without targets, and naming the record for any other target.
    """
    kept = spans.with_targets(splits)
    names = spans.label_list(kept["train"])
    number = {name: i for i, name in enumerate(names)}
    sizes = [len(words) for words in reading.sentences]
    first = dict(zip(reading.sentences, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))
    made = {}
    for split, records in kept.items():
        for r in records:
            for t in r.targets:
                if t.span2 is not None or t.span1[1] - t.span1[0] != 1 or len(t.labels) != 1:
                    raise ValueError(f"record {r.id!r}: expected one word with one label, got {t}")
        words = [first[r.words] + t.span1[0] for r in records for t in r.targets]
        labels = [number.get(t.labels[0], -1) for r in records for t in r.targets]
        row = np.cumsum([0, *(len(r.targets) for r in records)])
        made[split] = Labels(np.array(words), np.array(labels), row)
    return LabelTask(names, made, spans.digest(kept))


# -- the codes -------------------------------------------------------------------------------------


class Result(probes.Result):
    """Codes of all layers; the report's ``labels`` is how many are possible, ``blocks`` the blocks' ends."""

    @property
    def uniform(self) -> float:
        """Bits per label without a probe: log2 of the number of labels."""
        return math.log2(self.report["labels"])

    def bits(self, probe: int) -> tuple[np.ndarray, np.ndarray]:
        """Bits and labels of each training sentence, (n_sentences,) each, in the order of the records."""
        return self.arrays["bits"][probe], self.arrays["total"]


class _Part(Order):
    """Batches drawn from some of the sentences alone."""

    def __init__(self, sentences: np.ndarray, lengths: np.ndarray, batch_size: int, seed: int):
        super().__init__(lengths[sentences], batch_size, seed)
        self.sentences = sentences

    def at(self, step: int) -> np.ndarray:
        """Numbers of a step's sentences."""
        return self.sentences[super().at(step)]


class OnlineCodes(probes.SpanProbes):
    """Codes of the training split's labels under linear probes of each layer; see the module.

    The probes are softmax regressions, trained from the start for each block, for at most as many steps as
    are the recipe's epochs of all sentences; they are validated after each epoch of what has been sent, and
    kept as they were when the dev split's labels took the fewest bits. Labels of the dev split that the
    training split lacks are left out.
    """

    kind, schema, result = "online-code", 1, Result

    def initial(self) -> Parameters:
        width, n_labels = self.activations.width, len(self.task.labels)
        generator = torch.Generator().manual_seed(self.seed)
        weight = (torch.rand(width, n_labels, generator=generator) * 2 - 1) / width**0.5
        made = {"weight": weight, "bias": torch.zeros(n_labels)}
        return {k: p.expand(len(self.layers), *p.shape).clone().to(self.device) for k, p in made.items()}

    def nats(self, p: Parameters, alive: list[int], data: Labels, sentences: np.ndarray) -> torch.Tensor:
        """-log of the probability of each label of the sentences: (n_alive, n_labels); 0 for unknown ones."""
        chosen = spans.ranges(data.row[sentences], data.row[sentences + 1])
        layers = [self.layers[i] for i in alive]
        states = spans.gather(self.activations, layers, data.words[None, chosen], self.like)[:, 0]
        right = torch.from_numpy(data.labels[chosen]).to(self.device)
        scores = (states @ p["weight"].to(states.dtype)).float() + p["bias"][:, None]
        found = F.cross_entropy(
            scores.flatten(0, 1), right.repeat(len(alive)), ignore_index=-1, reduction="none"
        )
        return found.view(len(alive), -1)

    def loss(self, p: Parameters, alive: list[int], step: int) -> torch.Tensor:
        return self.nats(p, alive, self.task.splits["train"], self.order.at(step)).mean(1)

    @torch.no_grad()
    def bits(self, p: Parameters, alive: list[int], split: str, sentences: np.ndarray) -> np.ndarray:
        """What the labels of these sentences of a split cost: (n_alive, n_sentences), in bits."""
        data, found = self.task.splits[split], []
        for begin in range(0, len(sentences), probes.EVAL_BATCH):
            own = sentences[begin : begin + probes.EVAL_BATCH]
            nats = self.nats(p, alive, data, own).double().cpu().numpy()
            firsts = np.cumsum([0, *np.diff(data.row)[own][:-1]])
            found.append(np.add.reduceat(nats, firsts, axis=1) / math.log(2))
        return np.concatenate(found, axis=1)

    def count(self, p: Parameters, alive: list[int], split: str) -> dict[str, np.ndarray]:
        """``bits`` of each sentence of a split, (n_alive, n_sentences)."""
        return {"bits": self.bits(p, alive, split, np.arange(len(self.task.splits[split])))}

    def scores(self, counts: dict[str, np.ndarray]) -> list[float]:
        return (-counts["bits"].sum(1)).tolist()

    def schedule(self) -> layerwise.Schedule:
        """Of probes of all sentences."""
        return layerwise.Schedule.by_epoch(self.recipe, self.order.steps_per_epoch)

    def train(self, folder: Path, checkpoint_every: float) -> None:
        """Send the labels block by block and write ``counts.npz`` and ``report.json``.

        What each block costs is kept in the folder, so that a killed run goes on with the next one.
        """
        data, whole = self.task.splits["train"], self.schedule()
        sizes = np.diff(data.row)
        ends = block_ends(len(data))
        sent = np.random.default_rng(self.seed).permutation(len(data))
        bits = np.zeros((len(self.layers), len(data)))
        bits[:, sent[: ends[0]]] = sizes[sent[: ends[0]]] * math.log2(len(self.task.labels))
        files = [folder / f"block_{number}.npz" for number in range(1, len(ends))]
        for file, (begin, end) in zip(files, itertools.pairwise(ends), strict=True):
            if not file.exists():
                part = _Part(sent[:begin], sizes, self.recipe.batch_size, self.seed)
                every = max(VALIDATE_EVERY, part.steps_per_epoch)
                self.order = part
                trained = layerwise.train(
                    self.initial(),
                    self.loss,
                    lambda p, alive: self.scores(self.count(p, alive, "dev")),
                    dataclasses.replace(whole, validate_every=every),
                    what=f"probes of {begin} sentences that have been sent, training steps",
                    folder=folder,
                    checkpoint_every=checkpoint_every,
                )
                cost = self.bits(trained.parameters, list(range(len(self.layers))), "train", sent[begin:end])
                with store.atomic_write(file, "wb") as target:
                    np.savez(target, bits=cost)
            with np.load(file) as stored:
                bits[:, sent[begin:end]] = stored["bits"]
            progress.steps("sentences whose labels have been sent", end, len(data))
        np.savez_compressed(folder / "counts.npz", bits=bits, total=sizes)
        report = self.details({}) | dict(blocks=ends)
        (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        for file in files:
            file.unlink()
