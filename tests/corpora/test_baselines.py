"""Baselines: what can be told without reading is told, and no more."""

import random

import pytest

from helpers import corpora
from helpers.corpora import baselines
from helpers.corpora.records import Answer, Pair, Question

ANIMALS = "cat dog hen fox owl bee ant cow pig bat".split()
PLACES = "barn yard pond hill wood lane".split()


def _pairs(n, seed, label):
    generator = random.Random(seed)
    for i in range(n):
        animal, other = generator.sample(ANIMALS, 2)
        place = generator.choice(PLACES)
        premise = f"The {animal} slept in the {place} with the {other}."
        hypothesis = f"The {generator.choice((animal, other))} was {generator.choice(('awake', 'asleep'))}."
        yield Pair(str(i), premise, hypothesis, label(premise, hypothesis, generator))


def _made(label):
    return list(_pairs(400, 1, label)), list(_pairs(200, 2, label))


def test_a_give_away_in_the_hypothesis_is_found():
    train, test = _made(lambda p, h, _: "contradiction" if "awake" in h else "entailment")
    scores = baselines.nli(train, test)
    assert set(scores) == {"majority", "hypothesis_only", "bag_of_words"}
    assert scores["hypothesis_only"]["accuracy"] > 0.98
    assert scores["majority"]["accuracy"] < 0.65


def test_what_the_premise_gives_away_is_kept_apart():
    train, test = _made(lambda p, h, _: "yes" if "barn" in p or "pond" in p or "wood" in p else "no")
    scores = baselines.nli(train, test)
    assert scores["bag_of_words"]["accuracy"] > 0.98
    assert scores["hypothesis_only"]["accuracy"] < 0.65


def test_what_only_the_relation_tells_is_not_told():
    # The animal asleep is the first that the premise names: neither bag of words shows that.
    train, test = _made(lambda p, h, _: "yes" if h.split()[1] == p.split()[1] else "no")
    for scores in baselines.nli(train, test).values():
        assert scores["accuracy"] < 0.65


def test_three_labels_and_the_majority():
    def label(premise, hypothesis, generator):
        return generator.choices(["entailment", "neutral", "contradiction"], [1, 3, 1])[0]

    train, test = _made(label)
    share = sum(pair.label == "neutral" for pair in test) / len(test)
    assert baselines.nli(train, test)["majority"] == {"accuracy": share}


def test_one_label():
    train, test = _made(lambda *_: "entailment")
    assert {scores["accuracy"] for scores in baselines.nli(train, test).values()} == {1.0}


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
    answers = baselines.question_blind(train, test)
    assert set(answers) == {question.id for question in test}
    by_context = {}
    for question in test:
        # The same answer to both questions on a context, so half of them at most can be right.
        assert by_context.setdefault(question.context, answers[question.id]) == answers[question.id]
        assert answers[question.id] in {q.answers[0].text for q in test if q.context == question.context}
    scores = baselines.qa(train, test)
    assert scores["question_blind"]["exact_match"] == 0.5


def test_longest_name():
    context = "the visitors met President Josiah Bartlet and Leo in 1999."
    question = Question("q", "Who?", context, (Answer("President Josiah Bartlet", context.index("Pres")),))
    assert baselines.qa([question], [question])["longest_name"] == {"exact_match": 1.0, "f1": 1.0}


@pytest.mark.parametrize("context", ["it is what it is", "?!", "¿", "a"])
def test_contexts_without_candidates_still_get_an_answer(context):
    train = list(_questions(30, 1))
    odd = Question("odd", "What?", context, (Answer(context[:1], 0),))
    for answers in (baselines.question_blind(train, [odd]), baselines.question_blind([odd], [odd])):
        assert set(answers) == {"odd"}
    assert 0 <= baselines.qa(train, [odd])["longest_name"]["f1"] <= 1


def test_the_same_every_time():
    train, test = list(_questions(30, 3)), list(_questions(10, 4))
    assert baselines.question_blind(train, test) == baselines.question_blind(list(reversed(train)), test)


def test_empty_sets_are_refused():
    train, test = _made(lambda *_: "x")
    with pytest.raises(ValueError, match="no training records"):
        baselines.nli([], test)
    with pytest.raises(ValueError, match="no test records"):
        baselines.nli(train, [])
    questions = list(_questions(2, 1))
    with pytest.raises(ValueError, match="no training records"):
        baselines.qa([], questions)


def test_on_real_pairs(real_data):
    folder = real_data("mnli-reduced")
    scores = baselines.nli(
        *(corpora.load("mnli", split, path=folder, limit=1500) for split in ("train", "dev"))
    )
    # Known of MultiNLI (Gururangan et al. 2018, Poliak et al. 2018): hypotheses alone tell a good deal.
    assert 0.3 < scores["majority"]["accuracy"] < 0.4
    assert scores["hypothesis_only"]["accuracy"] > scores["majority"]["accuracy"] + 0.03


def test_on_real_questions(real_data):
    folder = real_data("squad-reduced")
    scores = baselines.qa(
        *(corpora.load("squad", split, path=folder, limit=800) for split in ("train", "dev"))
    )
    assert 0.01 < scores["question_blind"]["exact_match"] < 0.2
    assert scores["question_blind"]["f1"] >= scores["question_blind"]["exact_match"]
