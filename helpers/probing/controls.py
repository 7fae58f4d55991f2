"""Control tasks (Hewitt and Liang 2019): how much of a probe's accuracy is its own memory.

A control task gives every word type an answer drawn at random, so that nothing but memorising types can
solve it. Selectivity is a probe's accuracy on the linguistic task less that on the control. Both are single
choices, so the probes are those of that paper rather than edge probes: a linear softmax for labels, a
bilinear softmax over the words of the sentence for heads, on the mean of a word's wordpieces. The
paper's rank of 1000 exceeds the width of the encoders here, so the matrices are not factored.
"""

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from helpers import encoders, store
from helpers.corpora.records import LabelledSpans, Target
from helpers.encoders import Activations
from helpers.probing import layerwise, spans
from helpers.probing.layerwise import Parameters
from helpers.profiles import StructuralRecipe

SCHEMA = 1  # raise when the same settings would give other results
KINDS = ("label", "head")
EVAL_BATCH = 64  # sentences

Splits = dict[str, Sequence[LabelledSpans]]


# -- the tasks -------------------------------------------------------------------------------------


def heads(splits: Splits) -> Splits:
    """Dependencies (``span1`` a word, ``span2`` its head, itself for the root) as a choice of the head.

    One target a word, labelled with the position of its head among the sentence's targets, in order. Raises
    ValueError naming the record for a head that is no target itself.
    """
    return {split: [_heads(r) for r in records] for split, records in splits.items()}


def _heads(record: LabelledSpans) -> LabelledSpans:
    words = sorted({t.span1 for t in record.targets})
    head = {t.span1: t.span2 for t in record.targets}
    place = {word: i for i, word in enumerate(words)}
    for word in words:
        if head[word] not in place:
            raise ValueError(f"record {record.id!r}: {head[word]}, the head of {word}, has no head itself")
    targets = (Target(word, None, (str(place[head[word]]),)) for word in words)
    return dataclasses.replace(record, targets=tuple(targets))


def label_control(splits: Splits, tokenizer, seed: int) -> Splits:
    """Targets of one word (parts of speech) with the label of their word's type instead of their own.

    Each type, those of dev and test that training lacks included, has one label for good, drawn from the
    distribution of the labels of the training targets. A type is what an encoder sees: words that its
    tokenizer makes the same wordpieces of are one.
    """
    labels = [t.labels[0] for r in splits["train"] for t in r.targets]
    names, counts = np.unique(labels, return_counts=True)
    type_of = _types(splits, tokenizer)
    drawn = np.random.default_rng(seed).choice(names, len(set(type_of.values())), p=counts / counts.sum())

    def answer(record: LabelledSpans, target: Target) -> str:
        return str(drawn[type_of[record.words[target.span1[0]]]])

    return _relabelled(splits, answer)


def head_control(splits: Splits, tokenizer, seed: int) -> Splits:
    """Targets of :func:`heads` with a head that depends on the word's type alone.

    Each type takes for good, with equal chance, itself, the sentence's first or its last word.
    """
    type_of = _types(splits, tokenizer)
    drawn = np.random.default_rng(seed).integers(3, size=len(set(type_of.values())))

    def answer(record: LabelledSpans, target: Target) -> str:
        place = [t.span1 for t in record.targets].index(target.span1)
        return str((place, 0, len(record.targets) - 1)[drawn[type_of[record.words[target.span1[0]]]]])

    return _relabelled(splits, answer)


def _relabelled(splits: Splits, answer: Callable[[LabelledSpans, Target], str]) -> Splits:
    return {
        split: [
            dataclasses.replace(
                r, targets=tuple(dataclasses.replace(t, labels=(answer(r, t),)) for t in r.targets)
            )
            for r in records
        ]
        for split, records in splits.items()
    }


def _types(splits: Splits, tokenizer) -> dict[str, int]:
    """Word -> number of its type, for all words of all splits."""
    words = sorted({word for records in splits.values() for r in records for word in r.words})
    numbers: dict[tuple[int, ...], int] = {}
    pieces = encoders.align(tokenizer, [(word,) for word in words])
    return {
        w: numbers.setdefault(tuple(ids), len(numbers)) for w, (ids, _) in zip(words, pieces, strict=True)
    }


