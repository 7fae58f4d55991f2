"""Extractive question answering (QA): the stretch of a context that answers a question."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers import encoders
from helpers.corpora.records import Answer, Question
from helpers.encoders import Encoder
from helpers.finetuning import metrics
from helpers.finetuning.batches import Inputs, join, room
from helpers.finetuning.tasks import candidates
from helpers.finetuning.tasks.base import Labels, Scores, TaskDefinition, linear
from helpers.profiles import TuningRecipe

Questions = Sequence[Question]

MAX_QUESTION = 64  # wordpieces, as in google-research/bert's run_squad
N_BEST = 20  # starts and ends considered in a window, likewise
MAX_ANSWER = 30  # wordpieces


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


class Answers(TaskDefinition):
    """Predictions: ``answer``, its first character's position ``start`` (None if no span could be chosen),
    ``score``.
    """

    name = "QA"
    metric = "f1"
    record = Question
    schema = 4

    def check(self, records: Questions) -> None:
        super().check(records)
        for question in records:
            if not question.answers:
                raise ValueError(f"question {question.id!r} has no answers")

    def encode(
        self, records: Questions, encoder: Encoder, recipe: TuningRecipe, labels: Labels, *, targets: bool
    ) -> Inputs:
        """One input per window on the context, as in google-research/bert's run_squad for v1.1.

        With targets, a window that does not hold the whole first answer points to [CLS]. ``notes`` are the
        windows (:class:`Window`).
        """
        limit = room(encoder, recipe, pair=True)
        asked = encoders.align_records(encoder.tokenizer, (question.question for question in records))
        contexts = _contexts(encoder.tokenizer, {question.context for question in records})
        inputs = Inputs()
        several = cut = absent = 0
        for r, (question, (_, [(ids, _)])) in enumerate(zip(records, asked, strict=True)):
            pieces, spans = contexts[question.context]
            cut += len(ids) > MAX_QUESTION
            ids = ids[:MAX_QUESTION]
            capacity = limit - len(ids)
            if capacity < 1:
                raise ValueError(
                    f"question {question.id!r} has {len(ids)} wordpieces: max_length {recipe.max_length} "
                    "leaves no room for its context"
                )
            stretches = windows(len(pieces), capacity, recipe.doc_stride)
            owner = owners(stretches, len(pieces))
            several += len(stretches) > 1
            answer = _answer_pieces(question, spans) if targets else None
            shown = False
            for number, (begin, end) in enumerate(stretches):
                feature = join(encoder, ids, pieces[begin:end])
                first = len(feature["ids"]) - len(encoder.templates[True][2]) - (end - begin)
                if targets:
                    feature |= {"starts": 0, "ends": 0}
                    if answer and begin <= answer[0] and answer[1] < end:
                        shown = True
                        feature |= {"starts": answer[0] - begin + first, "ends": answer[1] - begin + first}
                inputs.features.append(feature)
                inputs.record.append(r)
                inputs.notes.append(Window(first, spans[begin:end], owner[begin:end] == number))
            absent += targets and not shown
        inputs.counts = {
            "questions": len(records),
            "windows": len(inputs),
            "questions_windowed": several,
            "questions_cut": cut,
        }
        if targets:
            inputs.counts["answers_in_no_window"] = absent
        return inputs

    def head(self, encoder: Encoder, labels: Labels) -> nn.Module:
        return SpanHead(encoder.width)

    def decode(self, output: dict, batch: dict, head: Any, labels: Labels) -> list[Any]:
        starts, ends = output["start_logits"].cpu().numpy(), output["end_logits"].cpu().numpy()
        return list(zip(starts, ends, strict=True))

    def rows(self, records: Questions, inputs: Inputs, decoded: list[Any]) -> list[dict[str, Any]]:
        best: list = [None] * len(records)
        for r, window, (starts, ends) in zip(inputs.record, inputs.notes, decoded, strict=True):
            span = best_span(starts, ends, window)
            if span is not None and (best[r] is None or span["score"] > best[r]["score"]):
                best[r] = span
        rows = []
        for question, span in zip(records, best, strict=True):
            answer: dict[str, Any] = {"answer": "", "start": None, "score": None}
            if span is not None:
                text = question.context[span["start"] : span["end"]]
                answer = {"answer": text, "start": span["start"], "score": round(span["score"], 4)}
            rows.append({"id": question.id} | answer)
        return rows

    def score(self, records: Questions, rows: list[dict[str, Any]]) -> Scores:
        """``f1``, ``exact_match``. Each row gets its own: F1 as ``correct``, and ``exact_match``."""
        for question, row in zip(records, rows, strict=True):
            accepted = [answer.text for answer in question.answers]
            exact, f1 = metrics.answer_scores(accepted, row["answer"], question.id)
            row |= {"gold": accepted, "correct": f1, "total": 1, "exact_match": exact}
        return {
            "f1": sum(row["correct"] for row in rows) / len(rows),
            "exact_match": sum(row["exact_match"] for row in rows) / len(rows),
        }

    def partial_baselines(self, train: Questions, evaluation: Questions) -> dict[str, Scores]:
        """Scores of the answerers of :mod:`helpers.finetuning.tasks.candidates`, by their names."""
        self.check(train)
        self.check(evaluation)
        references = {q.id: [answer.text for answer in q.answers] for q in evaluation}
        answerers = (candidates.question_blind, candidates.longest_name, candidates.question_window)
        return {
            answer.__name__: metrics.squad_scores(references, answer(train, evaluation))
            for answer in answerers
        }

    def shuffled(self, records: Questions, seed: int) -> list[Question]:
        """The questions with random answers: stretches of their contexts of as many words."""
        generator = np.random.default_rng(seed)
        made = []
        for question in records:
            words = [match.span() for match in re.finditer(r"\S+", question.context)]
            answers = []
            for answer in question.answers:
                n = min(max(1, len(answer.text.split())), len(words))
                first = int(generator.integers(len(words) - n + 1))
                start, end = words[first][0], words[first + n - 1][1]
                answers.append(Answer(question.context[start:end], start))
            made.append(replace(question, answers=tuple(answers)))
        return made


# -- windows ---------------------------------------------------------------------------------------


def _contexts(tokenizer: Any, texts: set[str]) -> dict[str, tuple[list[int], np.ndarray]]:
    """Wordpieces of each text and their first and last + 1 character, (n_pieces, 2).

    Characters that the tokenizer drops (combining marks and vowel signs, in an uncased BERT) belong to the
    piece that they are written on, so that an answer keeps them.
    """
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
        text: (ids, _with_marks(text, np.array(spans, dtype=np.int32).reshape(-1, 2)))
        for text, ids, spans in zip(ordered, encoded["input_ids"], encoded["offset_mapping"], strict=True)
    }


def _with_marks(text: str, spans: np.ndarray) -> np.ndarray:
    """Spans (n_pieces, 2) that take in the characters beside a piece, up to a space, that no piece covers."""
    covering = spans.copy()
    ends = np.append(0, np.maximum.accumulate(spans[:, 1]))
    starts = np.append(spans[:, 0], len(text))
    for i in np.flatnonzero(starts > ends):  # the gap before piece i
        gap = text[ends[i] : starts[i]]
        if gap.isspace():
            continue
        runs = re.split(r"\s", gap)
        if i > 0:
            covering[i - 1, 1] = ends[i] + len(runs[0])
        if i < len(spans) and (i == 0 or len(runs) > 1):
            covering[i, 0] = starts[i] - len(runs[-1])
    return covering


def _answer_pieces(question: Question, spans: np.ndarray) -> tuple[int, int] | None:
    """First and last wordpiece of the first answer; None if it has none."""
    answer = question.answers[0]
    inside = (spans[:, 1] > answer.start) & (spans[:, 0] < answer.start + len(answer.text))
    pieces = np.flatnonzero(inside)
    return (int(pieces[0]), int(pieces[-1])) if len(pieces) else None


def windows(n: int, capacity: int, stride: int) -> list[tuple[int, int]]:
    """First and last + 1 piece of windows, ``stride`` apart, on ``n`` pieces of which ``capacity`` fit."""
    stretches, begin = [], 0
    while True:
        end = min(n, begin + capacity)
        stretches.append((begin, end))
        if end == n:
            return stretches
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


def best_span(starts: np.ndarray, ends: np.ndarray, window: Window) -> dict[str, Any] | None:
    """Best answer in a window by run_squad's rule for v1.1, or None if no two logits make a span.

    Among the ``N_BEST`` highest start and end logits (n_pieces,) of the whole input, the pair of highest
    sum whose pieces lie in the context, in order, at most ``MAX_ANSWER`` apart, and whose first piece no
    other window shows with more context. Returns ``start``, ``end`` (characters) and ``score``.
    """
    best = None
    n = len(window.spans)
    firsts, lasts = (np.argsort(-logits, kind="stable")[:N_BEST] - window.first for logits in (starts, ends))
    for first in firsts:
        if not (0 <= first < n and window.best[first]):
            continue
        for last in lasts:
            if not first <= last < min(n, first + MAX_ANSWER):
                continue
            score = float(starts[first + window.first] + ends[last + window.first])
            if best is None or score > best["score"]:
                start, end = int(window.spans[first, 0]), int(window.spans[last, 1])
                best = {"start": start, "end": end, "score": score}
    return best


class SpanHead(nn.Module):
    """First and last wordpiece of an answer (Devlin et al. 2019).

    Features: ``starts``, ``ends`` (n_inputs,), optional; position 0 stands for no answer in this window.
    Returns ``start_logits`` and ``end_logits`` (n_inputs, n_pieces), -inf on padding.
    """

    def __init__(self, width: int):
        super().__init__()
        self.output = linear(width, 2)

    def forward(
        self,
        states: Tensor,
        pooled: Tensor | None,
        *,
        mask: Tensor,
        starts: Tensor | None = None,
        ends: Tensor | None = None,
    ) -> dict[str, Tensor]:
        with torch.autocast(states.device.type, enabled=False):
            logits = self.output(states.float()).masked_fill(~mask[..., None], float("-inf"))
        start, end = logits.unbind(-1)
        scores = {"start_logits": start, "end_logits": end}
        if starts is not None and ends is not None:
            both = ((start, starts), (end, ends))
            scores["loss"] = sum(F.cross_entropy(x, gold, reduction="sum") for x, gold in both) / 2
            scores["count"] = torch.tensor(len(starts))
        return scores
