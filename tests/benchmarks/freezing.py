"""A sweep over partial freezing with shared states, beside the plain way and full fine-tuning, in one run.

    python tests/benchmarks/freezing.py MNLI [pairs]

For each layer k of MiniBERT, -1 (nothing frozen) to 11, an NLI model is tuned for one epoch with the blocks
up to k frozen: once as the package does it, frozen blocks run once for all of the sweep, and once with the
whole model run in every step and no gradient below. The bound of the project: the sweep takes at most 0.6
of the time of as many full fine-tunings. Exits with an error if it takes more.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from helpers import corpora
from helpers.finetuning import prediction, training
from helpers.finetuning.frozen import Prefix
from helpers.profiles import Task, TuningRecipe
from helpers.store import Store

BOUND = 0.6
LAYERS = range(-1, 12)


def plainly(layer: int):
    """A stand-in for ``prediction.untrained`` whose models leave the blocks up to ``layer`` as they are."""
    usual = prediction.untrained

    def untrained(*args):
        predictor = usual(*args)
        encoder = predictor.encoder.model
        bottom = [encoder.embeddings, *encoder.encoder.layer[: layer + 1]]

        class Frozen(type(predictor.model)):
            def train(self, mode: bool = True):
                super().train(mode)
                for part in bottom:
                    part.eval()
                return self

        for part in bottom:
            part.requires_grad_(False)
        predictor.model.__class__ = Frozen
        return predictor

    return untrained


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mnli", help="folder of MultiNLI's JSONL files")
    parser.add_argument("pairs", type=int, nargs="?", default=600)
    arguments = parser.parse_args()
    task = Task("NLI", "mnli-reduced", TuningRecipe(epochs=1, learning_rate=1e-4, batch_size=16))
    train = corpora.load("mnli-reduced", "train", path=arguments.mnli, limit=arguments.pairs)
    judged = corpora.load("mnli-reduced", "dev", path=arguments.mnli, limit=arguments.pairs // 3)
    usual = prediction.untrained
    shared, plain, same = {}, {}, 0
    with tempfile.TemporaryDirectory() as root:
        # What is slow the first time.
        training.finetune(
            task, "minibert", train[:32], judged[:16], seed=0, cache=Store(Path(root) / "first")
        )
        prefix = Prefix("minibert", root)
        for layer in LAYERS:
            options = dict(seed=0, frozen=layer, prefix=prefix if layer >= 0 else None)
            began = time.perf_counter()
            own = training.finetune(
                task, "minibert", train, judged, cache=Store(Path(root) / "shared"), **options
            )
            shared[layer] = time.perf_counter() - began
            prediction.untrained = plainly(layer) if layer >= 0 else usual
            began = time.perf_counter()
            other = training.finetune(
                task, "minibert", train, judged, seed=0, cache=Store(Path(root) / f"plain{layer}")
            )
            plain[layer] = time.perf_counter() - began
            prediction.untrained = usual
            alike = [
                a["label"] == b["label"] for a, b in zip(own.predictions(), other.predictions(), strict=True)
            ]
            same += sum(alike)
            print(
                f"frozen through {layer:2}: {shared[layer]:6.1f} s, plainly {plain[layer]:6.1f} s; accuracy "
                f"{own.scores['accuracy']:.3f}, plainly {other.scores['accuracy']:.3f}",
                flush=True,
            )
    whole = sum(shared.values()) / (len(LAYERS) * plain[-1])
    print(
        f"the sweep takes {whole:.2f} of {len(LAYERS)} full fine-tunings and "
        f"{sum(shared.values()) / sum(plain.values()):.2f} of the plain sweep; "
        f"{same / (len(LAYERS) * len(judged)):.1%} of the answers are the same"
    )
    sys.exit(f"more than {BOUND} of full fine-tuning" if whole > BOUND else None)


if __name__ == "__main__":
    main()
