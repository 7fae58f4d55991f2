"""Edge probing (Tenney et al. 2019): what frozen representations say of labelled spans.

A probe sees nothing but the wordpieces of one or two spans: they are projected, pooled by self-attention
within the span, joined, and classified by a small perceptron, each label by itself. The architecture,
its training and its decision rule are those of jiant's code (nyu-mll/jiant, frozen branch of July 2019), but
for three details. A label's bias starts at its log-odds in training, or Adam would spend hundreds of steps on
moving it there. The optimiser is plain Adam, where jiant's is AMSGrad. A rate falls after ``patience``
validations without a gain, where jiant waits for one more. Probes of all layers train side by side
(:mod:`helpers.probing.layerwise`), and beside them, as one more, that of the layers' scalar mix.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from helpers.corpora.records import LabelledSpans
from helpers.probing import layerwise, probes, spans
from helpers.probing.layerwise import Parameters
from helpers.profiles import EdgeRecipe

# -- the model -------------------------------------------------------------------------------------


def initial(
    recipe: EdgeRecipe,
    width: int,
    n_slots: int,
    odds: torch.Tensor,
    n_layers: int,
    seed: int,
) -> Parameters:
    """Untrained parameters (n_layers + 1, ...), equal for all probes, for representations of ``width``.

    ``odds`` (n_labels,) are the log-odds of each label. The last probe is that of the mix, in which all
    layers have the same weight at first; no other uses ``mix`` and ``gamma``.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(fan_in: int, *shape: int) -> torch.Tensor:  # torch.nn.Linear's
        return (torch.rand(shape, generator=generator) * 2 - 1) / fan_in**0.5

    made = {}
    for slot in range(n_slots):
        made[f"project{slot}"] = uniform(width, width, recipe.projection)
        made[f"project{slot}_bias"] = uniform(width, recipe.projection)
        made[f"attend{slot}"] = uniform(recipe.projection, recipe.projection, 1)
        made[f"hidden{slot}"] = uniform(n_slots * recipe.projection, recipe.projection, recipe.hidden)
    made["hidden_bias"] = uniform(n_slots * recipe.projection, recipe.hidden)
    made["norm"], made["norm_bias"] = torch.ones(recipe.hidden), torch.zeros(recipe.hidden)
    made["label"] = uniform(recipe.hidden, recipe.hidden, len(odds))
    made["label_bias"] = odds
    made["mix"], made["gamma"] = torch.zeros(n_layers), torch.ones(1)
    return {name: value.expand(n_layers + 1, *value.shape).clone() for name, value in made.items()}


def mix_weights(p: Parameters, recipe: EdgeRecipe) -> torch.Tensor:
    """Share of each layer in the mix of the last probe, (1, n_layers).

    The weights' parameters are scaled, so that Adam, whose steps do not depend on a gradient's scale, moves
    the weights at ``mix_learning_rate``.
    """
    scale = (recipe.mix_learning_rate or recipe.learning_rate) / recipe.learning_rate
    return (scale * p["mix"][-1:]).softmax(1)


def mixed(p: Parameters, states: torch.Tensor, recipe: EdgeRecipe) -> torch.Tensor:
    """The last probe's scalar mix (ELMo, jiant): gamma times the softmax-weighted sum of the layers.

    ``states`` (n_layers, B, L, d) -> (1, B, L, d).
    """
    weights = (p["gamma"][-1:] * mix_weights(p, recipe)).to(states.dtype)
    return (weights @ states.flatten(1)).view(1, *states.shape[1:])


