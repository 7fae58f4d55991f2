"""A task that the package lacks, registered in one place, runs through all that it does with tasks."""

import dataclasses

import numpy as np
import pytest
from torch import nn
from torch.nn import functional as F

from helpers import analyses, profiles
from helpers.corpora.records import Sentence
from helpers.finetuning import batches, prediction, tasks, training
from helpers.finetuning.batches import IGNORED
from helpers.finetuning.tasks.base import TaskDefinition, linear, word_means
from helpers.profiles import Task, TuningRecipe


class TagHead(nn.Module):
    def __init__(self, width, n_tags):
        super().__init__()
        self.output = linear(width, n_tags)

    def forward(self, states, pooled, *, mask, word_of, words, tags=None):
        logits = self.output(word_means(states, word_of, words.shape[1])[:, 1:]).float()
        if tags is None:
            return {"logits": logits}
        loss = F.cross_entropy(logits.flatten(0, 1), tags.flatten(), ignore_index=IGNORED, reduction="sum")
        return {"logits": logits, "loss": loss, "count": (tags != IGNORED).sum()}


class Tagging(TaskDefinition):
    """Part-of-speech tagging with a linear layer on the means of words' pieces."""

    name = "POS"
    metric = "tag_accuracy"
    record = Sentence

    def labels(self, records):
        return tuple(sorted({tag for sentence in records for tag in sentence.upos}))

    def encode(self, records, encoder, recipe, labels, *, targets):
        inputs = batches.sentences(records, encoder, recipe, skip_long=targets)
        if targets:
            for feature, r in zip(inputs.features, inputs.record, strict=True):
                feature["tags"] = np.array([labels.index(tag) for tag in records[r].upos])
        return inputs

    def head(self, encoder, labels):
        return TagHead(encoder.width, len(labels))

    def decode(self, output, batch, head, labels):
        best = output["logits"].argmax(-1).tolist()
        sizes = batch["words"].sum(1).tolist()
        return [{"tags": [labels[x] for x in row[:n]]} for row, n in zip(best, sizes, strict=True)]

    def score(self, records, rows):
        for sentence, row in zip(records, rows, strict=True):
            right = sum(a == b for a, b in zip(row["tags"], sentence.upos, strict=True))
            row |= {"correct": right, "total": len(sentence.words)}
        return {"tag_accuracy": sum(r["correct"] for r in rows) / sum(r["total"] for r in rows)}


@pytest.fixture
def settings(tmp_path, monkeypatch, sentences):
    """The smoke profile with POS as its only task, on sentences of the tests' own."""
    monkeypatch.setenv("FINETUNING_BOOK_HOME", str(tmp_path))
    monkeypatch.setitem(tasks.TASKS, "POS", Tagging())
    monkeypatch.setattr(
        analyses.finetuning, "load_records", lambda name, split, path, limit: sentences[:limit]
    )
    recipe = TuningRecipe(epochs=20, learning_rate=3e-3, batch_size=8, max_length=32)
    smoke = profiles.settings("smoke", seeds=[0], head_rates=[1e-3], n_tokens=60)
    return dataclasses.replace(smoke, tasks=(Task("POS", "uds-dep", recipe),))


def test_a_task_of_ones_own(settings, sentences):
    scores = analyses.fine_tuning(settings)
    tuned = scores[scores["inputs"] == "in_domain"].iloc[0]
    assert (tuned["model"], tuned["metric"], tuned["n"]) == ("POS", "tag_accuracy", 24)
    untrained = scores[scores["inputs"] == "untrained"].iloc[0]
    assert tuned["value"] > 0.95 > 0.6 > untrained["value"]
    assert tuned["ci_low"] <= tuned["value"] <= tuned["ci_high"]
    model = analyses.fine_tuned(settings, "POS", 0)
    rows = prediction.predict(training.load(model.folder), sentences)
    assert [row["tags"] for row in rows] == [row["tags"] for row in model.predictions()]

    rsa = analyses.rsa_to_base(settings)
    rsa = rsa[(rsa["analysis"] == "rsa") & (rsa["metric"] == "rsa_pearson")]
    own = rsa[rsa["model"] == "POS"].set_index("layer")["value"]
    assert list(own.index) == [-1, 0, 1, 2, 3] and own[3] < own[-1] <= 1

    frozen = analyses.partial_freezing(settings)
    curve = frozen[frozen["metric"] == "tag_accuracy"].set_index(["inputs", "layer"])["value"]
    assert set(curve.index) == {(rate, k) for rate in ("one_rate", "tuned_head") for k in (-1, 1)}
    assert curve["one_rate", -1] > 0.95
    assert {"tag_accuracy", "head_rate", "knee"} <= set(frozen["metric"])
    assert len(analyses.over_seeds(frozen)) == len(curve)

    cut = analyses.truncation(settings)
    curve = cut[cut["metric"] == "tag_accuracy"].set_index("layer")["value"]
    assert list(curve.index) == [3, 1] and curve[3] == frozen[frozen["layer"] == -1].iloc[0]["value"]


def test_records_without_what_the_task_needs(settings, pairs):
    with pytest.raises(ValueError, match="POS needs Sentence records, got Pair"):
        tasks.get("POS").check(pairs)
