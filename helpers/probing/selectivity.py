"""Control tasks (Hewitt and Liang 2019): how much of a probe's accuracy is its own memory.

A control task gives every word type an answer drawn at random, so that nothing but memorising types can
solve it. Selectivity is a probe's accuracy on the linguistic task minus that on the control. Both are single
choices, so the probes are those of that paper rather than edge probes: a linear softmax for labels, a
bilinear softmax over the words of the sentence for heads, on the mean of a word's wordpieces. The
paper's rank of 1000 exceeds the width of the encoders here, so the matrices are not factored.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from helpers import encoders
from helpers.corpora.records import LabelledSpans, Span, Target
from helpers.probing import layerwise, probes, spans
from helpers.probing.layerwise import Parameters

KINDS = ("label", "head")

Splits = Mapping[str, Sequence[LabelledSpans]]


# -- the tasks -------------------------------------------------------------------------------------


def with_control(splits: Splits, kind: str, tokenizer: Any, seed: int) -> tuple[Splits, Splits]:
    """A task as one of single choices of a ``kind`` (label or head), and its control task.

    Raises ValueError for an unknown kind.
    """
    check_kind(kind)
    if kind == "label":
        return splits, label_control(splits, tokenizer, seed)
    chosen = heads(splits)
    return chosen, head_control(chosen, tokenizer, seed)


def heads(splits: Splits) -> Splits:
    """Dependencies (``span1`` a word, ``span2`` its head, itself for the root) as a choice of the head.

    One target per word, labelled with the position of its head among the sentence's targets, in order. Raises
    ValueError naming the record for a head that is no target itself.
    """
    return {split: [_heads(r) for r in records] for split, records in splits.items()}


def _heads(record: LabelledSpans) -> LabelledSpans:
    words = sorted({t.span1 for t in record.targets})
    head = {t.span1: t.span2 for t in record.targets}
    place: dict[Span | None, int] = {word: i for i, word in enumerate(words)}
    for word in words:
        if head[word] not in place:
            raise ValueError(f"record {record.id!r}: {head[word]}, the head of {word}, has no head itself")
    targets = (Target(word, None, (str(place[head[word]]),)) for word in words)
    return dataclasses.replace(record, targets=tuple(targets))


def label_control(splits: Splits, tokenizer: Any, seed: int) -> Splits:
    """Targets of one word (parts of speech) with the label of their word's type instead of their own.

    Each type, also one that only dev or test has, gets one label, drawn from the distribution of labels in
    training. A type is what an encoder sees: words that its tokenizer turns into the same wordpieces are
    one.
    """
    labels = [t.labels[0] for r in splits["train"] for t in r.targets]
    names, counts = np.unique(labels, return_counts=True)
    type_of = _types(splits, tokenizer)
    drawn = np.random.default_rng(seed).choice(names, len(set(type_of.values())), p=counts / counts.sum())

    def answer(record: LabelledSpans, target: Target) -> str:
        return str(drawn[type_of[record.words[target.span1[0]]]])

    return _relabelled(splits, answer)


def head_control(splits: Splits, tokenizer: Any, seed: int) -> Splits:
    """Targets of :func:`heads` with a head that depends on the word's type alone.

    Each type has always the same head: itself, the sentence's first or its last word, with equal chance.
    """
    type_of = _types(splits, tokenizer)
    drawn = np.random.default_rng(seed).integers(3, size=len(set(type_of.values())))

    def answer(record: LabelledSpans, target: Target) -> str:
        place = [t.span1 for t in record.targets].index(target.span1)
        return str((place, 0, len(record.targets) - 1)[drawn[type_of[record.words[target.span1[0]]]]])

    return _relabelled(splits, answer)


def check_kind(kind: str) -> None:
    """Raise ValueError for an unknown kind of task."""
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}; valid: {', '.join(KINDS)}")


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


def _types(splits: Splits, tokenizer: Any) -> dict[str, int]:
    """Word -> number of its type, for all words of all splits."""
    words = sorted({word for records in splits.values() for r in records for word in r.words})
    numbers: dict[tuple[int, ...], int] = {}
    aligned = encoders.align_records(tokenizer, ((word,) for word in words))
    return {word: numbers.setdefault(tuple(ids), len(numbers)) for (word,), [(ids, _)] in aligned}


# -- the probes ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ChoiceTask(probes.SpanTask):
    """A task of single choices. Made by :func:`prepare`."""

    kind: str  # label or head

    def options(self) -> dict[str, Any]:
        return {"kind": self.kind}


def prepare(splits: Splits, reading: spans.Reading, kind: str) -> ChoiceTask:
    """Records by split (train, dev, test) whose targets have one span and one label each, as arrays.

    ``kind`` is ``label``, or ``head`` for those of :func:`heads` and :func:`head_control`. Raises ValueError
    for an unknown kind, a split without targets, or a target with two spans or without exactly one label.
    """
    check_kind(kind)
    kept = spans.with_targets(splits)
    for r in (r for records in kept.values() for r in records):
        for t in r.targets:
            if t.span2 is not None or len(t.labels) != 1:
                raise ValueError(f"record {r.id!r}: expected one span with one label, got {t}")
    if kind == "head":
        longest = max(len(r.targets) for records in kept.values() for r in records)
        labels = tuple(map(str, range(longest)))
    else:
        labels = spans.label_list(kept["train"])
    arrays = {split: spans.encode(records, reading, labels) for split, records in kept.items()}
    return ChoiceTask(labels, arrays, spans.digest(kept), kind)


def initial(task: ChoiceTask, width: int, n_probes: int, seed: int) -> Parameters:
    """Untrained parameters, equal for all probes."""
    generator = torch.Generator().manual_seed(seed)
    outputs = len(task.labels) if task.kind == "label" else width
    weight = (torch.rand(width, outputs, generator=generator) * 2 - 1) / width**0.5
    made = {"weight": weight} | ({"bias": torch.zeros(outputs)} if task.kind == "label" else {})
    return {name: p.expand(n_probes, *p.shape).clone() for name, p in made.items()}


def logits(p: Parameters, states: torch.Tensor, inside: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Scores of each target's answers: (k, T, n_labels), or (k, T, U) for the words of its sentence.

    ``states`` (k, B, L, d), ``inside`` (B, U, L) the wordpieces of each word, ``chosen`` (T,) each target's
    word among the B x U. Words beyond the end of a sentence score -inf.
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


class Result(probes.Result):
    """Accuracies of trained probes; the report's ``labels`` is their number."""

    def correct(self, probe: int) -> tuple[np.ndarray, np.ndarray]:
        """Right answers and targets of each sentence of the test split, (n_sentences,) each."""
        return self.arrays["correct"][probe], self.arrays["total"]


