"""Running text and verb forms against the treebank's own, clauses against hand-worked ones."""

import re

import pytest

from helpers.corpora import clauses, uds
from helpers.corpora.clauses import Phrase, Tree


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("Do/VBP n't/RB you/PRP 'll/MD ?/.", "Don't you'll?"),
        ("I/PRP ca/MD n't/RB ,/, but/CC she/PRP can/MD not/RB ./.", "I can't, but she cannot."),
        ("al/NNP -/HYPH Ani/NNP -/: that/DT is/VBZ he/PRP", "al-Ani - that is he"),
        ("He/PRP said/VBD ,/, \"/`` Go/VB !/. \"/'' (/-LRB- twice/RB )/-RRB- ./.", 'He said, "Go!" (twice).'),
        (
            "$/$ 5/CD and/CC 3/CD %/NN of/IN Elena/NNP 's/POS and/CC the/DT kids/NNS '/POS",
            "$5 and 3% of Elena's and the kids'",
        ),
        ("gon/VBG na/TO dance/VB", "gonna dance"),
        ("the/DT and/CC //SYM or/CC", "the and/or"),
    ],
)
def test_spaces_are_put_back(tokens, text):
    pairs = [tuple(token.rsplit("/", 1)) for token in tokens.split()]
    found, starts = clauses.detokenise(pairs)
    assert found == text
    assert [found[at : at + len(word)] for at, (word, _) in zip(starts, pairs, strict=True)] == [
        w for w, _ in pairs
    ]


def _blocks(path):
    """(text, [(form, lemma, XPOS)]) of the sentences of a CoNLL-U file, without a reader."""
    for block in path.read_text(encoding="utf-8").strip().split("\n\n"):
        text = re.search(r"^# text = (.*)$", block, re.MULTILINE).group(1)
        rows = [line.split("\t") for line in block.splitlines() if re.match(r"\d+\t", line)]
        yield text, [(row[1], row[2], row[4]) for row in rows]


def test_running_text_is_mostly_the_authors(real_data):
    sentences = list(_blocks(real_data("ud-english-ewt") / "en_ewt-ud-dev.conllu"))
    same = sum(clauses.plain((form, tag) for form, _, tag in rows) == text for text, rows in sentences)
    assert len(sentences) == 2001
    assert same / len(sentences) > 0.9


def test_verb_forms_are_mostly_the_authors(real_data):
    forms = {
        "VBD": clauses.past,
        "VBN": clauses.participle,
        "VBG": clauses.gerund,
        "VBZ": clauses.third_person,
    }
    right = {tag: 0 for tag in forms}
    total = dict(right)
    for _, rows in _blocks(real_data("ud-english-ewt") / "en_ewt-ud-train.conllu"):
        for form, lemma, tag in rows:
            if tag in forms and form.isalpha() and lemma not in ("be", "have"):
                total[tag] += 1
                right[tag] += forms[tag](lemma) == form.lower()
    for tag in forms:
        assert total[tag] > 1000
        assert right[tag] / total[tag] > 0.97, tag


@pytest.mark.parametrize(
    ("lemma", "past", "participle", "gerund", "third"),
    [
        ("be", "was", "been", "being", "is"),
        ("carry", "carried", "carried", "carrying", "carries"),
        ("play", "played", "played", "playing", "plays"),
        ("stop", "stopped", "stopped", "stopping", "stops"),
        ("offer", "offered", "offered", "offering", "offers"),
        ("prefer", "preferred", "preferred", "preferring", "prefers"),
        ("fix", "fixed", "fixed", "fixing", "fixes"),
        ("die", "died", "died", "dying", "dies"),
        ("see", "saw", "seen", "seeing", "sees"),
        ("go", "went", "gone", "going", "goes"),
        ("take", "took", "taken", "taking", "takes"),
        ("watch", "watched", "watched", "watching", "watches"),
    ],
)
def test_verb_forms(lemma, past, participle, gerund, third):
    found = (
        clauses.past(lemma),
        clauses.participle(lemma),
        clauses.gerund(lemma),
        clauses.third_person(lemma),
    )
    assert found == (past, participle, gerund, third)


@pytest.mark.parametrize(
    ("person", "plural", "past", "present"),
    [(1, False, "was", "am"), (2, False, "were", "are"), (3, False, "was", "is"), (3, True, "were", "are")],
)
def test_be_agrees(person, plural, past, present):
    phrase = Phrase(1, (1,), (("x", "NN"),), person, plural, True)
    assert clauses.finite("be", "past", phrase) == past
    assert clauses.finite("be", "present", phrase) == present
    assert clauses.finite("go", "present", phrase) == ("goes" if (person, plural) == (3, False) else "go")


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
    assert clauses.plain(giving.subject.words) == "the old ladies"
    assert (giving.subject.person, giving.subject.plural) == (3, True)
    assert [(part.relation, clauses.plain(part.words)) for part in giving.rest] == [
        ("iobj", "me"),
        ("dobj", "a cake"),
        ("nmod", "in the park"),
    ]
    assert clauses.plain(giving.following({7, 8})) == "me in the park"
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
    assert [(clause.lemma, clauses.plain(clause.subject.words), clause.tense) for clause in found] == [
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
    assert clauses.plain(know.following()) == "a baker"
    assert (clauses.plain(sell.subject.words), clauses.plain(sell.following())) == ("a baker", "pies")
    assert (clauses.plain(like.subject.words), clauses.plain(like.following())) == ("we", "pies")


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
