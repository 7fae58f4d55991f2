"""The columns of the CoNLL-2012 shared task (Pradhan et al., 2012), in which OntoNotes 5 is probed.

https://conll.cemantix.org/2012/data.html. A file has one line per word and a blank line after each sentence:
document, part, word number, word, part of speech, parse bit, predicate's lemma, frameset, word sense,
speaker, named entities, a column of arguments for each predicate of the sentence, coreference. PropBank's
own release (https://github.com/propbank/propbank-release) leaves out the columns sense, speaker, entities
and coreference and the lines ``#begin document``, writes the sentence's number for the part, and masks
the words, which the treebank's licence keeps back: :func:`join_words` puts those of the English Web
Treebank back from its UD version.

The tasks are those that Tenney et al. (2019) made of OntoNotes. Spans are gold: a probe labels them, it
does not find them. Sentences without targets of a task are left out.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from pathlib import Path

from helpers.corpora import archives
from helpers.corpora.files import MAX_WORDS, Brackets, Wrong, decode, quoted, read_text
from helpers.corpora.records import CorpusError, LabelledSpan, LabelledSpans, Sentence, Span, Target

MASK = "[WORD]"
ENDINGS = ("gold_conll", "gold_skel")
LAYOUTS = {  # columns besides those of the predicates
    True: 12,  # CoNLL-2012, with lines #begin document
    False: 8,  # PropBank's release
}

_BEGIN = re.compile(r"#begin document \((.*)\); part (\d+)\s*$")
_CELL = re.compile(r"((?:\([^()*]+)*)(\*?)(\)*)")
_CHAIN = re.compile(r"(\(?)(\d+)(\)?)")
_NUMBER = re.compile(r"[0-9]{1,9}")
_EWT = re.compile(r"(?:.*/)?ewt/(\w+)/\d+/(.+)\.xml")


@dataclass(frozen=True, slots=True)
class Predicate:
    """A predicate: the word of its frameset (``position``), and the spans of its column, ``V`` included."""

    position: int
    sense: str
    arguments: tuple[LabelledSpan, ...]


@dataclass(frozen=True, slots=True)
class ConllSentence(Sentence):
    """A sentence of a CoNLL-2012 file.

    Spans are (first, end, label) with positions of words from 0, the end exclusive; of nested spans the
    outer comes first. The labels of ``mentions`` name the document's coreference chains. ``number`` counts
    the sentences of a document's part from 0.
    """

    part: int = 0
    number: int = 0
    constituents: tuple[LabelledSpan, ...] = ()
    predicates: tuple[Predicate, ...] = ()
    entities: tuple[LabelledSpan, ...] = ()
    mentions: tuple[LabelledSpan, ...] = ()


def read(path: str | Path) -> list[ConllSentence]:
    """The sentences of a file, a folder (and the folders within) or an archive (.zip, .tar, .tar.gz ...).

    Of a folder or an archive the files ``*gold_conll`` are read, or if there are none the skeletons
    ``*gold_skel``, in the order of their names. ``genre`` is the document's: ``bc`` in OntoNotes,
    ``answers`` in the English Web Treebank.

    Raises FileNotFoundError, and CorpusError, naming file (and archive) and line, if there is nothing to
    read; if a sentence comes twice; if a file is empty, cut short or not UTF-8; if a line has not as many
    columns as its sentence has predicates, or word numbers are not consecutive; and if brackets are not
    balanced.
    """
    sentences: list[ConllSentence] = []
    first_use: dict[str, str] = {}
    for name, text in _files(Path(path)):
        for line, sentence in _parse(name, text):
            place = first_use.setdefault(sentence.id, f"{name}:{line}")
            if place != f"{name}:{line}":
                problem = f"expected a sentence not read before, found {sentence.id} of {place}"
                raise CorpusError(name, line, f"{problem} (give the folder of one split)")
            sentences.append(sentence)
    return sentences


def join_words(
    sentences: Iterable[ConllSentence], treebank: Iterable[Sentence]
) -> tuple[list[ConllSentence], dict[str, int]]:
    """Put the words of the UD English Web Treebank into PropBank's masked sentences.

    Sentence 0 of ``google/ewt/answers/00/X.xml`` is UD's ``answers-X-0001``, and so on, unless UD has
    since divided sentences or words otherwise. Returns the sentences that have the same number of words,
    with UD's words, id and document (and PropBank's own tags, which UD has corrected here and there), and
    the number of others by reason: ``no such document``, ``no such sentence``, ``other length``, and
    ``other words``, where the length agrees by chance: the tags agree better when some are moved by a
    word. With one split as ``treebank`` these sentences are that split's; with all three, the numbers
    show how well the corpora align.
    """
    by_number: dict[str, dict[int, Sentence]] = {}
    for sentence in treebank:
        document, _, number = sentence.id.rpartition("-")
        if not document or not _NUMBER.fullmatch(number):
            raise ValueError(f"expected an id such as answers-X_ans-0001 in UD EWT, found {sentence.id!r}")
        by_number.setdefault(document, {})[int(number)] = sentence
    joined: list[ConllSentence] = []
    failures: Counter[str] = Counter()
    for sentence in sentences:
        name = _EWT.fullmatch(sentence.document)
        numbers = by_number.get(f"{name[1]}-{name[2]}") if name else None
        source = numbers.get(sentence.number + 1) if numbers else None
        if numbers is None:
            failures["no such document"] += 1
        elif source is None:
            failures["no such sentence"] += 1
        elif len(source.words) != len(sentence.words):
            failures["other length"] += 1
        elif _moved(sentence.xpos, source.xpos):
            failures["other words"] += 1
        else:
            document = source.id.rpartition("-")[0]
            joined.append(replace(sentence, id=source.id, document=document, words=source.words))
    return joined, dict(failures)


def constituents(sentences: Iterable[ConllSentence]) -> list[LabelledSpans]:
    """Constituents: every phrase with its category, functions and indices cut off (``NP-SBJ-1`` is NP).

    As in jiant, the root ``TOP``, which spans the sentence, is among them, and each phrase of a unary
    chain is a target of its own, so that a span may come several times with different labels. Empty
    elements are not in the columns, nor are phrases that dominate nothing else.
    """
    return _task((s, [Target(_span(c), None, (_category(c[2]),)) for c in s.constituents]) for s in sentences)


def srl(sentences: Iterable[ConllSentence]) -> list[LabelledSpans]:
    """Semantic roles: ``span1`` is a predicate, ``span2`` one of its arguments.

    The predicate is the span ``V`` of its column, which is no argument itself. As in jiant, later parts
    of an argument (``C-ARG1``, also ``C-V``) and references to one (``R-ARG1``) are labels of their own.
    """
    return _task((s, [t for p in s.predicates for t in _roles(p)]) for s in sentences)


def entities(sentences: Iterable[ConllSentence]) -> list[LabelledSpans]:
    """Named entities with their types (18 in OntoNotes)."""
    return _task((s, [Target(_span(e), None, (e[2],)) for e in s.entities]) for s in sentences)


def coreference(sentences: Iterable[ConllSentence]) -> list[LabelledSpans]:
    """All pairs of mentions of a sentence, labelled ``1`` if they are of one chain, else ``0``.

    OntoNotes marks a mention only if another one, in this or another sentence, means the same.
    """
    return _task((s, mention_pairs(s.mentions)) for s in sentences)


def mention_pairs(mentions: Iterable[LabelledSpan]) -> list[Target]:
    """A target for each pair of a sentence's mentions, whose labels name their chains, in their order."""
    ordered = sorted(set(mentions))
    return [Target(_span(a), _span(b), (str(int(a[2] == b[2])),)) for a, b in combinations(ordered, 2)]


