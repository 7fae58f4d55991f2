"""Speed of streaming hidden states to disk, beside the bare encoder on full batches of the same lengths.

    python tests/benchmarks/extraction.py [sentences]

One run measures both, alternating, so that the ratio holds on a busy machine. The bare encoder gets batches
without padding, all of one length, with the lengths' distribution that of the corpus; it keeps nothing.
Exits with 1 if streaming reaches less than 80 % of its speed.
"""

import argparse
import sys
import tempfile
import time

import torch
from transformers import BertConfig, BertModel

from helpers import corpora, encoders, precision
from helpers.encoders import states
from helpers.store import Store

BOUND = 0.8


def encoder() -> encoders.Encoder:
    """12 x 256 with random weights and MiniBERT's vocabulary: what the weights are does not matter here."""
    tiny = encoders.load("tiny", device="cpu")
    config = BertConfig(
        vocab_size=len(tiny.tokenizer),
        hidden_size=256,
        num_hidden_layers=12,
        num_attention_heads=4,
        intermediate_size=1024,
    )
    return encoders.Encoder("12 x 256", BertModel(config).eval(), tiny.tokenizer, "benchmark", tiny.precision)


def bare(model, lengths: list[int], budget: int) -> float:
    """Seconds for forward passes over as many wordpieces as ``lengths`` hold, in full batches."""
    batches, ordered = [], sorted(lengths, reverse=True)
    while ordered:
        size = max(1, budget // ordered[0])
        part, ordered = ordered[:size], ordered[size:]
        # Same number of wordpieces, none of them padding.
        batches.append(torch.randint(5, 1000, (len(part), max(1, round(sum(part) / len(part))))))
    began = time.perf_counter()
    with torch.no_grad(), precision.autocast("cpu"):
        for ids in batches:
            model(ids, output_hidden_states=True)
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sentences", type=int, nargs="?", default=2000)
    count = parser.parse_args().sentences
    model = encoder()
    records = corpora.load("wikipedia", "all", limit=count)
    lengths = [n + 2 for n in encoders.row_counts(model, records)]
    pieces = sum(lengths)
    ratios = []
    with tempfile.TemporaryDirectory() as folder:  # what is only slow the first time
        encoders.extract(model, records[:100], Store(folder), pool="mean")
    bare(model.model, lengths[:100], states.BATCH_PIECES)
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            encoders.extract(model, records, Store(folder), pool="mean")
            ours = time.perf_counter() - began
        reference = bare(model.model, lengths, states.BATCH_PIECES)
        ratios.append(reference / ours)
        print(
            f"streamed {pieces / ours:8,.0f} wordpieces/s   bare {pieces / reference:8,.0f}   "
            f"ratio {ratios[-1]:.2f}"
        )
    best = sorted(ratios)[len(ratios) // 2]
    print(f"median ratio {best:.2f} (bound {BOUND})")
    return int(best < BOUND)


if __name__ == "__main__":
    sys.exit(main())
