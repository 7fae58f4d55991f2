"""RSA's time and memory beside the two matrix products, scikit-learn, scipy and rsatoolbox, in one run.

    pip install -r tests/benchmarks/requirements.txt     # rsatoolbox; left out of the table where missing
    OMP_NUM_THREADS=2 python tests/benchmarks/rsa.py

Times are the least of several rounds in which the contenders take turns, so that whatever else the machine
does meets all of them. Memory is measured apart, each contender in a fresh process: the most that was
resident during the call less what was before it, inputs and libraries included (Linux only). Exits with
an error if values disagree or, at the default size, a bound of the project is broken: 1.5 times the
products' time, 300 MB.
"""

import argparse
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import scipy.spatial.distance
from sklearn.metrics.pairwise import cosine_similarity

from helpers import similarity, statistics


def inputs(n: int, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """float32 representations with a common offset (cosines around .5), ten tokens to a sentence."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, d), dtype=np.float32)
    y = x + rng.standard_normal((n, d), dtype=np.float32)
    offset = rng.standard_normal((2, d), dtype=np.float32)
    x += offset[0]
    y += offset[0] + offset[1]
    return x, y, np.arange(n) // 10


def ours(x, y, groups):
    return similarity.rsa(x, y)


def two_products(x, y, groups):
    x @ x.T
    y @ y.T
    return float("nan")


def sklearn_corrcoef(x, y, groups):
    triangle = np.triu_indices(len(x), 1)
    return float(np.corrcoef(cosine_similarity(x)[triangle], cosine_similarity(y)[triangle])[0, 1])


def scipy_pdist(x, y, groups):
    pdist = scipy.spatial.distance.pdist
    return float(np.corrcoef(pdist(x, "cosine"), pdist(y, "cosine"))[0, 1])


def rsatoolbox(x, y, groups):
    # It has no cosine; "correlation" is the cosine of rows centred on their own means.
    from rsatoolbox.data import Dataset
    from rsatoolbox.rdm import calc_rdm, compare

    rdms = [calc_rdm(Dataset(z), method="correlation") for z in (x, y)]
    return float(np.squeeze(compare(*rdms, method="corr")))


def ours_correlation(x, y, groups):
    return similarity.rsa(x, y, kernel="correlation")


def ours_euclidean(x, y, groups):
    return similarity.rsa(x, y, kernel="euclidean")


def ours_spearman(x, y, groups):
    return similarity.rsa(x, y, compare="spearman")


def ours_bootstrap(x, y, groups):
    return statistics.rsa_bootstrap(x, y, groups, n_resamples=1000, seed=0).value


# Contender -> what its value must agree with.
CONTENDERS = {
    two_products: None,
    ours: sklearn_corrcoef,
    sklearn_corrcoef: ours,
    scipy_pdist: ours,
    rsatoolbox: ours_correlation,
    ours_correlation: rsatoolbox,
    ours_euclidean: None,
    ours_spearman: None,
    ours_bootstrap: ours,
}
SLOW = {scipy_pdist, rsatoolbox, ours_spearman, ours_bootstrap}


def resident(field: str) -> float:
    """MB of VmRSS (now) or VmHWM (the most so far) of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise OSError(f"/proc/self/status has no {field}")


def extra_memory(name: str, n: int, d: int) -> float:
    """MB above the inputs' that one call needs at most, measured in a process of its own."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, __file__, "--memory-of", name, "--n", str(n), "--d", str(d)]
    return float(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def measure_memory(contender, n: int, d: int) -> float:
    contender(*inputs(50, 8))  # imports, and the buffers of the linear algebra library
    arrays = inputs(n, d)
    Path("/proc/self/clear_refs").write_text("5")  # sets VmHWM back to VmRSS
    before = resident("VmRSS")
    contender(*arrays)
    return resident("VmHWM") - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=5000, help="tokens")
    parser.add_argument("--d", type=int, default=768, help="dimensions")
    parser.add_argument("--rounds", type=int, default=5, help="rounds; slow contenders sit out all but two")
    parser.add_argument("--large", type=int, default=50_000, help="tokens of the large run; 0 for none")
    parser.add_argument("--memory-of", choices=[c.__name__ for c in CONTENDERS], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    n, d = arguments.n, arguments.d
    by_name = {contender.__name__: contender for contender in CONTENDERS}
    if arguments.memory_of:
        print(measure_memory(by_name[arguments.memory_of], n, d))
        return
    if importlib.util.find_spec("rsatoolbox") is None:
        print("rsatoolbox is not installed (tests/benchmarks/requirements.txt): left out")
        del by_name["rsatoolbox"]

    arrays = inputs(n, d)
    seconds, values = {}, {}
    for turn in range(arguments.rounds):
        for name, contender in by_name.items():
            if turn < 2 or contender not in SLOW:
                start = time.perf_counter()
                values[name] = contender(*arrays)
                seconds[name] = min(time.perf_counter() - start, seconds.get(name, float("inf")))

    threads = os.environ.get("OMP_NUM_THREADS", "unset")
    print(f"n = {n}, d = {d}, float32 inputs; {os.cpu_count()} cores, OMP_NUM_THREADS {threads}\n")
    print(f"{'contender':20}{'seconds':>9}{'x products':>12}{'extra MB':>10}{'value':>12}{'off by':>10}")
    faults = []
    memory = {}
    for name, contender in by_name.items():
        memory[name] = extra_memory(name, n, d)
        other = CONTENDERS[contender]
        gap = ""
        if other is not None and other.__name__ in values:
            error = abs(values[name] - values[other.__name__])
            gap = f"{error:.1e}"
            if error > 1e-5:
                faults.append(f"{name} and {other.__name__} differ by {error:.1e}")
        ratio = seconds[name] / seconds["two_products"]
        print(
            f"{name:20}{seconds[name]:9.2f}{ratio:12.2f}{memory[name]:10.0f}{values[name]:12.6f}{gap:>10}",
            flush=True,
        )
    if (n, d) == (5000, 768):  # the size the bounds are for
        if seconds["ours"] > 1.5 * seconds["two_products"]:
            faults.append("ours takes over 1.5 times as long as the two products")
        faults += [f"{name} takes over 300 MB" for name in ("ours", "ours_bootstrap") if memory[name] > 300]

    if arguments.large:
        arrays = inputs(arguments.large, d)
        start = time.perf_counter()
        value = ours(*arrays)
        elapsed = time.perf_counter() - start
        del arrays
        extra = extra_memory("ours", arguments.large, d)
        print(f"\nn = {arguments.large}: ours {elapsed:.2f} s, {extra:.0f} MB extra, value {value:.6f}")
    sys.exit("; ".join(faults) or None)


if __name__ == "__main__":
    main()
