"""Entities and coreference of GUM (Zeldes, 2017), from the MISC column of its CoNLL-U files.

https://wiki.gucorpling.org/gum/entities. ``Entity=(12-person-new-...`` opens a mention of the document's
entity 12, ``Entity=12)`` closes it; several follow each other without separator, and nest. A comment
``# global.Entity = GRP-etype-...`` names the fields. Parts of a mention that is not contiguous are
numbered: ``(12[1/2]-person-...``. Bridging and split antecedents have keys of their own and are no
coreference. These are not OntoNotes' named entities: common nouns and pronouns are mentions too, nested
ones all count, and an entity mentioned but once is one as well. Sentences without targets are left out.
"""

import logging
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from helpers.corpora import conllu
from helpers.corpora.conll2012 import mention_pairs
from helpers.corpora.files import quoted, read_text
from helpers.corpora.records import CorpusError, LabelledSpans, Sentence, Target

log = logging.getLogger(__name__)

TYPES = (
    "abstract", "animal", "event", "object", "organization",
    "person", "place", "plant", "substance", "time",
)  # fmt: skip

_LAYOUT = re.compile(r"# global\.Entity = (\S+)\s*$")
_BRACKET = re.compile(r"\(([^()]+)(\)?)|([^()]+)\)")
_PART = re.compile(r"(.+)\[([1-9]\d*)/([1-9]\d*)\]")


@dataclass(frozen=True, slots=True)
class Mention:
    """A mention: its entity's name within the document, and (first, end) of its parts, usually one."""

    entity: str
    type: str
    parts: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class MentionSentence:
    """A sentence with its mentions, by position; of nested ones the outer first."""

    sentence: Sentence
    mentions: tuple[Mention, ...]


def read(path: str | Path) -> list[MentionSentence]:
    """The sentences of a file with their mentions.

    Raises CorpusError as :func:`conllu.read` does, and, naming file and line, if mentions come before
    ``# global.Entity`` or if it lacks the fields GRP and etype; for an unknown type; and for brackets that
    are not well formed, not closed within the sentence, or lack parts of a mention.
    """
    sentences = conllu.read(path)  # checks the columns, so here only MISC is looked at
    cells: list[list[tuple[int, str]]] = [[]]
    layout: list[str] = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.startswith("#"):
            match = _LAYOUT.match(line)
            if match:
                layout = match[1].split("-")
                missing = [name for name in ("GRP", "etype") if name not in layout]
                if missing:
                    raise CorpusError(path, number, f"expected the field {missing[0]}, found {match[1]}")
        elif not line:
            cells.append([])
        elif line.split("\t", 1)[0].isdecimal():
            misc = line.split("\t")[9].split("|")
            cell = next((item[len("Entity=") :] for item in misc if item.startswith("Entity=")), "")
            if cell and not layout:
                raise CorpusError(path, number, "expected a comment # global.Entity = GRP-etype-... before")
            cells[-1].append((number, cell))
    return [
        MentionSentence(sentence, _mentions(path, row, layout))
        for sentence, row in zip(sentences, (row for row in cells if row), strict=True)
    ]


def entities(path: str | Path) -> list[LabelledSpans]:
    """Mentions with one of ten types. Those that are not contiguous are left out, their number is logged."""
    return [
        _record(s.sentence, [Target(m.parts[0], None, (m.type,)) for m in mentions])
        for s, mentions in _contiguous(path)
        if mentions
    ]


def coreference(path: str | Path) -> list[LabelledSpans]:
    """All pairs of mentions of a sentence, labelled ``1`` if they are of one entity, else ``0``.

    As in OntoNotes, on which Tenney et al. (2019) probe, an entity counts if the document mentions it at
    least twice, in whatever sentences: otherwise fourteen pairs of fifteen would be negative. Unlike
    there, appositions and predicate nominals corefer. Mentions that are not contiguous are left out.
    """
    contiguous = _contiguous(path)
    uses = Counter((s.sentence.document, m.entity) for s, _ in contiguous for m in s.mentions)
    records = []
    for s, mentions in contiguous:
        repeated = [m for m in mentions if uses[s.sentence.document, m.entity] > 1]
        pairs = mention_pairs((*m.parts[0], m.entity) for m in repeated)
        if pairs:
            records.append(_record(s.sentence, pairs))
    return records


