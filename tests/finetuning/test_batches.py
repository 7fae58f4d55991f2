"""Batches: padding, and an order of inputs that needs little of it."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from helpers.corpora.records import Sentence
from helpers.finetuning import batches, prediction, tasks, training
from helpers.profiles import Task, TuningRecipe


def test_collate_pads_each_input_with_what_does_not_count(encode, sentences):
    relations = ("root", *["dep"] * 8)
    long = Sentence("long", ("cats",) * 9, heads=tuple(range(9)), deprels=relations)
    inputs = encode("Dep", [sentences[0], long])
    tokenizer = SimpleNamespace(pad_token_id=7)
    batch = batches.collate(inputs.features, SimpleNamespace(typed=True, tokenizer=tokenizer))
    assert batch["input_ids"].shape == (2, 11) and (batch["input_ids"][0, 7:] == 7).all()
    assert batch["attention_mask"].sum(1).tolist() == [7, 11]
    assert (batch["word_of"][0, 7:] == -100).all()
    assert batch["words"].dtype == torch.bool and batch["words"].sum(1).tolist() == [5, 9]
    assert (batch["heads"][0, 5:] == -100).all() and (batch["relations"][0, 5:] == -100).all()
    integers = {name for name, tensor in batch.items() if tensor.dtype == torch.int64}
    assert integers == batch.keys() - {"words"}


def test_states_take_the_place_of_wordpieces_and_untyped_encoders_get_no_types():
    features = [
        {"ids": np.arange(n), "second": n, "states": np.ones((n, 2), np.float16), "target": n} for n in (3, 5)
    ]
    batch = batches.collate(features, SimpleNamespace(typed=False, tokenizer=None))
    assert batch.keys() == {"inputs_embeds", "attention_mask", "target"}
    assert batch["inputs_embeds"].dtype == torch.float32 and batch["target"].tolist() == [3, 5]
    assert batch["inputs_embeds"].sum((1, 2)).tolist() == [6, 10]


def test_padded_visits_every_input_once(encode, encoder, questions):
    longer = [dataclasses.replace(q, question=q.question + " who" * (i % 5)) for i, q in enumerate(questions)]
    inputs = encode("QA", longer * 9)
    seen = []
    for chosen, batch in batches.padded(inputs, encoder):
        seen += chosen
        assert batch["input_ids"].numel() <= batches.BATCH_PIECES
        for i, row in zip(chosen, batch["input_ids"], strict=True):
            assert row[: len(inputs[i]["ids"])].tolist() == inputs[i]["ids"].tolist()
    assert sorted(seen) == list(range(len(inputs))) and seen != sorted(seen)


def test_length_grouping():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 100, 1003)

    def drawn(epoch, seed=0):
        made = batches.Order(lengths, 8, seed)
        assert made.steps_per_epoch == 126
        return np.concatenate([made.at(126 * epoch + i) for i in range(126)]).tolist()

    order = drawn(0)
    assert sorted(order) == list(range(1003)) == sorted(drawn(1))
    assert order == drawn(0) and order != drawn(1) and order != drawn(0, seed=1)
    drawn_batches = [lengths[order[i : i + 8]] for i in range(0, 1003, 8)]
    waste = 1 - lengths.sum() / sum(len(b) * b.max() for b in drawn_batches)
    assert waste < 0.05
    longest = [b.max() for b in drawn_batches]
    assert longest != sorted(longest) and longest != sorted(longest, reverse=True)


def test_widths_are_rounded_up_but_not_beyond_what_the_encoder_reads(encoder, encode, sentences):
    inputs = encode("Dep", sentences)
    features = [inputs[i] for i in range(3)]
    plain, rounded = (batches.collate(features, encoder, multiple=m) for m in (1, 8))
    n = plain["input_ids"].shape[1]
    assert rounded["input_ids"].shape[1] == -(-n // 8) * 8 != n
    assert torch.equal(rounded["input_ids"][:, :n], plain["input_ids"])
    assert not rounded["attention_mask"][:, n:].any()
    assert not rounded["words"][:, plain["words"].shape[1] :].any()
    assert batches.collate(features, encoder, multiple=1000)["input_ids"].shape[1] == encoder.max_length


def test_parts_of_a_batch_add_up_to_its_gradient(encoder, encode, sentences, monkeypatch):
    task = Task("Dep", "test", TuningRecipe(max_length=64))
    known = tasks.get("Dep").labels(sentences)
    predictor = prediction.untrained(task, encoder, known, 0)
    inputs = predictor.encode(sentences, targets=True)
    predictor.model.eval()  # no dropout: its draws depend on the parts
    trained = [p for p in predictor.model.parameters() if p.requires_grad]
    gradients, losses = [], []
    for pieces in (10_000, 24):
        monkeypatch.setattr(training, "CPU_PIECES", pieces)
        predictor.model.zero_grad()
        losses.append(training.backward(predictor, [inputs[i] for i in range(8)], trained))
        gradients.append([p.grad.clone() for p in trained if p.grad is not None])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    for whole, parts in zip(*gradients, strict=True):
        torch.testing.assert_close(parts, whole, rtol=2e-2, atol=2e-4)
    predictor.model.zero_grad()
