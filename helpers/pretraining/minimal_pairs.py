"""Minimal pairs of agreement and reflexives, constructed from templates."""

import numpy as np

_NOUNS = (
    "doctor teacher soldier student writer officer king queen boy girl friend brother sister author artist"
)
_PREDICATES = [
    (("is", "are"), ("here", "old", "happy", "ready", "at home")),
    (("was", "were"), ("here", "old", "happy", "ready", "at home")),
    (("has", "have"), ("a house", "no money", "many books")),
    *(
        ((f"{verb}s", verb), ("here", "now", "again", "every day"))
        for verb in "work live write speak stand walk run come play talk".split()
    ),
]
_MALE = {
    "man": "men",
    "boy": "boys",
    "king": "kings",
    "father": "fathers",
    "brother": "brothers",
    "son": "sons",
}
_FEMALE = {
    "woman": "women", "girl": "girls", "queen": "queens", "mother": "mothers", "sister": "sisters",
    "daughter": "daughters",
}  # fmt: skip
_PREPOSITIONS = ("near", "behind", "beside", "next to")
_SAW = ("saw", "knew", "loved", "met", "heard", "followed")
_DID = ("hurt", "saw", "loved", "killed", "asked", "found", "helped", "taught")
_WHERE = ("", " again", " at last", " that day")

KINDS = (
    "agreement",
    "agreement, attractor in a phrase",
    "agreement, attractor in a clause",
    "reflexive",
    "reflexive, attractor in a phrase",
)
Words = tuple[str, ...]


def minimal_pairs(kind: str, n: int, seed: int) -> list[tuple[Words, Words]]:
    """``n`` different pairs (grammatical, not) of one kind, each differing in one word.

    Half the subjects are singular, half plural, so that liking one form of the verb or pronoun is worth
    nothing. An attractor is a noun of the other number between subject and verb. Constructed here from
    templates, after the design of Marvin and Linzen (2018). Raises ValueError for an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}; valid: {'; '.join(KINDS)}")
    rng = np.random.default_rng([seed, 4, KINDS.index(kind)])
    pairs: dict[tuple[Words, Words], None] = {}
    while len(pairs) < n:
        make = _reflexive if kind.startswith("reflexive") else _agreement
        pairs[make(rng, plural=len(pairs) % 2, attractor=kind.rpartition(" ")[2])] = None
    return list(pairs)


def _pick(rng, options):
    return options[int(rng.integers(len(options)))]


def _subject(rng, noun: str, other: str, attractor: str) -> str:
    if attractor == "phrase":
        return f"the {noun} {_pick(rng, _PREPOSITIONS)} the {other}"
    return f"the {noun} that the {other} {_pick(rng, _SAW)}" if attractor == "clause" else f"the {noun}"


def _agreement(rng, plural: int, attractor: str) -> tuple[Words, Words]:
    a, b = rng.choice(_NOUNS.split(), 2, replace=False)
    subject = _subject(rng, a + "s" * plural, b + "s" * (1 - plural), attractor)
    forms, tails = _pick(rng, _PREDICATES)
    tail = _pick(rng, tails)
    good, bad = (tuple(f"{subject} {forms[i]} {tail} .".split()) for i in (plural, 1 - plural))
    return good, bad


def _reflexive(rng, plural: int, attractor: str) -> tuple[Words, Words]:
    nouns, own = _pick(rng, ((_MALE, "himself"), (_FEMALE, "herself")))
    a, b = rng.choice(list(nouns), 2, replace=False)
    # Of the same sex, so that only number can tell.
    subject = _subject(rng, nouns[a] if plural else a, b if plural else nouns[b], attractor)
    verb, tail = _pick(rng, _DID), _pick(rng, _WHERE)
    forms = (own, "themselves")
    good, bad = (tuple(f"{subject} {verb} {forms[i]}{tail} .".split()) for i in (plural, 1 - plural))
    return good, bad
