"""Inference: encoding against the tokenizer, the head by its formula, baselines on made-up give-aways."""

import random
from collections import Counter

import pytest
import torch

from helpers import corpora
from helpers.corpora.records import Pair
from helpers.finetuning import batches
from helpers.finetuning.tasks import TASKS
from helpers.finetuning.tasks.inference import ClassificationHead, comparison, overlap

INFERENCE = TASKS["NLI"]
WIDTH = 16


# -- encoding --------------------------------------------------------------------------------------


def test_pairs_are_encoded_as_the_tokenizer_does(encode, encoder, pairs):
    inputs = encode("NLI", pairs)
    batch = batches.collate(inputs.features, encoder)
    expected = encoder.tokenizer(
        [p.premise for p in pairs], [p.hypothesis for p in pairs], padding=True, return_tensors="pt"
    )
    for name in ("input_ids", "attention_mask", "token_type_ids"):
        assert torch.equal(batch[name], expected[name]), name
    labels = INFERENCE.labels(pairs)
    assert labels == ("contradiction", "entailment", "neutral")
    assert [labels[x] for x in batch["labels"]] == [p.label for p in pairs]
    assert inputs.counts == {"pairs": 24, "cut": 0, "wordpieces_cut": 0}


@pytest.mark.parametrize(
    ("n_a", "n_b", "room", "left"),
    [
        (5, 3, 8, (5, 3)),
        (9, 3, 8, (5, 3)),
        (3, 9, 8, (3, 5)),
        (9, 9, 8, (4, 4)),
        (9, 9, 7, (4, 3)),
        (1, 9, 4, (1, 3)),
    ],
)
def test_the_longer_segment_is_shortened(encode, encoder, n_a, n_b, room, left):
    inputs = encode("NLI", [Pair("one", "cats " * n_a, "dogs " * n_b, "x")], max_length=room + 3)
    words = Counter(encoder.tokenizer.convert_ids_to_tokens(inputs[0]["ids"].tolist()))
    assert (words["cats"], words["dogs"]) == left


def test_what_pairs_lose_is_counted(encode, encoder):
    pair = Pair("long", " ".join(["cats"] * 30), " ".join(["dogs"] * 10), "x")
    inputs = encode("NLI", [pair], max_length=25)
    assert len(inputs[0]["ids"]) == 25
    words = encoder.tokenizer.convert_ids_to_tokens(inputs[0]["ids"].tolist())
    assert Counter(words)["cats"] == 12 and Counter(words)["dogs"] == 10
    assert inputs.counts == {"pairs": 1, "cut": 1, "wordpieces_cut": 18}


# -- head ------------------------------------------------------------------------------------------


def test_classification_reads_the_pooled_vector_or_else_the_first_state(seeded):
    states = torch.randn(2, 7, WIDTH, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(2, 7, dtype=torch.bool)
    head = seeded(lambda: ClassificationHead(WIDTH, 3, 0.1))
    pooled = torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(2))
    weight, bias = head.output.weight, head.output.bias
    assert torch.allclose(head(states, pooled, mask=mask)["logits"], pooled @ weight.T + bias, atol=1e-6)
    assert torch.allclose(head(states, None, mask=mask)["logits"], states[:, 0] @ weight.T + bias, atol=1e-6)
    labels = torch.tensor([2, 0])
    found = head(states, pooled, mask=mask, labels=labels)
    by_hand = -found["logits"].log_softmax(-1)[[0, 1], labels].mean()
    assert (found["loss"] / found["count"]).item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_output_layers_start_from_the_truncated_normal(seeded):
    weight = seeded(lambda: ClassificationHead(1000, 50, 0.0)).output.weight
    assert weight.abs().max() <= 0.04
    # Deviation of a normal of deviation 0.02 cut off at twice that: 0.02 * 0.8796.
    assert weight.std().item() == pytest.approx(0.0176, rel=0.02)


# -- scores ----------------------------------------------------------------------------------------


def test_scores_and_what_the_bootstrap_needs():
    pairs = [Pair("1", "a", "b", "yes"), Pair("2", "a", "b", "no"), Pair("3", "a", "b", "no")]
    rows = [{"label": "no"} for _ in pairs]
    assert INFERENCE.score(pairs, rows) == {"accuracy": pytest.approx(2 / 3)}
    assert [(r["correct"], r["total"]) for r in rows] == [(0, 1), (1, 1), (1, 1)]


def test_majority_by_hand(pairs):
    train = [*pairs, Pair("extra", "a", "b", "neutral")]
    assert INFERENCE.baselines(train, pairs) == {"majority": {"accuracy": pytest.approx(1 / 3)}}


def test_shuffled_labels_are_as_many_and_say_nothing(pairs):
    many = [Pair(str(i), p.premise, p.hypothesis, p.label) for i, p in enumerate(20 * pairs)]
    shuffled = INFERENCE.shuffled(many, 1)
    assert Counter(p.label for p in shuffled) == Counter(p.label for p in many)
    for old, new in zip(many, shuffled, strict=True):
        assert (old.id, old.premise, old.hypothesis) == (new.id, new.premise, new.hypothesis)
    same = sum(old.label == new.label for old, new in zip(many, shuffled, strict=True)) / len(many)
    assert 0.25 < same < 0.42
    assert INFERENCE.shuffled(many, 1) == shuffled != INFERENCE.shuffled(many, 2)