def pooled(p: Parameters, slot: int, states: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Spans' representations: projected wordpieces, weighted by a softmax over those of the span.

    ``states`` (k, B, L, d) for k probes, ``inside`` (B, U, L) -> (k, B, U, projection).
    """
    k, n, length, width = states.shape
    weight, bias = (p[name].to(states.dtype) for name in (f"project{slot}", f"project{slot}_bias"))
    projected = torch.baddbmm(bias[:, None], states.reshape(k, n * length, width), weight)
    attention = (projected @ p[f"attend{slot}"].to(states.dtype)).view(k, n, 1, length)
    attention = attention.float().masked_fill(~inside, float("-inf")).softmax(-1).to(states.dtype)
    return attention @ projected.view(k, n, length, -1)


def logits(
    p: Parameters, states: torch.Tensor, batch: spans.Batch, kept: torch.Tensor | None = None
) -> torch.Tensor:
    """Scores of the labels of a batch's targets, (k, T, n_labels); a label holds where its score is >= 0.

    ``states`` (k, B, L, d) are what each of the k probes reads. ``kept`` (T, hidden) is dropout's mask,
    scaled, the same for all k; None outside training.
    """
    joint = p["hidden_bias"][:, None].to(states.dtype)
    for slot, (inside, chosen) in enumerate(zip(batch.inside, batch.chosen, strict=True)):
        # The hidden layer's half for this slot, taken once a span rather than once a target.
        part = pooled(p, slot, states, inside).flatten(1, 2) @ p[f"hidden{slot}"].to(states.dtype)
        joint = joint + part.index_select(1, chosen)
    hidden = F.layer_norm(joint.tanh(), joint.shape[-1:])
    hidden = torch.addcmul(
        p["norm_bias"][:, None].to(hidden.dtype), hidden, p["norm"][:, None].to(hidden.dtype)
    )
    if kept is not None:
        hidden = hidden * kept
    return (hidden @ p["label"].to(hidden.dtype)).float() + p["label_bias"][:, None]


def losses(scores: torch.Tensor, gold: torch.Tensor) -> torch.Tensor:
    """Sigmoid cross-entropy, mean over targets x labels: (k, T, n_labels), (T, n_labels) -> (k,)."""
    return F.binary_cross_entropy_with_logits(scores, gold.expand_as(scores), reduction="none").mean((1, 2))


# -- tasks and results -----------------------------------------------------------------------------


@dataclass(frozen=True)
class EdgeTask(probes.SpanTask):
    """An edge-probing task. Made by :func:`prepare`."""

    clean: np.ndarray | None  # (n_labels,) bool: the labels of the subset that is scored as well

    def options(self) -> dict[str, Any]:
        return {"clean": None if self.clean is None else self.clean.tolist()}


def prepare(
    records: Mapping[str, Sequence[LabelledSpans]],
    reading: spans.Reading,
    is_clean: Callable[[str], bool] | None = None,
) -> EdgeTask:
    """A task's records by split (train, dev, test), as arrays; sentences without a target are left out.

    ``is_clean`` picks labels that are also scored separately. Raises ValueError for a split that is
    missing or has no target, and for training without labels.
    """
    kept = spans.with_targets(records)
    labels = spans.label_list(kept["train"])
    if not labels:
        raise ValueError("no target of the training split has a label")
    if is_clean and not any(map(is_clean, labels)):  # labels of another scheme, in one's own files
        is_clean = None
    counted = is_clean or (lambda label: True)
    return EdgeTask(
        labels,
        {split: spans.encode(own, reading, labels, counted) for split, own in kept.items()},
        spans.digest(kept),
        np.array([is_clean(label) for label in labels]) if is_clean else None,
    )


class Result(probes.Result):
    """Scores of trained edge probes.

    The report also has ``n_targets``, ``weights`` of the mix by layer, and null as the last probe's layer:
    it reads the mix.
    """

    def counts(self, probe: int, *, clean: bool = False) -> np.ndarray:
        """True positives, predicted and gold labels on the test split, (3, n_sentences)."""
        return self.arrays["clean" if clean else "all"][:, probe]

    @property
    def has_clean(self) -> bool:
        return "clean" in self.arrays


def micro_f1(counts: np.ndarray) -> float:
    """Micro-averaged F1 of counts (3, ...): 2 TP / (predicted + gold); 0 where there is neither."""
    right, predicted, gold = (int(c.sum()) for c in counts)
    return 2 * right / (predicted + gold) if predicted + gold else 0.0


# -- training and scoring --------------------------------------------------------------------------


class EdgeProbes(probes.SpanProbes):
    """Edge probes, one for each layer and, the last, one for their scalar mix."""

    kind, schema, result = "edge-probe", 3, Result

    def initial(self) -> Parameters:
        train = self.task.splits["train"]
        with_label = np.bincount(train.labels, minlength=len(self.task.labels)) + 0.5
        odds = np.log(with_label / (len(train.unknown) + 1 - with_label))
        made = initial(
            self.recipe,
            self.activations.width,
            len(train.spans),
            torch.from_numpy(odds.astype(np.float32)),
            len(self.layers),
            self.seed,
        )
        return {name: p.to(self.device) for name, p in made.items()}

    def states(self, p: Parameters, batch: spans.Batch, alive: list[int]) -> torch.Tensor:
        """What each of the probes reads, (n_alive, B, L, d)."""
        *single, last = alive
        if last < len(self.layers):
            return spans.gather(self.activations, [self.layers[i] for i in alive], batch.rows, self.like)
        states = spans.gather(self.activations, self.layers, batch.rows, self.like)
        own = states if len(single) == len(states) else states[single]
        return torch.cat([own, mixed(p, states, self.recipe)])

    def loss(self, p: Parameters, alive: list[int], step: int) -> torch.Tensor:
        chosen = self.order.at(step)
        batch = spans.batch(self.task.splits["train"], chosen, len(self.task.labels), self.device)
        # One mask for all probes: each sees what it would see if trained alone.
        drawn = np.random.default_rng([self.seed, step]).random(
            (len(batch.gold), self.recipe.hidden), np.float32
        )
        kept = torch.from_numpy((drawn >= self.recipe.dropout) / np.float32(1 - self.recipe.dropout))
        scores = logits(p, self.states(p, batch, alive), batch, kept.to(self.like))
        return losses(scores, batch.gold)

    @torch.no_grad()
    def count(self, p: Parameters, alive: list[int], split: str) -> dict[str, np.ndarray]:
        """True positives, predicted and gold, (3, n_alive, n_sentences): of ``all`` labels, of ``clean``."""
        data, clean = self.task.splits[split], self.task.clean
        subsets = {"all": (torch.ones(len(self.task.labels), dtype=torch.bool), data.unknown)}
        if clean is not None:
            subsets["clean"] = (torch.from_numpy(clean), data.unknown_clean)
        counts = {name: np.zeros((3, len(alive), len(data)), np.int32) for name in subsets}
        for sentences in spans.by_length(data, probes.EVAL_BATCH):
            batch = spans.batch(data, sentences, len(self.task.labels), self.device)
            predicted = logits(p, self.states(p, batch, alive), batch) >= 0
            gold = batch.gold.bool()
            for name, (chosen, unknown) in subsets.items():
                labels = [kind[..., chosen].sum(-1) for kind in (predicted & gold, predicted, gold)]
                labels[2] += torch.from_numpy(unknown[batch.targets]).to(self.device)  # cannot be predicted
                for row, label_counts in zip(counts[name], labels, strict=True):
                    row[:, sentences] = batch.by_sentence(label_counts)
        return counts

    def scores(self, counts: dict[str, np.ndarray]) -> list[float]:
        return [micro_f1(own) for own in counts["all"].swapaxes(0, 1)]

    def schedule(self) -> layerwise.Schedule:
        names = ("learning_rate", "max_steps", "validate_every", "patience", "stop_after", "clip")
        return layerwise.Schedule(**{name: getattr(self.recipe, name) for name in names})

    def details(self, p: Parameters) -> dict[str, Any]:
        shares = mix_weights(p, self.recipe)[0].tolist()
        return {
            "layers": [*self.layers, None],
            "labels": self.task.labels,
            "n_targets": len(self.task.splits["test"].unknown),
            "weights": dict(zip(map(str, self.layers), shares, strict=True)),
        }