def _span(labelled: LabelledSpan) -> Span:
    return labelled[:2]


def _task(targets: Iterable[tuple[ConllSentence, list[Target]]]) -> list[LabelledSpans]:
    """Records of the sentences that have targets."""
    records = []
    for sentence, labelled in targets:
        if MASK in sentence.words:
            raise ValueError(f"sentence {sentence.id}: its words are masked; use join_words first")
        if labelled:
            records.append(LabelledSpans.of(sentence, labelled))
    return records


def _category(label: str) -> str:
    return re.split("[-=|]", label, maxsplit=1)[0] or label


def _roles(predicate: Predicate) -> Iterator[Target]:
    own = (predicate.position, predicate.position + 1)
    verb = next((_span(argument) for argument in predicate.arguments if argument[2] == "V"), own)
    for argument in predicate.arguments:
        if argument[2] != "V":
            yield Target(verb, _span(argument), (argument[2],))


def _moved(tags: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """Whether two taggings of one length agree better if some tags are moved than if none are."""
    replaced = sum(a != b for a, b in zip(tags, others, strict=True))
    row = list(range(len(others) + 1))  # Levenshtein distance
    if replaced > 2:  # else moving one, which costs two, cannot be better
        for i, tag in enumerate(tags, 1):
            above, row = row, [i]
            for j, other in enumerate(others, 1):
                row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (tag != other)))
        return row[-1] < replaced
    return False


