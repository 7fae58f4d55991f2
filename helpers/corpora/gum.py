"""Entities and coreference of GUM (Zeldes, 2017), from the MISC column of its CoNLL-U files.

https://wiki.gucorpling.org/gum/entities. ``Entity=(12-person-new-...`` opens a mention of the document's
entity 12, ``Entity=12)`` closes it; several follow each other without separator, and nest. A comment
``# global.Entity = GRP-etype-...`` names the fields. Parts of a mention that is not contiguous are
numbered: ``(12[1/2]-person-...``. Bridging and split antecedents have keys of their own and are no
coreference. These are not OntoNotes' named entities: common nouns and pronouns are mentions too, nested
ones all count, and so does an entity that is mentioned only once. Sentences without targets are left out.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from helpers import progress
from helpers.corpora import conllu
from helpers.corpora.conll2012 import mention_pairs
from helpers.corpora.files import Brackets, Wrong, quoted, read_text
from helpers.corpora.records import CorpusError, LabelledSpan, LabelledSpans, Sentence, Span, Target

TYPES = (
    "abstract", "animal", "event", "object", "organization",
    "person", "place", "plant", "substance", "time",
)  # fmt: skip

_LAYOUT = re.compile(r"# global\.Entity = (\S+)\s*$")
_BRACKET = re.compile(r"\(([^()]+)(\)?)|([^()]+)\)")
_PART = re.compile(r"(.+)\[([1-9][0-9]{0,8})/([1-9][0-9]{0,8})\]")


@dataclass(frozen=True, slots=True)
class Mention:
    """A mention: its entity's name within the document, and (first, end) of its parts, usually one."""

    entity: str
    type: str
    parts: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class MentionSentence:
    """A sentence with its mentions, by position; of nested ones the outer first."""

    sentence: Sentence
    mentions: tuple[Mention, ...]

    @property
    def contiguous(self) -> list[Mention]:
        return [mention for mention in self.mentions if len(mention.parts) == 1]


def read(path: str | Path) -> list[MentionSentence]:
    """The sentences of a file with their mentions.

    Shows how many mentions are not contiguous, which the tasks leave out.

    Raises CorpusError as :func:`conllu.read` does, and, naming file and line, if mentions come before
    ``# global.Entity`` or if it lacks the fields GRP and etype; for an unknown type; and for brackets that
    are not well formed, not closed within the sentence, or lack parts of a mention.
    """
    sentences = conllu.read(path)  # checks the columns, so here only MISC is looked at
    wrong = partial(CorpusError, path)
    cells: list[list[tuple[int, str]]] = [[]]
    layout: list[str] = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.startswith("#"):
            match = _LAYOUT.match(line)
            if match:
                layout = match[1].split("-")
                for name in ("GRP", "etype"):
                    if name not in layout:
                        raise wrong(number, f"expected the field {name}, found {match[1]}")
        elif not line:
            cells.append([])
        elif line.split("\t", 1)[0].isdecimal():
            misc = line.split("\t")[9].split("|")
            cell = next((item[len("Entity=") :] for item in misc if item.startswith("Entity=")), "")
            if cell and not layout:
                raise wrong(number, "expected a comment # global.Entity = GRP-etype-... before")
            cells[-1].append((number, cell))
    rows = [
        MentionSentence(sentence, _mentions(wrong, row, layout))
        for sentence, row in zip(sentences, (row for row in cells if row), strict=True)
    ]
    broken = sum(len(mention.parts) > 1 for row in rows for mention in row.mentions)
    if broken:
        progress.say(f"{path}: {broken:,} mentions that are not contiguous left out")
    return rows


def entities(sentences: Iterable[MentionSentence]) -> list[LabelledSpans]:
    """Contiguous mentions with one of ten types."""
    rows = ((s.sentence, [Target(m.parts[0], None, (m.type,)) for m in s.contiguous]) for s in sentences)
    return [LabelledSpans.of(sentence, targets) for sentence, targets in rows if targets]


def coreference(sentences: Sequence[MentionSentence]) -> list[LabelledSpans]:
    """All pairs of contiguous mentions of a sentence, labelled ``1`` if they are of one entity, else ``0``.

    As in OntoNotes, on which Tenney et al. (2019) probe, an entity counts if the document mentions it at
    least twice, in whatever sentences: otherwise fourteen pairs of fifteen would be negative. Unlike
    there, appositions and predicate nominals corefer.
    """
    uses = Counter((s.sentence.document, m.entity) for s in sentences for m in s.mentions)
    records = []
    for s in sentences:
        repeated = [m for m in s.contiguous if uses[s.sentence.document, m.entity] > 1]
        pairs = mention_pairs((*m.parts[0], m.entity) for m in repeated)
        if pairs:
            records.append(LabelledSpans.of(s.sentence, pairs))
    return records


def _mentions(wrong: Wrong, cells: list[tuple[int, str]], layout: list[str]) -> tuple[Mention, ...]:
    brackets = Brackets()  # labelled with the name of the entity and part, and the type
    for word, (number, cell) in enumerate(cells):
        matches = list(_BRACKET.finditer(cell))
        if "".join(match[0] for match in matches) != cell:
            raise wrong(number, f"expected (entity-type-..., (...) or entity), found {quoted(cell)}")
        for match in matches:
            name = match[3]
            if match[1]:
                fields = match[1].split("-")
                if len(fields) <= max(map(layout.index, ("GRP", "etype"))):
                    raise wrong(number, f"expected the fields {'-'.join(layout)}, found {quoted(match[1])}")
                name, kind = (fields[layout.index(field)] for field in ("GRP", "etype"))
                if kind not in TYPES:
                    raise wrong(
                        number, f"expected an entity type of {', '.join(TYPES)}, found {quoted(kind)}"
                    )
                brackets.open(word, f"{name} {kind}", key=name)
            if (match[2] or not match[1]) and not brackets.close(word, key=name):
                raise wrong(number, f"expected an open mention of {name} before {match[0]}")
    for word, label in brackets.unclosed():
        expected = f"expected the mention of {label.rpartition(' ')[0]} to close within the sentence"
        raise wrong(cells[word][0], expected)
    return _joined(wrong, cells, brackets.spans())


def _joined(wrong: Wrong, cells: list[tuple[int, str]], spans: Iterable[LabelledSpan]) -> tuple[Mention, ...]:
    """Mentions from spans, with the parts of those that are not contiguous put together."""
    mentions: list[tuple[str, str, list[Span], int]] = []  # entity, type, parts, how many there must be
    for first, end, label in spans:
        name, _, kind = label.rpartition(" ")
        part = _PART.fullmatch(name)
        entity, at, total = (part[1], int(part[2]), int(part[3])) if part else (name, 1, 1)
        if at == 1:
            mentions.append((entity, kind, [(first, end)], total))
            continue
        begun = [m for m in mentions if (*m[:2], m[3]) == (entity, kind, total) and len(m[2]) == at - 1]
        if not begun:
            raise wrong(cells[first][0], f"expected part {at - 1} of {name} before part {at}")
        begun[-1][2].append((first, end))
    for entity, _, parts, total in mentions:
        if len(parts) != total:
            problem = f"expected {total} parts of the mention of {entity}, found {len(parts)}"
            raise wrong(cells[parts[0][0]][0], problem)
    ordered = sorted(mentions, key=lambda mention: (mention[2][0][0], -mention[2][0][1]))
    return tuple(Mention(entity, kind, tuple(parts)) for entity, kind, parts, _ in ordered)
