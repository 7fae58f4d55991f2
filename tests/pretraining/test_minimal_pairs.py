"""Minimal pairs: well formed, balanced, the same from the same seed."""

import pytest

from helpers import encoders
from helpers.pretraining import minimal_pairs


@pytest.fixture(scope="module")
def tokenizer():
    return encoders.load("tiny", device="cpu").tokenizer


@pytest.mark.parametrize("kind", minimal_pairs.KINDS)
def test_minimal_pairs_are_well_formed(kind, tokenizer):
    pairs = minimal_pairs.minimal_pairs(kind, 200, seed=0)
    assert (
        pairs
        == minimal_pairs.minimal_pairs(kind, 200, seed=0)
        != minimal_pairs.minimal_pairs(kind, 200, seed=1)
    )
    assert len(set(pairs)) == 200
    forms = []
    for good, bad in pairs:
        [place] = [i for i, (a, b) in enumerate(zip(good, bad, strict=True)) if a != b]
        forms.append((good[place], bad[place]))
        assert ("attractor" in kind) == (good.count("the") == 2)
        assert tokenizer.unk_token_id not in tokenizer(" ".join(good + bad)).input_ids
        pieces = [tokenizer(word, add_special_tokens=False).input_ids for word in forms[-1]]
        assert [len(p) for p in pieces] == [1, 1], forms[-1]  # or one form would be scored more often
        if "attractor" in kind:
            plural = [w in PLURALS for w in good[:place] if w in PLURALS | SINGULARS]
            assert plural[0] != plural[-1] and len(plural) == 2
            is_plural = plural[0]
        else:
            is_plural = good[1] in PLURALS
        assert (good[place] in PLURAL_FORMS) == is_plural != (bad[place] in PLURAL_FORMS)
    # Each form is as often right as it is wrong, or nearly: liking it is worth nothing.
    assert sum(good in PLURAL_FORMS for good, _ in forms) == 100


NOUNS = minimal_pairs._NOUNS.split()
SINGULARS = {*NOUNS, *minimal_pairs._MALE, *minimal_pairs._FEMALE}
PLURALS = {*(f"{noun}s" for noun in NOUNS), *minimal_pairs._MALE.values(), *minimal_pairs._FEMALE.values()}
PLURAL_FORMS = {
    "are",
    "were",
    "have",
    "themselves",
    *"work live write speak stand walk run come play talk".split(),
}


def test_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="unknown kind 'gender'; valid: agreement; agreement, attractor"):
        minimal_pairs.minimal_pairs("gender", 2, seed=0)
