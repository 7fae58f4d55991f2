"""SQuAD v1.1 JSON (Rajpurkar et al., 2016): questions on paragraphs, answers as spans."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from helpers.corpora.files import as_json, field, optional, parse_json, quoted, read_text, shown
from helpers.corpora.records import Answer, CorpusError, Question
from helpers.store import atomic_write

VERSION = "1.1"


def read(path: str | Path) -> list[Question]:
    """The questions of a SQuAD v1.1 file, in order; ``document`` is the article's title.

    Answer positions count Unicode characters from 0 and are checked against the paragraph.

    Raises CorpusError as :func:`~helpers.corpora.files.parse_json` does, and if the file has another
    structure (naming the place), is of SQuAD version 2, uses a question id twice, or if an answer is not
    at its position (naming the question).
    """
    content = parse_json(path, read_text(path))
    if not isinstance(content, dict):
        raise CorpusError(path, None, "expected a JSON object with 'version' and 'data'")
    if str(content.get("version", VERSION)).lstrip("v").startswith("2"):
        raise CorpusError(path, None, f"expected SQuAD version {VERSION}, found version {content['version']}")
    questions: list[Question] = []
    seen: set[str] = set()
    for where, article in _items(path, content, "data", ""):
        title = optional(article, "title", _at(path, where))
        for within, paragraph in _items(path, article, "paragraphs", where):
            context = field(paragraph, "context", str, _at(path, within))
            for place, entry in _items(path, paragraph, "qas", within):
                asked = _question(path, entry, context, title, place)
                if asked.id in seen:
                    raise _at(path, place)(f"expected an id not used before, found {asked.id!r}")
                seen.add(asked.id)
                questions.append(asked)
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


def question(
    path: str | Path, identifier: str, text: str, context: str, answers: Sequence[Answer], document: str
) -> Question:
    """A question whose answers have been checked.

    Raises CorpusError, naming it, if there is no answer or ``context`` has not each at its position.
    """

    def wrong(problem: str) -> CorpusError:
        return CorpusError(path, None, f"question {identifier}: {problem}")

    if not answers:
        raise wrong("expected at least one answer, found none")
    for answer in answers:
        there = context[answer.start : answer.start + len(answer.text)] if answer.start >= 0 else ""
        if not answer.text or there != answer.text:
            expected = f"expected the answer {quoted(answer.text)} at answer_start {answer.start}"
            raise wrong(f"{expected}, found {quoted(there)} in a context of {len(context)} characters")
    return Question(identifier, text, context, tuple(answers), document)


def _question(path: str | Path, entry: dict, context: str, title: str, place: str) -> Question:
    wrong = _at(path, place)
    identifier, text = optional(entry, "id", wrong), field(entry, "question", str, wrong)
    if not identifier:
        raise wrong(f"expected an 'id', found {shown(entry, 'id')}")
    if entry.get("is_impossible"):
        problem = f"expected SQuAD version {VERSION}, found 'is_impossible' (version 2)"
        raise CorpusError(path, None, f"question {identifier}: {problem}")
    answers = []
    for where, item in _items(path, entry, "answers", place):
        at = _at(path, where)
        answers.append(Answer(field(item, "text", str, at), field(item, "answer_start", int, at)))
    return question(path, identifier, text, context, answers, title)


def _items(path: str | Path, parent: dict, name: str, place: str) -> Iterator[tuple[str, dict]]:
    """(place, object) for each object of the list ``parent[name]``; a place reads ``data[0].qas[2]``."""
    for number, item in enumerate(field(parent, name, list, _at(path, place or "top level"))):
        where = f"{place}.{name}[{number}]".lstrip(".")
        if not isinstance(item, dict):
            raise _at(path, where)(f"expected an object, found {as_json(item)}")
        yield where, item


def _at(path: str | Path, place: str) -> Callable[[str], CorpusError]:
    return lambda problem: CorpusError(path, None, f"{place}: {problem}")