def _files(path: Path) -> Iterator[tuple[str, str]]:
    """(name to show, text) of each file to read."""
    if path.is_dir():
        names = {str(file.relative_to(path)): file for file in path.rglob("*") if file.is_file()}
        for name in _gold(path, names):
            yield str(names[name]), read_text(names[name])
    elif archives.is_archive(path):
        members = archives.members(path, ENDINGS)
        for name in _gold(path, members):
            yield f"{path}!{name}", decode(f"{path}!{name}", members[name])
    else:
        yield str(path), read_text(path)


def _gold(path: Path, names: Iterable[str]) -> list[str]:
    for ending in ENDINGS:
        matches = sorted(name for name in names if name.endswith(ending))
        if matches:
            return matches
    raise CorpusError(path, None, "expected files named *gold_conll or *gold_skel, found none")


def _parse(name: str, text: str) -> Iterator[tuple[int, ConllSentence]]:
    """(line, sentence) of each sentence of a file."""
    wrong = partial(CorpusError, name)
    lines = text.split("\n")
    marked = any(line.startswith("#begin document") for line in lines)
    rows: list[tuple[int, list[str]]] = []
    begun = 0  # line of the #begin document that has not ended
    number = 0
    for at, line in enumerate(lines[:-1], 1):
        if line.startswith("#"):
            if rows:
                raise wrong(at, "expected a blank line after the sentence's last word")
            if line.startswith("#begin document"):
                if begun or not _BEGIN.match(line):
                    expected = "#end document" if begun else "#begin document (name); part 000"
                    raise wrong(at, f"expected {expected}, found {quoted(line)}")
                begun, number = at, 0
            elif line.startswith("#end document"):
                if not begun:
                    raise wrong(at, f"expected #begin document, found {quoted(line)}")
                begun = 0
        elif line.strip():
            if marked and not begun:
                raise wrong(at, f"expected #begin document, found {quoted(line)}")
            rows.append((at, line.split()))
            if len(rows) > MAX_WORDS:
                raise wrong(rows[0][0], f"expected a sentence of at most {MAX_WORDS:,} words, found more")
        elif rows:
            yield rows[0][0], _sentence(wrong, rows, marked, number)
            rows, number = [], number + 1
    if lines[-1] or rows:
        last = len(lines) - (not lines[-1])
        raise wrong(last, "expected a blank line after the last sentence (file cut short?)")
    if begun:
        raise wrong(begun, "expected #end document after this line, found none (file cut short?)")


