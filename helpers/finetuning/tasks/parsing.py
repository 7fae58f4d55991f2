"""Dependency parsing (Dep): the head of each word and the relation between the two."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers.corpora.records import Sentence
from helpers.encoders import Encoder
from helpers.finetuning import batches, metrics, trees
from helpers.finetuning.batches import IGNORED, Inputs
from helpers.finetuning.tasks.base import Labels, Scores, TaskDefinition, linear, most_frequent, word_means
from helpers.profiles import TuningRecipe

Sentences = Sequence[Sentence]

NO_HEAD = -1  # of words beyond the length limit, which have no predicted head


class Parsing(TaskDefinition):
    """Predictions: ``heads`` and ``deprels``, a tree with one root.

    Words beyond the recipe's ``max_length`` have the head -1 and the relation ``_``, and no word depends on
    them.
    """

    name = "Dep"
    metric = "las"
    record = Sentence
    schema = 4

    def check(self, records: Sentences) -> None:
        super().check(records)
        for sentence in records:
            if not len(sentence.words) == len(sentence.heads) == len(sentence.deprels) > 0:
                raise ValueError(f"sentence {sentence.id!r} has no dependency tree")

    def labels(self, records: Sentences) -> Labels:
        """Relations, subtypes included."""
        return tuple(sorted({relation for sentence in records for relation in sentence.deprels}))

    def encode(
        self, records: Sentences, encoder: Encoder, recipe: TuningRecipe, labels: Labels, *, targets: bool
    ) -> Inputs:
        """One input per sentence; with targets longer ones are skipped, else cut."""
        inputs = batches.sentences(records, encoder, recipe, skip_long=targets)
        if targets:
            number = {label: i for i, label in enumerate(labels)}
            for feature, r in zip(inputs.features, inputs.record, strict=True):
                feature["heads"] = np.array(records[r].heads, dtype=np.int16)
                feature["relations"] = np.array([number[x] for x in records[r].deprels], dtype=np.int16)
        return inputs

    def head(self, encoder: Encoder, labels: Labels) -> nn.Module:
        return ParserHead(encoder.width, len(labels))

    def decode(self, output: dict, batch: dict, head: Any, labels: Labels) -> list[dict]:
        device = output["arcs"].device
        arcs = output["arcs"].cpu().numpy()
        sizes = batch["words"].sum(1).tolist()
        chosen = torch.zeros(arcs.shape[:2], dtype=torch.int64)
        for row, n in enumerate(sizes):
            scores = arcs[row, :n, : n + 1]
            np.fill_diagonal(scores[:, 1:], 0.0)  # a word's own place is -inf there, and ignored
            chosen[row, :n] = torch.from_numpy(trees.decode(scores))
        scored = head.relation_scores(output["dependents"], output["governors"], chosen.to(device))
        if "root" in labels:
            # In Universal Dependencies the root's child, and nothing else, bears the relation root.
            is_root = torch.tensor([label == "root" for label in labels], device=device)
            scored = scored.masked_fill(is_root != (chosen == 0).to(device)[..., None], float("-inf"))
        relations = scored.argmax(-1).tolist()
        return [
            {"heads": chosen[row, :n].tolist(), "deprels": [labels[x] for x in relations[row][:n]]}
            for row, n in enumerate(sizes)
        ]

    def rows(self, records: Sentences, inputs: Inputs, decoded: list[Any]) -> list[dict[str, Any]]:
        parsed = dict(zip(inputs.record, decoded, strict=True))
        rows = []
        for r, sentence in enumerate(records):
            tree = parsed.get(r, {"heads": [], "deprels": []})
            rest = len(sentence.words) - len(tree["heads"])
            heads, relations = tree["heads"] + [NO_HEAD] * rest, tree["deprels"] + ["_"] * rest
            rows.append({"id": sentence.id, "heads": heads, "deprels": relations})
        return rows

    def score(self, records: Sentences, rows: list[dict[str, Any]]) -> Scores:
        """``las``, ``uas`` by the rules of the CoNLL 2018 shared task: punctuation counts, subtypes do not.

        Then ``las_no_punctuation``, ``uas_no_punctuation`` and ``las_subtypes``. Each row also gets
        ``correct_heads``.
        """
        parses = [(row["heads"], row["deprels"]) for row in rows]
        for sentence, row, parse in zip(records, rows, parses, strict=True):
            counts = metrics.attachment_counts(sentence, parse)
            row |= dict(zip(("correct_heads", "correct", "total"), counts, strict=True))
        attached = metrics.attachment_scores(records, parses)
        scores = {"las": attached["las"], "uas": attached["uas"]}
        if all(len(sentence.upos) == len(sentence.words) for sentence in records):
            bare = metrics.attachment_scores(records, parses, punctuation=False)
            scores |= {"las_no_punctuation": bare["las"], "uas_no_punctuation": bare["uas"]}
        scores["las_subtypes"] = metrics.attachment_scores(records, parses, subtypes=True)["las"]
        return scores

    def baselines(self, train: Sentences, evaluation: Sentences) -> dict[str, Scores]:
        """``previous_word`` and ``next_word``: every word attached to that neighbour, with the most frequent
        relation in training.
        """
        relations = (x for sentence in train for x in sentence.deprels if x != "root")
        relation = most_frequent(relations, default="root")  # by default all sentences are single words
        scores = {}
        for name in ("previous_word", "next_word"):
            rows = []
            for sentence in evaluation:
                n = len(sentence.words)
                chain = list(range(n)) if name == "previous_word" else [*range(2, n + 1), 0]
                rows.append({"heads": chain, "deprels": ["root" if h == 0 else relation for h in chain]})
            scores[name] = self.score(evaluation, rows)
        return scores

    def shuffled(self, records: Sentences, seed: int) -> list[Sentence]:
        """Every sentence with its own tree, whose nodes are other words.

        A sentence keeps its relations and its tree's shape. Trees of other sentences of the same length would
        not do: words are often heads of their neighbours, and the last one is mostly punctuation, so that a
        parser would still learn some syntax, and sentences of rare lengths would keep their trees.
        """
        generator = np.random.default_rng(seed)
        made = []
        for sentence in records:
            order = generator.permutation(len(sentence.words))  # the word that each node becomes
            heads, relations = np.zeros(len(order), int), np.empty(len(order), object)
            gold = np.array(sentence.heads)
            heads[order] = np.where(gold > 0, order[gold - 1] + 1, 0)
            relations[order] = sentence.deprels
            made.append(replace(sentence, heads=tuple(heads.tolist()), deprels=tuple(relations)))
        return made


class ParserHead(nn.Module):
    """Biaffine parser on word vectors (Dozat & Manning 2017).

    A word is the mean of its wordpieces; [CLS] stands for the root. Arcs are scored by a biaffine form
    with a bias on the dependent's side, relations with biases on both.

    Features: ``word_of`` and ``words`` of :func:`batches.sentences`; ``heads`` and ``relations``
    (n_inputs, n_words), optional. Returns ``arcs`` (n_inputs, n_words, n_words + 1),
    the scores of heads (0 the root, -inf where there is no such head), and ``dependents`` and
    ``governors``, from which :meth:`relation_scores` scores the relations to chosen heads. The loss is
    the cross-entropy of heads plus that of relations to the gold heads.
    """

    def __init__(
        self, width: int, n_relations: int, arc: int = 500, relation: int = 100, dropout: float = 0.33
    ):
        super().__init__()
        self.n_relations = n_relations
        self.arc_dependent, self.arc_governor = (
            _Projection(width, arc, dropout),
            _Projection(width, arc, dropout),
        )
        self.relation_dependent = _Projection(width, relation, dropout)
        self.relation_governor = _Projection(width, relation, dropout)
        # Biaffine forms as linear maps of the dependent: their biases are the dependent side's. Drawn near
        # zero: at BERT's 0.02 first scores are large and at small scale training fared clearly worse.
        self.arc = linear(arc, arc, std=0.002)
        self.relation = linear(relation, n_relations * (relation + 1), std=0.002)

    def forward(
        self,
        states: Tensor,
        pooled: Tensor | None,
        *,
        mask: Tensor,
        word_of: Tensor,
        words: Tensor,
        heads: Tensor | None = None,
        relations: Tensor | None = None,
    ) -> dict[str, Tensor]:
        vectors = word_means(states, word_of, words.shape[1])
        dependents, governors = self.arc_dependent(vectors[:, 1:]), self.arc_governor(vectors)
        mapped = self.arc(dependents)
        with torch.autocast(states.device.type, enabled=False):
            arcs = mapped.float() @ governors.float().transpose(1, 2)
        root = torch.ones_like(words[:, :1])
        possible = torch.cat([root, words], 1)[:, None, :]
        itself = torch.eye(words.shape[1], dtype=torch.bool, device=words.device)
        possible = possible & ~F.pad(itself, (1, 0))
        scores = {
            "arcs": arcs.masked_fill(~possible, float("-inf")),
            "dependents": self.relation_dependent(vectors[:, 1:]),
            "governors": self.relation_governor(vectors),
        }
        if heads is not None and relations is not None:
            labelled = self.relation_scores(scores["dependents"], scores["governors"], heads.clamp(min=0))
            scores["loss"] = sum(
                F.cross_entropy(x.flatten(0, 1), gold.flatten(), ignore_index=IGNORED, reduction="sum")
                for x, gold in ((scores["arcs"], heads), (labelled, relations))
            )
            scores["count"] = words.sum()
        return scores

    def relation_scores(self, dependents: Tensor, governors: Tensor, heads: Tensor) -> Tensor:
        """Scores of relations to chosen ``heads`` (n_inputs, n_words): (n_inputs, n_words, n_relations)."""
        chosen = torch.take_along_dim(governors, heads[..., None], 1)
        mapped = self.relation(dependents).unflatten(-1, (self.n_relations, -1))
        with torch.autocast(dependents.device.type, enabled=False):
            weights, bias = mapped.float().split([chosen.shape[-1], 1], -1)
            return (weights @ chosen.float()[..., None] + bias).squeeze(-1)


class _Projection(nn.Module):
    """Linear layer, leaky ReLU, and dropout that spares or drops a unit for all words of a sentence alike."""

    def __init__(self, n_in: int, n_out: int, dropout: float):
        super().__init__()
        self.linear = nn.Linear(n_in, n_out)
        nn.init.orthogonal_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.dropout = dropout

    def forward(self, vectors: Tensor) -> Tensor:
        out = F.leaky_relu(self.linear(vectors), 0.1)
        kept = F.dropout(torch.ones_like(out[:, :1]), self.dropout, self.training)
        return out * kept
