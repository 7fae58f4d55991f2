"""What chapters say of results, on tables made up so that it is known what may be said."""

import pytest

from helpers import results, statements
from helpers.claims.numbers import Number
from helpers.claims.run import Run


def rsa(model, *values, half=0.01, seed=0):
    return [
        dict(analysis="rsa", metric="rsa_pearson", model=model, seed=seed, layer=layer, value=value)
        | dict(ci_low=value - half, ci_high=value + half)
        for layer, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    "values, half, shape, floor",
    [
        ((0.9, 0.6), 0.01, "last block's output more", "still nearer"),
        ((0.6, 0.9), 0.01, "first block's output more", "still nearer"),
        ((0.9, 0.1), 0.01, "last block's output more", "is further from Base"),
        ((0.6, 0.59), 0.01, "do not tell", "still nearer"),
        ((0.6, 0.3), 0.4, "do not tell", "not clearly nearer"),
    ],
)
def test_depth_and_floor_are_told_by_intervals(values, half, shape, floor):
    run = Run({"rsa": results.table(rsa("Dep", *values, half=half) + rsa("Random", 0.2, 0.2, seed=1000))})
    texts = statements.change_by_depth(run.of_seed(0), "Dep")
    assert shape in texts["shape"] and floor in texts["floor"]
    assert texts["last"].startswith(f"{values[1]:.2f} [")


def test_what_has_been_learnt_is_told_by_the_interval():
    score = Number(0.5, 0.4, 0.6)
    assert "50.0 [40.0, 60.0], clearly more" in statements.learnt(score, 0.3)
    assert "not clearly more" in statements.learnt(score, 0.55)
    assert "has not learnt" in statements.learnt(score, 0.7)
