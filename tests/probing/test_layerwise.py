"""Probes trained side by side go exactly the way each would go alone."""

import numpy as np
import pytest
import torch

from helpers import progress
from helpers.probing import layerwise
from helpers.probing.layerwise import Adam, Schedule, train

TARGETS = torch.tensor([1.0, 5.0, -3.0])


def start(n: int = 3) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {"a": torch.randn(n, 4, 2, generator=generator), "b": torch.randn(n, 3, generator=generator)}


def loss_of(p, which):
    """Different for each probe, with gradients of very different norms, noisy from step to step."""
    return sum(
        ((q.flatten(1) - TARGETS[which][:, None]) ** 2).sum(1) * 10.0 ** torch.tensor(which)
        for q in p.values()
    )


def test_adam_is_torchs_on_each_probe_with_its_own_rate_and_gradient_norm():
    parameters = {name: p.clone().requires_grad_() for name, p in start().items()}
    rates = [0.1, 0.01, 0.3]
    ours = Adam(parameters, rates, clip=5.0)
    alone = [[p[i].clone().requires_grad_() for p in start().values()] for i in range(3)]
    theirs = [torch.optim.Adam(own, lr=rate) for own, rate in zip(alone, rates, strict=True)]
    for _ in range(30):
        loss_of(parameters, [0, 1, 2]).sum().backward()
        ours.step()
        for i, (own, adam) in enumerate(zip(alone, theirs, strict=True)):
            adam.zero_grad()
            loss_of({"a": own[0][None], "b": own[1][None]}, [i]).sum().backward()
            torch.nn.utils.clip_grad_norm_(own, 5.0)
            adam.step()
    for i, own in enumerate(alone):
        for p, q in zip(parameters.values(), own, strict=True):
            torch.testing.assert_close(p[i], q, rtol=1e-5, atol=1e-6)


def test_dropping_a_probe_leaves_the_others_on_their_way():
    def run(drop: bool):
        parameters = {name: p.clone().requires_grad_() for name, p in start().items()}
        adam, which = Adam(parameters, [0.1] * 3, clip=1.0), [0, 1, 2]
        for step in range(20):
            if drop and step == 7:
                which = [0, 2]
                parameters = adam.keep(which)
            loss_of(parameters, which).sum().backward()
            adam.step()
        return parameters, which

    (all_three, _), (two, which) = run(False), run(True)
    for name in two:
        assert len(two[name]) == 2
        torch.testing.assert_close(two[name], all_three[name][which])


SCRIPT = [  # scores of two probes, validation by validation
    [0.1, 0.5],
    [0.2, 0.4],
    [0.3, 0.4],
    [0.3, 0.4],
    [0.2, 0.3],
    [0.4, 0.9],  # the second has ended by now
]


def test_rates_fall_and_training_ends_after_validations_without_a_gain(monkeypatch):
    calls, rates = iter(SCRIPT), []
    schedule = Schedule(0.08, max_steps=12, validate_every=2, patience=2, stop_after=4)
    keep = Adam.keep
    monkeypatch.setattr(Adam, "keep", lambda self, which: rates.append(self.rates) or keep(self, which))

    def validate(parameters, alive):
        row = next(calls)
        return [row[i] for i in alive]

    found = train({"a": torch.zeros(2, 1)}, lambda p, alive, step: (p["a"] ** 2).sum(1), validate, schedule)
    assert found.scores == [0.4, 0.5]
    assert found.best_steps == [12, 2]
    assert found.steps == [12, 10]  # four validations after its best
    assert rates == [[0.04, 0.02]]  # halved after two stale validations, and after two more


def test_the_last_step_is_validated_and_the_best_parameters_are_returned():
    seen = []

    def validate(parameters, alive):
        seen.append(parameters["a"].item())
        return [-abs(seen[-1] - 0.3)]

    schedule = Schedule(0.1, max_steps=7, validate_every=3, patience=9, stop_after=9)
    found = train({"a": torch.zeros(1, 1)}, lambda p, alive, step: -p["a"].sum(1), validate, schedule)
    np.testing.assert_allclose(seen, [0.3, 0.6, 0.7], atol=1e-4)
    assert found.best_steps == [3] and found.parameters["a"].item() == pytest.approx(0.3, abs=1e-4)


def test_a_killed_run_goes_on_where_it_was(tmp_path, monkeypatch):
    noise = torch.randn(60, 3, generator=torch.Generator().manual_seed(1))
    steps = []

    def loss(p, alive, step):
        steps.append(step)
        return loss_of(p, alive) + (p["a"].sum((1, 2)) * noise[step][alive])

    def validate(p, alive):
        return [-loss_of(p, alive)[i].item() * (1 - 2 * (probe == 1)) for i, probe in enumerate(alive)]

    schedule = Schedule(0.02, max_steps=60, validate_every=5, patience=1, stop_after=3, clip=1.0)
    whole = train(start(), loss, validate, schedule)
    assert whole.steps[1] < 60  # one of them had ended by itself
    steps.clear()

    def kill(what, step, total):
        if step == 40:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(progress, "steps", kill)
        train(start(), loss, validate, schedule, folder=tmp_path, checkpoint_every=0)
    steps.clear()
    resumed = train(start(), loss, validate, schedule, folder=tmp_path, checkpoint_every=0)
    assert steps[0] == 35  # from the last checkpoint before the kill
    assert resumed.steps == whole.steps and resumed.scores == whole.scores
    for name in whole.parameters:
        torch.testing.assert_close(resumed.parameters[name], whole.parameters[name], rtol=0, atol=0)
    assert not (tmp_path / layerwise.CHECKPOINT).exists()


def test_a_loss_that_is_not_finite_stops_the_run():
    schedule = Schedule(0.1, max_steps=4, validate_every=2, patience=1, stop_after=1)
    with pytest.raises(FloatingPointError, match="not finite at step 2; lower the learning rate"):
        train(
            {"a": torch.zeros(1, 1)},
            lambda p, alive, step: p["a"].sum(1) * float("nan"),
            lambda p, alive: [0.0],
            schedule,
        )
