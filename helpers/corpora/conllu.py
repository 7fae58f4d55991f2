"""CoNLL-U, the format of the Universal Dependencies treebanks, read strictly.

https://universaldependencies.org/format.html. The sentence's words are its syntactic words: lines of
multiword tokens (``1-2``) and of empty nodes (``8.1``) are checked for their form and left out.
"""

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from helpers.corpora.files import MAX_WORDS, Wrong, cycle, quoted, read_text
from helpers.corpora.records import CorpusError, Sentence

COLUMNS = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")

# CONJ is version 1's. A treebank may leave the column empty.
UPOS = frozenset(
    "ADJ ADP ADV AUX CCONJ CONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X _".split()
)
GENRES = ("answers", "email", "newsgroup", "reviews", "weblog")  # with which EWT's documents are named
WITHHELD = 3  # underscores in a row that no writer means as words

_COMMENT = re.compile(r"#\s*(sent_id|newdoc id|newdoc|meta::genre|genre)\s*(?:=\s*(.*?)\s*)?$")
_NUMBER = "[1-9][0-9]{0,8}"
_WORD = re.compile(_NUMBER)
_RANGE = re.compile(f"({_NUMBER})-({_NUMBER})")
_EMPTY = re.compile(rf"(0|{_NUMBER})\.({_NUMBER})")


def read(path: str | Path) -> list[Sentence]:
    """The sentences of a CoNLL-U file, with their basic dependency trees.

    ``id`` is the sentence's ``sent_id`` (file name and number where there is none), ``document`` the
    ``newdoc id`` above it. ``genre`` comes from a comment ``meta::genre`` (GUM) or ``genre``, or from the
    document's name in EWT (``weblog-...``) and GUM (``GUM_news_...``); other treebanks have none.

    Raises CorpusError, naming file and line, if the file is empty, cut short or not UTF-8; if a line
    has not ten columns, or a part of speech that UD does not have, or no relation; if the ids are not
    consecutive or multiword tokens overlap; if two sentences have the same ``sent_id``; if a sentence has
    more than MAX_WORDS words or withholds them (``_`` in their place, as in treebanks of licensed text);
    and if its heads are not a tree with one root.
    """
    wrong = partial(CorpusError, path)
    sentences: list[Sentence] = []
    first_use: dict[str, int] = {}
    document = genre = sent_id = ""
    start = 0  # line on which the sentence's first word or comment stands; 0 between sentences
    rows: list[tuple[int, list[str]]] = []
    other = _Other()

    lines = read_text(path).split("\n")
    for number, line in enumerate(lines[:-1], 1):
        if line.startswith("#"):
            if rows or other.seen:
                raise wrong(number, "expected a blank line before the next sentence's comments")
            start = start or number
            match = _COMMENT.match(line)
            if match is None:
                continue
            key, value = match[1], match[2] or ""
            if key == "sent_id":
                sent_id = value
            elif key.endswith("genre"):
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
            expected = other.expected(columns[0], len(rows), number)
            if expected:
                raise wrong(number, f"expected {expected}, found {quoted(columns[0])}")
            if columns[0].isdecimal():
                rows.append((number, columns))
            if len(rows) > MAX_WORDS:
                raise wrong(start, f"expected a sentence of at most {MAX_WORDS:,} words, found more")
        else:
            if not rows:
                raise wrong(number, "expected the words of a sentence, found a blank line")
            name = sent_id or f"{Path(path).stem}-{len(sentences) + 1}"
            if name in first_use:
                problem = f"expected a sent_id not used before, found {name!r} of line {first_use[name]}"
                raise wrong(start, problem)
            first_use[name] = start
            if other.last > len(rows):
                raise wrong(other.line, f"expected word {other.last} of this multiword token, found none")
            sentences.append(_sentence(wrong, rows, name, document, genre))
            rows, sent_id, start, other = [], "", 0, _Other()
    if lines[-1]:
        problem = f"expected a complete last line, found {quoted(lines[-1])} (file cut short?)"
        raise wrong(len(lines), problem)
    if start:
        raise wrong(len(lines) - 1, "expected a blank line after the last sentence (file cut short?)")
    return sentences


def has_xpos(path: str | Path) -> bool:
    """Whether a file has tags of its own in the column XPOS, which many treebanks leave empty (``_``)."""
    rows = (line.split("\t") for line in read_text(path).split("\n") if line[:1].isdecimal())
    return any(len(columns) == len(COLUMNS) and columns[4] != "_" for columns in rows)


def _genre(document: str) -> str:
    if document.startswith("GUM_"):
        return document.split("_")[1]
    name = document.split("-")[0]
    return name if name in GENRES else ""


@dataclass
class _Other:
    """The lines of a sentence that are no words: multiword tokens and empty nodes."""

    last: int = 0  # word of the latest multiword token
    line: int = 0  # on which that stands
    node: tuple[int, int] = (0, 0)  # the latest empty node
    seen: bool = False

    def expected(self, identifier: str, words: int, line: int) -> str:
        """What was expected as the id of a line after that many words; empty if the id is right."""
        span, empty = _RANGE.fullmatch(identifier), _EMPTY.fullmatch(identifier)
        if _WORD.fullmatch(identifier):
            return "" if int(identifier) == words + 1 else f"word {words + 1} (consecutive ids)"
        self.seen = True
        if span:
            first, last = int(span[1]), int(span[2])
            if first != words + 1 or last <= first:
                return f"a multiword token from word {words + 1} on"
            if first <= self.last:
                return f"a multiword token that does not overlap the one of line {self.line}"
            self.last, self.line = last, line
            return ""
        if empty:
            next_node = (words, self.node[1] + 1 if self.node[0] == words else 1)
            if (int(empty[1]), int(empty[2])) != next_node:
                return f"an empty node {words}.{next_node[1]} after word {words}"
            self.node = next_node
            return ""
        return "an id such as 3, 3-4 or 3.1 in column ID"


def _sentence(
    wrong: Wrong,
    rows: list[tuple[int, list[str]]],
    name: str,
    document: str,
    genre: str,
) -> Sentence:
    heads = []
    for number, columns in rows:
        tag, head, relation = columns[3], columns[6], columns[7]
        if tag not in UPOS:
            raise wrong(number, f"expected a part of speech of UD in column UPOS, found {quoted(tag)}")
        if not (head == "0" or _WORD.fullmatch(head)) or int(head) > len(rows):
            raise wrong(number, f"expected a head from 0 to {len(rows)}, found {quoted(head)}")
        if relation == "_":
            raise wrong(number, "expected a relation in column DEPREL, found '_'")
        heads.append(int(head))
    masked = _withheld(rows)
    if masked:
        raise wrong(masked, "expected words in column FORM, found '_' in their place: they are withheld")
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


def _withheld(rows: list[tuple[int, list[str]]]) -> int:
    """Line of the first word that is withheld; 0 if none is.

    A writer's own underscores are tagged as punctuation or symbols; EWT has an underscore here and there for
    a word that was split or left out.
    """
    real = [(number, columns) for number, columns in rows if columns[3] not in ("PUNCT", "SYM")]
    masked = [number for number, columns in real if not columns[1].strip("_")]
    run = longest = 0
    for _, columns in real:
        run = 0 if columns[1].strip("_") else run + 1
        longest = max(longest, run)
    most = len(masked) > 1 and 2 * len(masked) > len(real)
    return masked[0] if most or longest >= WITHHELD else 0
