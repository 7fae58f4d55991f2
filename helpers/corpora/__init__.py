"""Corpora by name: every format is read into the few record types of :mod:`helpers.corpora.records`.

``load("ud-ewt", "dev")`` downloads what can be downloaded; ``path=`` gives a local folder in the corpus's
official file format instead. :func:`describe`, :func:`download` and :func:`verify` are what
``python -m helpers data`` shows and does.
"""

from helpers.corpora.records import Answer, CorpusError, Pair, Passage, Question, Record, Sentence
from helpers.corpora.registry import (
    CORPORA,
    Corpus,
    describe,
    download,
    files,
    fingerprint,
    load,
    sample,
    verify,
)

__all__ = [
    "Answer", "CORPORA", "Corpus", "CorpusError", "Pair", "Passage", "Question", "Record", "Sentence",
    "describe", "download", "files", "fingerprint", "load", "sample", "verify",
]  # fmt: skip