def _sentence(wrong: Wrong, rows: list[tuple[int, list[str]]], marked: bool, number: int) -> ConllSentence:
    """The sentence of some (line, columns). ``marked``: in CoNLL-2012's own layout, not in PropBank's."""
    least = LAYOUTS[marked]
    start, first = rows[0]
    if len(first) < least:
        raise wrong(start, f"expected at least {least} columns, found {len(first)}")
    for word, (at, columns) in enumerate(rows):
        if len(columns) != len(first):
            raise wrong(at, f"expected {len(first)} columns, as in line {start}, found {len(columns)}")
        place = [*first[:2], str(word)]
        if columns[:3] != place:
            there = f"{' '.join(place)}, found {' '.join(columns[:3])}"
            raise wrong(at, f"expected the document, part and word {there}")
    if not _NUMBER.fullmatch(first[1]):
        raise wrong(start, f"expected a number for the part, found {quoted(first[1])}")
    framed = [word for word, (_, columns) in enumerate(rows) if columns[7] != "-"]
    if len(first) != least + len(framed):
        why = f"{least} and one for each of the sentence's {len(framed)} framesets"
        raise wrong(start, f"expected {least + len(framed)} columns ({why}), found {len(first)}")
    part = int(first[1])
    if not marked:  # the second column is the sentence's number
        part, number = 0, part
    columns_of = range(11 if marked else 8, len(first) - marked)
    return ConllSentence(
        id=f"{first[0]}.{part:03d}.{number}" if marked else f"{first[0]}.{number}",
        document=first[0],
        part=part,
        number=number,
        words=tuple(columns[3] for _, columns in rows),
        xpos=tuple(sys.intern(columns[4]) for _, columns in rows),
        constituents=_spans(wrong, rows, 5),
        predicates=tuple(
            Predicate(word, _sense(*rows[word][1][6:8]), _spans(wrong, rows, column))
            for word, column in zip(framed, columns_of, strict=True)
        ),
        entities=_spans(wrong, rows, 10) if marked else (),
        mentions=_mentions(wrong, rows) if marked else (),
        genre=_genre(first[0]),
    )


def _sense(lemma: str, frameset: str) -> str:
    return frameset if "." in frameset else f"{lemma}.{frameset}"  # get.01 in PropBank, 01 in OntoNotes


def _genre(document: str) -> str:
    ewt = _EWT.fullmatch(document)
    return ewt[1] if ewt else document.partition("/")[0] if "/" in document else ""


def _spans(wrong: Wrong, rows: list[tuple[int, list[str]]], column: int) -> tuple[LabelledSpan, ...]:
    """The spans of a column of brackets such as ``(NP*``, ``*``, ``*))`` or ``(DATE)``, outer spans first."""
    brackets = Brackets()
    for word, (at, columns) in enumerate(rows):
        cell = columns[column]
        if cell in ("*", "-"):
            continue
        match = _CELL.fullmatch(cell)
        if match is None or not (match[2] or match[1] and match[3]):
            expected = f"expected brackets such as (NP*, * or *) in column {column + 1}"
            raise wrong(at, f"{expected}, found {quoted(cell)}")
        for label in match[1].split("(")[1:]:
            brackets.open(word, sys.intern(label))
        for _ in match[3]:
            if not brackets.close(word):
                raise wrong(at, f"column {column + 1}: expected an open bracket before {cell}")
    for word, label in reversed(brackets.unclosed()):  # the innermost first
        problem = f"column {column + 1}: expected a bracket that closes ({label} within the sentence"
        raise wrong(rows[word][0], problem)
    return brackets.spans()


def _mentions(wrong: Wrong, rows: list[tuple[int, list[str]]]) -> tuple[LabelledSpan, ...]:
    """The mentions of the last column, such as ``(3|(11``, ``3)`` or ``(7)``, which may cross."""
    brackets = Brackets()
    for word, (at, columns) in enumerate(rows):
        for cell in columns[-1].split("|") if columns[-1] != "-" else ():
            match = _CHAIN.fullmatch(cell)
            if match is None or not (match[1] or match[3]):
                raise wrong(at, f"expected a mention such as (3, 3), (3) or -, found {quoted(columns[-1])}")
            chain = sys.intern(match[2])
            if match[1]:
                brackets.open(word, chain, key=chain)
            if match[3] and not brackets.close(word, key=chain):
                raise wrong(at, f"expected an open mention of chain {chain} before {cell}")
    for word, chain in brackets.unclosed():
        raise wrong(rows[word][0], f"expected the mention of chain {chain} to close within the sentence")
    return tuple(sorted(brackets.spans(), key=lambda span: (span[0], -span[1], span[2])))
