"""Scores against hand-worked examples of the official scorers' rules."""

import pytest
from sklearn.metrics import accuracy_score

from helpers.corpora.records import Sentence
from helpers.finetuning import metrics


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The Denver Broncos", "denver broncos"),
        ("a  an\tthe\n cat", "cat"),
        ("Theatre and anathema", "theatre and anathema"),  # articles only as whole words
        ("U.S.A.'s well-known", "usas wellknown"),  # punctuation goes before words are split
        ("an. apple", "apple"),
        ("«quoted» – “twice”", "«quoted» – “twice”"),  # only ASCII punctuation is removed
        ("the", ""),
        ("!?", ""),
        ("ÉCOLE", "école"),  # case yes, accents no
    ],
)
def test_normalisation(text, normal):
    assert metrics.normalise_answer(text) == normal


@pytest.mark.parametrize(
    ("answers", "predicted", "exact", "f1"),
    [
        (["Denver Broncos"], "the denver broncos!", 1, 1),
        (["Denver Broncos"], "Broncos", 0, 2 * 1 * 0.5 / 1.5),
        (["Santa Clara, California"], "in Santa Clara", 0, 2 / 3),
        (["cat cat dog"], "cat cat cat", 0, 2 / 3),  # a bag of tokens, each counted as often as it occurs
        (["Paris", "the city of Paris"], "city of Paris France", 0, 6 / 7),  # best over the answers
        (["one two three four", "five"], "five", 1, 1),
        (["a"], "the", 1, 0),  # nothing left of either: exact in v1.1, but F1 0
        (["x"], "", 0, 0),
    ],
)
def test_answer_scores(answers, predicted, exact, f1):
    assert metrics.answer_scores(answers, predicted) == (exact, pytest.approx(f1))


def test_squad_scores_average_over_questions_and_missing_ones_score_zero():
    references = {"1": ["Denver Broncos"], "2": ["gold"], "3": ["1890"]}
    with pytest.warns(UserWarning, match="1 of 3 questions"):
        scores = metrics.squad_scores(references, {"1": "Broncos", "2": "Gold", "unknown": "1890"})
    assert scores == {"exact_match": pytest.approx(1 / 3), "f1": pytest.approx((2 / 3 + 1) / 3)}
    with pytest.raises(ValueError, match="'3'.*no accepted answers"):
        metrics.squad_scores({"3": []}, {"3": "x"})
    with pytest.raises(ValueError, match="no questions"):
        metrics.squad_scores({}, {})


def test_accuracy_agrees_with_scikit_learn():
    gold, predicted = list("abcabca"), list("abbabcc")
    assert metrics.accuracy(gold, predicted) == pytest.approx(accuracy_score(gold, predicted))
    with pytest.raises(ValueError, match="7 gold labels and 1"):
        metrics.accuracy(gold, ["a"])


LONG = Sentence(
    "long",
    ("She", "was", "seen", ",", "twice"),
    upos=("PRON", "AUX", "VERB", "PUNCT", "ADV"),
    heads=(3, 3, 0, 5, 3),
    deprels=("nsubj:pass", "aux:pass", "root", "punct", "advmod"),
)
SHORT = Sentence("short", ("Yes", "!"), upos=("INTJ", "PUNCT"), heads=(0, 1), deprels=("root", "punct"))
# Wrong: a subtype, a head (of punctuation), a relation.
PARSES = [
    ((3, 3, 0, 3, 3), ("nsubj", "aux:pass", "root", "punct", "obl")),
    ((0, 1), ("root", "punct")),
]


@pytest.mark.parametrize(
    ("options", "uas", "las"),
    [
        ({}, 6 / 7, 5 / 7),  # the shared task's rules
        ({"subtypes": True}, 6 / 7, 4 / 7),
        ({"punctuation": False}, 5 / 5, 4 / 5),
        ({"punctuation": False, "subtypes": True}, 5 / 5, 3 / 5),
    ],
)
def test_attachment_scores_by_hand(options, uas, las):
    scores = metrics.attachment_scores([LONG, SHORT], PARSES, **options)
    assert scores == {"uas": pytest.approx(uas), "las": pytest.approx(las)}


def test_relation_counts_only_with_the_right_head():
    assert metrics.attachment_counts(SHORT, ((0, 0), ("root", "punct"))) == (1, 1, 2)


def test_words_without_a_predicted_head_count_as_wrong():
    assert metrics.attachment_counts(SHORT, ((0, -1), ("root", "_"))) == (1, 1, 2)


def test_attachment_errors_name_the_sentence():
    with pytest.raises(ValueError, match="'short' has 2 words, its parse 1 heads"):
        metrics.attachment_scores([SHORT], [((0,), ("root",))])
    bare = Sentence("bare", ("Hi",), heads=(0,), deprels=("root",))
    with pytest.raises(ValueError, match="'bare' has no UPOS"):
        metrics.attachment_scores([bare], [((0,), ("root",))], punctuation=False)
    with pytest.raises(ValueError, match="'raw' has no gold"):
        metrics.attachment_scores([Sentence("raw", ("Hi",))], [((0,), ("root",))])
    with pytest.raises(ValueError, match="1 gold sentences and 0"):
        metrics.attachment_scores([SHORT], [])
    only = Sentence("only", ("!",), upos=("PUNCT",), heads=(0,), deprels=("root",))
    with pytest.raises(ValueError, match="no words"):
        metrics.attachment_scores([only], [((0,), ("root",))], punctuation=False)
