"""Answers without an encoder: what each answerer sees, by hand and on made-up questions."""

import random

import numpy as np
import pytest

from helpers import corpora
from helpers.corpora.records import Answer, Question
from helpers.finetuning.tasks import TASKS, candidates

ANSWERS = TASKS["QA"]

ANIMALS = "cat dog hen fox owl bee ant cow pig bat".split()
PLACES = "barn yard pond hill wood lane".split()


def _questions(n, seed):
    """On each context two questions; only numbers are ever asked for."""
    generator = random.Random(seed)
    for i in range(n):
        animal, other = generator.sample(ANIMALS, 2)
        year, other_year = generator.sample(range(1900, 2000), 2)
        place = generator.choice(PLACES)
        context = f"In {year} the {animal} came. The {other} of the {place} left in {other_year}."
        for j, (asked, answer) in enumerate(((animal, year), (other, other_year))):
            start = context.index(str(answer))
            yield Question(f"{seed}-{i}-{j}", f"When {asked}?", context, (Answer(str(answer), start),))


def test_question_blind_learns_what_is_asked_for_and_no_more():
    train, test = list(_questions(60, 1)), list(_questions(40, 2))
    given = candidates.question_blind(train, test)
    assert set(given) == {question.id for question in test}
    by_context = {}
    for question in test:
        # The same answer to both questions on a context, so half of them at most can be right.
        assert by_context.setdefault(question.context, given[question.id]) == given[question.id]
        assert given[question.id] in {q.answers[0].text for q in test if q.context == question.context}
    scores = ANSWERS.partial_baselines(train, test)
    assert scores["question_blind"]["exact_match"] == 0.5


def test_longest_name():
    context = "the visitors met President Josiah Bartlet and Leo in 1999."
    question = Question("q", "Who?", context, (Answer("President Josiah Bartlet", context.index("Pres")),))
    assert ANSWERS.partial_baselines([question], [question])["longest_name"] == {
        "exact_match": 1.0,
        "f1": 1.0,
    }


@pytest.mark.parametrize("context", ["it is what it is", "?!", "¿", "a"])
def test_contexts_without_candidates_still_get_an_answer(context):
    train = list(_questions(30, 1))
    odd = Question("odd", "What?", context, (Answer(context[:1], 0),))
    for answer in (candidates.question_blind, candidates.question_window):
        for found in (answer(train, [odd]), answer([odd], [odd])):
            assert set(found) == {"odd"}
    assert 0 <= ANSWERS.partial_baselines(train, [odd])["longest_name"]["f1"] <= 1


def test_the_same_every_time():
    train, test = list(_questions(30, 3)), list(_questions(10, 4))
    for answer in (candidates.question_blind, candidates.question_window):
        assert answer(train, test) == answer(train, test)
    assert candidates.question_blind(train, test) == candidates.question_blind(list(reversed(train)), test)


def test_empty_sets_are_refused():
    with pytest.raises(ValueError, match="no records for QA"):
        ANSWERS.partial_baselines([], list(_questions(2, 1)))


def test_on_real_questions(real_data):
    folder = real_data("squad-reduced")
    scores = ANSWERS.partial_baselines(
        *(corpora.load("squad", split, path=folder, limit=800) for split in ("train", "dev"))
    )
    assert scores["question_window"]["f1"] > 0.25
    assert 0.01 < scores["question_blind"]["exact_match"] < 0.2
    assert scores["question_blind"]["f1"] >= scores["question_blind"]["exact_match"]


# -- with the question -----------------------------------------------------------------------------


def test_question_window_answers_what_question_blind_cannot():
    train, test = list(_questions(60, 1)), list(_questions(40, 2))
    scores = ANSWERS.partial_baselines(train, test)
    assert set(scores) == {"question_blind", "longest_name", "question_window"}
    assert scores["question_window"]["exact_match"] == 1.0


def test_without_the_questions_words_the_window_is_blind():
    train, test = list(_questions(60, 1)), list(_questions(40, 2))
    masked = [Question(q.id, "When?", q.context, q.answers) for q in test]
    given = candidates.question_window(train, masked)
    assert sum(given[q.id] == q.answers[0].text for q in test) == len(test) / 2


def test_windows_by_hand():
    context = candidates.Context.of("The cats slept. Dogs ran in 1990 past the cat.")
    #      0    1    2   3   4    5   6   7     8    9   10 11
    assert context.stems == [
        "the",
        "cat",
        "slept",
        ".",
        "dog",
        "ran",
        "in",
        "1990",
        "past",
        "the",
        "cat",
        ".",
    ]
    assert context.sentence.tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2]
    once, twice = np.log(2), np.log(1.5)
    weights = np.zeros(12)
    weights[[2, 4, 5, 7, 8]], weights[[1, 10]] = once, twice
    np.testing.assert_allclose(context.weights, weights)
    year = context.texts.index("1990")
    assert context.spans[year].tolist() == [7, 7]
    found = candidates.windows(context, "When did the dog run past a cat?")[year] * (twice + 2 * once)
    # "dog", "past" and "cat" are shared; "cat" stands left, beyond five words, and right.
    left, right = [0, once, once + twice, once + twice], [once, once + twice, once + twice, once + twice]
    np.testing.assert_allclose(found[:8], [*left, *right])
    np.testing.assert_allclose(found[8:], [2 * once + twice, twice + 2 * once, 0, 0])
    dogs = candidates.windows(context, "When did the dog run past a cat?")[context.texts.index("Dogs ran")]
    assert dogs[10] == pytest.approx(once / (twice + 2 * once)) and dogs[11] == 1


def test_candidates_by_hand():
    context = "In 1990 the old king of France died; a dog barked."
    given = candidates.Context.of(context).texts
    assert given == ["1990", "the old", "the old king", "old", "old king", "France", "France died", "a dog",
                     "a dog barked", "dog", "dog barked"]  # fmt: skip
    long = candidates.Context.of("one two2 three3 four4 five5 six6 seven7 eight8").texts
    assert long == ["one", "one two2 three3 four4 five5 six6"]


def test_kinds_of_questions():
    assert candidates.kinds("In what year did it end?") == ["what", "what year"]
    assert candidates.kinds("Name a king.") == ["?"]
    assert candidates.kinds("He did it why") == ["why", "why"]


def test_a_question_that_shares_nothing_with_its_context_is_answered():
    train = list(_questions(30, 1))
    odd = Question("odd", "Où est-il ?", train[0].context, train[0].answers)
    assert candidates.question_window(train, [odd])["odd"] in train[0].context
    assert candidates.question_window([odd], train).keys() == {q.id for q in train}
