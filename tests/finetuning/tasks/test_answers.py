"""Question answering: windows and spans against run_squad's rules written out."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.corpora.records import Answer, Question
from helpers.finetuning import prediction
from helpers.finetuning.tasks import TASKS, answers
from helpers.profiles import Task, TuningRecipe

ANSWERS = TASKS["QA"]


# -- encoding --------------------------------------------------------------------------------------


def test_questions_point_at_their_answers(encode, encoder, questions):
    inputs = encode("QA", questions)
    plain = encode("QA", questions, targets=False)
    assert inputs.counts["windows"] == inputs.counts["questions"] == 24
    for i, question in enumerate(questions):
        expected = encoder.tokenizer(question.question, question.context)
        assert inputs[i]["ids"].tolist() == expected["input_ids"]
        window = plain.notes[i]
        start = window.spans[inputs[i]["starts"] - window.first, 0]
        end = window.spans[inputs[i]["ends"] - window.first, 1]
        assert question.context[start:end] == question.answers[0].text


@pytest.mark.parametrize(
    "context, answer",
    [
        pytest.param("He met Jose\u0301 at the cafe\u0301 in town.", "Jose\u0301", id="decomposed"),
        pytest.param(
            "He met Jose\u0301 at the cafe\u0301 in town.", "the cafe\u0301", id="decomposed, two words"
        ),
        pytest.param("He met José at the café in town.", "the café", id="composed"),
        pytest.param("เขา อยู่ ที่นี่ แล้ว", "ที่นี่", id="Thai tone mark"),
        pytest.param("वह दिल्ली में रहता है", "दिल्ली में", id="Devanagari vowel signs"),
        pytest.param("see cats\u200d\u200b now", "cats\u200d\u200b", id="invisible characters"),
        pytest.param("see \u200bcats now", "\u200bcats", id="invisible character first"),
        pytest.param("\u0301cats see", "\u0301cats", id="mark at the start"),
        pytest.param("see cats\u0301", "cats\u0301", id="mark at the end"),
    ],
)
def test_a_perfect_model_has_exact_match_1_whatever_the_tokenizer_drops(encode, context, answer):
    """Pieces have no place for the marks that an uncased tokenizer drops; spans of the context do."""
    question = Question("q", "who ?", context, (Answer(answer, context.index(answer)),))
    inputs = encode("QA", [question], max_length=64)
    plain = encode("QA", [question], targets=False, max_length=64)
    decoded = []
    for feature in inputs.features:
        starts, ends = (np.full(len(feature["ids"]), -5.0) for _ in range(2))
        starts[feature["starts"]] = ends[feature["ends"]] = 5.0
        decoded.append((starts, ends))
    rows = ANSWERS.rows([question], plain, decoded)
    assert rows[0]["answer"] == answer and rows[0]["start"] == context.index(answer)
    assert ANSWERS.score([question], rows) == {"f1": 1.0, "exact_match": 1.0}


def test_long_contexts_are_windowed(encode):
    words = [f"{'cats' if i % 2 else 'dogs'}" for i in range(40)]
    words[30] = "wolves"
    context = " ".join(words)
    question = Question("q", "who ?", context, (Answer("wolves", context.index("wolves")),))
    options = {"max_length": 25, "doc_stride": 8}  # 20 pieces of context fit: 25 - 3 special - 2
    inputs = encode("QA", [question], **options)
    plain = encode("QA", [question], targets=False, **options)
    begins = [round(w.spans[0, 0] / 5) for w in plain.notes]
    assert begins == [0, 8, 16, 24] and inputs.counts["questions_windowed"] == 1
    assert all(len(f["ids"]) <= 25 for f in inputs.features)
    targets = [(f["starts"], f["ends"]) for f in inputs.features]
    first = plain.notes[0].first
    assert first == 4  # [CLS] who ? [SEP]
    assert targets == [(0, 0), (0, 0), (first + 14,) * 2, (first + 6,) * 2]
    best = [(w.spans[w.best, 0] / 5).round().astype(int) for w in plain.notes]
    assert sorted(np.concatenate(best).tolist()) == list(range(40)), "each piece has one best window"


def test_windows_by_hand():
    assert answers.windows(10, 20, 8) == [(0, 10)]
    assert answers.windows(20, 20, 8) == [(0, 20)]
    assert answers.windows(21, 20, 8) == [(0, 20), (8, 21)]
    assert answers.windows(9, 3, 128) == [(0, 3), (3, 6), (6, 9)]  # never further than what fits
    assert answers.windows(0, 3, 2) == [(0, 0)]


@given(st.integers(1, 200), st.integers(1, 60), st.integers(1, 80))
def test_windows_cover_and_owners_follow_run_squad(n, capacity, stride):
    spans = answers.windows(n, capacity, stride)
    assert set().union(*(range(a, b) for a, b in spans)) == set(range(n))
    assert all(b - a <= capacity for a, b in spans)
    owner = answers.owners(spans, n)
    for piece in range(n):
        scores = {}
        for number, (begin, end) in enumerate(spans):
            if begin <= piece < end:
                scores[number] = min(piece - begin, end - 1 - piece) + 0.01 * (end - begin)
        assert owner[piece] == max(scores, key=lambda k: (scores[k], -k))


def test_answer_in_no_window_is_counted(encode):
    context = " ".join(["cats"] * 40)
    question = Question("q", "who ?", context, (Answer(" ".join(["cats"] * 30), 0),))
    inputs = encode("QA", [question], max_length=25, doc_stride=8)
    assert inputs.counts["answers_in_no_window"] == 1
    assert all(f["starts"] == f["ends"] == 0 for f in inputs.features)


def test_questions_that_do_not_fit(encode, questions):
    with pytest.raises(ValueError, match="'q0'.*no room for its context"):
        encode("QA", questions, max_length=6)
    with pytest.raises(ValueError, match="'q' has no answers"):
        ANSWERS.check([Question("q", "?", "x", ())])


# -- head, spans, scores ---------------------------------------------------------------------------


def test_span_loss_is_the_mean_over_both_ends_and_padding_is_impossible(seeded):
    states = torch.randn(2, 7, 16, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[True] * 7, [True] * 5 + [False] * 2])
    head = seeded(lambda: answers.SpanHead(16))
    starts, ends = torch.tensor([3, 0]), torch.tensor([6, 4])
    found = head(states, None, mask=mask, starts=starts, ends=ends)
    assert torch.isinf(found["start_logits"][1, 5:]).all() and torch.isinf(found["end_logits"][1, 5:]).all()
    by_hand = 0.0
    for logits, target in ((found["start_logits"], starts), (found["end_logits"], ends)):
        for row, n in ((0, 7), (1, 5)):
            kept = logits[row, :n].detach().double().numpy()
            by_hand += np.log(np.exp(kept).sum()) - kept[target[row]]
    assert (found["loss"] / found["count"]).item() == pytest.approx(by_hand / 4, rel=1e-5)


def _window(n, first=3, best=None):
    spans = np.stack([np.arange(n) * 4, np.arange(n) * 4 + 3], axis=1)
    return answers.Window(first, spans, np.ones(n, dtype=bool) if best is None else best)


def _logits(length, **values):
    out = np.full(length, -5.0)
    for place, value in values.items():
        out[int(place[1:])] = value
    return out


def test_best_span_is_the_best_allowed_pair():
    """Against all pairs, on inputs so short that the n best are all."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        starts, ends = rng.normal(size=(2, 12))
        window = _window(8, best=rng.random(8) < 0.7)
        allowed = [
            (starts[3 + i] + ends[3 + j], i, j)
            for i, j in itertools.combinations_with_replacement(range(8), 2)
            if window.best[i]
        ]
        score, i, j = max(allowed)
        found = answers.best_span(starts, ends, window)
        assert found == {"start": 4 * i, "end": 4 * j + 3, "score": pytest.approx(score)}


