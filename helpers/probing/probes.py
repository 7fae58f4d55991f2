"""Probes of labelled spans on all layers of an encoder: trained, scored sentence by sentence, and stored."""

import abc
import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from helpers import precision, store
from helpers.encoders import Activations
from helpers.finetuning.batches import Order
from helpers.probing import layerwise, spans
from helpers.probing.layerwise import Parameters

EVAL_BATCH = 64  # sentences


@dataclass(frozen=True)
class SpanTask:
    """A probing task in arrays, by split (train, dev, test)."""

    labels: tuple[str, ...]
    splits: dict[str, spans.Targets]
    digest: str  # of the records

    def options(self) -> dict[str, Any]:
        """What else than the records a result depends on."""
        return {}


@dataclass(frozen=True)
class Result:
    """Trained probes' scores in the store, with the counts by sentence that they are made of."""

    folder: Path

    @cached_property
    def report(self) -> dict[str, Any]:
        """``layers`` (of the probes, in order), ``dev_scores``, ``best_steps``, ``steps``, and more."""
        return json.loads((self.folder / "report.json").read_text(encoding="utf-8"))

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """Counts on the test split."""
        with np.load(self.folder / "counts.npz") as file:
            return dict(file)


class SpanProbes(abc.ABC):
    """Probes of one encoder and task while they are trained; those of one kind are a subclass."""

    kind: ClassVar[str]  # of artifact
    schema: ClassVar[int]  # raise when the same settings would give other results
    result: ClassVar[type[Result]]

    def __init__(self, task: Any, activations: Activations, recipe: Any, seed: int):
        self.task, self.activations, self.recipe, self.seed = task, activations, recipe, seed
        self.device = precision.device()
        self.like = torch.empty(0, dtype=spans.precision(), device=self.device)
        self.layers = list(activations.layers)
        self.order = Order(np.diff(task.splits["train"].row), recipe.batch_size, seed)

    @classmethod
    def trained(
        cls,
        task: Any,
        fingerprint: str,
        read: Callable[[], Activations],
        recipe: Any,
        *,
        seed: int,
        cache: store.Store,
        checkpoint_every: float = 60.0,
    ) -> Any:
        """Result of the probes for a task on the states of one encoder, from the store or trained into it.

        ``read()`` gives the states of the reading that the task was prepared with; it is called only if
        there is training to do. ``fingerprint`` identifies the encoder. ``seed`` draws initial weights and
        order (and dropout), the same for every layer and encoder, so that differences between them are not
        differences of luck.
        """
        spec = {
            "schema": cls.schema,
            "encoder": fingerprint,
            "task": task.digest,
            "recipe": dataclasses.asdict(recipe),
            "precision": str(spans.precision()),
            "seed": seed,
        } | task.options()

        def build(folder: Path) -> None:
            cls(task, read(), recipe, seed).train(folder, checkpoint_every)

        return cls.result(cache.get(cls.kind, spec, build))

    @abc.abstractmethod
    def initial(self) -> Parameters:
        """Untrained parameters."""

    @abc.abstractmethod
    def loss(self, p: Parameters, alive: list[int], step: int) -> torch.Tensor:
        """As of :func:`helpers.probing.layerwise.train`."""

    @abc.abstractmethod
    def count(self, p: Parameters, alive: list[int], split: str) -> dict[str, np.ndarray]:
        """What scores are made of, by sentence."""

    @abc.abstractmethod
    def scores(self, counts: dict[str, np.ndarray]) -> list[float]:
        """Scores by which training is stopped."""

    @abc.abstractmethod
    def schedule(self) -> layerwise.Schedule: ...

    def details(self, p: Parameters) -> dict[str, Any]:
        """What the report says beside scores and steps."""
        return {"layers": self.layers, "labels": len(self.task.labels)}

    def train(self, folder: Path, checkpoint_every: float) -> None:
        """Train the probes and write ``counts.npz`` of the test split and ``report.json``."""

        def validate(p: Parameters, alive: list[int]) -> list[float]:
            return self.scores(self.count(p, alive, "dev"))

        trained = layerwise.train(
            self.initial(),
            self.loss,
            validate,
            self.schedule(),
            what=f"{self.kind}s, training steps",
            folder=folder,
            checkpoint_every=checkpoint_every,
        )
        alive = list(range(len(trained.scores)))
        counts: Any = self.count(trained.parameters, alive, "test")
        np.savez_compressed(folder / "counts.npz", **counts)
        report = self.details(trained.parameters)
        report |= dict(dev_scores=trained.scores, best_steps=trained.best_steps, steps=trained.steps)
        (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
