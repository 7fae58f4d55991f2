"""States of work in progress: what is damaged is not gone on from."""

import numpy as np
import pytest
import torch

from helpers import checkpoints, progress


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(progress, "say", lines.append)
    return lines


def test_the_last_state_comes_back(tmp_path, said):
    path = tmp_path / "checkpoint.pt"
    assert checkpoints.load(path, "cpu") is None
    for step in (1, 2):
        checkpoints.save(path, {"step": step, "model": {"weight": torch.full((3,), float(step))}})
    state = checkpoints.load(path, "cpu")
    assert state["step"] == 2 and state["model"]["weight"].tolist() == [2, 2, 2]
    assert not said and list(tmp_path.iterdir()) == [path]


def test_no_damaged_state_is_used(tmp_path, said):
    path, rng = tmp_path / "checkpoint.pt", np.random.default_rng(0)
    checkpoints.save(path, {"step": 7, "weight": torch.arange(2000.0)})
    content = path.read_bytes()
    refused = 0
    for number in range(200):
        spoilt = bytearray(content)
        if number % 4 == 0:
            del spoilt[rng.integers(len(content)) :]
        else:
            spoilt[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        path.write_bytes(spoilt)
        state = checkpoints.load(path, "cpu")
        if state is None:
            refused += 1
            assert said.pop().startswith(f"{path}: damaged (")
        else:  # padding of the archive, or its dates
            assert state["step"] == 7 and torch.equal(state["weight"], torch.arange(2000.0))
        assert not said
    assert refused > 150
