"""Dropout from random bits."""

import pytest
import scipy.stats
import torch

from helpers.finetuning.dropout import BitDropout, dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_as_many_elements_go_as_the_probability_says_and_the_others_make_up_for_them(p):
    x = torch.ones(1000, 999)  # not a multiple of four
    y = dropout(x, p)
    gone = int((y == 0).sum())
    assert scipy.stats.binomtest(gone, x.numel(), p).pvalue > 1e-4
    left = y[y != 0]
    assert (left == left[0]).all()
    assert float(left[0]) == pytest.approx(1 / (1 - p), rel=1e-3)
    # Rows, columns and neighbours are independent: their counts vary as binomial ones do.
    for counts, n in (((y == 0).sum(0), 1000), ((y == 0).sum(1), 999)):
        assert float(counts.float().var()) == pytest.approx(n * p * (1 - p), rel=0.2)
    both = int(((y[:, 1:] == 0) & (y[:, :-1] == 0)).sum())
    assert both / (1000 * 998) == pytest.approx(p * p, rel=0.05)


def test_the_generators_seed_decides_and_calls_differ():
    x = torch.ones(64, 64)
    torch.manual_seed(3)
    first, second = dropout(x, 0.5), dropout(x, 0.5)
    torch.manual_seed(3)
    assert torch.equal(dropout(x, 0.5), first) and not torch.equal(first, second)


def test_gradients_pass_where_values_do():
    x = torch.randn(50, 50, requires_grad=True)
    y = dropout(x, 0.3)
    y.sum().backward()
    torch.testing.assert_close(x.grad, torch.where(y == 0, 0.0, y.detach() / x.detach()))


def test_nothing_is_drawn_at_zero_and_one_is_refused():
    x = torch.randn(10, 10, dtype=torch.bfloat16)
    assert torch.equal(dropout(x, 0.0), x)
    for p in (1.0, -0.1):
        with pytest.raises(ValueError, match="at least 0 and below 1"):
            dropout(x, p)


def test_models_in_training_drop_by_it_and_others_do_not(monkeypatch):
    module, x, asked = torch.nn.Dropout(0.2), torch.ones(8, 8), []
    drop = lambda x, p: asked.append(p) or x  # noqa: E731
    monkeypatch.setattr("helpers.finetuning.dropout.dropout", drop)
    with BitDropout():
        assert torch.equal(module(x), x) and torch.equal(torch.nn.functional.dropout(x, p=0.3), x)
        torch.nn.functional.dropout(x, 0.4, training=False)
        module.eval()(x)
    assert asked == [0.2, 0.3]
    assert not torch.equal(module.train()(torch.ones(100, 100)), torch.ones(100, 100))
    assert asked == [0.2, 0.3]  # nor is it used outside
