"""Clauses against hand-worked ones."""

import pytest

from helpers.corpora import uds
from helpers.corpora.recast import clauses
from helpers.corpora.recast.english import plain
from helpers.corpora.recast.tree import Tree


def _only(make_graph, make_wheel, tokens, predicates, arguments=None):
    wheel = make_wheel({"dev": {"k": make_graph("k", tokens, predicates, arguments)}}, {"k": "email-x"})
    (graph,) = uds.parse(wheel, "dev")
    return clauses.clauses(Tree(graph))


def test_a_clause_taken_apart(make_graph, make_wheel):
    tokens = """
    The     the     DT  3 det
    old     old     JJ  3 amod
    ladies  lady    NNS 5 nsubj
    have    have    VBP 5 aux
    given   give    VBN 0 root
    me      I       PRP 5 iobj
    a       a       DT  8 det
    cake    cake    NN  5 dobj
    in      in      IN  11 case
    the     the     DT  11 det
    park    park    NN  5 nmod
    because because IN  14 mark
    I       I       PRP 14 nsubj
    asked   ask     VBD 5 advcl
    .       .       .   5 punct
    """
    giving, asking = _only(make_graph, make_wheel, tokens, {5: {"arguments": {}}, 14: {}})
    assert (giving.lemma, giving.tense, giving.passive, giving.negated) == ("give", "past", False, "")
    assert giving.auxiliaries == (4,)
    # The sentence's capital is undone.
    assert plain(giving.subject.words) == "the old ladies"
    assert (giving.subject.person, giving.subject.plural) == (3, True)
    assert [(part.relation, plain(part.words)) for part in giving.rest] == [
        ("iobj", "me"),
        ("dobj", "a cake"),
        ("nmod", "in the park"),
    ]
    assert plain(giving.following({7, 8})) == "me in the park"
    assert (asking.lemma, asking.subject.person, asking.rest) == ("ask", 1, ())


def test_subjects_that_stand_elsewhere(make_graph, make_wheel):
    tokens = """
    People  people NNS 5 nsubj
    living  live   VBG 1 acl
    there   there  RB  2 advmod
    will    will   MD  5 aux
    come    come   VB  0 root
    and     and    CC  5 cc
    ask     ask    VB  5 conj
    you     you    PRP 7 dobj
    to      to     TO  10 mark
    help    help   VB  7 xcomp
    .       .      .   5 punct
    """
    predicates = {
        2: {"arguments": {1: {}}},
        5: {"arguments": {1: {}}},
        7: {"arguments": {1: {}, 8: {}}},
        10: {"arguments": {8: {}}},
    }
    found = _only(make_graph, make_wheel, tokens, predicates, {1: {}, 8: {}})
    assert [(clause.lemma, plain(clause.subject.words), clause.tense) for clause in found] == [
        ("live", "people", ""),
        ("come", "people living there", "modal"),
        ("ask", "people living there", "modal"),
        ("help", "you", ""),
    ]
    assert found[2].auxiliaries == (4,)


def test_relative_clauses(make_graph, make_wheel):
    tokens = """
    I      I     PRP 2 nsubj
    know   know  VBP 0 root
    a      a     DT  4 det
    baker  baker NN  2 dobj
    who    who   WP  6 nsubj
    sells  sell  VBZ 4 acl:relcl
    pies   pie   NNS 6 dobj
    that   that  WDT 10 dobj
    we     we    PRP 10 nsubj
    like   like  VBP 7 acl:relcl
    .      .     .   2 punct
    """
    know, sell, like = _only(make_graph, make_wheel, tokens, {2: {}, 6: {}, 10: {}})
    assert plain(know.following()) == "a baker"
    assert (plain(sell.subject.words), plain(sell.following())) == ("a baker", "pies")
    assert (plain(like.subject.words), plain(like.following())) == ("we", "pies")


@pytest.mark.parametrize(
    "tokens",
    [
        # What the place is to the verb is not marked.
        "the the DT 2 det\nplace place NN 0 root\nhe he PRP 4 nsubj\nwent go VBD 2 acl:relcl",
        "There there EX 2 expl\nwent go VBD 0 root\nhe he PRP 2 nsubj",
        "What what WP 3 dobj\nhe he PRP 3 nsubj\nsaw see VBD 0 root",
        "THE the DT 2 det\nDOG dog NN 3 nsubj\nBARKED bark VBD 0 root",
        # An auxiliary is missing.
        "You you PRP 2 nsubj\ngot get VBN 0 root\nmail mail NN 2 dobj",
    ],
)
def test_clauses_that_are_left_alone(tokens, make_graph, make_wheel):
    last = [line.split()[2] for line in tokens.splitlines()]
    verb = next(i for i, tag in enumerate(last, 1) if tag.startswith("VB"))
    assert _only(make_graph, make_wheel, tokens, {verb: {}}) == []
