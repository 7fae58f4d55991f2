"""Take out of an encoder's states what a linear probe reads of a label (amnesic probing, Elazar et al. 2021).

A probe says that something *can* be read off states, not that what comes after them reads it. So it is taken
out, the model's own head is applied to what is left, and its score is compared with the score after as many
random directions were taken out.

What is taken out here is the span of the differences between the classes' means, by an orthogonal projection
around the mean of all vectors. With all classes' means equal, no linear classifier of these vectors has a
lower loss, whichever convex loss it is trained with, than one that always answers with the classes'
frequencies (Belrose et al. 2023). K classes take at most K - 1 directions. Shao et al. (2023) find them in
the covariance of states and labels. Iterative nullspace projection (Ravfogel et al. 2020), which Elazar et
al. use, trains a classifier, takes its directions out, and begins again until nothing is found: many more
directions, and more damage to everything else.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

SMALLEST = 1e-10  # singular values below this share of the largest are rounding


@dataclass(frozen=True, eq=False)
class Erasure:
    """Directions to take out: ``basis`` (d, rank) with orthonormal columns, around ``centre`` (d,).

    Called with vectors (n, d), it gives them without the directions, float64.
    """

    centre: np.ndarray
    basis: np.ndarray

    @property
    def rank(self) -> int:
        return self.basis.shape[1]

    @property
    def projection(self) -> np.ndarray:
        """The matrix (d, d) that is applied to vectors minus the centre: symmetric, its own square."""
        return np.eye(len(self.centre)) - self.basis @ self.basis.T

    def __call__(self, vectors: ArrayLike) -> np.ndarray:
        return _without(np.asarray(vectors, np.float64), self.centre, self.basis)

    def share(self, vectors: ArrayLike) -> float:
        """How much of the variance of vectors (n, d) lies in the directions, from 0 to 1."""
        centred = np.asarray(vectors, np.float64)
        centred = centred - centred.mean(0)
        total = float(np.square(centred).sum())
        return float(np.square(centred @ self.basis).sum()) / total if total else 0.0


def _without(vectors: Any, centre: Any, basis: Any) -> Any:
    """Vectors (..., d) minus their part in a basis (d, rank) around a centre, all NumPy's or torch's."""
    return vectors - ((vectors - centre) @ basis) @ basis.T


def class_means(vectors: ArrayLike, labels: ArrayLike) -> Erasure:
    """The directions in which the means of classes differ: at most K - 1 of K classes, and at most d.

    ``vectors`` (n, d), ``labels`` (n,). Raises ValueError for arrays that do not fit together, for vectors
    that are not finite, or if there is only one class.
    """
    vectors, labels = np.asarray(vectors, np.float64), np.asarray(labels)
    if vectors.ndim != 2 or labels.shape != vectors.shape[:1]:
        raise ValueError(f"expected vectors (n, d) and n labels, got {vectors.shape} and {labels.shape}")
    if not np.isfinite(vectors).all():
        raise ValueError("vectors: not all are finite")
    names, number = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"need at least 2 classes to tell apart, got {len(names)}")
    member = (number == np.arange(len(names))[:, None]).astype(float)
    sizes = member.sum(1, keepdims=True)
    centre = vectors.mean(0)
    # Weighted, so that the rounding in rare classes' means does not pass for a direction.
    differences = np.sqrt(sizes) * (member @ (vectors - centre) / sizes)
    _, values, directions = np.linalg.svd(differences, full_matrices=False)
    kept = values > SMALLEST * max(values[0], SMALLEST)
    return Erasure(centre, directions[kept].T)


def random_directions(like: Erasure, generator: np.random.Generator) -> Erasure:
    """As many directions around the same centre, drawn uniformly: the control."""
    drawn = generator.standard_normal(like.basis.shape)
    return Erasure(like.centre, np.linalg.qr(drawn)[0])


class ErasedEncoder(nn.Module):
    """An encoder's model whose last hidden states lack what an erasure takes out of them.

    Called like the model, and in its place in a :class:`helpers.finetuning.prediction.TaskModel`. A vector
    pooled from the last states, as NLI's, has been made before and stays as it is.
    """

    centre: torch.Tensor
    basis: torch.Tensor

    def __init__(self, encoder: nn.Module, erasure: Erasure):
        super().__init__()
        self.encoder = encoder
        self.register_buffer("centre", torch.tensor(erasure.centre, dtype=torch.float32))
        self.register_buffer("basis", torch.tensor(erasure.basis, dtype=torch.float32))

    def forward(self, **inputs: torch.Tensor) -> Any:
        output = self.encoder(**inputs)
        with torch.autocast(self.basis.device.type, enabled=False):
            output.last_hidden_state = _without(output.last_hidden_state.float(), self.centre, self.basis)
        return output
