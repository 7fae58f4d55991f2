"""Running text and verb forms against the treebank's own."""

import re

import pytest

from helpers.corpora.recast import english


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
    found, starts = english.detokenise(pairs)
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
    same = sum(english.plain((form, tag) for form, _, tag in rows) == text for text, rows in sentences)
    assert len(sentences) == 2001
    assert same / len(sentences) > 0.9


def test_verb_forms_are_mostly_the_authors(real_data):
    forms = {
        "VBD": english.past,
        "VBN": english.participle,
        "VBG": english.gerund,
        "VBZ": english.third_person,
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
        english.past(lemma),
        english.participle(lemma),
        english.gerund(lemma),
        english.third_person(lemma),
    )
    assert found == (past, participle, gerund, third)


@pytest.mark.parametrize(
    ("person", "plural", "past", "present"),
    [(1, False, "was", "am"), (2, False, "were", "are"), (3, False, "was", "is"), (3, True, "were", "are")],
)
def test_be_agrees(person, plural, past, present):
    assert english.finite("be", "past", person, plural) == past
    assert english.finite("be", "present", person, plural) == present
    third = (person, plural) == (3, False)
    assert english.finite("go", "present", person, plural) == ("goes" if third else "go")