# -- the probes ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """A task of single choices in arrays. Made by :func:`prepare`."""

    kind: str  # label or head
    labels: tuple[str, ...]
    splits: dict[str, spans.Targets]
    digest: str  # of the records


def prepare(splits: Splits, reading: spans.Reading, kind: str) -> Task:
    """Records by split (train, dev, test) whose targets have one span and one label each, as arrays.

    ``kind`` is ``label``, or ``head`` for those of :func:`heads` and :func:`head_control`. Raises ValueError
    for an unknown kind, a split without targets, or a target with two spans or without exactly one label.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}; valid: {', '.join(KINDS)}")
    kept = {split: [r for r in splits.get(split, ()) if r.targets] for split in ("train", "dev", "test")}
    for split, records in kept.items():
        if not records:
            raise ValueError(f"no target in split {split!r}")
        for r in records:
            for t in r.targets:
                if t.span2 is not None or len(t.labels) != 1:
                    raise ValueError(f"record {r.id!r}: expected one span with one label, got {t}")
    if kind == "head":
        longest = max(len(r.targets) for records in kept.values() for r in records)
        labels = tuple(map(str, range(longest)))
    else:
        labels = spans.label_list(kept["train"])
    arrays = {split: spans.encode(records, reading, labels) for split, records in kept.items()}
    return Task(kind, labels, arrays, spans.digest(kept))


def initial(task: Task, width: int, n_probes: int, seed: int) -> Parameters:
    """Untrained parameters, equal for all probes."""
    generator = torch.Generator().manual_seed(seed)
    outputs = len(task.labels) if task.kind == "label" else width
    weight = (torch.rand(width, outputs, generator=generator) * 2 - 1) / width**0.5
    made = {"weight": weight} | ({"bias": torch.zeros(outputs)} if task.kind == "label" else {})
    return {name: p.expand(n_probes, *p.shape).clone() for name, p in made.items()}


def logits(p: Parameters, states: torch.Tensor, inside: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Scores of each target's answers: (k, T, n_labels), or (k, T, U) for the words of its sentence.

    ``states`` (k, B, L, d), ``inside`` (B, U, L) the wordpieces of each word, ``chosen`` (T,) each target's
    word among the B x U. Words that a sentence does not have score -inf.
    """
    sizes = inside.sum(-1, keepdim=True)
    words = (inside / sizes).to(states.dtype) @ states  # (k, B, U, d)
    k, n, width, d = words.shape
    weight = p["weight"].to(states.dtype)
    if "bias" in p:
        return (words.flatten(1, 2)[:, chosen] @ weight).float() + p["bias"][:, None]
    scores = (words.flatten(1, 2) @ weight).view(k, n, width, d) @ words.transpose(2, 3)
    present = torch.zeros(n * width, dtype=torch.bool, device=chosen.device)
    present[chosen] = True
    scores = scores.float().masked_fill(~present.view(n, 1, width), float("-inf"))
    return scores.flatten(1, 2)[:, chosen]


@dataclass(frozen=True)
class Result:
    """Accuracies of trained probes in the store."""

    folder: Path

    @cached_property
    def report(self) -> dict:
        """``layers`` of the probes, in order, ``labels`` (how many), ``dev_accuracy``, ``best_steps``,
        ``steps``."""
        return json.loads((self.folder / "report.json").read_text(encoding="utf-8"))

    def correct(self, probe: int) -> tuple[np.ndarray, np.ndarray]:
        """Right answers and targets of each sentence of the test split, (n_sentences,) each."""
        return self._counts["correct"][probe], self._counts["total"]

    @cached_property
    def _counts(self) -> dict[str, np.ndarray]:
        with np.load(self.folder / "counts.npz") as file:
            return dict(file)


