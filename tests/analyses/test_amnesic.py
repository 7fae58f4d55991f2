"""Heads on erased states: the head sees what is left, and the table says what that was."""

import dataclasses

import numpy as np
import pytest
import torch

from helpers import analyses, encoders, profiles
from helpers.analyses import amnesic
from helpers.corpora.records import Answer, LabelledSpans, Question, Target
from helpers.finetuning import prediction
from helpers.probing.amnesic import Erasure

WORDS = "the old man saw a dog near our house and then went home with it".split()


pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(scope="module")
def settings():
    return profiles.settings("smoke", seeds=[3])


@pytest.fixture(scope="module")
def predictor(settings):
    return prediction.untrained(settings.task("QA"), encoders.load("tiny"), (), seed=0)


@pytest.fixture(scope="module")
def questions():
    """The answer is a context's third word."""
    rng = np.random.default_rng(0)
    made = []
    for i in range(6):
        words = rng.permutation(WORDS).tolist()
        start = len(" ".join(words[:2])) + 1
        made.append(Question(f"q{i}", "who saw it?", " ".join(words), (Answer(words[2], start),)))
    return made


def erasure(basis):
    return Erasure(np.zeros(len(basis)), np.linalg.qr(np.asarray(basis, dtype=float))[0])


def test_a_head_whose_own_directions_are_taken_out_finds_every_answer_equally_likely(
    predictor, questions, settings, monkeypatch
):
    head = predictor.model.head.output
    seen = []
    decode = type(predictor.task).decode

    def spied(self, output, *rest):
        seen.append(output["start_logits"])
        return decode(self, output, *rest)

    monkeypatch.setattr(type(predictor.task), "decode", spied)
    amnesic._score(predictor, questions, erasure(head.weight.detach().T), settings)
    for logits in seen:
        finite = logits[torch.isfinite(logits)]
        torch.testing.assert_close(finite, head.bias[0].expand_as(finite), rtol=0, atol=1e-5)


def test_directions_the_head_does_not_read_change_nothing(predictor, questions, settings):
    weight = predictor.model.head.output.weight.detach().double().numpy()
    unread = np.linalg.svd(weight)[2][2:10].T
    records = questions
    rows = prediction.predict(predictor, records)
    predictor.task.score(records, rows)
    plain = analyses.headline(records, rows, settings)
    erased = amnesic._score(predictor, records, erasure(unread), settings)
    assert erased.value == plain.value
    np.testing.assert_array_equal(erased.samples, plain.samples)


def test_words_are_means_of_their_wordpieces_at_the_last_layer():
    encoder = encoders.load("tiny")
    record = LabelledSpans(
        "a", ("unbelievably", "old"), (Target((1, 2), None, ("J",)), Target((0, 1), None, ("R",)))
    )
    words = amnesic._words(amnesic._states(encoder, {"POS": {"train": [record]}}), [record])
    batch = encoder.tokenizer([list(record.words)], is_split_into_words=True, return_tensors="pt")
    with torch.inference_mode():
        states = encoder.model(**batch).last_hidden_state[0]
    of = np.array([-1 if w is None else w for w in batch.word_ids(0)])
    expected = [states[of == w].mean(0) for w in (1, 0)]
    np.testing.assert_allclose(words.vectors, torch.stack(expected), atol=2e-3)
    assert words.labels.tolist() == ["J", "R"] and words.sentence.tolist() == [0, 0]


def test_the_table_has_both_labels_of_both_models(settings):
    narrow = dataclasses.replace(settings, tasks=(settings.task("Dep"),))
    frame = analyses.amnesic_probing(narrow)
    assert set(frame["model"]) == {"Dep"} and set(frame["inputs"]) == {"POS", "Dependencies"}
    assert set(frame["layer"]) == {encoders.load("tiny").layers[-1]} and set(frame["seed"]) == {3}
    wide = frame.pivot(index="inputs", columns="metric", values="value")
    scores = analyses.fine_tuned(narrow, "Dep", 3).scores
    assert wide["las"].tolist() == pytest.approx([scores["las"]] * 2)
    np.testing.assert_allclose(wide["lost"], wide["las"] - wide["las_erased"], atol=1e-12)
    np.testing.assert_allclose(wide["lost_to_label"], wide["lost"] - wide["lost_at_random"], atol=1e-12)
    # A width of 32 is no more than there are labels: nothing is left, and the probe can but guess.
    assert wide["rank"].tolist() == [32, 32]
    assert wide["probe_accuracy_erased"].tolist() == wide["majority"].tolist()
    assert (wide["probe_accuracy"] > wide["majority"]).all()


def test_probes_are_trained_on_dev_and_judged_on_test(settings):
    rng = np.random.default_rng(0)
    means = np.array([[4.0, 0, 0], [0, 4, 0]])

    def words(n, labels=(0, 1)):
        y = rng.choice(labels, n)
        return amnesic.Words(
            means[y] + rng.standard_normal((n, 3)) / 3, np.array(["A", "B"])[y], np.arange(n) // 4
        )

    parts = {"train": None, "dev": words(80), "test": words(40)}
    views = {"": np.asarray, "_flat": lambda x: 0 * np.asarray(x)}
    found = amnesic._read(parts, views, settings)
    share = np.mean(parts["test"].labels == max("AB", key=parts["dev"].labels.tolist().count))
    assert found["probe_accuracy"].value == 1 and found["majority"].value == share
    assert found["probe_accuracy_flat"].value == share
    assert found["majority"].ci_low < share < found["majority"].ci_high
