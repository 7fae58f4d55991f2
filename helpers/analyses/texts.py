"""Texts to compare representations on: a task's own, and others that differ from it in one respect only."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy.special import rel_entr

from helpers import encoders
from helpers.analyses.finetuning import source
from helpers.corpora.records import Pair, Passage, Record
from helpers.encoders import Encoder

SPARE = 4  # times as much running text as is needed, to choose segments of the right length from


@dataclass(frozen=True)
class Text:
    """Records and the wordpieces drawn from them: increasing row numbers by the name of a sample."""

    records: Sequence[Record]
    samples: dict[str, np.ndarray]

    @property
    def rows(self) -> np.ndarray:
        """All rows that some sample has, increasing."""
        return np.unique(np.concatenate(list(self.samples.values())))

    def places(self, name: str) -> np.ndarray:
        """Where a sample's rows stand among :attr:`rows`."""
        return np.searchsorted(self.rows, self.samples[name])


def piece_types(encoder: Encoder, records: Sequence[Record]) -> list[np.ndarray]:
    """Vocabulary numbers of the wordpieces of each record, in the order of its rows."""
    return [
        np.concatenate([np.array(ids, int) for ids, _ in parts])
        for _, parts in encoders.align_records(encoder.tokenizer, records)
    ]


def segment_lengths(encoder: Encoder, records: Sequence[Record]) -> list[tuple[int, ...]]:
    """Wordpieces in each of the one or two segments of each record."""
    aligned = encoders.align_records(encoder.tokenizer, records)
    return [tuple(len(ids) for ids, _ in parts) for _, parts in aligned]


def first_segments(records: Sequence[Record]) -> list[Record]:
    """The premises or questions of pairs and questions, as records of their own."""
    return [Passage(record.id, cast(str, encoders.segments_of(record)[0])) for record in records]


def one_per_source(records: Sequence[Record], n: int, generator: np.random.Generator) -> list[Record]:
    """Up to ``n`` records drawn at random, no two with the same premise or context, in the corpus's order.

    Pairs of one premise and questions on one context are not independent of one another.
    """
    chosen: dict[str, int] = {}
    for i in generator.permutation(len(records)):
        chosen.setdefault(source(records[i]), int(i))
    return [records[i] for i in sorted(itertools.islice(chosen.values(), n))]


def equal_types(
    a: np.ndarray, b: np.ndarray, n: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of two samples that have the same wordpieces, each equally often.

    ``a`` (n_rows_a,) and ``b`` (n_rows_b,) are the rows' vocabulary numbers. Of each type as many rows are
    available as in the text where it is rarer; of those ``n`` (or all) are drawn, the same types in
    both. Both results are increasing. Raises ValueError if the texts have fewer than three in common.
    """
    size = int(max(a.max(), b.max())) + 1
    shared = np.minimum(np.bincount(a, minlength=size), np.bincount(b, minlength=size))
    if shared.sum() < 3:
        raise ValueError(f"the two texts share {shared.sum()} wordpieces; need at least 3")
    pool = np.repeat(np.arange(size), shared)
    wanted = np.bincount(generator.choice(pool, min(n, len(pool)), replace=False), minlength=size)
    return _so_many_of_each(a, wanted, generator), _so_many_of_each(b, wanted, generator)


def _so_many_of_each(types: np.ndarray, wanted: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Random increasing row numbers, ``wanted[t]`` of each type t."""
    order = generator.permutation(len(types))
    order = order[np.argsort(types[order], kind="stable")]
    ordered = types[order]
    rank = np.arange(len(types)) - np.searchsorted(ordered, ordered)
    return np.sort(order[rank < wanted[ordered]])


def matched_records(
    lengths: Sequence[tuple[int, ...]],
    passages: Sequence[Passage],
    encoder: Encoder,
    generator: np.random.Generator,
) -> list[Record | None]:
    """Records of running text with the format and the lengths of a task's.

    ``lengths`` gives for each wanted record its segments' lengths in wordpieces, one or two. A segment is
    the shortest stretch of whole consecutive sentences of one document that is at least so long, cut after
    its last whole word within the length; the segments of a record come from random places, and no sentence
    is used twice. None where the text has no such stretch left.
    """
    longest, enough = max(map(max, lengths)), SPARE * sum(map(sum, lengths))
    stretches = _stretches(passages, encoder, longest, enough, generator)
    sizes = np.array([stretch.length for stretch in stretches])
    used: set[tuple[str, int]] = set()
    texts: dict[tuple[int, int], str] = {}
    wanted = [(length, i, j) for i, parts in enumerate(lengths) for j, length in enumerate(parts)]
    for length, i, j in sorted(wanted, reverse=True):  # long ones are the hardest to find
        for stretch in stretches[int(np.searchsorted(sizes, length)) :]:
            if not used.intersection(stretch.sentences):
                used.update(stretch.sentences)
                texts[i, j] = stretch.cut(length)
                break
    records: list[Record | None] = []
    for i, parts in enumerate(lengths):
        own = [texts.get((i, j), "") for j in range(len(parts))]
        name = f"matched-{i}"
        if not all(own):
            records.append(None)
        else:
            records.append(Pair(name, own[0], own[1], "") if len(own) == 2 else Passage(name, own[0]))
    return records


@dataclass(frozen=True)
class _Stretch:
    """Consecutive sentences of a document: their words, and how many wordpieces each word has."""

    sentences: tuple[tuple[str, int], ...]
    words: tuple[str, ...]
    pieces: np.ndarray

    @property
    def length(self) -> int:
        return int(self.pieces.sum())

    def cut(self, length: int) -> str:
        kept = int(np.searchsorted(np.cumsum(self.pieces), length, side="right"))
        return " ".join(self.words[:kept])


def _stretches(
    passages: Sequence[Passage], encoder: Encoder, longest: int, enough: int, generator: np.random.Generator
) -> list[_Stretch]:
    """Stretches of random documents, shortest first and in random order among equals.

    From each sentence on, one sentence more at a time until the stretch has ``longest`` wordpieces; documents
    are taken until they have ``enough`` of them together.
    """
    documents = [list(group) for _, group in itertools.groupby(passages, key=lambda p: p.document)]
    stretches, total = [], 0
    for number in generator.permutation(len(documents)):
        words = [tuple(p.text.split()) for p in documents[number]]
        counts = [
            np.bincount(of_word, minlength=len(sentence))
            for sentence, [(_, of_word)] in encoders.align_records(encoder.tokenizer, words)
        ]
        for start in range(len(words)):
            for end in range(start + 1, len(words) + 1):
                names = tuple((str(number), k) for k in range(start, end))
                joined = tuple(itertools.chain.from_iterable(words[start:end]))
                stretches.append(_Stretch(names, joined, np.concatenate(counts[start:end])))
                if stretches[-1].length >= longest:
                    break
        total += int(sum(map(np.sum, counts)))
        if total >= enough:
            break
    shuffled = [stretches[i] for i in generator.permutation(len(stretches))]
    return sorted(shuffled, key=lambda stretch: stretch.length)


def divergence(a: np.ndarray, b: np.ndarray) -> float:
    """Jensen-Shannon divergence (Lin 1991) in bits of two texts' distributions over wordpieces.

    ``a`` (n,), ``b`` (m,): vocabulary numbers. 0 for equal distributions, 1 for texts that share none. A
    sample of the same distribution does not come out at 0: compare samples of equal sizes.
    """
    size = int(max(a.max(), b.max())) + 1
    p, q = (np.bincount(x, minlength=size) / len(x) for x in (a, b))
    middle = (p + q) / 2
    return float((rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2 / np.log(2))
