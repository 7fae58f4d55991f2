"""Decoding and scoring of predictions."""

import itertools

import numpy as np
import pytest

from helpers.corpora.records import Answer, Pair, Question, Sentence
from helpers.finetuning import data, prediction
from helpers.profiles import Task, TuningRecipe


def _window(n, first=3, best=None):
    spans = np.stack([np.arange(n) * 4, np.arange(n) * 4 + 3], axis=1)
    return data.Window(first, spans, np.ones(n, dtype=bool) if best is None else best)


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
        found = prediction.best_span(starts, ends, window)
        assert found == {"start": 4 * i, "end": 4 * j + 3, "score": pytest.approx(score)}


def test_spans_have_at_most_thirty_pieces():
    starts, ends = _logits(60, p3=9.0), _logits(60, p33=9.0, p32=8.0)
    assert prediction.best_span(starts, ends, _window(50))["end"] == 4 * 29 + 3


def test_only_the_twenty_best_logits_are_considered():
    starts = np.arange(60, 0, -1.0)  # the best lie outside the context
    assert prediction.best_span(starts, starts, _window(20, first=20)) is None
    assert prediction.best_span(starts, starts, _window(20, first=19))["start"] == 0


def test_parses_are_single_root_trees_with_one_root_relation(encoder, sentences):
    task = Task("Dep", "test", TuningRecipe(max_length=64))
    labels = data.labels("Dep", sentences)
    predictor = prediction.untrained(task, encoder, labels, seed=0)
    rows = prediction.predict(predictor, sentences)
    for sentence, row in zip(sentences, rows, strict=True):
        assert row["id"] == sentence.id and len(row["heads"]) == len(sentence.words)
        assert row["heads"].count(0) == 1
        assert [h == 0 for h in row["heads"]] == [r == "root" for r in row["deprels"]]
    assert rows == prediction.predict(predictor, sentences)
    # Batched together or one by one, up to what half precision rounds away.
    alone = [prediction.predict(predictor, [sentence])[0] for sentence in sentences[:6]]
    assert sum(a["heads"] == b["heads"] for a, b in zip(alone, rows, strict=False)) >= 5


def test_words_beyond_the_limit_have_no_head_and_count_as_wrong(encoder):
    n = 12
    relations = ("root", *["dep"] * (n - 1))
    long = Sentence("long", ("cats",) * n, upos=("NOUN",) * n, heads=tuple(range(n)), deprels=relations)
    task = Task("Dep", "test", TuningRecipe(max_length=10))
    predictor = prediction.untrained(task, encoder, ("dep", "root"), seed=0)
    counts = {}
    row = prediction.predict(predictor, [long], counts)[0]
    assert row["heads"][8:] == [-1] * 4 and row["deprels"][8:] == ["_"] * 4 and max(row["heads"][:8]) <= 8
    assert counts == {"sentences": 1, "cut": 1}
    scores = prediction.score("Dep", [long], [row])
    assert row["total"] == n and scores["uas"] <= 8 / 12


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
    pairs = [Pair("1", "a", "b", "yes"), Pair("2", "a", "b", "no"), Pair("3", "a", "b", "no")]
    rows = [{"label": "no"} for _ in pairs]
    assert prediction.score("NLI", pairs, rows) == {"accuracy": pytest.approx(2 / 3)}
    assert [(r["correct"], r["total"]) for r in rows] == [(0, 1), (1, 1), (1, 1)]

    questions = [
        Question("1", "?", "the red fox", (Answer("red fox", 4),)),
        Question("2", "?", "x", (Answer("x", 0),)),
    ]
    rows = [{"answer": "fox"}, {"answer": "the x"}]
    scores = prediction.score("QA", questions, rows)
    assert scores == {"f1": pytest.approx(5 / 6), "exact_match": 0.5}
    assert [r["correct"] for r in rows] == [pytest.approx(2 / 3), 1]

    upos, relations = ("X", "X", "PUNCT"), ("x:y", "root", "punct")
    tree = Sentence("1", ("a", "b", "."), upos=upos, heads=(2, 0, 2), deprels=relations)
    rows = [{"heads": [2, 0, 1], "deprels": ["x", "root", "punct"]}]
    scores = prediction.score("Dep", [tree], rows)
    assert scores == {
        "las": pytest.approx(2 / 3),
        "uas": pytest.approx(2 / 3),
        "las_no_punctuation": 1,
        "uas_no_punctuation": 1,
        "las_subtypes": pytest.approx(1 / 3),
    }
    assert (rows[0]["correct_heads"], rows[0]["correct"], rows[0]["total"]) == (2, 2, 3)


def test_baselines_by_hand(sentences, pairs):
    train = [*pairs, Pair("extra", "a", "b", "neutral")]
    found = prediction.baselines("NLI", train, pairs)
    assert found == {"majority": {"accuracy": pytest.approx(1 / 3)}}
    found = prediction.baselines("Dep", sentences, sentences)
    # "the N V N ." has the <- N <- V and V -> N: two words under the next one and one under the previous
    # one; in "N do not V ." not and the full stop hang on their neighbours.
    assert found["next_word"]["uas"] == pytest.approx((12 * 2 + 12 * 1) / 120)
    assert found["previous_word"]["uas"] == pytest.approx((12 * 1 + 12 * 1) / 120)
    assert prediction.baselines("QA", [], []) == {}
