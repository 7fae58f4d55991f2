"""Running text, one record per sentence: Wikipedia dump excerpts, WikiText, plain text files.

Sentences are split by rule (syntok). What markup leaves behind decides what is kept: a formula, a
formatted number, a phonetic transcription or WikiText's ``<unk>`` that cannot be turned into words
makes a hole in its sentence, and a sentence with a hole is left out rather than shown mutilated.
"""

import bz2
import json
import re
import unicodedata
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from helpers.corpora.files import quoted, read_text
from helpers.corpora.records import CorpusError, Passage
from helpers.store import Store, sha256

SCHEMA = 1  # raise when the same dump would give other sentences
MAX_PASSAGES = 200_000  # of a dump: more than any analysis samples, and a full dump would take days

_HOLE = "\ufffc"  # stands for what cannot be shown as words
_ITEM = "\ufffb"  # stands at the start of a list item


def read(path: str | Path) -> list[Passage]:
    """The sentences of a plain text file: UTF-8, one line per paragraph, a blank line after each document.

    Documents are named by file and number (``notes-1``), sentences by document and number
    (``notes-1.1``). Every sentence is kept. Raises CorpusError if the file is empty or not UTF-8.
    """
    stem = Path(path).stem
    passages: list[Passage] = []
    for number, paragraphs in enumerate(_documents(read_text(path)), 1):
        passages += _passages(f"{stem}-{number}", f"{stem}-{number}", paragraphs, keep=bool)
    return passages


def _documents(text: str) -> Iterator[list[str]]:
    paragraphs: list[str] = []
    for line in [*text.split("\n"), ""]:
        if line.strip():
            paragraphs.append(_squeezed(line))
        elif paragraphs:
            yield paragraphs
            paragraphs = []


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
            passages.extend(_passages(f"{stem}-{articles}", title, paragraphs, keep=is_prose))

    lines = [line.strip() for line in read_text(path).split("\n")]
    for number, line in enumerate(lines, 1):
        # Without a blank line before it, it is a formula and no heading.
        heading = _HEADING.match(line) if number == 1 or not lines[number - 2] else None
        if heading and heading[1].strip() == heading[3].strip() == "=":
            finish()
            title = _detokenised(heading[2]).replace(_HOLE, "<unk>")
            paragraphs, articles = [], articles + 1
        elif line and not heading:
            if not title:
                raise CorpusError(
                    path, number, f"expected an article's title (' = Title = ') first, found {quoted(line)}"
                )
            paragraphs.append(_detokenised(line))
    finish()
    return passages


def _detokenised(text: str) -> str:
    text = text.replace("<unk>", _HOLE)
    text = re.sub(r" @(\W)@ ", r"\1", text)
    text = re.sub(r" ([,.;:?!%)\]])", r"\1", text)
    text = re.sub(r"([(\[$£€]) ", r"\1", text)
    text = re.sub(r" ('(?:s|d|m|ll|re|ve|t))\b", r"\1", text)
    text = re.sub(r"(?<=s) ' ", "' ", text)
    text = re.sub(r"(\d: )(?=\d\d\b)", lambda match: match[1].strip(), text)
    text = re.sub(r'(^| )" ([^"]+) "', r'\1"\2"', text)
    return _squeezed(text)


# -- Wikipedia -----------------------------------------------------------------------------------

# Namespaces whose links show a picture or nothing; links to other projects show their text.
_MEDIA = {"file", "image", "media", "category"}
# Sections of lists and notes; what little prose they have is about the sources.
_APPARATUS = {
    "bibliography", "citations", "external links", "footnotes", "further reading", "notes",
    "notes and references", "primary sources", "publications", "references", "secondary sources",
    "see also", "sources", "works cited",
}  # fmt: skip
# Templates that show nothing within the sentence: notes, references, requests to editors, anchors.
_INVISIBLE = re.compile(
    r"(cite\b|citation\b|vcite|sfn|harv|rp$|r$|refn|efn|note|#tag:ref|anchor|inflation-fn|page needed|"
    r"clarify|dubious|when$|who$|which$|where$|by whom|whom|why$|fact$|cn$|better source|verify|full$|vague|"
    r"failed verification|lookfrom|not in citation|specify|weasel|original research|clear|main$|see also)"
)
# Templates that show one of their arguments, by the argument's place (from 0; -1: the last).
_SHOWS = {
    "lang": -1, "transl": -1, "nowrap": 0, "nobr": 0, "smaller": 0, "small": 0, "sc": 0, "smallcaps": 0,
    "vanchor": 0, "visible anchor": 0, "nihongo": 0, "quote": 0, "quotation": 0, "bquote": 0, "cquote": 0,
    "angbr": 0, "script": -1,
}  # fmt: skip
_FIXED = {
    "'s": "'s", "'": "'", "\" '": "\" '", "' \"": "' \"", "nbsp": " ", "spaces": " ", "thinsp": " ",
    "snd": " – ", "spaced ndash": " – ", "mdashb": "—", "mdash": "—", "ndash": "–", "sep": " ",
}  # fmt: skip
_HIDDEN_TAGS = {
    "ref",
    "references",
    "gallery",
    "table",
    "source",
    "syntaxhighlight",
    "timeline",
    "s",
    "imagemap",
}
_HOLE_TAGS = {"math", "chem", "hiero", "score"}
_NOT_PROSE = (_ITEM, "|", "!", "{")  # list items; rows of tables that could not be parsed
_STOP = re.compile(r"[.!?:;]\W*$")
_BREAKS = {"br": " ", "blockquote": "\n", "div": "\n", "center": "\n", "p": "\n"}


