"""Wikipedia: the articles of a MediaWiki XML dump, as clean prose, one record per sentence.

What markup leaves behind decides what is kept, as :mod:`helpers.corpora.text` describes.
"""

import json
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any
from xml.parsers import expat

from helpers.corpora import archives
from helpers.corpora.records import CorpusError, Passage
from helpers.corpora.text import HOLE, ITEM, prose, squeezed
from helpers.store import Store, sha256

SCHEMA = 2  # raise when the same dump would give other sentences
MAX_PASSAGES = 200_000  # of a dump: more than any analysis samples, and a full dump would take days
MAX_PAGE = 2**24  # bytes of XML: MediaWiki allows an article a seventh of that
MAX_DEPTH = 20  # of elements; a dump has four

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
_NOT_PROSE = (ITEM, "|", "!", "{")  # list items; rows of tables that could not be parsed
_STOP = re.compile(r"[.!?:;]\W*$")
_BREAKS = {"br": " ", "blockquote": "\n", "div": "\n", "center": "\n", "p": "\n"}
_NUMBER = re.compile(r"[-–−]?[\d,.]+(?:[+⁄/]\d+(?:[⁄/]\d+)?)?")  # also 5+1/2
_UNITS = {"C": "°C", "F": "°F", "sqmi": "square miles", "sqkm": "km²", "km2": "km²", "m2": "m²"}
_RANGES = {
    "-": "–", "–": "–", "to": " to ", "and": " and ", "by": " by ", "x": " by ",
    "or": " or ", "±": " ± ", "+/-": " ± ",
}  # fmt: skip
# The codes of Wikipedia's languages: a link to "de:Tee" shows nothing, one to "CSI: Miami" its title.
_LANGUAGES = frozenset(
    """
    aa ab ace ady af ak als alt am ami an ang ar arc ary arz as ast atj av avk awa ay az azb ba ban bar
    bat-smg bcl be be-tarask be-x-old bg bh bi bjn blk bm bn bo bpy br bs bug bxr ca cbk-zam cdo ce ceb
    ch cho chr chy ckb co cr crh cs csb cu cv cy da dag de din diq dsb dty dv dz ee el eml en eo es et
    eu ext fa fat ff fi fiu-vro fj fo fr frp frr fur fy ga gag gan gcr gd gl glk gn gom gor got gpe gu
    guc gur guw gv ha hak haw he hi hif ho hr hsb ht hu hy hyw hz ia id ie ig ii ik ilo inh io is it iu
    ja jam jbo jv ka kaa kab kbd kbp kcg kg ki kj kk kl km kn ko koi kr krc ks ksh ku kv kw ky la lad lb
    lbe lez lfn lg li lij lld lmo ln lo lrc lt ltg lv mad mai map-bms mdf mg mh mhr mi min mk ml mn mni
    mnw mo mr mrj ms mt mus mwl my myv mzn na nah nap nds nds-nl ne new ng nia nl nn no nov nqo nrm nso
    nv ny oc olo om or os pa pag pam pap pcd pcm pdc pfl pi pih pl pms pnb pnt ps pt pwn qu rm rmy rn ro
    roa-rup roa-tara ru rue rw sa sah sat sc scn sco sd se sg sh shi shn si simple sk skr sl sm smn sn
    so sq sr srn ss st stq su sv sw szl szy ta tay tcy te tet tg th ti tk tl tn to tpi tr trv ts tt tum
    tw ty tyv udm ug uk ur uz ve vec vep vi vls vo wa war wo wuu xal xh xmf yi yo za zea zh zh-classical
    zh-min-nan zh-yue zu
    """.split()
)


