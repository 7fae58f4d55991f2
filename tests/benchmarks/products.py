"""Matrix products of MiniBERT's sizes in bfloat16 and float32 on this machine's processor.

    python tests/benchmarks/products.py

Both alternate in one run. Exits with 1 if :func:`helpers.precision.fastest` names the one that is slower by
more than a tenth.
"""

import sys
import time

import torch

from helpers import precision

ROWS = 640  # 16 sentences of 40 wordpieces
SIZES = ((256, 256), (256, 1024), (1024, 256))


def speed(dtype: torch.dtype, repeats: int = 40) -> float:
    """Products' GFLOP/s, forward and both gradients."""
    operands = []
    for n_in, n_out in SIZES:
        shapes = ((ROWS, n_in), (n_in, n_out), (ROWS, n_out))
        operands.append([torch.randn(shape).to(dtype) for shape in shapes])
    began = time.perf_counter()
    for _ in range(repeats):
        for x, weight, gradient in operands:
            x @ weight, gradient @ weight.T, x.T @ gradient
    flops = repeats * sum(6 * ROWS * n_in * n_out for n_in, n_out in SIZES)
    return flops / (time.perf_counter() - began) / 1e9


def main() -> int:
    kinds = {"bf16": torch.bfloat16, "fp32": torch.float32}
    for dtype in kinds.values():  # what is only slow the first time
        speed(dtype, 3)
    ratios = []
    for _ in range(5):
        found = {name: speed(dtype) for name, dtype in kinds.items()}
        ratios.append(found["bf16"] / found["fp32"])
        print(", ".join(f"{name} {value:.0f} GFLOP/s" for name, value in found.items()))
    ratio = sorted(ratios)[2]
    chosen = precision.fastest("cpu")
    print(f"bf16 / fp32: {ratio:.2f} (median of {len(ratios)}); chosen: {chosen}")
    return int(ratio < 0.9 if chosen == "bf16" else ratio > 1.1)


if __name__ == "__main__":
    sys.exit(main())
