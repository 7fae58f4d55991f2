"""BERT pre-training from raw text: masked language modelling, with next-sentence prediction at the end.

Text is encoded once into flat arrays on disk; batch ``t`` is a pure function of (seed, t), so a run resumed
from a checkpoint sees exactly the data it would have seen. ``python -m helpers pretrain`` calls
:func:`helpers.pretraining.training.run`.
"""