def read(path: str | Path) -> list[Passage]:
    """The sentences of the articles in a MediaWiki XML dump, compressed (bz2, gz, xz) or not, as clean prose.

    The dump is read as a stream. Redirects and pages outside the article namespace are skipped;
    headings, lists, tables, pictures, notes and the sections about sources are left out; of what
    remains :func:`helpers.corpora.text.is_prose` keeps the sentences. ``id`` is the page's id and the
    sentence's number, ``document`` the title. Reading stops after MAX_PASSAGES sentences.

    Raises CorpusError if the file is not well-formed UTF-8 XML (naming the line of the uncompressed text), is
    cut short or damaged, is not a dump, defines entities, has a page beyond MAX_PAGE, or holds no article.
    """
    passages: list[Passage] = []
    for identifier, title, wikitext in articles(path):
        passages += prose(identifier, title, paragraphs(wikitext))
        if len(passages) >= MAX_PASSAGES:
            break
    if not passages:
        raise CorpusError(path, None, "expected at least one article with prose, found none")
    return passages[:MAX_PASSAGES]


def stored(path: Path) -> list[Passage]:
    """As :func:`read`, from the store if the same dump was read before: it takes half a minute."""
    spec = {
        "reader": "wikipedia",
        "schema": SCHEMA,
        "sha256": sha256(path),
        "versions": {name: version(name) for name in ("mwparserfromhell", "syntok")},
    }

    def build(folder: Path) -> None:
        with open(folder / "passages.jsonl", "w", encoding="utf-8") as out:
            for passage in read(path):
                row = [passage.id, passage.text, passage.document]
                out.write(json.dumps(row, ensure_ascii=False) + "\n")

    folder = Store().get("passages", spec, build)
    with open(folder / "passages.jsonl", encoding="utf-8") as rows:
        return [Passage(*json.loads(row)) for row in rows]


def articles(path: str | Path) -> Iterator[tuple[str, str, str]]:
    """(page id, title, wikitext) of each article of a dump, in order, read as a stream."""
    pages = _Pages(path)
    with archives.opened(path) as file:
        more = True
        while more:
            chunk = file.read(2**16)
            more = bool(chunk)
            try:
                pages.feed(chunk)
            finally:  # what is complete comes first, then what is wrong with the rest
                yield from pages.taken()


class _Pages:
    """The pages of a dump, fed in pieces."""

    FIELDS = ("id", "title", "ns", "redirect", "revision/text")  # of a page

    def __init__(self, path: str | Path):
        self._path = path
        self._parser = expat.ParserCreate("utf-8")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.CharacterDataHandler = self._text
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._open: list[str] = []  # elements, from the root on
        self._values: dict[str, list[str]] = {}  # of the fields of this page
        self._into: list[str] | None = None
        self._size = 0  # bytes since the last page's end
        self._done: list[tuple[str, str, str]] = []

    def taken(self) -> list[tuple[str, str, str]]:
        """The articles since it was last called."""
        done, self._done = self._done, []
        return done

    def feed(self, data: bytes) -> None:
        """More of the dump; nothing at its end."""
        try:
            self._parser.Parse(data, not data)
        except expat.ExpatError as error:
            problem = f"expected well-formed UTF-8 XML, found at column {error.offset}: {error}"
            raise CorpusError(self._path, error.lineno, problem) from error
        self._size += len(data)
        if self._size > MAX_PAGE:
            raise self._wrong(f"expected pages of one revision, at most {MAX_PAGE:,} bytes, found more")

    def _wrong(self, problem: str) -> CorpusError:
        return CorpusError(self._path, self._parser.CurrentLineNumber, problem)

    def _doctype(self, *declared: Any) -> None:
        raise self._wrong("expected a MediaWiki dump, found a document type of its own (<!DOCTYPE ...>)")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        if not self._open and name != "mediawiki":
            raise self._wrong(f"expected a MediaWiki dump (<mediawiki>), found <{name}>")
        self._open.append(name)
        if len(self._open) > MAX_DEPTH:
            raise self._wrong(f"expected a MediaWiki dump, found elements nested more than {MAX_DEPTH} deep")
        if self._open[1:] == ["page"]:
            self._values = {}
        field = "/".join(self._open[2:])
        new = self._open[1:2] == ["page"] and field in self.FIELDS and field not in self._values
        self._into = self._values.setdefault(field, []) if new else None

    def _text(self, text: str) -> None:
        if self._into is not None:
            self._into.append(text)

    def _end(self, name: str) -> None:
        self._into = None
        if self._open[1:] == ["page"]:
            values = {field: "".join(parts) for field, parts in self._values.items()}
            identifier, title = values.get("id"), values.get("title")
            if not identifier or not title:
                raise self._wrong(f"expected a page with id and title, found {identifier}, {title}")
            if values.get("ns", "0") == "0" and "redirect" not in values:
                self._done.append((identifier, title, values.get("revision/text", "")))
            self._size = 0
        self._open.pop()


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
        readable = bool(line.strip(HOLE + " ")) and not line.startswith(_NOT_PROSE)
        if readable and unfinished:
            kept[-1] = _tidied(f"{kept[-1]} {line}")
        elif readable:
            kept.append(line)
        unfinished = readable and not _STOP.search(line)
    return [line.replace(ITEM, HOLE) for line in kept]


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
        return "" if node.brackets else HOLE
    if isinstance(node, nodes.Template):
        return _template(node)
    if isinstance(node, nodes.Tag):
        return _tag(node)
    return ""  # comments, headings within templates, arguments


