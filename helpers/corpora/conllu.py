"""CoNLL-U, the format of the Universal Dependencies treebanks, read strictly.

https://universaldependencies.org/format.html. The sentence's words are its syntactic words: lines of
multiword tokens (``1-2``) and of empty nodes (``8.1``) are checked for their form and left out.
"""

import re
from pathlib import Path

from helpers.corpora.files import quoted, read_text
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
                raise CorpusError(path, number, "expected a blank line before the next sentence's comments")
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
                raise CorpusError(
                    path,
                    number,
                    f"expected {len(COLUMNS)} tab-separated columns, found {len(columns)}: {quoted(line)}",
                )
            empty = next((name for name, value in zip(COLUMNS, columns, strict=True) if not value), None)
            if empty:
                raise CorpusError(path, number, f"expected a value or '_' in column {empty}, found nothing")
            if _WORD.match(columns[0]):
                if int(columns[0]) != len(rows) + 1:
                    raise CorpusError(
                        path, number, f"expected word {len(rows) + 1} (consecutive ids), found {columns[0]}"
                    )
                rows.append((number, columns))
            else:
                _check_skipped(path, number, columns[0], len(rows))
                skipped += 1
        else:
            if not rows:
                raise CorpusError(path, number, "expected the words of a sentence, found a blank line")
            name = sent_id or f"{Path(path).stem}-{len(sentences) + 1}"
            if name in first_use:
                raise CorpusError(
                    path,
                    start,
                    f"expected a sent_id not used before, found {name!r} of line {first_use[name]}",
                )
            first_use[name] = start
            sentences.append(_sentence(path, rows, name, document, genre))
            rows, sent_id, start, skipped = [], "", 0, 0
    if lines[-1]:
        raise CorpusError(
            path, len(lines), f"expected a complete last line, found {quoted(lines[-1])} (file cut short?)"
        )
    if start:
        raise CorpusError(
            path, len(lines) - 1, "expected a blank line after the last sentence (file cut short?)"
        )
    return sentences


def _genre(document: str) -> str:
    if document.startswith("GUM_"):
        return document.split("_")[1]
    return document.split("-")[0] if "-" in document else ""


def _check_skipped(path, number: int, identifier: str, words: int) -> None:
    span, empty = _RANGE.match(identifier), _EMPTY.match(identifier)
    if span:
        if int(span[1]) != words + 1 or int(span[2]) <= int(span[1]):
            raise CorpusError(
                path, number, f"expected a multiword token from word {words + 1} on, found {identifier}"
            )
    elif empty:
        if int(empty[1]) != words:
            raise CorpusError(
                path, number, f"expected an empty node {words}.n after word {words}, found {identifier}"
            )
    else:
        raise CorpusError(
            path, number, f"expected an id such as 3, 3-4 or 3.1 in column ID, found {quoted(identifier)}"
        )


def _sentence(path, rows: list[tuple[int, list[str]]], name: str, document: str, genre: str) -> Sentence:
    heads = []
    for number, columns in rows:
        head = columns[6]
        if not (head == "0" or _WORD.match(head)) or int(head) > len(rows):
            raise CorpusError(path, number, f"expected a head from 0 to {len(rows)}, found {quoted(head)}")
        heads.append(int(head))
    _check_tree(path, [number for number, _ in rows], heads)
    _, upos, xpos, deprels = (tuple(columns[i] for _, columns in rows) for i in (1, 3, 4, 7))
    return Sentence(
        id=name,
        words=tuple(columns[1] for _, columns in rows),
        document=document,
        genre=genre,
        upos=upos,
        xpos=xpos,
        heads=tuple(heads),
        deprels=deprels,
    )


def _check_tree(path, lines: list[int], heads: list[int]) -> None:
    roots = [i for i, head in enumerate(heads) if head == 0]
    if len(roots) > 1:
        where = " and ".join(str(i + 1) for i in roots)
        raise CorpusError(path, lines[roots[1]], f"expected one root (head 0), found words {where}")
    # Follow the heads upwards from every word; a path that meets itself is a cycle.
    done = [False] * len(heads)
    for word in range(len(heads)):
        trail: list[int] = []
        while not done[word] and word not in trail:
            trail.append(word)
            if heads[word] == 0:
                break
            word = heads[word] - 1
        else:
            if word in trail:
                circle = trail[trail.index(word) :]
                shown = " -> ".join(str(i + 1) for i in [*circle, word])
                raise CorpusError(path, lines[min(circle)], f"expected a tree, found the cycle {shown}")
        for i in trail:
            done[i] = True