def _contiguous(path: str | Path) -> list[tuple[MentionSentence, list[Mention]]]:
    sentences = read(path)
    rows = [(s, [m for m in s.mentions if len(m.parts) == 1]) for s in sentences]
    broken = sum(len(s.mentions) - len(mentions) for s, mentions in rows)
    log.info("%s: %d mentions that are not contiguous left out", path, broken)
    return rows


def _record(sentence: Sentence, targets: list[Target]) -> LabelledSpans:
    return LabelledSpans(sentence.id, sentence.words, tuple(targets), sentence.document, sentence.genre)


def _mentions(path, cells: list[tuple[int, str]], layout: list[str]) -> tuple[Mention, ...]:
    spans: list[list] = []  # [first, end, entity with its part, type]
    unclosed: dict[str, list[int]] = {}
    for word, (number, cell) in enumerate(cells):
        if not cell:
            continue
        matches = list(_BRACKET.finditer(cell))
        if "".join(match[0] for match in matches) != cell:
            raise CorpusError(
                path, number, f"expected (entity-type-..., (...) or entity), found {quoted(cell)}"
            )
        for match in matches:
            if match[1]:
                fields = match[1].split("-")
                if len(fields) <= max(map(layout.index, ("GRP", "etype"))):
                    problem = f"expected the fields {'-'.join(layout)}, found {quoted(match[1])}"
                    raise CorpusError(path, number, problem)
                entity, kind = (fields[layout.index(name)] for name in ("GRP", "etype"))
                if kind not in TYPES:
                    valid = ", ".join(TYPES)
                    raise CorpusError(
                        path, number, f"expected an entity type of {valid}, found {quoted(kind)}"
                    )
                unclosed.setdefault(entity, []).append(len(spans))
                spans.append([word, 0, entity, kind])
            else:
                entity = match[3]
            if not match[1] or match[2]:
                if not unclosed.get(entity):
                    raise CorpusError(path, number, f"expected an open mention of {entity} before {match[0]}")
                spans[unclosed[entity].pop()][1] = word + 1
    for word, end, entity, _ in spans:
        if not end:
            problem = f"expected the mention of {entity} to close within the sentence"
            raise CorpusError(path, cells[word][0], problem)
    return _joined(path, cells, spans)


def _joined(path, cells: list[tuple[int, str]], spans: list[list]) -> tuple[Mention, ...]:
    """Mentions from spans, with the parts of those that are not contiguous put together."""
    mentions: list[tuple[str, str, list, int]] = []  # entity, type, parts, how many there must be
    for first, end, name, kind in spans:
        part = _PART.fullmatch(name)
        entity, at, parts = (part[1], int(part[2]), int(part[3])) if part else (name, 1, 1)
        if at == 1:
            mentions.append((entity, kind, [(first, end)], parts))
            continue
        begun = [m for m in mentions if m[:2] == (entity, kind) and m[3] == parts and len(m[2]) == at - 1]
        if not begun:
            raise CorpusError(path, cells[first][0], f"expected part {at - 1} of {name} before part {at}")
        begun[-1][2].append((first, end))
    for entity, _, found, parts in mentions:
        if len(found) != parts:
            problem = f"expected {parts} parts of the mention of {entity}, found {len(found)}"
            raise CorpusError(path, cells[found[0][0]][0], problem)
    ordered = sorted(mentions, key=lambda mention: (mention[2][0][0], -mention[2][0][1]))
    return tuple(Mention(entity, kind, tuple(found)) for entity, kind, found, _ in ordered)
