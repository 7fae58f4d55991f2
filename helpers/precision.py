"""What to compute on, and the precision of matrix products: bfloat16 where the hardware is faster in it.

Parameters, optimisers, losses and statistics are in float32 or better always.
"""

import platform
from pathlib import Path

import torch

PRECISIONS = ("bf16", "fp32")


def device(name: str = "auto") -> torch.device:
    """The device of a name; ``auto`` is the graphics card if there is one. Raises ValueError for others."""
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f"unknown device {name!r}; valid: auto, cpu, cuda")
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def fastest(on: torch.device | str) -> str:
    """``bf16`` or ``fp32``, whichever this machine multiplies matrices faster in.

    A rule rather than a measurement, so that it is the same in every run. Of processors with instructions for
    bfloat16, AMD's and those with tiles (AMX) are faster in it. Intel's without tiles, or whose tiles a
    virtual machine hides, are slower: 163 against 300 GFLOP/s on two cores of a Xeon, where an AMD EPYC
    trains 2.5 times as fast (``tests/benchmarks/products.py``).
    """
    if torch.device(on).type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    able = torch.cpu.get_capabilities()
    amd = str(able.get("cpu_name", "")).startswith("AMD")
    return "bf16" if able.get("amx_bf16") or (amd and able.get("avx512_bf16")) else "fp32"


def autocast(on: torch.device | str, precision: str | None = None) -> torch.autocast:
    """Context in which products are of a precision; None: the faster one."""
    half = (precision or fastest(on)) == "bf16"
    return torch.autocast(torch.device(on).type, dtype=torch.bfloat16, enabled=half)


def processor() -> str:
    """The processor's name."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())