def read_wikipedia(path: str | Path) -> list[Passage]:
    """The sentences of the articles in a MediaWiki XML dump (``.xml`` or ``.xml.bz2``), as clean prose.

    The dump is read as a stream. Redirects and pages outside the article namespace are skipped;
    headings, lists, tables, pictures, notes and the sections about sources are left out; of what
    remains :func:`is_prose` keeps the sentences. ``id`` is the page's id and the sentence's number,
    ``document`` the title. Reading stops after MAX_PASSAGES sentences.

    Raises CorpusError if the file is not well-formed XML (naming the line of the uncompressed text), is
    cut short, is not a dump or holds no article.
    """
    passages: list[Passage] = []
    for identifier, title, wikitext in articles(path):
        passages += _passages(identifier, title, paragraphs(wikitext), keep=is_prose)
        if len(passages) >= MAX_PASSAGES:
            break
    if not passages:
        raise CorpusError(path, None, "expected at least one article with prose, found none")
    return passages[:MAX_PASSAGES]


def stored_wikipedia(path: Path) -> list[Passage]:
    """As :func:`read_wikipedia`, from the store if the same dump was read before: it takes half a minute."""
    spec = {
        "reader": "wikipedia",
        "schema": SCHEMA,
        "sha256": sha256(path),
        "versions": {name: version(name) for name in ("mwparserfromhell", "syntok")},
    }

    def build(folder: Path) -> None:
        with open(folder / "passages.jsonl", "w", encoding="utf-8") as out:
            for passage in read_wikipedia(path):
                row = [passage.id, passage.text, passage.document]
                out.write(json.dumps(row, ensure_ascii=False) + "\n")

    folder = Store().get("passages", spec, build)
    with open(folder / "passages.jsonl", encoding="utf-8") as rows:
        return [Passage(*json.loads(row)) for row in rows]


def articles(path: str | Path) -> Iterator[tuple[str, str, str]]:
    """(page id, title, wikitext) of each article of a dump, in order, read as a stream."""
    opened = bz2.open if Path(path).suffix == ".bz2" else open
    with opened(path, "rb") as file:
        try:
            yield from _pages(path, file)
        except ElementTree.ParseError as error:
            line, column = error.position
            raise CorpusError(
                path, line, f"expected well-formed UTF-8 XML, found at column {column}: {error}"
            ) from error
        except (EOFError, OSError) as error:
            raise CorpusError(path, None, f"expected a complete bz2 file, found: {error}") from error


def _pages(path: str | Path, file: IO[bytes]) -> Iterator[tuple[str, str, str]]:
    root = None
    for event, element in ElementTree.iterparse(file, events=("start", "end")):
        if root is None:
            root = element
            if _local(root) != "mediawiki":
                raise CorpusError(path, 1, f"expected a MediaWiki dump (<mediawiki>), found <{_local(root)}>")
        if event == "end" and _local(element) == "page":
            identifier, title = element.findtext("{*}id"), element.findtext("{*}title")
            if not identifier or not title:
                raise CorpusError(
                    path, None, f"expected a page with id and title, found {identifier}, {title}"
                )
            if element.findtext("{*}ns", "0") == "0" and element.find("{*}redirect") is None:
                yield identifier, title, element.findtext("{*}revision/{*}text") or ""
            root.clear()  # the pages already read, or memory would grow with the dump


def _local(element: ElementTree.Element) -> str:
    return element.tag.rsplit("}", 1)[-1]


def paragraphs(wikitext: str) -> list[str]:
    """The paragraphs of an article's running text, with holes (U+FFFC) for what has no words."""
    import mwparserfromhell
    from mwparserfromhell.nodes import Heading

    parts: list[str] = []
    apparatus = 0  # level of the section about sources that we are in
    for node in mwparserfromhell.parse(wikitext).nodes:
        if isinstance(node, Heading):
            if not apparatus or node.level <= apparatus:
                apparatus = node.level if _shown(node.title).strip().lower() in _APPARATUS else 0
            parts.append("\n")
        elif not apparatus:
            parts.append(_show(node))
    kept: list[str] = []
    unfinished = False  # whether the line above stops within a sentence: some articles break their lines
    for line in "".join(parts).split("\n"):
        line = _tidied(line)
        prose = bool(line.strip(_HOLE + " ")) and not line.startswith(_NOT_PROSE)
        if prose and unfinished:
            kept[-1] = _tidied(f"{kept[-1]} {line}")
        elif prose:
            kept.append(line)
        unfinished = prose and not _STOP.search(line)
    return [line.replace(_ITEM, _HOLE) for line in kept]


