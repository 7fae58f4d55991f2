"""Train the probes of all layers side by side, each as if it were alone.

The parameters of k probes of one shape are stacked into tensors (k, ...), so that a layer's forward pass
is a slice of one batched product. The sum of the k losses is differentiated: a probe's gradient is that of
its own loss. Each probe has its own optimiser state, gradient norm, learning rate, early stopping and best
parameters. Random numbers (order, dropout) are functions of seed and step alone, so a probe sees the same
whether it is trained alone, beside others, or by a run that was killed and resumed.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from helpers import checkpoints, progress
from helpers.profiles import StructuralRecipe

Parameters = dict[str, torch.Tensor]  # name -> (n_probes, ...)

SMALLEST_RATE = 1e-6
CHECKPOINT = "checkpoint.pt"


class Adam:
    """Adam on stacked parameters, each probe by itself, in as few operations as one probe takes.

    ``parameters`` (name -> leaf tensor (n_probes, ...)) are changed in place by :meth:`step`, which takes
    the gradients that ``backward`` left in them and clips each probe's to norm ``clip``. ``rates`` holds a
    learning rate per probe. torch's own Adam moves tensors of zeros at a rate of 1; where they get to is each
    probe's step, which is then taken at the probe's rate.
    """

    def __init__(self, parameters: Parameters, rates: list[float], clip: float | None = None):
        self.clip = clip
        self._begin(parameters, list(rates))

    def _begin(self, parameters: Parameters, rates: list[float]) -> None:
        self.parameters, self.rates = parameters, rates
        self._moves = {name: torch.zeros_like(p) for name, p in parameters.items()}
        self.adam = torch.optim.Adam(self._moves.values(), lr=1.0, fused=True)

    def step(self) -> None:
        """One update of all probes; gradients are cleared. What has none stays as it is."""
        gradients = {name: p.grad for name, p in self.parameters.items() if p.grad is not None}
        if self.clip is not None:  # as torch.nn.utils.clip_grad_norm_ would for each probe
            norms = [torch.linalg.vector_norm(g.flatten(1), dim=1) for g in gradients.values()]
            factors = (self.clip / (torch.stack(norms).norm(dim=0) + 1e-6)).clamp(max=1)
            for g in gradients.values():
                g.mul_(_by_probe(factors, g))
        for name, move in self._moves.items():
            move.zero_().grad = gradients.get(name)
        self.adam.step()
        with torch.no_grad():
            rates = torch.tensor(self.rates, device=next(iter(self._moves.values())).device)
            for p, move in zip(self.parameters.values(), self._moves.values(), strict=True):
                p.addcmul_(move, _by_probe(rates, p))
                p.grad = move.grad = None

    def keep(self, which: list[int]) -> Parameters:
        """Go on with these of the probes alone; their parameters, now stacked anew."""
        states = [self.adam.state.get(move, {}) for move in self._moves.values()]
        kept = {name: p.detach()[which].clone().requires_grad_() for name, p in self.parameters.items()}
        self._begin(kept, [self.rates[i] for i in which])
        for move, state in zip(self._moves.values(), states, strict=True):
            for name, value in state.items():  # the number of steps is the same for all
                self.adam.state[move][name] = value if name == "step" else value[which].clone()
        return self.parameters


def _by_probe(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """One number per probe, (n_probes,), in a shape that multiplies a tensor (n_probes, ...)."""
    return values.view(-1, *[1] * (like.ndim - 1))


@dataclass(frozen=True)
class Schedule:
    """How long probes are trained and at what rate; each probe comes to its own end."""

    learning_rate: float
    max_steps: int
    validate_every: int  # steps
    patience: int  # validations without a gain until the rate is multiplied by ``decay``
    stop_after: int  # validations without a gain until training ends
    decay: float = 0.5
    gain: float = 0.0  # by which a score must exceed the best to count as one
    clip: float | None = None  # norm of the gradient

    @classmethod
    def by_epoch(cls, recipe: StructuralRecipe, steps: int, gain: float = 0.0) -> "Schedule":
        """Validation after each epoch of ``steps``, the rate lowered after one without a gain."""
        return cls(
            learning_rate=recipe.learning_rate,
            max_steps=recipe.epochs * steps,
            validate_every=steps,
            patience=1,
            stop_after=recipe.stop_after,
            decay=recipe.decay,
            gain=gain,
        )


@dataclass(frozen=True)
class Trained:
    """Probes as they were at their best validation."""

    parameters: Parameters
    scores: list[float]  # at that validation
    best_steps: list[int]  # when that was
    steps: list[int]  # when training ended


def train(
    initial: Parameters,
    loss: Callable[[Parameters, list[int], int], torch.Tensor],
    validate: Callable[[Parameters, list[int]], list[float]],
    schedule: Schedule,
    *,
    what: str = "training steps of probes",
    folder: Path | None = None,
    checkpoint_every: float = 60.0,
) -> Trained:
    """Train stacked probes from ``initial`` (name -> (n_probes, ...)) until each has stopped.

    ``loss(parameters, alive, step)`` gives the losses (n_alive,) at a step, counted from 0, of the probes
    numbered ``alive``, to which ``parameters`` have been cut down; what it draws at random must depend on
    the step alone. ``validate(parameters, alive)`` gives their scores, higher is better. With a ``folder``
    the state is saved there every ``checkpoint_every`` seconds, and training resumes from there. ``what`` is
    how progress names the work. Raises FloatingPointError if a loss is not finite.
    """
    n = len(next(iter(initial.values())))
    state: dict[str, Any] = {
        "step": 0,
        "alive": list(range(n)),
        "best": {name: p.detach().clone() for name, p in initial.items()},
        "scores": [float("-inf")] * n,
        "best_steps": [0] * n,
        "steps": [0] * n,
        "since_decay": [0] * n,  # validations without a gain, since the last change of the rate
        "stale": [0] * n,  # the same since the best one
    }
    parameters = {name: p.detach().clone().requires_grad_() for name, p in initial.items()}
    adam = Adam(parameters, [schedule.learning_rate] * n, schedule.clip)
    saved = folder / CHECKPOINT if folder else None
    if saved and (checkpoint := checkpoints.load(saved, next(iter(parameters.values())).device)):
        state = checkpoint["state"]
        parameters = adam.keep(state["alive"])
        with torch.no_grad():
            for name, p in parameters.items():
                p.copy_(checkpoint["parameters"][name])
        adam.adam.load_state_dict(checkpoint["adam"])
        adam.rates = checkpoint["rates"]
    last_saved = time.monotonic()
    while state["alive"] and state["step"] < schedule.max_steps:
        losses = loss(parameters, state["alive"], state["step"])
        losses.sum().backward()
        adam.step()
        state["step"] += 1
        if state["step"] % schedule.validate_every and state["step"] < schedule.max_steps:
            continue
        if not torch.isfinite(losses).all():
            raise FloatingPointError(f"loss is not finite at step {state['step']}; lower the learning rate")
        with torch.no_grad():
            going_on = _update(state, adam, validate(parameters, state["alive"]), schedule)
        if len(going_on) < len(state["alive"]):
            state["alive"] = [state["alive"][i] for i in going_on]
            if going_on:
                parameters = adam.keep(going_on)
        progress.steps(what, state["step"], schedule.max_steps)
        if saved and time.monotonic() - last_saved >= checkpoint_every and state["alive"]:
            tensors = {name: p.detach() for name, p in parameters.items()}
            moments = {"adam": adam.adam.state_dict(), "rates": adam.rates}
            checkpoints.save(saved, {"state": state, "parameters": tensors} | moments)
            last_saved = time.monotonic()
    if saved:
        saved.unlink(missing_ok=True)
    return Trained(state["best"], state["scores"], state["best_steps"], state["steps"])


def _update(state: dict, adam: Adam, scores: list[float], schedule: Schedule) -> list[int]:
    """Keep what has improved, lower the rates of what has not, and say which of the probes go on."""
    going_on, rates = [], list(adam.rates)
    for i, (probe, score) in enumerate(zip(state["alive"], scores, strict=True)):
        state["steps"][probe] = state["step"]
        if score > state["scores"][probe] + schedule.gain:
            state["scores"][probe], state["best_steps"][probe] = score, state["step"]
            state["stale"][probe] = state["since_decay"][probe] = 0
            for name, p in adam.parameters.items():
                state["best"][name][probe] = p.detach()[i]
        else:
            state["stale"][probe] += 1
            state["since_decay"][probe] += 1
            if state["since_decay"][probe] >= schedule.patience:
                rates[i] = max(rates[i] * schedule.decay, min(rates[i], SMALLEST_RATE))
                state["since_decay"][probe] = 0
        if state["stale"][probe] < schedule.stop_after:
            going_on.append(i)
    adam.rates = rates
    return going_on
