"""Labelled spans as arrays: which wordpieces a task needs, which of them make up each span, and batches.

Words are mapped to wordpieces once; nothing here depends on an encoder's weights, so one reading of the
sentences serves every encoder with the same tokenizer, every task and every probe.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from helpers import encoders, store
from helpers import precision as numeric
from helpers.corpora.records import LabelledSpans
from helpers.encoders import Activations, Encoder
from helpers.store import Store

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Reading:
    """The distinct sentences of several tasks, and those of their wordpieces that any span covers.

    ``rows`` (n_rows,) numbers the wordpieces kept among all of ``sentences``; ``sentence`` (n_rows,) says
    which sentence each belongs to. Word w of sentence i has the kept rows from
    ``word_start[first_word[i] + w]`` up to that of the next word.
    """

    sentences: list[tuple[str, ...]]
    rows: np.ndarray
    sentence: np.ndarray
    first_word: np.ndarray  # (n_sentences + 1,)
    word_start: np.ndarray  # (n_words + 1,)

    def extract(self, encoder: Encoder, cache: Store) -> Activations:
        """Hidden states of the kept wordpieces, from the store or computed into it.

        Raises ValueError for an encoder that splits words otherwise than the one the reading was made with.
        """
        states = encoders.extract(encoder, self.sentences, cache, rows=self.rows)
        if not np.array_equal(states.record, self.sentence):
            raise ValueError(
                f"{encoder.name} tokenises words differently from the encoder the spans were mapped with"
            )
        return states


def read(tokenizer: Any, corpora: Iterable[Sequence[LabelledSpans]]) -> Reading:
    """The sentences of ``corpora``, each distinct one once, with the wordpieces that spans cover.

    Raises ValueError naming the record for a span that is empty or outside its sentence, and if there is
    no span at all.
    """
    number: dict[tuple[str, ...], int] = {}
    spans: list[tuple[int, int, int]] = []
    for record in (record for records in corpora for record in records):
        i = number.setdefault(record.words, len(number))
        for target in record.targets:
            for span in (s for s in (target.span1, target.span2) if s is not None):
                if not 0 <= span[0] < span[1] <= len(record.words):
                    raise ValueError(
                        f"record {record.id!r}: span {span} in a sentence of {len(record.words)} words; "
                        "valid: 0 <= first < end <= number of words"
                    )
                spans.append((i, *span))
    if not spans:
        raise ValueError("no record has a target")
    sentences = list(number)
    first_word = np.concatenate([[0], np.cumsum([len(words) for words in sentences])])
    sizes, owners = [], []
    for words, [(_, of)] in encoders.align_records(tokenizer, sentences):
        sizes.append(np.bincount(of, minlength=len(words)))
        owners.append(len(of))
    pieces = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])  # before each word
    covered = np.zeros(pieces[-1] + 1, np.int64)  # +1 where a span begins, -1 behind its end
    of, begin, end = np.unique(np.array(spans), axis=0).T
    np.add.at(covered, pieces[first_word[of] + begin], 1)
    np.add.at(covered, pieces[first_word[of] + end], -1)
    kept = np.cumsum(covered)[:-1] > 0
    before = np.concatenate([[0], np.cumsum(kept)])
    return Reading(
        sentences,
        np.flatnonzero(kept),
        np.repeat(np.arange(len(owners)), owners)[kept],
        first_word,
        before[pieces],
    )


@dataclass(frozen=True)
class Targets:
    """One task's targets in one split. Everything of sentence i lies between offset i and offset i + 1.

    ``rows`` (rows of the activations) by ``row``; for each slot the distinct ``spans`` ((first, end)
    positions among the sentence's rows) by ``span``; by ``target`` the number among the sentence's spans of
    each target's ``chosen`` one, for each slot. ``labels`` (numbers in the label list) by target and
    ``label``.  ``unknown`` and ``unknown_clean`` count a target's labels that training lacks: they cannot be
    found, and count as missed.
    """

    rows: np.ndarray
    row: np.ndarray
    spans: tuple[np.ndarray, ...]
    span: tuple[np.ndarray, ...]
    chosen: tuple[np.ndarray, ...]
    target: np.ndarray
    labels: np.ndarray
    label: np.ndarray
    unknown: np.ndarray
    unknown_clean: np.ndarray

    def __len__(self) -> int:
        """Number of sentences."""
        return len(self.row) - 1


def with_targets(splits: Mapping[str, Sequence[LabelledSpans]]) -> dict[str, list[LabelledSpans]]:
    """The records that have a target, by split (train, dev, test).

    Raises ValueError for a split that is missing or has no target.
    """
    kept = {split: [r for r in splits.get(split, ()) if r.targets] for split in SPLITS}
    for split, records in kept.items():
        if not records:
            raise ValueError(f"no target in split {split!r}; needed: {', '.join(SPLITS)}")
    return kept


def digest(splits: Mapping[str, Sequence[LabelledSpans]]) -> str:
    """Hash of the words and targets of records by split."""
    return store.digest(
        [
            [split, [[r.words, [[t.span1, t.span2, t.labels] for t in r.targets]] for r in records]]
            for split, records in splits.items()
        ]
    )


def label_list(records: Iterable[LabelledSpans]) -> tuple[str, ...]:
    """All labels, sorted."""
    return tuple(sorted({label for r in records for t in r.targets for label in t.labels}))


def encode(
    records: Sequence[LabelledSpans],
    reading: Reading,
    labels: Sequence[str],
    is_clean: Callable[[str], bool] = lambda label: True,
) -> Targets:
    """Records as arrays, their spans as ranges of a reading's rows.

    Raises ValueError naming the record for a mixture of targets with one span and with two.
    """
    number_of = {words: i for i, words in enumerate(reading.sentences)}
    label_of = {label: i for i, label in enumerate(labels)}
    two = any(t.span2 is not None for r in records for t in r.targets)
    numbers = [number_of[r.words] for r in records]
    rows = [(k, t) for k, r in enumerate(records) for t in r.targets]
    for k, t in rows:
        if (t.span2 is not None) is not two:
            raise ValueError(f"record {records[k].id!r}: the task's targets have two spans, this one has one")
    of = np.array([k for k, _ in rows], np.int64)
    words = reading.first_word[np.array(numbers, np.int64)[of]]
    ends = []  # for each slot (n_targets, 2) rows of the reading
    for slot in range(1 + two):
        span = np.array([(t.span1, t.span2)[slot] for _, t in rows], np.int64).reshape(-1, 2)
        ends.append(reading.word_start[words[:, None] + span])
    # A sentence's rows are those that this task's spans cover, so that no other is read.
    covered = np.zeros(len(reading.rows) + 1, np.int64)
    for span in ends:
        np.add.at(covered, span[:, 0], 1)
        np.add.at(covered, span[:, 1], -1)
    used = np.cumsum(covered)[:-1] > 0
    before = np.concatenate([[0], np.cumsum(used)])
    sentence_rows = reading.word_start[reading.first_word]  # of the reading, before each of its sentences
    first, end = sentence_rows[numbers], sentence_rows[np.array(numbers) + 1]
    row = np.concatenate([[0], np.cumsum(before[end] - before[first])])
    all_rows = ranges(before[first], before[end])
    target = np.concatenate([[0], np.cumsum([len(r.targets) for r in records])])
    spans, offsets, chosen = [], [], []
    for span in ends:
        local = before[span] - before[first[of]][:, None]
        distinct, which = np.unique(np.column_stack([of, local]), axis=0, return_inverse=True)
        offset = np.searchsorted(distinct[:, 0], np.arange(len(records) + 1))
        spans.append(distinct[:, 1:])
        offsets.append(offset)
        chosen.append(which.ravel() - offset[of])
    known = [[label_of[x] for x in t.labels if x in label_of] for _, t in rows]
    unknown = [[x for x in t.labels if x not in label_of] for _, t in rows]
    return Targets(
        rows=np.flatnonzero(used)[all_rows],
        row=row,
        spans=tuple(spans),
        span=tuple(offsets),
        chosen=tuple(chosen),
        target=target,
        labels=np.array([x for own in known for x in own], np.int64),
        label=np.concatenate([[0], np.cumsum([len(own) for own in known])]).astype(np.int64),
        unknown=np.array([len(own) for own in unknown], np.int64),
        unknown_clean=np.array([sum(map(is_clean, own)) for own in unknown], np.int64),
    )


def ranges(first: np.ndarray, end: np.ndarray) -> np.ndarray:
    """``first[0] ... end[0] - 1, first[1] ... end[1] - 1, ...`` in one array."""
    sizes = end - first
    return np.arange(sizes.sum()) + np.repeat(first - np.concatenate([[0], np.cumsum(sizes)[:-1]]), sizes)


def by_length(data: Targets, size: int) -> Iterator[np.ndarray]:
    """All sentences once, in batches of similar lengths."""
    ordered = np.argsort(np.diff(data.row), kind="stable")
    for begin in range(0, len(ordered), size):
        yield ordered[begin : begin + size]


@dataclass(frozen=True)
class Batch:
    """B sentences of at most L rows, padded, with T targets in all.

    ``rows`` (B, L) rows of the activations; for each slot ``inside`` (B, U, L), which rows each of at most U
    spans covers, and ``chosen`` (T,), each target's span among the B x U; ``sentence`` (T,) number in the
    batch; ``gold`` (T, n_labels) of 0 and 1.
    """

    rows: np.ndarray
    inside: tuple[torch.Tensor, ...]
    chosen: tuple[torch.Tensor, ...]
    sentence: torch.Tensor
    gold: torch.Tensor
    targets: np.ndarray  # (T,) their numbers in the split

    def by_sentence(self, counts: torch.Tensor) -> np.ndarray:
        """Sums over the targets of each sentence: (..., B) of (..., T), int64."""
        sums = torch.zeros((*counts.shape[:-1], len(self.rows)), dtype=torch.int64, device=counts.device)
        return sums.index_add_(-1, self.sentence, counts.long()).cpu().numpy()


def batch(data: Targets, sentences: np.ndarray, n_labels: int, device: torch.device) -> Batch:
    """These sentences (B,) as a batch."""
    n = len(sentences)
    size = data.row[sentences + 1] - data.row[sentences]
    length = int(size.max())
    rows = np.full((n, length), data.rows[data.row[sentences[0]]])
    rows[np.arange(length) < size[:, None]] = data.rows[ranges(data.row[sentences], data.row[sentences + 1])]
    targets = ranges(data.target[sentences], data.target[sentences + 1])
    sentence = np.repeat(np.arange(n), data.target[sentences + 1] - data.target[sentences])
    inside, chosen = [], []
    for spans, offset, which in zip(data.spans, data.span, data.chosen, strict=True):
        size = offset[sentences + 1] - offset[sentences]
        width = int(size.max())
        padded = np.tile(np.array([0, 1]), (n, width, 1))  # a span of the first row, which no target chooses
        padded[np.arange(width) < size[:, None]] = spans[ranges(offset[sentences], offset[sentences + 1])]
        places = np.arange(length)
        inside.append((padded[..., :1] <= places) & (places < padded[..., 1:]))
        chosen.append(which[targets] + sentence * width)
    gold = np.zeros((len(targets), n_labels), np.float32)
    sizes = data.label[targets + 1] - data.label[targets]
    labels = data.labels[ranges(data.label[targets], data.label[targets + 1])]
    gold[np.repeat(np.arange(len(targets)), sizes), labels] = 1

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(device)

    return Batch(
        rows, tuple(map(tensor, inside)), tuple(map(tensor, chosen)), tensor(sentence), tensor(gold), targets
    )


def gather(
    activations: Activations, layers: Sequence[int], rows: np.ndarray, like: torch.Tensor
) -> torch.Tensor:
    """States of layers at rows (B, L), read from disk: (n_layers, B, L, d) in ``like``'s type and device.

    Files are mapped for this call only, so that what has been read does not stay in the process's memory.
    """
    flat = rows.ravel()
    read = torch.from_numpy(np.stack([activations.layer(layer)[flat] for layer in layers]))
    return read.to(device=like.device, dtype=like.dtype).view(len(layers), *rows.shape, -1)


def precision() -> torch.dtype:
    """Type of the probes' products and of what lies between them (:mod:`helpers.precision`).

    Parameters, softmax over a span, losses and the optimiser are in float32 always.
    """
    return torch.bfloat16 if numeric.fastest(numeric.device()) == "bf16" else torch.float32
