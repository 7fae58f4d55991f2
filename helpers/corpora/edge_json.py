"""jiant's edge-probing JSON lines (Tenney et al., 2019), in which probing data are exchanged.

https://github.com/nyu-mll/jiant-v1-legacy/blob/master/probing/README.md. A line is an object with a
sentence's words, joined by spaces, and its targets::

    {"text": "Ian ate ice cream", "targets": [{"span1": [1, 2], "span2": [2, 4], "label": "A1"}], "info": {}}
"""

import json
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from helpers.corpora.files import MAX_WORDS, as_json, field, json_lines, optional, shown
from helpers.corpora.records import CorpusError, LabelledSpans, Span, Target
from helpers.store import atomic_write


def read(path: str | Path) -> list[LabelledSpans]:
    """The sentences of a file, in order, also those without targets.

    ``label`` is a text or a list of texts (one given twice counts once), ``span2`` may be missing. Of
    ``info``, the keys ``id``, ``document_id`` and ``genre`` are kept; without an ``id`` it is the file's name
    and the line's number. Other keys are passed over.

    Raises CorpusError as :func:`~helpers.corpora.files.json_lines` does, and, naming file and line, if a line
    lacks a field, has no words or too many, or has a span that is not ``[first, end]`` with words between.
    """
    sentences = []
    for number, row in json_lines(path):
        wrong = partial(CorpusError, path, number)
        words = tuple(field(row, "text", str, wrong).split())
        if not words:
            raise wrong("expected words in 'text', found none")
        if len(words) > MAX_WORDS:
            raise wrong(f"expected at most {MAX_WORDS:,} words in 'text', found {len(words):,}")
        targets = field(row, "targets", list, wrong)
        info = field({"info": {}, **row}, "info", dict, wrong)
        sentences.append(
            LabelledSpans(
                id=optional({"id": f"{Path(path).stem}-{number}", **info}, "id", wrong),
                words=words,
                targets=tuple(_target(wrong, i, item, len(words)) for i, item in enumerate(targets)),
                document=optional(info, "document_id", wrong),
                genre=optional(info, "genre", wrong),
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


def _target(in_line: Callable[[str], CorpusError], place: int, item: Any, words: int) -> Target:
    def wrong(problem: str) -> CorpusError:
        return in_line(f"targets[{place}]: {problem}")

    def span(name: str) -> Span:
        edges = item.get(name)
        whole = isinstance(edges, list) and len(edges) == 2 and all(type(edge) is int for edge in edges)
        if not whole or not 0 <= edges[0] < edges[1] <= words:
            expected = f"expected {name!r} to be [first, end] with 0 <= first < end <= {words}"
            raise wrong(f"{expected}, found {shown(item, name)}")
        return edges[0], edges[1]

    if not isinstance(item, dict):
        raise wrong(f"expected an object, found {as_json(item)}")
    span1, span2 = span("span1"), None if item.get("span2") is None else span("span2")
    label = item.get("label")
    labels = [label] if isinstance(label, str) else label
    if not isinstance(labels, list) or not all(isinstance(one, str) for one in labels):
        raise wrong(f"expected 'label' to be a text or a list of texts, found {shown(item, 'label')}")
    return Target(span1, span2, tuple(dict.fromkeys(labels)))
