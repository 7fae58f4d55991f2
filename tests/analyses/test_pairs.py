"""Linear probes of pairs: the vectors are the encoder's own, and what they hold is found."""

import dataclasses

import numpy as np
import pytest
import torch

from helpers import analyses, encoders, profiles
from helpers.analyses import pairs
from helpers.corpora.records import Pair

RECIPE = profiles.TuningRecipe(max_length=32)
WORDS = "the old man saw a dog near our house and then went home with it".split()


def drawn(n, seed):
    """Pairs of random words, "yes" or "no" among them; the one in the hypothesis is the label."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(n):
        label = ("yes", "no")[int(rng.integers(2))]
        premise = " ".join([*rng.choice(WORDS, rng.integers(3, 9)), rng.choice(["yes", "no"])])
        words = [*rng.choice(WORDS, rng.integers(2, 6)), label]
        found.append(
            Pair(id=str(i), premise=premise, hypothesis=" ".join(rng.permutation(words)), label=label)
        )
    return found


def test_vectors_are_those_of_each_pair_read_alone():
    encoder = encoders.load("tiny")
    records = drawn(5, 0)
    found = pairs.states(encoder, records, RECIPE)
    for i, pair in enumerate(records):
        batch = encoder.tokenizer(pair.premise, pair.hypothesis, return_tensors="pt")
        with torch.inference_mode():
            hidden = encoder.model(**batch, output_hidden_states=True).hidden_states
        for k, layer in enumerate(hidden):
            np.testing.assert_allclose(found["cls"][k, i], layer[0, 0], atol=2e-2)
            of = np.array([-1 if s is None else s for s in batch.sequence_ids(0)])
            means = torch.cat([layer[0][of == number].mean(0) for number in (0, 1)])
            np.testing.assert_allclose(found["segments"][k, i], means, atol=2e-2)
            whole = layer[0][(of == 0) | (of == 1)].mean(0)
            np.testing.assert_allclose(found["mean"][k, i], whole, atol=2e-2)


def test_a_word_that_gives_the_label_away_is_read_off_the_words_and_not_off_cls_below_the_blocks():
    encoder = encoders.load("tiny")
    train, judged = drawn(500, 1), drawn(100, 2)
    seen, unseen = (pairs.states(encoder, part, RECIPE) for part in (train, judged))
    labels, gold = (np.array([pair.label for pair in part]) for part in (train, judged))

    def accuracy(view):
        model = pairs._classifier().fit(seen[view][0], labels)
        return (model.predict(unseen[view][0]) == gold).mean()

    assert accuracy("segments") > 0.9
    # [CLS]'s embedding is the same in every pair: all are given one label.
    assert np.ptp(unseen["cls"][0], axis=0).max() == 0
    assert accuracy("cls") in {(gold == label).mean() for label in ("yes", "no")}


def test_the_table_has_every_layer_of_three_models(tmp_path, monkeypatch):
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(tmp_path))
    settings = profiles.settings("smoke", seeds=[3])
    frame = analyses.pair_probe(settings)
    layers = list(encoders.load("tiny").layers)
    for model, seed in (("Base", None), ("Random", 1000), ("NLI", 3)):
        own = frame[frame["model"] == model]
        assert own["seed"].dropna().unique().tolist() == ([] if seed is None else [seed])
        for view in ("cls", "mean", "segments", "mean_minus_cls"):
            assert own[own["inputs"] == view]["layer"].tolist() == layers
        cls, mean, gain = (
            own[own["inputs"] == view]["value"].to_numpy() for view in ("cls", "mean", "mean_minus_cls")
        )
        np.testing.assert_allclose(gain, mean - cls, atol=1e-12)
    assert frame["value"].between(frame["ci_low"], frame["ci_high"]).all()
    assert (frame["n"] == settings.task("NLI").eval_limit).all()


def test_an_empty_hypothesis_has_the_mean_zero():
    encoder = encoders.load("tiny")
    pair = Pair(id="1", premise="a dog saw it", hypothesis="", label="yes")
    found = pairs.states(encoder, [pair], RECIPE)["segments"]
    assert not found[:, 0, encoder.width :].any() and found[:, 0, : encoder.width].any(axis=1).all()


def test_too_long_for_the_encoder_is_told():
    with pytest.raises(ValueError, match="max_length 4096 is more than tiny's"):
        pairs.states(encoders.load("tiny"), drawn(2, 0), profiles.TuningRecipe(max_length=4096))


def test_without_an_nli_task_the_table_is_empty(tmp_path, monkeypatch):
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(tmp_path))
    smoke = profiles.settings("smoke")
    assert analyses.pair_probe(dataclasses.replace(smoke, tasks=(smoke.task("Dep"),))).empty
