"""A sweep over partial freezing, its frozen blocks run once, beside as many full fine-tunings, in one run.

    python tests/benchmarks/freezing.py MNLI [pairs]

For each layer k of MiniBERT, -1 (nothing frozen) to 11, an NLI model is tuned for one epoch with the blocks
up to k frozen. Full fine-tuning is timed before, within and after the sweep. Exits with an error if the sweep
takes more than 0.6 of the time of as many full fine-tunings, the bound of the project. That freezing so gives
what freezing plainly does is shown by tests/finetuning/test_blocks.py.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from helpers import corpora
from helpers.finetuning.blocks import Prefix
from helpers.finetuning.training import finetune
from helpers.profiles import Task, TuningRecipe
from helpers.store import Store

BOUND = 0.6
LAYERS = range(-1, 12)
FULL_AFTER = (-1, 5, 11)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mnli", help="folder of MultiNLI's JSONL files")
    parser.add_argument("pairs", type=int, nargs="?", default=600)
    arguments = parser.parse_args()
    task = Task("NLI", "mnli-reduced", TuningRecipe(epochs=1, learning_rate=1e-4, batch_size=16))
    train = corpora.load("mnli-reduced", "train", path=arguments.mnli, limit=arguments.pairs)
    judged = corpora.load("mnli-reduced", "dev", path=arguments.mnli, limit=arguments.pairs // 3)
    swept, full = {}, []
    with tempfile.TemporaryDirectory() as root:

        def timed(name: str, n_train: int, **options) -> tuple[float, float]:
            began = time.perf_counter()
            cache = Store(Path(root) / name)  # its own: nothing is found there
            tuned = finetune(task, "minibert", train[:n_train], judged, seed=0, cache=cache, **options)
            return time.perf_counter() - began, tuned.scores["accuracy"]

        timed("first", 32)  # what is slow the first time
        prefix = Prefix("minibert", root)
        for layer in LAYERS:
            options = dict(frozen=layer, prefix=prefix) if layer >= 0 else {}
            swept[layer], accuracy = timed(f"through {layer}", len(train), **options)
            print(f"frozen through {layer:2}: {swept[layer]:6.1f} s, accuracy {accuracy:.3f}", flush=True)
            if layer in FULL_AFTER:
                full.append(timed(f"full after {layer}", len(train))[0])
    ratio = sum(swept.values()) / (len(LAYERS) * statistics.median(full))
    print(f"full fine-tuning: {', '.join(f'{seconds:.1f}' for seconds in full)} s")
    print(f"the sweep takes {ratio:.2f} of {len(LAYERS)} full fine-tunings (bound {BOUND})")
    sys.exit("the sweep takes too long" if ratio > BOUND else None)


if __name__ == "__main__":
    main()
