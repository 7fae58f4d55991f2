"""jiant's edge-probing JSON lines (Tenney et al., 2019), in which probing data are exchanged.

https://github.com/nyu-mll/jiant-v1-legacy/blob/master/probing/README.md. A line is an object with a
sentence's words, joined by spaces, and its targets::

    {"text": "Ian ate ice cream", "targets": [{"span1": [1, 2], "span2": [2, 4], "label": "A1"}], "info": {}}
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from helpers.corpora.files import quoted, read_text
from helpers.corpora.records import CorpusError, LabelledSpans, Target
from helpers.store import atomic_write


def read(path: str | Path) -> list[LabelledSpans]:
    """The sentences of a file, in order, also those without targets.

    ``label`` is a text or a list of texts, ``span2`` may be missing. Of ``info``, the keys ``id``,
    ``document_id`` and ``genre`` are kept; without an ``id`` it is the file's name and the line's number.
    Other keys are passed over.

    Raises CorpusError, naming file and line, if the file is empty or not UTF-8, if a line is not a JSON
    object (a file cut short ends in half of one), lacks a field, has no words, or has a span that is not
    ``[first, end]`` with words between.
    """
    lines = read_text(path).split("\n")
    if not lines[-1]:
        lines.pop()
    sentences = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            problem = f"expected a JSON object, found {quoted(line)}: {error.msg} at column {error.colno}"
            raise CorpusError(path, number, problem) from error
        if not isinstance(row, dict):
            raise CorpusError(path, number, f"expected one JSON object, found {quoted(line)}")
        words = tuple(_field(path, number, row, "text", str, "a text").split())
        if not words:
            raise CorpusError(path, number, "expected words in 'text', found none")
        targets = _field(path, number, row, "targets", list, "a list")
        info = _field(path, number, {"info": {}, **row}, "info", dict, "an object")
        sentences.append(
            LabelledSpans(
                id=str(info.get("id", f"{Path(path).stem}-{number}")),
                words=words,
                targets=tuple(_target(path, number, i, item, len(words)) for i, item in enumerate(targets)),
                document=str(info.get("document_id", "")),
                genre=str(info.get("genre", "")),
            )
        )
    return sentences


def write(path: str | Path, sentences: Iterable[LabelledSpans]) -> None:
    """Write sentences so that :func:`read` gives the same records, and jiant's tools read them too.

    Raises ValueError for a word that is empty or has a space in it, which the format cannot hold.
    """
    with atomic_write(Path(path)) as file:
        for sentence in sentences:
            wrong = next((word for word in sentence.words if word.split() != [word]), None)
            if wrong is not None:
                raise ValueError(f"sentence {sentence.id}: expected words without spaces, found {wrong!r}")
            info = {"id": sentence.id, "document_id": sentence.document, "genre": sentence.genre}
            row = {
                "text": " ".join(sentence.words),
                "targets": [_row(target) for target in sentence.targets],
                "info": {key: value for key, value in info.items() if value or key == "id"},
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _row(target: Target) -> dict[str, Any]:
    labels = target.labels
    row: dict[str, Any] = {"span1": list(target.span1)}
    if target.span2 is not None:
        row["span2"] = list(target.span2)
    row["label"] = labels[0] if len(labels) == 1 else list(labels)
    return row


def _target(path, number: int, place: int, item: Any, words: int) -> Target:
    def wrong(problem: str) -> CorpusError:
        return CorpusError(path, number, f"targets[{place}]: {problem}")

    if not isinstance(item, dict):
        raise wrong(f"expected an object, found {quoted(json.dumps(item))}")
    spans: list[tuple[int, int] | None] = []
    for name in ("span1", "span2"):
        span = item.get(name)
        if name == "span2" and span is None:
            spans.append(None)
            continue
        whole = isinstance(span, list) and len(span) == 2 and all(type(edge) is int for edge in span)
        if not whole or not 0 <= span[0] < span[1] <= words:
            found = quoted(json.dumps(span)) if name in item else f"only {', '.join(item) or 'nothing'}"
            raise wrong(
                f"expected {name!r} to be [first, end] with 0 <= first < end <= {words}, found {found}"
            )
        spans.append((span[0], span[1]))
    labels = item.get("label")
    if isinstance(labels, str):
        labels = [labels]
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        found = quoted(json.dumps(labels)) if "label" in item else f"only {', '.join(item)}"
        raise wrong(f"expected 'label' to be a text or a list of texts, found {found}")
    return Target(spans[0], spans[1], tuple(labels))


def _field(path, number: int, row: dict, name: str, kind: type, what: str) -> Any:
    if not isinstance(row.get(name), kind):
        found = quoted(json.dumps(row[name])) if name in row else f"only {', '.join(row) or 'nothing'}"
        raise CorpusError(path, number, f"expected {name!r} to be {what}, found {found}")
    return row[name]
