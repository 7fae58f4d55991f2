"""From corpus records to the batches that a task model reads.

What does not fit the recipe's ``max_length`` is never lost in silence: every encoder of records counts
what it cut, windowed or skipped, in :attr:`Inputs.counts`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from helpers import encoders
from helpers.corpora.records import Pair, Question, Sentence
from helpers.finetuning.heads import IGNORED
from helpers.profiles import TuningRecipe

MAX_QUESTION = 64  # wordpieces of a question, as in google-research/bert's run_squad
RECORDS = {"Dep": Sentence, "NLI": Pair, "QA": Question}

# What fills up the arrays of shorter inputs in a batch.
_FILL = {"word_of": -1, "words": False, "heads": IGNORED, "relations": IGNORED, "states": 0}
_KINDS = {"words": bool, "states": np.float32}  # all else are whole numbers


@dataclass
class Inputs(torch.utils.data.Dataset):
    """Inputs of the model, one or more a record.

    ``features`` holds for each input its wordpieces ``ids``, ``second``, the position where the second
    segment begins, and the head's inputs; ``record`` the number of the record it was made from;
    ``windows``, for questions, where its context's wordpieces lie (:class:`Window`).
    """

    features: list[dict] = field(default_factory=list)
    record: list[int] = field(default_factory=list)
    windows: list["Window"] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, index: int) -> dict:
        return self.features[index]

    @property
    def lengths(self) -> np.ndarray:
        """Wordpieces of each input, special ones included: (n_inputs,)."""
        return np.array([len(feature["ids"]) for feature in self.features])


@dataclass(frozen=True)
class Window:
    """A question's window on its context.

    ``first`` is the position of the window's first context wordpiece in the input, ``spans``
    (n_pieces, 2) first and last + 1 character of each, ``best`` (n_pieces,) whether no other window shows
    the piece with more context.
    """

    first: int
    spans: np.ndarray
    best: np.ndarray


def check(model: str, records: Sequence) -> None:
    """Raise ValueError unless there are records, of the model's kind and annotated for it."""
    if model not in RECORDS:
        raise ValueError(f"unknown model {model!r}; valid: {', '.join(RECORDS)}")
    if not records:
        raise ValueError(f"no records for {model}")
    for record in records:
        if not isinstance(record, RECORDS[model]):
            raise ValueError(f"{model} needs {RECORDS[model].__name__} records, got {type(record).__name__}")
        if model == "Dep" and not len(record.words) == len(record.heads) == len(record.deprels) > 0:
            raise ValueError(f"sentence {record.id!r} has no dependency tree")
        if model == "QA" and not record.answers:
            raise ValueError(f"question {record.id!r} has no answers")


def labels(model: str, records: Sequence) -> tuple[str, ...]:
    """Sorted labels of pairs or relations of trees, subtypes included; empty for questions."""
    if model == "NLI":
        return tuple(sorted({record.label for record in records}))
    if model == "Dep":
        return tuple(sorted({relation for record in records for relation in record.deprels}))
    return ()


def encode(
    model: str,
    records: Sequence,
    encoder: encoders.Encoder,
    recipe: TuningRecipe,
    known: tuple[str, ...] = (),
    *,
    targets: bool,
) -> Inputs:
    """Model inputs of records for Dep, NLI or QA.

    ``known`` are the labels, in the order of the head's outputs. ``targets`` adds what is to be predicted
    (labels, heads and relations, spans). Raises ValueError if the recipe's ``max_length`` is more than the
    encoder can read or leaves no room for text.
    """
    if recipe.max_length > encoder.max_length:
        raise ValueError(
            f"max_length {recipe.max_length} is more than {encoder.name}'s {encoder.max_length} positions"
        )
    make = {"Dep": _sentences, "NLI": _pairs, "QA": _questions}[model]
    return make(records, encoder, recipe, known, targets)


def _room(encoder: encoders.Encoder, recipe: TuningRecipe, *, pair: bool) -> int:
    """Wordpieces left for text beside the special ones."""
    before, between, after, _ = encoder.templates[pair]
    room = recipe.max_length - len(before) - len(between) - len(after)
    if room < 2:
        raise ValueError(f"max_length {recipe.max_length} leaves no room for text")
    return room


def _join(encoder: encoders.Encoder, a: list[int], b: list[int] | None = None) -> dict:
    before, between, after, types = encoder.templates[b is not None]
    first = [*before, *a, *(between if b is not None else ())]
    ids = [*first, *(b or ()), *after]
    return {
        "ids": np.array(ids, dtype=np.int32),
        "second": len(first) if types[-1] else len(ids),
    }


