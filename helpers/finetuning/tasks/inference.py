"""Natural language inference (NLI): the label of a premise and a hypothesis."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers import encoders
from helpers.corpora import sample
from helpers.corpora.records import Pair
from helpers.encoders import Encoder
from helpers.finetuning import metrics
from helpers.finetuning.batches import Inputs, join, room
from helpers.finetuning.tasks.base import (
    Labels,
    Scores,
    TaskDefinition,
    held_out,
    linear,
    most_frequent,
    stem,
)
from helpers.profiles import TuningRecipe

Pairs = Sequence[Pair]

LEARNT_FROM = 50_000  # pairs that the baseline on overlap learns from, at most
STRENGTHS = (0.01, 0.03, 0.1, 0.3)  # scikit-learn's C of that baseline


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
                a = a[: max(limit - len(b), (limit + 1) // 2)]
                b = b[: limit - len(a)]
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
        """``majority``, ``hypothesis_only`` (Poliak et al. 2018), ``bag_of_words`` and :func:`overlap`.

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
        return scores | {"overlap": {"accuracy": metrics.accuracy(gold, overlap(train, evaluation))}}

    def shuffled(self, records: Pairs, seed: int) -> list[Pair]:
        """The pairs with one another's labels."""
        order = np.random.default_rng(seed).permutation(len(records))
        return [replace(pair, label=records[i].label) for pair, i in zip(records, order, strict=True)]


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


# -- baselines without an encoder ------------------------------------------------------------------


def overlap(train: Pairs, evaluation: Pairs) -> list[str]:
    """Labels of pairs by a reader of both sentences that knows words and no meanings.

    A logistic regression on the words of the hypothesis, on which of them the premise has too, and on counts
    of what the two share, like the lexicalised classifier of Bowman et al. (2015). It learns from at most
    ``LEARNT_FROM`` pairs; its ``STRENGTHS`` are compared on the training pairs of a fifth of the premises.
    """
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression

    train = sample(list(train), LEARNT_FROM)
    labels = np.array([pair.label for pair in train])
    if len(set(labels)) == 1:
        return [labels[0]] * len(evaluation)
    vectorizer = DictVectorizer(dtype=np.float32)
    x, y = vectorizer.fit_transform(map(comparison, train)), vectorizer.transform(map(comparison, evaluation))
    common = x.getnnz(0) >= (2 if len(train) >= 100 else 1)
    x, y = x[:, common], y[:, common]

    def fitted(strength: float, rows: np.ndarray) -> LogisticRegression:
        return LogisticRegression(C=strength, max_iter=1000).fit(x[rows], labels[rows])

    chosen_on = np.array([held_out(pair.premise) for pair in train])
    best = STRENGTHS[1]
    if chosen_on.any() and len(set(labels[~chosen_on])) > 1:
        own = {c: fitted(c, ~chosen_on).score(x[chosen_on], labels[chosen_on]) for c in STRENGTHS}
        best = max(own, key=lambda c: own[c])
    return [str(label) for label in fitted(best, np.ones(len(train), bool)).predict(y)]


_WORD = re.compile(r"\w+(?:['’]\w+)*")
_NEGATIONS = frozenset("no not never nothing none nobody neither nor nowhere without cannot hardly".split())
_SMALL_WORDS = frozenset(
    "a an and are as at be been being but by did do does for from had has have he her him his i in is it its"
    " me my of on or our she that the their them there these they this those to us was we were what when"
    " which who with you your".split()
)


def comparison(pair: Pair) -> dict[str, float]:
    """Features of a pair for :func:`overlap`, by name, 0 to 1. Words are compared without their endings."""
    premise, hypothesis = (
        [w.lower().replace("’", "'") for w in _WORD.findall(text)] for text in (pair.premise, pair.hypothesis)
    )
    stems, own = [stem(w) for w in premise], [stem(w) for w in hypothesis]
    known = set(stems)
    features = dict.fromkeys(map("word={}".format, hypothesis), 1.0)
    features |= dict.fromkeys(map("pair={} {}".format, hypothesis, hypothesis[1:]), 1.0)
    for word, bare in zip(hypothesis, own, strict=True):
        features[f"{'shared' if bare in known else 'new'}={word}"] = 1.0
    content = [bare for word, bare in zip(hypothesis, own, strict=True) if word not in _SMALL_WORDS]
    pairs = set(zip(stems, stems[1:], strict=False))
    shares = {
        "words": _share(bare in known for bare in own),
        "content": _share(bare in known for bare in content),
        "pairs": _share(two in pairs for two in zip(own, own[1:], strict=False)),
        "back": _share(bare in own for bare in stems),
        "ratio": min(1.0, len(own) / (2 * max(1, len(stems)))),
    }
    new = sum(bare not in known for bare in content)
    negated = [any(w in _NEGATIONS or w.endswith("n't") for w in words) for words in (premise, hypothesis)]
    features |= shares
    features |= {f"{name}~{int(5 * share)}": 1.0 for name, share in shares.items()}
    features |= {
        f"new words={min(new, 5)}": 1.0,
        f"length={min(len(own) // 3, 8)}": 1.0,
        f"negated={negated}": 1.0,
        "negated and shared": negated[1] * shares["words"],
        "new number": float(any(w[0].isdigit() and w not in premise for w in hypothesis)),
    }
    return features


def _share(true: Iterable[bool]) -> float:
    """Share of what is true, 0 of nothing."""
    values = list(true)
    return sum(values) / max(1, len(values))


def _terms(prefix: str, text: str) -> list[str]:
    words = re.findall(r"[\w']+", text.lower())
    return [prefix + term for term in (*words, *map(" ".join, zip(words, words[1:], strict=False)))]
