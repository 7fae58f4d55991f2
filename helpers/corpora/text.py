"""Running text, one record per sentence: plain text files, WikiText; Wikipedia's dumps build on this.

Sentences are split by rule (syntok). What markup leaves behind decides what is kept: a formula, a
formatted number, a phonetic transcription or WikiText's ``<unk>`` that cannot be turned into words
makes a hole in its sentence, and a sentence with a hole is left out rather than shown mutilated.
"""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from helpers.corpora.files import MAX_CHARACTERS, MAX_WORDS, blank, quoted, read_text
from helpers.corpora.records import CorpusError, Passage

HOLE = "\ufffc"  # stands for what cannot be shown as words
ITEM = "\ufffb"  # stands at the start of a list item


def read(path: str | Path) -> list[Passage]:
    """The sentences of a plain text file: UTF-8, one line per paragraph, a blank line after each document.

    Documents are named by file and number (``notes-1``), sentences by document and number
    (``notes-1.1``). Every sentence is kept; a line of invisible characters is blank. Raises CorpusError if
    the file is empty or not UTF-8, and, naming the line, for a sentence of more than MAX_WORDS words.
    """
    stem = Path(path).stem
    passages: list[Passage] = []
    document, number = 0, 0  # of the latest sentence
    between = True  # documents
    for at, line in enumerate(read_text(path).split("\n"), 1):
        if blank(line):
            between = True
            continue
        if between:
            document, number, between = document + 1, 0, False
        _check_length(path, at, line)
        for sentence in sentences(squeezed(line)):
            if len(sentence.split()) > MAX_WORDS:
                raise CorpusError(
                    path, at, f"expected sentences of at most {MAX_WORDS:,} words, found a longer one"
                )
            number += 1
            passages.append(Passage(f"{stem}-{document}.{number}", sentence, f"{stem}-{document}"))
    if not passages:
        raise CorpusError(path, 1, "expected sentences, found only blank lines")
    return passages


def _check_length(path: str | Path, number: int, line: str) -> None:
    if len(line) > MAX_CHARACTERS:
        problem = f"expected a paragraph of at most {MAX_CHARACTERS:,} characters, found {len(line):,}"
        raise CorpusError(path, number, problem)


# -- WikiText ------------------------------------------------------------------------------------

_HEADING = re.compile(r"((?:= )+)(.*?)((?: =)+)$")


def read_wikitext(path: str | Path) -> list[Passage]:
    """The sentences of a WikiText-2 file (Merity et al., 2017), with its conventions undone.

    `` @-@ `` and the like become the character alone, spaces before punctuation go, headings name the
    documents and are left out, and so are sentences with ``<unk>`` and fragments (:func:`is_prose`).
    Raises CorpusError if the file is empty or not UTF-8, or if text comes before the first title.
    """
    stem = Path(path).stem
    passages: list[Passage] = []
    paragraphs: list[str] = []
    title, articles = "", 0

    def finish() -> None:
        if title:
            passages.extend(prose(f"{stem}-{articles}", title, paragraphs))

    lines = ["" if blank(line) else line.strip() for line in read_text(path).split("\n")]
    for number, line in enumerate(lines, 1):
        # Without a blank line before it, it is a formula and no heading.
        heading = _HEADING.match(line) if number == 1 or not lines[number - 2] else None
        if heading and heading[1].strip() == heading[3].strip() == "=":
            finish()
            title = _detokenised(heading[2]).replace(HOLE, "<unk>")
            paragraphs, articles = [], articles + 1
        elif line and not heading:
            if not title:
                raise CorpusError(
                    path, number, f"expected an article's title (' = Title = ') first, found {quoted(line)}"
                )
            _check_length(path, number, line)
            paragraphs.append(_detokenised(line))
    finish()
    return passages


def _detokenised(text: str) -> str:
    text = text.replace("<unk>", HOLE)
    text = re.sub(r" @(\W)@ ", r"\1", text)
    text = re.sub(r" ([,.;:?!%)\]])", r"\1", text)
    text = re.sub(r"([(\[$£€]) ", r"\1", text)
    text = re.sub(r" ('(?:s|d|m|ll|re|ve|t))\b", r"\1", text)
    text = re.sub(r"(?<=s) ' ", "' ", text)
    text = re.sub(r"(\d: )(?=\d\d\b)", lambda match: match[1].strip(), text)
    text = re.sub(r'(^| )" ([^"]+) "', r'\1"\2"', text)
    return squeezed(text)


# -- sentences -----------------------------------------------------------------------------------

_MARKUP = re.compile(rf"[{HOLE}{ITEM}|<>{{}}\ufffd]|\[\[|\]\]|''|==|__|https?:|www\.|&[a-z]+;|^[*#:;]")
_WORDS = re.compile(r"[^\W\d_]+")
_START = re.compile(r"[\"'“‘(\[]*[\dA-ZÀ-ÞĀ-Ž]")
_END = re.compile(r"[.!?][\"'”’)\]]*$")


def is_prose(sentence: str) -> bool:
    """Whether a sentence is one: five words or more, begun and ended as sentences are, nothing left over.

    Left out are sentences with holes or remains of markup, with unmatched brackets, that do not start
    with a capital or a digit and end with a full stop, a question or an exclamation mark, that are mostly
    not letters, and those without a single word in small letters among the first ten (names, titles).
    """
    words = _WORDS.findall(sentence)
    return (
        5 <= len(words) <= MAX_WORDS
        and not _MARKUP.search(sentence)
        and _START.match(sentence) is not None
        and _END.search(sentence) is not None
        and sentence.count("(") == sentence.count(")")
        and sentence.count("[") == sentence.count("]")
        and sum(map(len, words)) >= 0.6 * len(sentence.replace(" ", ""))
        and any(word.islower() for word in words[:10])
    )


def sentences(paragraph: str) -> list[str]:
    """Split a paragraph (one line) into its sentences."""
    from syntok import segmenter

    starts = [s[0].offset for part in segmenter.analyze(paragraph) for s in part]
    ends = [*starts[1:], len(paragraph)]
    return [paragraph[a:b].strip() for a, b in zip(starts, ends, strict=True)]


def prose(name: str, document: str, paragraphs: Iterable[str]) -> list[Passage]:
    """The sentences of a document's paragraphs that :func:`is_prose` keeps, as ``name.1`` and so on."""
    kept = [s for paragraph in paragraphs for s in sentences(paragraph) if is_prose(s)]
    return [Passage(id=f"{name}.{n}", text=s, document=document) for n, s in enumerate(kept, 1)]


def squeezed(text: str) -> str:
    """Composed characters, single spaces, and without characters that are only hints for setting lines.

    Joiners stay: they belong to the spelling of Persian and of the scripts of India.
    """
    text = re.sub("[\u00ad\u200b\u200e\u200f\u2060\ufeff]", "", unicodedata.normalize("NFC", text))
    return " ".join(text.split())
