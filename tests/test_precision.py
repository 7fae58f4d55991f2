"""The precision that products are in follows from what the hardware can do."""

import pytest
import torch

from helpers import precision


@pytest.mark.parametrize(
    ("able", "expected"),
    [
        ({"cpu_name": "AMD EPYC", "avx512_bf16": True}, "bf16"),
        ({"cpu_name": "Intel Xeon", "avx512_bf16": True, "amx_bf16": True}, "bf16"),
        ({"cpu_name": "Intel Xeon", "avx512_bf16": True, "amx_bf16": False}, "fp32"),
        ({"cpu_name": "AMD EPYC", "avx512_bf16": False}, "fp32"),
        ({}, "fp32"),
    ],
)
def test_processors(monkeypatch, able, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert precision.fastest("cpu") == expected


def test_graphics_cards_without_bfloat16_are_not_made_to_emulate_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    assert precision.fastest("cuda:0") == "fp32"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    assert precision.fastest("cuda") == "bf16"


@pytest.mark.parametrize(("name", "dtype"), [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_products_are_of_the_precision_asked_for(name, dtype):
    x = torch.eye(4)
    with precision.autocast("cpu", name):
        assert (x @ x).dtype == dtype
    assert (x @ x).dtype == torch.float32


def test_the_device_is_the_one_named_or_the_best_there_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert precision.device() == torch.device("cuda") and precision.device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert precision.device("auto") == torch.device("cpu")
