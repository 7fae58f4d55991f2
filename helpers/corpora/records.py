"""The record types that every corpus is read into."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

Span = tuple[int, int]  # first word of a sentence, from 0; end, exclusive
LabelledSpan = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A tokenised sentence, with the annotation that its corpus has.

    Tuples run parallel to ``words``. ``heads`` holds 1-based positions of the heads, 0 for the root;
    ``deprels`` full labels, subtypes included. An empty tuple means: not annotated.
    """

    id: str
    words: tuple[str, ...]
    document: str = ""
    genre: str = ""
    upos: tuple[str, ...] = ()
    xpos: tuple[str, ...] = ()
    heads: tuple[int, ...] = ()
    deprels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """A premise and a hypothesis with their label (natural language inference)."""

    id: str
    premise: str
    hypothesis: str
    label: str
    document: str = ""
    genre: str = ""
    source: str = ""  # the annotation that a recast pair was made from


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer's text and the position of its first character in the context."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Question:
    """A question on a context with its accepted answers (extractive question answering)."""

    id: str
    question: str
    context: str
    answers: tuple[Answer, ...]
    document: str = ""


@dataclass(frozen=True, slots=True)
class Passage:
    """Plain text, usually one sentence."""

    id: str
    text: str
    document: str = ""
    genre: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """A labelled span of a sentence, or a labelled pair of spans: one decision of an edge probe.

    ``span2`` is None where a task labels single spans; ``labels`` may be empty (no label holds) or several.
    """

    span1: Span
    span2: Span | None
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LabelledSpans:
    """A tokenised sentence with the targets of one edge-probing task."""

    id: str
    words: tuple[str, ...]
    targets: tuple[Target, ...]
    document: str = ""
    genre: str = ""

    @classmethod
    def of(cls, sentence: Sentence, targets: Iterable[Target]) -> "LabelledSpans":
        """Targets in a sentence of a corpus."""
        return cls(sentence.id, sentence.words, tuple(targets), sentence.document, sentence.genre)


Record = Sentence | Pair | Question | Passage | LabelledSpans


class CorpusError(ValueError):
    """Malformed input. The message names the file, the line and what was expected."""

    def __init__(self, path: str | Path, line: int | None, problem: str):
        super().__init__(f"{path}:{line}: {problem}" if line is not None else f"{path}: {problem}")
