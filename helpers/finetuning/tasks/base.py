"""What a fine-tuning task defines, and what the tasks' heads are built from."""

import abc
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch
from torch import nn

from helpers.encoders import Encoder
from helpers.finetuning.batches import Inputs
from helpers.profiles import TuningRecipe

Labels = tuple[str, ...]
Scores = dict[str, float]

ENDINGS = ("'s", "ing", "ed", "es", "ly", "s")


class TaskDefinition(abc.ABC):
    """A fine-tuning task: everything that training, prediction and the analyses need to know about it."""

    name: ClassVar[str]  # of the models tuned on it, in the results
    metric: ClassVar[str]  # the headline score, first in :meth:`score`
    record: ClassVar[type]  # that corpora for it consist of
    schema: ClassVar[int] = 3  # raise when the same settings would give other results

    def check(self, records: Sequence) -> None:
        """Raise ValueError unless there are records, of the task's type and annotated for it."""
        if not records:
            raise ValueError(f"no records for {self.name}")
        for record in records:
            if not isinstance(record, self.record):
                raise ValueError(
                    f"{self.name} needs {self.record.__name__} records, got {type(record).__name__}"
                )

    def check_parts(self, train: Sequence, evaluation: Sequence) -> None:
        """Raise ValueError unless both parts are fit for the task, and for one another."""
        self.check(train)
        self.check(evaluation)

    def labels(self, records: Sequence) -> Labels:
        """What the head's outputs stand for, sorted; empty where the task has no labels."""
        return ()

    @abc.abstractmethod
    def encode(
        self, records: Sequence, encoder: Encoder, recipe: TuningRecipe, labels: Labels, *, targets: bool
    ) -> Inputs:
        """The model's inputs; ``targets`` adds what is to be predicted.

        Raises ValueError if the recipe's ``max_length`` exceeds the encoder's or leaves no room for text.
        """

    @abc.abstractmethod
    def head(self, encoder: Encoder, labels: Labels) -> nn.Module:
        """A freshly drawn head, from torch's global generator.

        It is called as ``head(states, pooled, mask=..., **features)`` with the encoder's last hidden states
        (n_inputs, n_pieces, d), its pooled vector (n_inputs, d) or None, and the padded features. It returns
        a dict of scores in float32 and, if the features hold targets, of ``loss``, the sum over ``count``
        items.
        """

    @abc.abstractmethod
    def decode(self, output: dict, batch: dict, head: Any, labels: Labels) -> list[Any]:
        """What the head's ``output`` for a ``batch`` says of each of its inputs."""

    def rows(self, records: Sequence, inputs: Inputs, decoded: list[Any]) -> list[dict[str, Any]]:
        """Predictions, one JSON-able row per record with its ``id``, from what was decoded of each input.

        As it is here, every record has one input and ``decoded`` are the predictions.
        """
        return [{"id": record.id} | one for record, one in zip(records, decoded, strict=True)]

    @abc.abstractmethod
    def score(self, records: Sequence, rows: list[dict[str, Any]]) -> Scores:
        """Scores of predictions as fractions of 1, the headline score first.

        Adds to each row what a bootstrap over records needs: ``correct`` and ``total`` of the headline score.
        """

    def baselines(self, train: Sequence, evaluation: Sequence) -> dict[str, Scores]:
        """Scores of rules that read no text, by name."""
        return {}

    def partial_baselines(self, train: Sequence, evaluation: Sequence) -> dict[str, Scores]:
        """Scores of predictors without an encoder, by name: what the corpus gives away.

        They are denied part of the input, or what the words in it mean.
        """
        return {}

    def shuffled(self, records: Sequence, seed: int) -> list:
        """Records with labels that say nothing of their texts, as frequent as the true ones.

        Zhang et al. (2017) train on such labels, and so does the control ``shuffled_labels``. Raises
        NotImplementedError for a task that does not say how.
        """
        raise NotImplementedError(f"{self.name} does not say how its labels are shuffled")


def linear(n_in: int, n_out: int, std: float = 0.02) -> nn.Linear:
    """A linear layer drawn as BERT draws its own: normal, truncated at two deviations, zero biases."""
    layer = nn.Linear(n_in, n_out)
    nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
    nn.init.zeros_(layer.bias)
    return layer


def word_means(states: torch.Tensor, word_of: torch.Tensor, n_words: int) -> torch.Tensor:
    """Mean states of [CLS] and the words, (n_inputs, n_words + 1, d); see :func:`batches.sentences`."""
    # A matrix product rather than scattered sums, which are not repeatable on GPUs.
    numbers = torch.arange(n_words + 1, device=states.device)
    member = (word_of[:, None, :] == numbers[:, None]).float()
    with torch.autocast(states.device.type, enabled=False):
        return (member @ states.float()) / member.sum(-1, keepdim=True).clamp(min=1)


def held_out(text: str) -> bool:
    """Whether a premise or context is of the fifth on which the strength of a baseline is chosen."""
    return hashlib.sha256(text.encode()).digest()[0] % 5 == 0


def most_frequent(values: Iterable[str], default: str = "") -> str:
    """The most frequent value, of equals the first in the alphabet; ``default`` if there is none."""
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value), default=default)


def stem(word: str) -> str:
    """A lower-case English word without its ending, where three letters stay."""
    ending = next((x for x in ENDINGS if word.endswith(x) and len(word) >= len(x) + 3), "")
    return word.removesuffix(ending)
