"""uds-qa: hand-worked questions."""

import pytest

from helpers.corpora.recast import questions as asking


@pytest.fixture
def questions(graph):
    """Function from a sentence to {question: answer}, before balancing."""

    def make(tokens, predicates, arguments=None):
        made = asking._with_contexts([graph(tokens, predicates, arguments)])
        return {q.question: q.answers[0].text for q in made}

    return make


def test_questions_for_every_argument(questions, raid, raid_arguments):
    predicates = {4: {"arguments": {2: {}, 6: {}, 8: {}}}}
    assert questions(raid, predicates, raid_arguments) == {
        "Who will kill a cleric in Baghdad?": "The guerrillas",
        "Who will the guerrillas kill in Baghdad?": "a cleric",
        "Where will the guerrillas kill a cleric?": "Baghdad",
    }


def test_agreement_and_do_support(questions):
    tokens = """
    The     the    DT  3 det
    old     old    JJ  3 amod
    dogs    dog    NNS 4 nsubj
    chase   chase  VBP 0 root
    cats    cat    NNS 4 dobj
    after   after  IN  7 case
    lunch   lunch  NN  4 nmod
    """
    made = questions(
        tokens, {4: {"arguments": {3: {}, 5: {}, 7: {}}}}, {3: {"span": [1, 2, 3]}, 5: {}, 7: {}}
    )
    assert made == {
        "What chases cats after lunch?": "The old dogs",
        "What do the old dogs chase after lunch?": "cats",
        "After what do the old dogs chase cats?": "lunch",
    }


def test_questions_on_a_negated_past(questions):
    tokens = """
    Dr.     Dr.    NNP 2 compound
    Smith   Smith  NNP 5 nsubj
    did     do     VBD 5 aux
    n't     not    RB  5 neg
    answer  answer VB  0 root
    my      my     PRP$ 7 nmod:poss
    letter  letter NN  5 dobj
    on      on     IN  9 case
    Monday  Monday NNP 5 nmod
    """
    made = questions(
        tokens, {5: {"arguments": {2: {}, 7: {}, 9: {}}}}, {2: {"span": [1, 2]}, 7: {"span": [6, 7]}, 9: {}}
    )
    assert made == {
        "Who did not answer my letter on Monday?": "Dr. Smith",
        "What did Dr. Smith not answer on Monday?": "my letter",
        "When did Dr. Smith not answer my letter?": "Monday",
    }


def test_questions_on_copulas_imperatives_and_infinitives(questions):
    copula = """
    The     the      DT  2 det
    staff   staff    NN  5 nsubj
    are     be       VBP 5 cop
    always  always   RB  5 advmod
    kind    kind     JJ  0 root
    to      to       TO  7 case
    guests  guest    NNS 5 nmod
    """
    assert questions(copula, {5: {"arguments": {2: {}, 7: {}}}}, {2: {"span": [1, 2]}, 7: {}}) == {
        "Who is always kind to guests?": "The staff"
    }
    imperative = """
    Please  please   UH  2 discourse
    send    send     VB  0 root
    the     the      DT  4 det
    letters letter   NNS 2 dobj
    to      to       TO  6 case
    Mary    Mary     NNP 2 nmod
    """
    assert questions(imperative, {2: {"arguments": {4: {}, 6: {}}}}, {4: {"span": [3, 4]}, 6: {}}) == {
        "What should you send to Mary?": "the letters",
        "To whom or what should you send the letters?": "Mary",
    }
    infinitive = """
    She     she      PRP 2 nsubj
    hopes   hope     VBZ 0 root
    to      to       TO  4 mark
    visit   visit    VB  2 xcomp
    the     the      DT  6 det
    museum  museum   NN  4 dobj
    """
    predicates = {2: {"arguments": {1: {}}}, 4: {"arguments": {1: {}, 6: {}}}}
    assert questions(infinitive, predicates, {1: {}, 6: {"span": [5, 6]}}) == {
        "What does she hope to visit?": "the museum"
    }


def test_pronouns_and_given_away_answers_are_not_asked_for(questions):
    tokens = "It it PRP 2 nsubj\nhit hit VBD 0 root\nher she PRP 2 dobj\nin in IN 5 case\nMay May NNP 2 nmod"
    arguments = {1: {}, 3: {}, 5: {}}
    assert questions(tokens, {2: {"arguments": {1: {}, 3: {}, 5: {}}}}, arguments) == {
        "When did it hit her?": "May"
    }
    # "What did tea replace?" would be answered by "tea" as well.
    tokens = "Tea tea NN 2 nsubj\nreplaced replace VBD 0 root\ntea tea NN 2 dobj"
    assert questions(tokens, {2: {"arguments": {1: {}, 3: {}}}}, {1: {}, 3: {}}) == {}
