"""Dropout for processors, with random bits in place of PyTorch's random numbers.

PyTorch draws a random number for each element, one after another: in tuning a small encoder on long inputs
that takes more time than anything else. Sixteen random bits per element are enough, and with them dropout
takes a third of the time.
"""

from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

_LEVELS = 2**16


def dropout(x: torch.Tensor, p: float) -> torch.Tensor:
    """``x`` with elements set to 0, each with probability ``p``, and the others divided by 1 - p.

    The probability is a multiple of 2 ** -16, the nearest to ``p``, and the divisor that of this one: the
    expected value is exactly ``x``. PyTorch's generator (:func:`torch.manual_seed`) gives the seed of the
    bits. Raises ValueError unless ``p`` is in [0, 1).
    """
    if not 0 <= p < 1:
        raise ValueError(f"dropout must be at least 0 and below 1, got {p}")
    dropped = round(p * _LEVELS)
    seed = int(torch.randint(2**62, ()))
    words = np.random.Generator(np.random.SFC64(seed)).integers(
        -(2**63), 2**63 - 1, -(-x.numel() // 4), dtype=np.int64, endpoint=True
    )
    bits = torch.from_numpy(words).view(torch.int16)[: x.numel()].view(x.shape)
    kept = (bits >= dropped - _LEVELS // 2).to(x.dtype)
    return x * kept.mul_(_LEVELS / (_LEVELS - dropped))


class BitDropout(TorchFunctionMode):
    """Context in which dropout of models on a processor is :func:`dropout`."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.nn.functional.dropout:
            return _instead(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _instead(x: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
    if not training or p == 0:
        return x
    if x.device.type != "cpu" or inplace:
        return torch.nn.functional.dropout(x, p, training, inplace)
    return dropout(x, p)
