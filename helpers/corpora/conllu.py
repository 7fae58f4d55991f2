"""CoNLL-U, the format of the Universal Dependencies treebanks, read strictly.

https://universaldependencies.org/format.html. The sentence's words are its syntactic words: lines of
multiword tokens (``1-2``) and of empty nodes (``8.1``) are checked for their form and left out.
"""

import re
from functools import partial
from pathlib import Path

from helpers.corpora.files import Wrong, cycle, quoted, read_text
from helpers.corpora.records import CorpusError, Sentence

COLUMNS = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")

_COMMENT = re.compile(r"#\s*(sent_id|newdoc id|newdoc|meta::genre)\s*(?:=\s*(.*?)\s*)?$")
_WORD = re.compile(r"[1-9][0-9]*$")
_RANGE = re.compile(r"([1-9][0-9]*)-([1-9][0-9]*)$")
_EMPTY = re.compile(r"(0|[1-9][0-9]*)\.[1-9][0-9]*$")


def read(path: str | Path) -> list[Sentence]:
    """The sentences of a CoNLL-U file, with their basic dependency trees.

    ``id`` is the sentence's ``sent_id`` (file name and number where there is none), ``document`` the
    ``newdoc id`` above it. ``genre`` comes from a ``meta::genre`` comment (GUM) or, failing that, from
    the document's name: ``weblog-...`` in EWT, ``GUM_news_...`` in GUM.

    Raises CorpusError, naming file and line, if the file is empty, cut short or not UTF-8; if a line
    has not ten columns or the ids are not consecutive; if two sentences have the same ``sent_id``; and
    if the heads of a sentence are not a tree with one root.
    """
    wrong = partial(CorpusError, path)
    sentences: list[Sentence] = []
    first_use: dict[str, int] = {}
    document = genre = sent_id = ""
    start = 0  # line on which the sentence's first word or comment stands; 0 between sentences
    rows: list[tuple[int, list[str]]] = []
    skipped = 0  # multiword tokens and empty nodes of this sentence

    lines = read_text(path).split("\n")
    for number, line in enumerate(lines[:-1], 1):
        if line.startswith("#"):
            if rows or skipped:
                raise wrong(number, "expected a blank line before the next sentence's comments")
            start = start or number
            match = _COMMENT.match(line)
            if match is None:
                continue
            key, value = match[1], match[2] or ""
            if key == "sent_id":
                sent_id = value
            elif key == "meta::genre":
                genre = value
            else:
                document, genre = value, _genre(value)
        elif line:
            start = start or number
            columns = line.split("\t")
            if len(columns) != len(COLUMNS):
                expected = f"expected {len(COLUMNS)} tab-separated columns"
                raise wrong(number, f"{expected}, found {len(columns)}: {quoted(line)}")
            if "" in columns:
                empty = COLUMNS[columns.index("")]
                raise wrong(number, f"expected a value or '_' in column {empty}, found nothing")
            problem = _id_problem(columns[0], len(rows))
            if problem:
                raise wrong(number, f"{problem}, found {quoted(columns[0])}")
            if columns[0].isdecimal():
                rows.append((number, columns))
            else:
                skipped += 1
        else:
            if not rows:
                raise wrong(number, "expected the words of a sentence, found a blank line")
            name = sent_id or f"{Path(path).stem}-{len(sentences) + 1}"
            if name in first_use:
                problem = f"expected a sent_id not used before, found {name!r} of line {first_use[name]}"
                raise wrong(start, problem)
            first_use[name] = start
            sentences.append(_sentence(wrong, rows, name, document, genre))
            rows, sent_id, start, skipped = [], "", 0, 0
    if lines[-1]:
        problem = f"expected a complete last line, found {quoted(lines[-1])} (file cut short?)"
        raise wrong(len(lines), problem)
    if start:
        raise wrong(len(lines) - 1, "expected a blank line after the last sentence (file cut short?)")
    return sentences


def _genre(document: str) -> str:
    if document.startswith("GUM_"):
        return document.split("_")[1]
    return document.split("-")[0] if "-" in document else ""


def _id_problem(identifier: str, words: int) -> str:
    """What was expected as the id of a line after that many words; empty if the id is right."""
    span, empty = _RANGE.match(identifier), _EMPTY.match(identifier)
    if _WORD.match(identifier):
        right, expected = int(identifier) == words + 1, f"word {words + 1} (consecutive ids)"
    elif span:
        right = words + 1 == int(span[1]) < int(span[2])
        expected = f"a multiword token from word {words + 1} on"
    elif empty:
        right, expected = int(empty[1]) == words, f"an empty node {words}.n after word {words}"
    else:
        right, expected = False, "an id such as 3, 3-4 or 3.1 in column ID"
    return "" if right else f"expected {expected}"


def _sentence(
    wrong: Wrong,
    rows: list[tuple[int, list[str]]],
    name: str,
    document: str,
    genre: str,
) -> Sentence:
    heads = []
    for number, columns in rows:
        head = columns[6]
        if not (head == "0" or _WORD.match(head)) or int(head) > len(rows):
            raise wrong(number, f"expected a head from 0 to {len(rows)}, found {quoted(head)}")
        heads.append(int(head))
    roots = [i for i, head in enumerate(heads) if head == 0]
    if len(roots) > 1:
        where = " and ".join(str(i + 1) for i in roots)
        raise wrong(rows[roots[1]][0], f"expected one root (head 0), found words {where}")
    circle = cycle(heads)
    if circle:
        shown = " -> ".join(map(str, [*circle, circle[0]]))
        raise wrong(rows[min(circle) - 1][0], f"expected a tree, found the cycle {shown}")
    words, upos, xpos, deprels = (tuple(columns[i] for _, columns in rows) for i in (1, 3, 4, 7))
    return Sentence(name, words, document, genre, upos, xpos, tuple(heads), deprels)
