"""SQuAD v1.1 JSON (Rajpurkar et al., 2016): questions on paragraphs, answers as spans."""

import json
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

from helpers.corpora.files import quoted, read_text
from helpers.corpora.records import Answer, CorpusError, Question
from helpers.store import atomic_write

VERSION = "1.1"


def read(path: str | Path) -> list[Question]:
    """The questions of a SQuAD v1.1 file, in order; ``document`` is the article's title.

    Answer positions count Unicode characters from 0 and are checked against the paragraph.

    Raises CorpusError if the file is empty, not UTF-8 or not JSON (naming the line), has another
    structure (naming the place), is of SQuAD version 2, uses a question id twice, or if an answer is
    not at its position (naming the question).
    """
    text = read_text(path)
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise CorpusError(
            path, error.lineno, f"expected JSON: {error.msg} at column {error.colno} (file cut short?)"
        ) from error
    if not isinstance(content, dict):
        raise CorpusError(path, None, "expected a JSON object with 'version' and 'data'")
    if str(content.get("version", VERSION)).lstrip("v").startswith("2"):
        raise CorpusError(
            path,
            None,
            f"expected SQuAD version {VERSION}, found version {content['version']}",
        )
    questions: list[Question] = []
    seen: set[str] = set()
    for where, article in _items(path, content, "data", ""):
        title = _field(path, article, "title", str, where)
        for within, paragraph in _items(path, article, "paragraphs", where):
            context = _field(path, paragraph, "context", str, within)
            for place, entry in _items(path, paragraph, "qas", within):
                question = _question(path, entry, context, title, place)
                if question.id in seen:
                    raise CorpusError(
                        path, None, f"{place}: expected an id not used before, found {question.id!r}"
                    )
                seen.add(question.id)
                questions.append(question)
    if not questions:
        raise CorpusError(path, None, "expected at least one question, found none")
    return questions


def write(questions: Iterable[Question], path: str | Path) -> None:
    """Write questions in the official format, so that other people's SQuAD tools read them.

    Neighbouring questions on the same document and context share an article and a paragraph.
    """
    data = []
    for title, article in groupby(questions, key=lambda q: q.document):
        paragraphs = []
        for context, group in groupby(article, key=lambda q: q.context):
            qas = [
                {
                    "id": q.id,
                    "question": q.question,
                    "answers": [{"text": a.text, "answer_start": a.start} for a in q.answers],
                }
                for q in group
            ]
            paragraphs.append({"context": context, "qas": qas})
        data.append({"title": title, "paragraphs": paragraphs})
    with atomic_write(Path(path)) as file:
        json.dump({"version": VERSION, "data": data}, file, ensure_ascii=False)
        file.write("\n")


def check_answer(path, identifier: str, context: str, text: str, start: int) -> None:
    """Raise CorpusError, naming the question, unless ``context`` has the answer at ``start``."""
    found = context[start : start + len(text)] if start >= 0 else ""
    if not text or found != text:
        raise CorpusError(
            path,
            None,
            f"question {identifier}: expected the answer {quoted(text)} at answer_start {start}, "
            f"found {quoted(found)} in a context of {len(context)} characters",
        )


def _question(path, entry: dict, context: str, title: str, place: str) -> Question:
    identifier = _field(path, entry, "id", str, place)
    if "is_impossible" in entry:
        raise CorpusError(
            path,
            None,
            f"question {identifier}: expected SQuAD version {VERSION}, found 'is_impossible' (version 2)",
        )
    answers = []
    for where, item in _items(path, entry, "answers", place):
        text = _field(path, item, "text", str, where)
        start = _field(path, item, "answer_start", int, where)
        check_answer(path, identifier, context, text, start)
        answers.append(Answer(text, start))
    if not answers:
        raise CorpusError(path, None, f"question {identifier}: expected at least one answer, found none")
    return Question(
        id=identifier,
        question=_field(path, entry, "question", str, place),
        context=context,
        answers=tuple(answers),
        document=title,
    )


def _items(path, parent: dict, name: str, place: str):
    """(place, object) for each object of the list ``parent[name]``; a place reads ``data[0].qas[2]``."""
    for number, item in enumerate(_field(path, parent, name, list, place)):
        where = f"{place}.{name}[{number}]".lstrip(".")
        if not isinstance(item, dict):
            raise CorpusError(path, None, f"{where}: expected an object, found {quoted(json.dumps(item))}")
        yield where, item


def _field(path, parent: dict, name: str, kind: type, place: str) -> Any:
    value = parent.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        words = {str: "a text", int: "a whole number", list: "a list"}
        found = quoted(json.dumps(value)) if name in parent else f"only {', '.join(parent) or 'nothing'}"
        place = place or "top level"
        raise CorpusError(path, None, f"{place}: expected {name!r} to be {words[kind]}, found {found}")
    return value