def _aligned(encoder: encoders.Encoder, segments: Sequence) -> Iterator[tuple[list[int], list[int]]]:
    """:func:`encoders.align` a few thousand segments at a time: full MNLI has 786,000."""
    for start in range(0, len(segments), 4096):
        yield from encoders.align(encoder.tokenizer, segments[start : start + 4096])


def _sentences(records, encoder, recipe, known, targets) -> Inputs:
    """One input a sentence, up to the last word that fits; with targets, longer sentences are skipped."""
    room = _room(encoder, recipe, pair=False)
    shift = len(encoder.templates[False][0])
    number = {label: i for i, label in enumerate(known)}
    inputs = Inputs()
    skipped = cut = 0
    for r, (ids, word_of) in enumerate(_aligned(encoder, [s.words for s in records])):
        sentence = records[r]
        n = len(sentence.words)
        if len(ids) > room:
            if targets:
                skipped += 1
                continue
            n = word_of[room]  # the word that the first wordpiece too many belongs to
            if n == 0:
                continue
            cut += 1
            ids = [piece for piece, word in zip(ids, word_of, strict=True) if word < n]
        feature = _join(encoder, ids)
        positions = np.full(len(feature["ids"]), -1, dtype=np.int16)
        positions[0] = 0
        positions[shift : shift + len(ids)] = np.array(word_of[: len(ids)]) + 1
        feature |= {"word_of": positions, "words": np.ones(n, dtype=bool)}
        if targets:
            feature["heads"] = np.array(sentence.heads, dtype=np.int16)
            feature["relations"] = np.array([number[x] for x in sentence.deprels], dtype=np.int16)
        inputs.features.append(feature)
        inputs.record.append(r)
    inputs.counts = {"sentences": len(records)} | ({"skipped_long": skipped} if targets else {"cut": cut})
    return inputs


def _pairs(records, encoder, recipe, known, targets) -> Inputs:
    """One input a pair; of one too long the longer segment loses its end, as in google-research/bert."""
    room = _room(encoder, recipe, pair=True)
    number = {label: i for i, label in enumerate(known)}
    aligned = _aligned(encoder, [x for p in records for x in (p.premise, p.hypothesis)])
    inputs = Inputs()
    cut = lost = 0
    for r, pair in enumerate(records):
        (a, _), (b, _) = next(aligned), next(aligned)
        over = len(a) + len(b) - room
        if over > 0:
            cut, lost = cut + 1, lost + over
            n_a, n_b = shorten(len(a), len(b), room)
            a, b = a[:n_a], b[:n_b]
        feature = _join(encoder, a, b)
        if targets:
            if pair.label not in number:
                raise ValueError(
                    f"pair {pair.id!r} has label {pair.label!r}, unknown in training: {', '.join(known)}"
                )
            feature["labels"] = number[pair.label]
        inputs.features.append(feature)
        inputs.record.append(r)
    inputs.counts = {"pairs": len(records), "cut": cut, "wordpieces_cut": lost}
    return inputs


def shorten(n_a: int, n_b: int, room: int) -> tuple[int, int]:
    """Lengths of two segments after the longer one, or of equals the second, has lost its last pieces."""
    while n_a + n_b > room:
        if n_a > n_b:
            n_a -= 1
        else:
            n_b -= 1
    return n_a, n_b


def _questions(records, encoder, recipe, known, targets) -> Inputs:
    """One input a window on the context, as in google-research/bert's run_squad for v1.1.

    With targets, a window that does not hold the whole first answer points to [CLS].
    """
    room = _room(encoder, recipe, pair=True)
    questions = _aligned(encoder, [q.question for q in records])
    contexts = _contexts(encoder.tokenizer, {q.context for q in records})
    inputs = Inputs()
    several = cut = absent = 0
    for r, (question, (ids, _)) in enumerate(zip(records, questions, strict=True)):
        pieces, spans = contexts[question.context]
        cut += len(ids) > MAX_QUESTION
        ids = ids[:MAX_QUESTION]
        capacity = room - len(ids)
        if capacity < 1:
            raise ValueError(
                f"question {question.id!r} has {len(ids)} wordpieces: max_length {recipe.max_length} leaves "
                "no room for its context"
            )
        stretches = windows(len(pieces), capacity, recipe.doc_stride)
        owner = owners(stretches, len(pieces))
        several += len(stretches) > 1
        if targets:
            answer = question.answers[0]
            inside = (spans[:, 1] > answer.start) & (spans[:, 0] < answer.start + len(answer.text))
            answer_pieces = np.flatnonzero(inside)
        found = False
        for number, (begin, end) in enumerate(stretches):
            feature = _join(encoder, ids, pieces[begin:end])
            first = len(feature["ids"]) - len(encoder.templates[True][2]) - (end - begin)
            if targets:
                starts = ends = 0
                if len(answer_pieces) and begin <= answer_pieces[0] and answer_pieces[-1] < end:
                    starts, ends = (int(answer_pieces[i]) - begin + first for i in (0, -1))
                    found = True
                feature |= {"starts": starts, "ends": ends}
            else:
                inputs.windows.append(Window(first, spans[begin:end], owner[begin:end] == number))
            inputs.features.append(feature)
            inputs.record.append(r)
        absent += targets and not found
    inputs.counts = {
        "questions": len(records),
        "windows": len(inputs),
        "questions_windowed": several,
        "questions_cut": cut,
    }
    if targets:
        inputs.counts["answers_in_no_window"] = absent
    return inputs


