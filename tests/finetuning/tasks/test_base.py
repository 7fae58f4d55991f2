"""What all tasks have in common: the registry, checks of records, scores in single precision."""

import pytest
import torch

from helpers.finetuning import tasks
from helpers.finetuning.prediction import TaskModel
from helpers.finetuning.tasks.base import most_frequent


def test_unknown_model():
    with pytest.raises(ValueError, match="'NER'; valid: Dep, NLI, QA"):
        tasks.get("NER")


def test_records_of_another_kind_and_none(pairs):
    with pytest.raises(ValueError, match="Dep needs Sentence records, got Pair"):
        tasks.get("Dep").check(pairs)
    with pytest.raises(ValueError, match="no records for NLI"):
        tasks.get("NLI").check([])


def test_lengths_that_do_not_fit(encode, pairs):
    with pytest.raises(ValueError, match="max_length 65 is more than .*'s 64 positions"):
        encode("NLI", pairs, max_length=65)
    with pytest.raises(ValueError, match="no room for text"):
        encode("NLI", pairs, max_length=4)


def test_most_frequent():
    assert most_frequent(["b", "a", "c", "b", "a"]) == "a"
    assert most_frequent([], default="none") == "none"


@pytest.mark.parametrize("kind", ["Dep", "NLI", "QA"])
def test_scores_and_losses_are_float32_under_autocast(encoder, seeded, kind):
    model = seeded(lambda: TaskModel(encoder.model, tasks.get(kind).head(encoder, ("a", "b"))))
    ids = torch.tensor([[2, 9, 10, 3]])
    batch = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "token_type_ids": torch.zeros_like(ids),
    } | {
        "Dep": {
            "word_of": torch.tensor([[0, 1, 2, -1]]),
            "words": torch.ones(1, 2, dtype=torch.bool),
            "heads": torch.tensor([[2, 0]]),
            "relations": torch.tensor([[0, 1]]),
        },
        "NLI": {"labels": torch.tensor([1])},
        "QA": {"starts": torch.tensor([1]), "ends": torch.tensor([2])},
    }[kind]
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        found = model(**batch)
    for name in ("loss", "logits", "start_logits", "end_logits", "arcs"):
        assert name not in found or found[name].dtype == torch.float32
    assert torch.isfinite(found["loss"])
