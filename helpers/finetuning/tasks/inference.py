"""Natural language inference (NLI): the label of a premise and a hypothesis."""

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers import encoders
from helpers.corpora.records import Pair
from helpers.encoders import Encoder
from helpers.finetuning import metrics
from helpers.finetuning.batches import Inputs, join, room
from helpers.finetuning.tasks.base import Labels, Scores, TaskDefinition, linear, most_frequent
from helpers.profiles import TuningRecipe

Pairs = Sequence[Pair]


class Inference(TaskDefinition):
    """Predictions: ``label``, and ``probabilities`` in the order of the labels."""

    name = "NLI"
    metric = "accuracy"
    record = Pair

    def check_parts(self, train: Pairs, evaluation: Pairs) -> None:
        super().check_parts(train, evaluation)
        known = self.labels(train)
        for pair in evaluation:
            if pair.label not in known:
                raise ValueError(
                    f"evaluation pair {pair.id!r} has label {pair.label!r}, which no training pair has; "
                    f"known: {', '.join(known)}"
                )

    def labels(self, records: Pairs) -> Labels:
        return tuple(sorted({pair.label for pair in records}))

    def encode(
        self, records: Pairs, encoder: Encoder, recipe: TuningRecipe, labels: Labels, *, targets: bool
    ) -> Inputs:
        """One input per pair; the longer segment is cut at its end, as in google-research/bert."""
        limit = room(encoder, recipe, pair=True)
        inputs = Inputs()
        cut = lost = 0
        aligned = encoders.align_records(encoder.tokenizer, records)
        for r, (pair, [(a, _), (b, _)]) in enumerate(aligned):
            over = len(a) + len(b) - limit
            if over > 0:
                cut, lost = cut + 1, lost + over
                n_a, n_b = shorten(len(a), len(b), limit)
                a, b = a[:n_a], b[:n_b]
            feature = join(encoder, a, b)
            if targets:
                feature["labels"] = labels.index(pair.label)
            inputs.features.append(feature)
            inputs.record.append(r)
        inputs.counts = {"pairs": len(records), "cut": cut, "wordpieces_cut": lost}
        return inputs

    def head(self, encoder: Encoder, labels: Labels) -> nn.Module:
        dropout = getattr(encoder.model.config, "hidden_dropout_prob", 0.1)
        return ClassificationHead(encoder.width, len(labels), dropout)

    def decode(self, output: dict, batch: dict, head: Any, labels: Labels) -> list[dict]:
        shares = output["logits"].softmax(-1).cpu().numpy()
        return [
            {"label": labels[int(row.argmax())], "probabilities": [round(float(x), 6) for x in row]}
            for row in shares
        ]

    def score(self, records: Pairs, rows: list[dict[str, Any]]) -> Scores:
        """``accuracy``."""
        for pair, row in zip(records, rows, strict=True):
            row |= {"gold": pair.label, "correct": int(row["label"] == pair.label), "total": 1}
        return {"accuracy": metrics.accuracy([p.label for p in records], [r["label"] for r in rows])}

    def baselines(self, train: Pairs, evaluation: Pairs) -> dict[str, Scores]:
        """``majority``: the most frequent label in training."""
        label = most_frequent(pair.label for pair in train)
        return {"majority": self.score(evaluation, [{"label": label} for _ in evaluation])}

    def partial_baselines(self, train: Pairs, evaluation: Pairs) -> dict[str, Scores]:
        """``majority``, ``hypothesis_only`` (Poliak et al. 2018) and ``bag_of_words``.

        ``hypothesis_only`` is a logistic regression on the words and word pairs of the hypothesis (tf-idf),
        ``bag_of_words`` one that also sees those of the premise, as features of their own, but not how the
        two are related.
        """
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        self.check(train)
        self.check(evaluation)
        scores = self.baselines(train, evaluation)
        gold, labels = [pair.label for pair in evaluation], [pair.label for pair in train]
        views = {
            "hypothesis_only": lambda pair: _terms("", pair.hypothesis),
            "bag_of_words": lambda pair: _terms("", pair.hypothesis) + _terms("premise:", pair.premise),
        }
        for name, view in views.items():
            if len(set(labels)) == 1:
                scores[name] = scores["majority"]
                continue
            model = make_pipeline(
                TfidfVectorizer(analyzer=view, min_df=2 if len(train) >= 100 else 1, sublinear_tf=True),
                LogisticRegression(max_iter=1000),
            )
            predicted = model.fit(train, labels).predict(evaluation)
            scores[name] = {"accuracy": metrics.accuracy(gold, list(predicted))}
        return scores


def shorten(n_a: int, n_b: int, room: int) -> tuple[int, int]:
    """Lengths of two segments cut to ``room`` pieces, always the longer one, or of equals the second."""
    while n_a + n_b > room:
        if n_a > n_b:
            n_a -= 1
        else:
            n_b -= 1
    return n_a, n_b


class ClassificationHead(nn.Module):
    """Label of a pair, from the pooled [CLS] (Devlin et al. 2019), or [CLS] itself without a pooler.

    Features: ``labels`` (n_inputs,), optional. Returns ``logits`` (n_inputs, n_labels).
    """

    def __init__(self, width: int, n_labels: int, dropout: float):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.output = linear(width, n_labels)

    def forward(
        self, states: Tensor, pooled: Tensor | None, *, mask: Tensor, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        vector = states[:, 0] if pooled is None else pooled
        with torch.autocast(states.device.type, enabled=False):
            logits = self.output(self.dropout(vector.float()))
        if labels is None:
            return {"logits": logits}
        loss = F.cross_entropy(logits, labels, reduction="sum")
        return {"logits": logits, "loss": loss, "count": torch.tensor(len(labels))}


def _terms(prefix: str, text: str) -> list[str]:
    words = re.findall(r"[\w']+", text.lower())
    return [prefix + term for term in (*words, *map(" ".join, zip(words, words[1:], strict=False)))]
