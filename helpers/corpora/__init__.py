"""Corpora by name: every format is read into the few record types of :mod:`helpers.corpora.records`.

``load("ud-ewt", "dev")`` downloads what can be downloaded; ``path=`` gives a local folder in the corpus's
official file format instead. A corpus of one's own has a name such as ``ud:french-gsd``, ``nli:snli``,
``squad:fquad`` or ``text:novels`` and needs one. :func:`describe`, :func:`download` and :func:`verify` are
what ``python -m helpers data`` shows and does.
"""

from helpers.corpora.records import Answer, CorpusError, Pair, Passage, Question, Record, Sentence
from helpers.corpora.registry import (
    CORPORA,
    NAMES,
    TEXTS,
    Corpus,
    describe,
    download,
    files,
    fingerprint,
    load,
    named,
    sample,
    verify,
)

__all__ = [
    "Answer", "CORPORA", "Corpus", "CorpusError", "NAMES", "Pair", "Passage", "Question", "Record",
    "Sentence", "TEXTS", "describe", "download", "files", "fingerprint", "load", "named", "sample", "verify",
]  # fmt: skip