def probe(
    task: Task,
    fingerprint: str,
    read: Callable[[], Activations],
    recipe: StructuralRecipe,
    *,
    seed: int,
    cache: store.Store,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Probes of all layers for a task on the states of one encoder, from the store or trained into it.

    Arguments are those of :func:`helpers.probing.edge.probe`. The regimen is that of structural probes, from
    whose code that of control tasks was made: Adam, epochs, the rate lowered after an epoch without a gain
    on the dev split; here the gain is one of accuracy, which is what is reported.
    """
    spec = {
        "schema": SCHEMA,
        "encoder": fingerprint,
        "task": task.digest,
        "kind": task.kind,
        "recipe": dataclasses.asdict(recipe),
        "precision": str(spans.precision()),
        "seed": seed,
    }

    def build(folder: Path) -> None:
        _Run(task, read(), recipe, seed).fill(folder, progress)

    return Result(cache.get("control-probe", spec, build))


class _Run:
    """Probes of one encoder and task while they are trained."""

    def __init__(self, task: Task, activations: Activations, recipe: StructuralRecipe, seed: int):
        self.task, self.activations, self.recipe, self.seed = task, activations, recipe, seed
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.like = torch.empty(0, dtype=spans.precision(), device=self.device)
        self.layers = list(activations.layers)
        self.order = spans.Order(np.diff(task.splits["train"].row), recipe.batch_size, seed)

    def scores(self, p: Parameters, alive: list[int], data: spans.Targets, sentences: np.ndarray):
        """A batch, its scores (k, T, n_answers) and right answers (T,), -1 for labels training lacks."""
        batch = spans.batch(data, sentences, len(self.task.labels), self.device)
        states = spans.gather(self.activations, [self.layers[i] for i in alive], batch.rows, self.like)
        right = torch.where(batch.gold.any(1), batch.gold.argmax(1), -1)
        return batch, logits(p, states, batch.inside[0], batch.chosen[0]), right

    def loss(self, p: Parameters, alive: list[int], step: int) -> torch.Tensor:
        _, scores, right = self.scores(p, alive, self.task.splits["train"], self.order.at(step))
        each = F.cross_entropy(scores.flatten(0, 1), right.repeat(len(alive)), reduction="none")
        return each.view(len(alive), -1).mean(1)

    @torch.no_grad()
    def count(self, p: Parameters, alive: list[int], split: str) -> np.ndarray:
        """Right answers, (n_alive, n_sentences)."""
        data = self.task.splits[split]
        found = np.zeros((len(alive), len(data)), np.int32)
        for sentences in spans.by_length(data, EVAL_BATCH):
            batch, scores, right = self.scores(p, alive, data, sentences)
            sums = torch.zeros((len(alive), len(sentences)), dtype=torch.int64, device=self.device)
            sums.index_add_(1, batch.sentence, (scores.argmax(-1) == right).long())
            found[:, sentences] = sums.cpu().numpy()
        return found

    def fill(self, folder: Path, progress) -> None:
        totals = {split: np.diff(data.target) for split, data in self.task.splits.items()}

        def validate(p: Parameters, alive: list[int]) -> list[float]:
            return (self.count(p, alive, "dev").sum(1) / totals["dev"].sum()).tolist()

        recipe, steps = self.recipe, self.order.steps_an_epoch
        schedule = layerwise.Schedule(
            learning_rate=recipe.learning_rate,
            max_steps=recipe.epochs * steps,
            validate_every=steps,
            patience=1,
            stop_after=recipe.stop_after,
            decay=recipe.decay,
        )
        alive = list(range(len(self.layers)))
        start = initial(self.task, self.activations.width, len(alive), self.seed)
        start = {name: p.to(self.device) for name, p in start.items()}
        trained = layerwise.train(start, self.loss, validate, schedule, folder=folder, progress=progress)
        counts = self.count(trained.parameters, alive, "test")
        np.savez_compressed(folder / "counts.npz", correct=counts, total=totals["test"])
        report = {
            "layers": self.layers,
            "labels": len(self.task.labels),
            "dev_accuracy": trained.scores,
            "best_steps": trained.best_steps,
            "steps": trained.steps,
        }
        (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