def test_spans_have_at_most_thirty_pieces():
    starts, ends = _logits(60, p3=9.0), _logits(60, p33=9.0, p32=8.0)
    assert answers.best_span(starts, ends, _window(50))["end"] == 4 * 29 + 3


def test_only_the_twenty_best_logits_are_considered():
    starts = np.arange(60, 0, -1.0)  # the best lie outside the context
    assert answers.best_span(starts, starts, _window(20, first=20)) is None
    assert answers.best_span(starts, starts, _window(20, first=19))["start"] == 0


def test_answers_come_from_the_best_window(encoder):
    words = ["cats", "dogs", "birds", "foxes"] * 10
    context = " ".join(words)
    question = Question("q", "who ?", context, (Answer("cats", 0),))
    task = Task("QA", "test", TuningRecipe(max_length=25, doc_stride=8))
    predictor = prediction.untrained(task, encoder, (), seed=0)
    counts = {}
    row = prediction.predict(predictor, [question], counts)[0]
    assert counts["windows"] == 4 and counts["questions_windowed"] == 1
    assert context[row["start"] :].startswith(row["answer"]) and row["answer"]


def test_scores_and_what_the_bootstrap_needs():
    questions = [
        Question("1", "?", "the red fox", (Answer("red fox", 4),)),
        Question("2", "?", "x", (Answer("x", 0),)),
    ]
    rows = [{"answer": "fox"}, {"answer": "the x"}]
    assert ANSWERS.score(questions, rows) == {"f1": pytest.approx(5 / 6), "exact_match": 0.5}
    assert [r["correct"] for r in rows] == [pytest.approx(2 / 3), 1]
    assert ANSWERS.baselines(questions, questions) == {}


# -- shuffled answers ------------------------------------------------------------------------------


def test_shuffled_answers_are_as_long_and_anywhere():
    context = "zero one  two three four five six seven eight\nnine"
    made = [Question(str(i), "what ?", context, (Answer("three four", 14),)) for i in range(400)]
    shuffled = ANSWERS.shuffled(made, 1)
    starts = set()
    for question in shuffled:
        (answer,) = question.answers
        assert context[answer.start :].startswith(answer.text) and len(answer.text.split()) == 2
        starts.add(answer.text.split()[0])
    assert starts == set(context.split()[:-1])
    ANSWERS.check(shuffled)
    assert ANSWERS.shuffled(made, 1) == shuffled != ANSWERS.shuffled(made, 2)
    whole = Question("w", "what ?", "all", (Answer("all", 0),))
    assert ANSWERS.shuffled([whole], 0) == [whole]
