"""Apply a fine-tuned model, or an untrained one, to records."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from helpers import encoders
from helpers.encoders import Encoder
from helpers.finetuning import batches, tasks
from helpers.finetuning.batches import Inputs
from helpers.finetuning.tasks import TaskDefinition
from helpers.profiles import Task, TuningRecipe

ENCODER_INPUTS = ("input_ids", "inputs_embeds", "attention_mask", "token_type_ids")


class TaskModel(nn.Module):
    """An encoder with a task's head: called with a batch of :func:`batches.collate`."""

    def __init__(self, encoder: nn.Module, head: nn.Module):
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, **batch: torch.Tensor) -> dict[str, torch.Tensor]:
        inputs = {name: batch.pop(name) for name in ENCODER_INPUTS if name in batch}
        output = self.encoder(**inputs)
        pooled = getattr(output, "pooler_output", None)
        return self.head(output.last_hidden_state, pooled, mask=inputs["attention_mask"].bool(), **batch)


@dataclass(frozen=True)
class Predictor:
    """A task's model with all that applying it takes.

    ``below``, where the model has only the blocks above a frozen bottom, adds the bottom's states to inputs.
    """

    task: TaskDefinition
    model: TaskModel
    encoder: Encoder
    labels: tuple[str, ...]
    recipe: TuningRecipe
    below: Callable[[Inputs], Inputs] | None = None

    def encode(self, records: Sequence, *, targets: bool) -> Inputs:
        """The model's inputs (:meth:`TaskDefinition.encode`), the frozen bottom's states included."""
        inputs = self.task.encode(records, self.encoder, self.recipe, self.labels, targets=targets)
        return self.below(inputs) if self.below and len(inputs) else inputs


def untrained(task: Task, encoder: Encoder, labels: tuple[str, ...], seed: int) -> Predictor:
    """The encoder as it is under a freshly drawn head. The model shares the encoder's weights."""
    definition = tasks.get(task.model)
    with encoders.seeded(seed):
        head = definition.head(encoder, labels).to(encoder.device)
    return Predictor(definition, TaskModel(encoder.model, head), encoder, labels, task.recipe)


def predict(
    predictor: Predictor, records: Sequence, counts: dict[str, int] | None = None
) -> list[dict[str, Any]]:
    """Predictions for records, in order: one JSON-able row each, as the class of the task describes them.

    ``counts``, if given, receives how many records were cut or windowed.
    """
    inputs = predictor.encode(records, targets=False)
    if counts is not None:
        counts.update(inputs.counts)
    decoded: list = [None] * len(inputs)
    model = predictor.model.eval()
    with batches.evaluating(predictor.encoder):
        for chosen, batch in batches.padded(inputs, predictor.encoder):
            found = predictor.task.decode(model(**batch), batch, model.head, predictor.labels)
            for i, one in zip(chosen, found, strict=True):
                decoded[i] = one
    return predictor.task.rows(records, inputs, decoded)
