"""From records to wordpieces: segments, alignment with words, and the inputs that a model reads."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from helpers.corpora.records import LabelledSpans, Pair, Passage, Question, Sentence
from helpers.encoders.loading import Encoder

POOLS = ("mean", "pieces")
ALIGNED_AT_ONCE = 256  # records

Segment = str | tuple[str, ...]
Aligned = tuple[list[int], list[int]]  # wordpieces of a segment, and the number of each one's word


def segments_of(record: Any) -> tuple[Segment, ...]:
    """The one or two segments that a record is read as.

    A sentence gives its words; a pair premise and hypothesis; a question itself and its context (the
    paper's "question [SEP] passage"); a passage its text. A tuple or list of words, or a string, is a
    segment by itself.
    """
    if isinstance(record, (Sentence, LabelledSpans)):
        return (record.words,)
    if isinstance(record, Pair):
        return record.premise, record.hypothesis
    if isinstance(record, Question):
        return record.question, record.context
    if isinstance(record, Passage):
        return (record.text,)
    if isinstance(record, str):
        return (record,)
    if isinstance(record, (tuple, list)) and all(isinstance(w, str) for w in record):
        return (tuple(record),)
    raise TypeError(f"expected a corpus record, words or text, got {type(record).__name__}")


def align(tokenizer: Any, batch: Sequence[Segment]) -> list[Aligned]:
    """Wordpieces of segments and the word each belongs to: a list of (piece ids, word numbers).

    Words are the tuple's items, or for a string those of the tokenizer's own splitting. A word of
    which the tokenizer leaves nothing (a lone control character, say) becomes the unknown piece, so
    that every word has at least one.
    """
    aligned: list = [None] * len(batch)
    for split in (True, False):
        places = [i for i, segment in enumerate(batch) if isinstance(segment, str) is not split]
        if not places:
            continue
        encoded = tokenizer(
            [list(batch[i]) if split else batch[i] for i in places],
            is_split_into_words=split,
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        for place, (i, ids) in enumerate(zip(places, encoded["input_ids"], strict=True)):
            words = encoded.word_ids(place)
            if split and len(set(words)) < len(batch[i]):
                ids, words = _fill_gaps(ids, words, len(batch[i]), tokenizer.unk_token_id)
            aligned[i] = (ids, words)
    return aligned


def _fill_gaps(ids: list[int], words: list[int], n_words: int, unknown: int) -> Aligned:
    pieces: list[list[int]] = [[] for _ in range(n_words)]
    for piece, word in zip(ids, words, strict=True):
        pieces[word].append(piece)
    filled = [p or [unknown] for p in pieces]
    return [x for p in filled for x in p], [w for w, p in enumerate(filled) for _ in p]


def align_records(tokenizer: Any, records: Iterable) -> Iterator[tuple[Any, list[Aligned]]]:
    """Stream each record with its one or two segments, aligned (:func:`align`)."""
    records = iter(records)
    while group := list(islice(records, ALIGNED_AT_ONCE)):
        parts = [segments_of(record) for record in group]
        aligned = iter(align(tokenizer, [segment for own in parts for segment in own]))
        for record, own in zip(group, parts, strict=True):
            yield record, [next(aligned) for _ in own]


def row_counts(encoder: Encoder, records: Iterable, *, pool: str = "pieces") -> np.ndarray:
    """Rows that each record gives, (n_records,): its words, or its wordpieces if those are not pooled.

    Raises ValueError for an unknown pooling.
    """
    check_pool(pool)
    return np.array(
        [
            sum(len(ids) if pool == "pieces" else len(set(words)) for ids, words in parts)
            for _, parts in align_records(encoder.tokenizer, records)
        ]
    )


def check_pool(pool: str) -> None:
    """Raise ValueError for an unknown pooling."""
    if pool not in POOLS:
        raise ValueError(f"unknown pooling {pool!r}; valid: {', '.join(POOLS)}")


@dataclass(frozen=True)
class Window:
    """One input of the model, and the positions whose states are used for a row each."""

    ids: list[int]
    types: list[int]
    positions: np.ndarray  # in ids
    rows: np.ndarray  # the row that each position goes to; the wordpieces of a word share one


def windows(
    encoder: Encoder, record: Any, parts: Sequence[Aligned], pool: str, first_row: int
) -> tuple[list[Window], int]:
    """Inputs that a record is read as, its rows counted from ``first_row``, and how many rows it has.

    What is longer than the model's limit is read in overlapping windows; each piece is taken from the
    window in which it has the most context on its poorer side. Of two segments the second is windowed
    and the first repeated. Raises ValueError naming a record whose first segment leaves no room for that.
    """
    before, between, after, types = encoder.templates[len(parts) == 2]
    (head, head_words), (body, body_words) = parts if len(parts) == 2 else (([], []), parts[0])
    room = encoder.max_length - len(before) - len(between) - len(after) - len(head)
    if room < min(len(body), encoder.max_length // 4):
        raise ValueError(
            f"record {getattr(record, 'id', '')!r}: its first segment has {len(head)} wordpieces, too many "
            f"beside a second one for an encoder of {encoder.max_length} positions"
        )
    offset = max(head_words) + 1 if head_words else 0
    words = np.array([*head_words, *(w + offset for w in body_words)], int)
    # Words keep their order, so a new one begins wherever the number changes.
    begins_row = np.ones(len(words), bool) if pool == "pieces" else np.diff(words, prepend=-1) != 0
    row_of = np.cumsum(begins_row) - 1
    begins = [0] if len(body) <= room else [*range(0, len(body) - room, max(1, room // 2)), len(body) - room]
    stretches = [(begin, min(begin + room, len(body))) for begin in begins]
    shift = len(before) + len(head) + len(between)
    # Positions in the first window; in another the second segment begins later.
    position = np.concatenate([len(before) + np.arange(len(head)), shift + np.arange(len(body))])
    owner = np.concatenate([np.zeros(len(head), int), _owners(stretches, len(body))])
    made = []
    for number, (begin, end) in enumerate(stretches):
        ids = [*before, *head, *between, *body[begin:end], *after]
        mine = np.flatnonzero(owner == number)
        positions = position[mine] - begin * (mine >= len(head))
        kinds = [types[0]] * shift + [types[-1]] * (len(ids) - shift)
        made.append(Window(ids, kinds, positions, first_row + row_of[mine]))
    return made, int(begins_row.sum())


def _owners(stretches: Sequence[tuple[int, int]], n: int) -> np.ndarray:
    """For each of n pieces the number of the window that shows it with the most context, (n,)."""
    context = np.full((len(stretches), n), -1)
    for number, (begin, end) in enumerate(stretches):
        pieces = np.arange(begin, end)
        left = pieces - begin if begin else n  # nothing is missing beyond a document's own ends
        right = end - 1 - pieces if end < n else n
        context[number, begin:end] = np.minimum(left, right)
    return context.argmax(0)