def _contexts(tokenizer, texts: set[str]) -> dict[str, tuple[list[int], np.ndarray]]:
    """Wordpieces of each text and their first and last + 1 character, (n_pieces, 2)."""
    ordered = sorted(texts)
    encoded = tokenizer(
        ordered,
        add_special_tokens=False,
        return_offsets_mapping=True,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )
    return {
        text: (ids, np.array(spans, dtype=np.int32).reshape(-1, 2))
        for text, ids, spans in zip(ordered, encoded["input_ids"], encoded["offset_mapping"], strict=True)
    }


def windows(n: int, capacity: int, stride: int) -> list[tuple[int, int]]:
    """First and last + 1 piece of windows, ``stride`` apart, on ``n`` pieces of which ``capacity`` fit."""
    found, begin = [], 0
    while True:
        end = min(n, begin + capacity)
        found.append((begin, end))
        if end == n:
            return found
        begin += min(capacity, stride)


def owners(stretches: list[tuple[int, int]], n: int) -> np.ndarray:
    """For each of ``n`` pieces, the window that shows it with the most context (run_squad's rule): (n,).

    Most context: the larger minimum of pieces to its left and right, plus a hundredth of the window's
    length; the earlier window of equals.
    """
    pieces = np.arange(n)
    context = np.full((len(stretches), n), -1.0)
    for number, (begin, end) in enumerate(stretches):
        inside = pieces[begin:end]
        context[number, begin:end] = np.minimum(inside - begin, end - 1 - inside) + 0.01 * (end - begin)
    return context.argmax(0)


# -- batches -------------------------------------------------------------------------------------


def collate(features: list[dict], pad: int) -> dict[str, torch.Tensor]:
    """A batch of inputs, padded to the longest: ``input_ids``, ``attention_mask``, ``token_type_ids``
    (n_inputs, n_pieces), and what the head reads.
    """
    lengths = np.array([len(feature["ids"]) for feature in features])
    positions = np.arange(lengths.max())
    present = positions < lengths[:, None]
    batch = {
        "input_ids": _stack([f["ids"] for f in features], pad),
        "attention_mask": present.astype(np.int64),
        "token_type_ids": present & (positions >= np.array([[f["second"]] for f in features])),
    }
    for name in features[0].keys() - {"ids", "second"}:
        values = [f[name] for f in features]
        batch[name] = np.array(values) if np.isscalar(values[0]) else _stack(values, _FILL[name])
    return {name: torch.from_numpy(x.astype(_KINDS.get(name, np.int64))) for name, x in batch.items()}


def _stack(arrays: list[np.ndarray], fill) -> np.ndarray:
    shape = len(arrays), max(map(len, arrays)), *arrays[0].shape[1:]
    out = np.full(shape, fill, dtype=arrays[0].dtype)
    for row, array in zip(out, arrays, strict=True):
        row[: len(array)] = array
    return out


class LengthGrouped(torch.utils.data.Sampler):
    """Random order in which neighbours have similar lengths, so that batches need little padding.

    A function of seed and ``epoch`` alone, which is what lets a killed run resume in the middle of an
    epoch. Each ``GROUP`` batches' worth of inputs, drawn at random, are sorted by length and cut into
    batches, which are then shuffled; an incomplete batch comes last.
    """

    GROUP = 100

    def __init__(self, lengths: np.ndarray, batch_size: int, seed: int):
        self.lengths, self.batch_size, self.seed = lengths, batch_size, seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self):
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(len(self.lengths))
        size = self.GROUP * self.batch_size
        groups = [order[i : i + size] for i in range(0, len(order), size)]
        order = np.concatenate([g[np.argsort(self.lengths[g], kind="stable")[::-1]] for g in groups])
        whole = len(order) // self.batch_size * self.batch_size
        batches = order[:whole].reshape(-1, self.batch_size)
        return iter(np.concatenate([rng.permutation(batches).ravel(), order[whole:]]).tolist())