# -- baselines that see part of a pair -------------------------------------------------------------


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
    scores = INFERENCE.partial_baselines(train, test)
    assert set(scores) == {"majority", "hypothesis_only", "bag_of_words", "overlap"}
    assert scores["hypothesis_only"]["accuracy"] > 0.98
    assert scores["majority"]["accuracy"] < 0.65


def test_what_the_premise_gives_away_is_kept_apart():
    train, test = _made(lambda p, h, _: "yes" if "barn" in p or "pond" in p or "wood" in p else "no")
    scores = INFERENCE.partial_baselines(train, test)
    assert scores["bag_of_words"]["accuracy"] > 0.98
    assert scores["hypothesis_only"]["accuracy"] < 0.65


def test_what_only_the_relation_tells_is_not_told():
    # The animal asleep is the first that the premise names: no baseline sees where in it a word stands.
    train, test = _made(lambda p, h, _: "yes" if h.split()[1] == p.split()[1] else "no")
    for scores in INFERENCE.partial_baselines(train, test).values():
        assert scores["accuracy"] < 0.65


def test_what_the_two_share_is_seen_by_overlap_alone():
    def label(premise, hypothesis, generator):
        return "yes" if hypothesis.split()[1] in premise else "no"

    def other(pairs):  # every second hypothesis is of an animal that the premise does not name
        for i, pair in enumerate(pairs):
            absent = next(a for a in ANIMALS[i % 10 :] + ANIMALS if a not in pair.premise)
            hypothesis = f"The {absent} was awake." if i % 2 else pair.hypothesis
            yield Pair(pair.id, pair.premise, hypothesis, label(pair.premise, hypothesis, None))

    train, test = (list(other(part)) for part in _made(label))
    scores = INFERENCE.partial_baselines(train, test)
    assert scores["overlap"]["accuracy"] > 0.98
    assert scores["hypothesis_only"]["accuracy"] < 0.8 and scores["bag_of_words"]["accuracy"] < 0.8


def test_features_of_overlap_by_hand():
    pair = Pair("1", "Two dogs barked at the cat.", "No dog was barking in 2010.", "x")
    found = comparison(pair)
    shares = {name: found[name] for name in ("words", "content", "pairs", "back", "ratio")}
    # Of no, dog, was, barking, in, 2010 the premise has dog(s) and bark(ed); no two in a row.
    assert shares == {
        "words": 2 / 6, "content": pytest.approx(2 / 4), "pairs": 0, "back": 2 / 6, "ratio": 0.5,
    }  # fmt: skip
    assert found["shared=dog"] == found["new=2010"] == found["word=was"] == found["pair=dog was"] == 1
    assert found["negated=[False, True]"] == found["new number"] == found["new words=2"] == 1
    assert found["negated and shared"] == pytest.approx(2 / 6)
    assert {name for name in found if "~" in name} == {
        "words~1", "content~2", "pairs~0", "back~1", "ratio~2",
    }  # fmt: skip


def test_empty_sentences_have_features():
    assert comparison(Pair("1", "", "", "x"))["words"] == 0


def test_the_strength_is_chosen_without_the_test_part():
    train, test = _made(lambda p, h, g: g.choice(["yes", "no"]))
    flipped = [Pair(p.id, p.premise, p.hypothesis, "no" if p.label == "yes" else "yes") for p in test]
    assert overlap(train, test) == overlap(train, flipped)


def test_three_labels_and_the_majority():
    def label(premise, hypothesis, generator):
        return generator.choices(["entailment", "neutral", "contradiction"], [1, 3, 1])[0]

    train, test = _made(label)
    share = sum(pair.label == "neutral" for pair in test) / len(test)
    assert INFERENCE.partial_baselines(train, test)["majority"] == {"accuracy": share}


def test_one_label():
    train, test = _made(lambda *_: "entailment")
    assert {scores["accuracy"] for scores in INFERENCE.partial_baselines(train, test).values()} == {1.0}


def test_empty_sets_are_refused():
    train, test = _made(lambda *_: "x")
    for parts in (([], test), (train, [])):
        with pytest.raises(ValueError, match="no records for NLI"):
            INFERENCE.partial_baselines(*parts)


def test_on_real_pairs(real_data):
    folder = real_data("mnli-reduced")
    scores = INFERENCE.partial_baselines(
        *(corpora.load("mnli", split, path=folder, limit=1500) for split in ("train", "dev"))
    )
    # Known of MultiNLI (Gururangan et al. 2018, Poliak et al. 2018): hypotheses alone tell a good deal.
    assert 0.3 < scores["majority"]["accuracy"] < 0.4
    assert scores["hypothesis_only"]["accuracy"] > scores["majority"]["accuracy"] + 0.03
    assert scores["overlap"]["accuracy"] > scores["bag_of_words"]["accuracy"] + 0.03