def _shown(code: Any) -> str:
    return "".join(_show(node) for node in code.nodes) if code is not None else ""


def _show(node: Any) -> str:
    from mwparserfromhell import nodes

    if isinstance(node, nodes.Text):
        return node.value
    if isinstance(node, nodes.HTMLEntity):
        return node.normalize()
    if isinstance(node, nodes.Wikilink):
        return _link(node)
    if isinstance(node, nodes.ExternalLink):
        if node.title is not None:
            return _shown(node.title)
        return "" if node.brackets else _HOLE
    if isinstance(node, nodes.Template):
        return _template(node)
    if isinstance(node, nodes.Tag):
        return _tag(node)
    return ""  # comments, headings within templates, arguments


def _link(node: Any) -> str:
    target = str(node.title).strip()
    prefix = target.split(":", 1)[0].strip().lower() if ":" in target else ""
    if prefix in _MEDIA:
        return ""
    if node.text is not None:
        return _shown(node.text)
    if re.fullmatch(r"[a-z]{2,3}(-[a-z]+)*", prefix):  # the same article in another language
        return ""
    return _shown(node.title).lstrip(":")


def _template(node: Any) -> str:
    name = " ".join(str(node.name).split()).lower()
    if name in _FIXED:
        return _FIXED[name]
    if _INVISIBLE.match(name):
        return ""
    values = [_shown(p.value).strip() for p in node.params if not p.showkey]
    if name == "convert" or name == "cvt":
        return _convert(values)
    if name == "as of" and values:
        lower = node.has("lc") or node.has("since")
        return ("as of " if lower else "As of ") + values[0]
    place = 0 if re.fullmatch(r"lang-[a-z-]+", name) else _SHOWS.get(name)
    if place is None or not values or not values[place]:
        return _HOLE
    return values[place]


def _convert(values: list[str]) -> str:
    """The first quantity of a conversion: ``{{convert|5|to|10|km|mi}}`` shows "5 to 10 km"."""
    if len(values) >= 4 and values[1] in {"-", "–", "to", "and", "by", "x", "or"}:
        joint = {"-": "–", "–": "–", "x": " by "}.get(values[1], f" {values[1]} ")
        values = [f"{values[0]}{joint}{values[2]}", values[3]]
    unit = {"C": "°C", "F": "°F", "sqmi": "square miles", "sqkm": "km²", "km2": "km²", "m2": "m²"}
    if len(values) < 2 or not re.match(r"[\d,.\-–−]+", values[0]):
        return _HOLE
    return f"{values[0]} {unit.get(values[1], values[1])}"


def _tag(node: Any) -> str:
    name = str(node.tag).strip().lower()
    if name in {"li", "dd", "dt"}:
        return _ITEM if node.wiki_markup else ""
    if name in _HIDDEN_TAGS:
        return ""
    if name in _HOLE_TAGS:
        return _HOLE
    inner = _shown(node.contents)
    if name == "sup" and not re.fullmatch(r"st|nd|rd|th|e|er", inner.strip()):
        return _HOLE  # an exponent or an isotope: "10 to the 3rd" must not become "103"
    gap = _BREAKS.get(name, "")
    return f"{gap}{inner}{gap}"


def _tidied(line: str) -> str:
    line = _squeezed(line)
    before = None
    while before != line:  # from the inside out
        before = line
        line = re.sub(rf" ?\([^()]*{_HOLE}[^()]*\)", "", line)
    line = re.sub(r"\(\s*[,;:]?\s*", "(", line)
    line = re.sub(r"\s*[,;:]?\s*\)", ")", line)
    line = re.sub(r" ?\(\)", "", line)
    line = re.sub(r" +([,.;:?!](?:\s|$))", r"\1", line)
    return _squeezed(line)


def _squeezed(text: str) -> str:
    text = re.sub("[\u00ad\u200b-\u200f\u2060\ufeff]", "", unicodedata.normalize("NFC", text))
    return " ".join(text.split())


# -- sentences -----------------------------------------------------------------------------------

_MARKUP = re.compile(rf"[{_HOLE}{_ITEM}|<>{{}}\ufffd]|\[\[|\]\]|''|==|__|https?:|www\.|&[a-z]+;|^[*#:;]")
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
        len(words) >= 5
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


def _passages(name: str, document: str, texts: Iterable[str], keep: Callable[[str], bool]) -> list[Passage]:
    kept = [s for text in texts for s in sentences(text) if keep(s)]
    return [Passage(id=f"{name}.{n}", text=s, document=document) for n, s in enumerate(kept, 1)]