class ChoiceProbes(probes.SpanProbes):
    """Probes for a task of single choices, one for each layer.

    The regimen is that of structural probes, on whose code that of the control tasks is based: Adam, epochs,
    the rate lowered after an epoch without a gain on the dev split; here the gain is one of accuracy, which
    is what is reported.
    """

    kind, schema, result = "control-probe", 1, Result

    def initial(self) -> Parameters:
        made = initial(self.task, self.activations.width, len(self.layers), self.seed)
        return {name: p.to(self.device) for name, p in made.items()}

    def answers(
        self, p: Parameters, alive: list[int], data: spans.Targets, sentences: np.ndarray
    ) -> tuple[spans.Batch, torch.Tensor, torch.Tensor]:
        """A batch, its scores (k, T, n_answers) and right answers (T,), -1 for labels training lacks."""
        batch = spans.batch(data, sentences, len(self.task.labels), self.device)
        states = spans.gather(self.activations, [self.layers[i] for i in alive], batch.rows, self.like)
        right = torch.where(batch.gold.any(1), batch.gold.argmax(1), -1)
        return batch, logits(p, states, batch.inside[0], batch.chosen[0]), right

    def loss(self, p: Parameters, alive: list[int], step: int) -> torch.Tensor:
        _, scores, right = self.answers(p, alive, self.task.splits["train"], self.order.at(step))
        each = F.cross_entropy(scores.flatten(0, 1), right.repeat(len(alive)), reduction="none")
        return each.view(len(alive), -1).mean(1)

    @torch.no_grad()
    def count(self, p: Parameters, alive: list[int], split: str) -> dict[str, np.ndarray]:
        """``correct`` answers, (n_alive, n_sentences), and the ``total`` of targets, (n_sentences,)."""
        data = self.task.splits[split]
        correct = np.zeros((len(alive), len(data)), np.int32)
        for sentences in spans.by_length(data, probes.EVAL_BATCH):
            batch, scores, right = self.answers(p, alive, data, sentences)
            correct[:, sentences] = batch.by_sentence(scores.argmax(-1) == right)
        return {"correct": correct, "total": np.diff(data.target)}

    def scores(self, counts: dict[str, np.ndarray]) -> list[float]:
        return (counts["correct"].sum(1) / counts["total"].sum()).tolist()

    def schedule(self) -> layerwise.Schedule:
        return layerwise.Schedule.by_epoch(self.recipe, self.order.steps_per_epoch)