def _link(node: Any) -> str:
    target = str(node.title).strip()
    prefix, colon, title = target.partition(":")
    if colon and prefix.strip().lower() in _MEDIA:
        return ""
    if node.text is not None:
        return _shown(node.text)
    if prefix in _LANGUAGES and title.strip() and not title[0].isspace():  # the article in another language
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
        return HOLE
    return values[place]


def _convert(values: list[str]) -> str:
    """The first quantity of a conversion, of one unit or several.

    ``{{convert|5|to|10|km|mi}}`` shows "5 to 10 km", ``{{convert|5|ft|11|in|m}}`` "5 ft 11 in".
    """
    if not values or not _NUMBER.fullmatch(values[0]):
        return HOLE
    shown, rest = values[0], values[1:]
    while len(rest) > 1 and (sign := rest[0].removesuffix("(-)")) in _RANGES and _NUMBER.fullmatch(rest[1]):
        shown, rest = shown + _RANGES[sign] + rest[1], rest[2:]
    if not rest or _NUMBER.fullmatch(rest[0]):
        return HOLE
    shown, rest = f"{shown} {_UNITS.get(rest[0], rest[0])}", rest[1:]
    while len(rest) > 1 and _NUMBER.fullmatch(rest[0]) and rest[1][:1].isalpha():
        shown, rest = f"{shown} {rest[0]} {_UNITS.get(rest[1], rest[1])}", rest[2:]
    return shown.replace("+", " ")


def _tag(node: Any) -> str:
    name = str(node.tag).strip().lower()
    if name in {"li", "dd", "dt"}:
        return ITEM if node.wiki_markup else ""
    if name in _HIDDEN_TAGS:
        return ""
    if name in _HOLE_TAGS:
        return HOLE
    inner = _shown(node.contents)
    if name == "sup" and not re.fullmatch(r"st|nd|rd|th|e|er", inner.strip()):
        return HOLE  # an exponent or an isotope: "10 to the 3rd" must not become "103"
    gap = _BREAKS.get(name, "")
    return f"{gap}{inner}{gap}"


def _tidied(line: str) -> str:
    line = squeezed(line)
    before = None
    while before != line:  # from the inside out
        before = line
        line = re.sub(rf" ?\([^()]*{HOLE}[^()]*\)", "", line)
    line = re.sub(r"\(\s*[,;:]?\s*", "(", line)
    line = re.sub(r"\s*[,;:]?\s*\)", ")", line)
    line = re.sub(r" ?\(\)", "", line)
    line = re.sub(r" +([,.;:?!](?:\s|$))", r"\1", line)
    return squeezed(line)
