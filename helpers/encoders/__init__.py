"""Encoders: load them, align words with wordpieces, stream hidden states.

Layers are numbered as in the paper: -1 the embeddings, 0 the first block's output, ... L-1 the last
(Hugging Face's ``hidden_states[layer + 1]``).
"""

from helpers.encoders.families import EncoderError
from helpers.encoders.loading import Encoder, fingerprint, load, quiet, set_dropout
from helpers.encoders.registry import ASSETS, ENCODERS, resolve, seeded
from helpers.encoders.segments import Segment, align, align_records, row_counts, segments_of
from helpers.encoders.states import Activations, extract, hidden_states

__all__ = [
    "ASSETS", "Activations", "ENCODERS", "Encoder", "EncoderError", "Segment", "align", "align_records",
    "extract", "fingerprint", "hidden_states", "load", "quiet", "resolve", "row_counts", "seeded",
    "segments_of", "set_dropout",
]  # fmt: skip
