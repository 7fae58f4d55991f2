"""Wikipedia: the cleaning of wiki markup case by case, whole dumps, and broken ones."""

import bz2
import gzip
import lzma
import re
import time

import pytest

from helpers.corpora import wikipedia
from helpers.corpora.records import CorpusError, Passage

HOLE = "\ufffc"


@pytest.mark.parametrize(
    "markup, shown",
    [
        pytest.param("'''Tea''' is a ''hot'' [[drink]].", "Tea is a hot drink.", id="bold, italics, link"),
        pytest.param("A [[tea (drink)|cup of ''tea'']].", "A cup of tea.", id="piped link"),
        pytest.param(
            "From [[wikt:tea|tea]] and [[:Category:Tea]].", "From tea and Category:Tea.", id="link prefixes"
        ),
        pytest.param(
            "He appeared in [[CSI: Miami]], on [[WWE: The Music]] and [[ABC:News]].",
            "He appeared in CSI: Miami, on WWE: The Music and ABC:News.",
            id="titles with a colon",
        ),
        pytest.param("Tea.[[zh-min-nan:Tê]][[simple:Tea]]", "Tea.", id="other languages"),
        pytest.param(
            "See [[re:publica]] and [[de: a book]].", "See re:publica and de: a book.", id="no languages"
        ),
        pytest.param("Tea.[[de:Tee]][[Category:Drinks]]", "Tea.", id="links that show nothing"),
        pytest.param(
            "[[File:A.jpg|thumb|left|A [[cup]] of {{lang|zh|cha}}.]]Tea grows.", "Tea grows.", id="picture"
        ),
        pytest.param(
            "Tea[http://x.org/a b] is [http://x.org][https://x.org/c] hot.", "Teab is hot.", id="web links"
        ),
        pytest.param("See http://x.org/a now.", f"See {HOLE} now.", id="bare address"),
        pytest.param(
            "Hot.<ref name=a>{{cite web|url=http://x.org}} |</ref> Sweet.<ref name=a/>",
            "Hot. Sweet.",
            id="refs",
        ),
        pytest.param(
            "Hot{{sfn|Lee|1990|p=3}}{{citation needed|date=May 2010}}.", "Hot.", id="notes as templates"
        ),
        pytest.param(
            "Tea<!-- or coffee? --> is hot&nbsp;&mdash; very.", "Tea is hot — very.", id="comment, entities"
        ),
        pytest.param(
            "{{lang|fr|thé}} ({{lang-zh|茶}}; {{IPAc-en|t|i:}}) is {{nowrap|so hot}}.",
            "thé is so hot.",
            id="templates within the text",
        ),
        pytest.param(
            "Tea ({{IPAc-en|t|i:}}) is hot ({{lang-zh|茶}}).", "Tea is hot (茶).", id="brackets with a hole"
        ),
        pytest.param(
            "Tea ( ; from China) and (<ref>x</ref>) more.",
            "Tea (from China) and more.",
            id="brackets emptied",
        ),
        pytest.param(
            "It is {{convert|5|km|mi}} long, {{convert|3|to|4|m|ft}} or {{convert|5|and(-)|6|m}} wide.",
            "It is 5 km long, 3 to 4 m or 5 and 6 m wide.",
            id="measures",
        ),
        pytest.param(
            "It is {{convert|5|ft|11|in|m}} tall, {{cvt|8|st|10|lb|2|oz|kg}}, {{convert|5|by|10|x|3|m|ft}}.",
            "It is 5 ft 11 in tall, 8 st 10 lb 2 oz, 5 by 10 by 3 m.",
            id="measures of several units",
        ),
        pytest.param(
            "{{convert|100|km|mi|0}}, {{convert|100|km|0}}, {{convert|5+1/2|in|mm}}, {{convert|−5|C|F}}.",
            "100 km, 100 km, 5 1/2 in, −5 °C.",
            id="measures rounded, in fractions, below zero",
        ),
        pytest.param(
            "It is {{convert|5}} or {{convert|x|m}} long.", f"It is {HOLE} or {HOLE} long.", id="no measures"
        ),
        pytest.param(
            "{{As of|2016}} all, {{as of|2017|lc=y}} none.", "As of 2016 all, as of 2017 none.", id="as of"
        ),
        pytest.param("The {{unknown|thing}} is <math>x^2</math>.", f"The {HOLE} is {HOLE}.", id="holes"),
        pytest.param(
            "H<sub>2</sub>O, the 2<sup>nd</sup>, 10<sup>3</sup>.", f"H2O, the 2nd, 10{HOLE}.", id="sub, sup"
        ),
        pytest.param("Tea\u00ad time\u200b is\u00a0now.", "Tea time is now.", id="invisible characters"),
    ],
)
def test_inline_markup(markup, shown):
    assert wikipedia.paragraphs(markup) == [shown]


def test_blocks_that_are_no_prose():
    markup = """{{Infobox drink|name=Tea
|image=[[File:A.jpg]]
}}
{{Use British English}}
'''Tea''' is hot.

== History ==
{{Main|History of tea}}
{| class="wikitable"
! Year !! Cups
|-
| 1990 || 3
|}
* A list item. It has a sentence.
# Another one.
:: An aside.
; A term
<gallery>
File:A.jpg|A cup.
</gallery>
Tea is old
and was broken
over three lines.
Then it is not.
<blockquote>Tea is good.</blockquote>

== References ==
Lee wrote it.
=== Online ===
So did Kim.
== Today ==
Tea is drunk.
"""
    assert wikipedia.paragraphs(markup) == [
        "Tea is hot.",
        "Tea is old and was broken over three lines.",
        "Then it is not.",
        "Tea is good.",
        "Tea is drunk.",
    ]


# -- Wikipedia dumps -----------------------------------------------------------------------------

PROSE = "Tea is a hot and popular drink. It came from China a long time ago."


def page(number, title, wikitext, ns="0", redirect=""):
    return (
        f"<page><title>{title}</title><ns>{ns}</ns><id>{number}</id>{redirect}<revision><id>99</id>"
        f"<text>{wikitext}</text></revision></page>\n"
    )


PAGES = [
    page(10, "Thé", "#REDIRECT [[Tea]]", redirect='<redirect title="Tea" />'),
    page(12, "Tea", PROSE),
    page(13, "Talk:Tea", "I think that this is not an article.", ns="1"),
    page(14, "Cup", "A cup is a small open vessel.&lt;ref&gt;Lee&lt;/ref&gt;"),
]
DUMP = (
    '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" version="0.10">\n'
    "<siteinfo><sitename>Wikipedia</sitename></siteinfo>\n" + "".join(PAGES) + "</mediawiki>\n"
)
PASSAGES = [
    Passage("12.1", "Tea is a hot and popular drink.", "Tea"),
    Passage("12.2", "It came from China a long time ago.", "Tea"),
    Passage("14.1", "A cup is a small open vessel.", "Cup"),
]


@pytest.mark.parametrize(
    "name, pack",
    [("dump.xml", bytes), ("d.bz2", bz2.compress), ("d.xml.gz", gzip.compress), ("d.xz", lzma.compress)],
)
def test_dump(tmp_path, name, pack):
    (tmp_path / name).write_bytes(pack(DUMP.encode()))
    assert wikipedia.read(tmp_path / name) == PASSAGES


def test_dump_is_read_as_a_stream(tmp_path):
    """The first article comes before a fault further down is met."""
    (tmp_path / "dump.xml").write_text(DUMP + "<oops>")
    pages = wikipedia.articles(tmp_path / "dump.xml")
    assert next(pages)[:2] == ("12", "Tea")
    with pytest.raises(CorpusError):
        list(pages)


def test_reading_stops_at_the_cap(tmp_path, monkeypatch):
    (tmp_path / "dump.xml").write_text(DUMP)
    monkeypatch.setattr(wikipedia, "MAX_PASSAGES", 1)
    assert wikipedia.read(tmp_path / "dump.xml") == PASSAGES[:1]


@pytest.mark.parametrize(
    "name, broken, where, expectation",
    [
        pytest.param("d.xml", b"", ":1: ", "expected well-formed UTF-8 XML", id="empty"),
        pytest.param("d.xml", DUMP[:-300].encode(), ":5: ", "expected well-formed UTF-8 XML", id="cut short"),
        pytest.param("d.xml", DUMP.encode("latin-1"), ":3: ", "expected well-formed UTF-8 XML", id="latin-1"),
        pytest.param(
            "d.xml", DUMP.replace("</ns>", "</nn>").encode(), ":3: ", "mismatched tag", id="tags crossed"
        ),
        pytest.param(
            "d.xml",
            b"<html><body/></html>",
            ":1: ",
            "expected a MediaWiki dump (<mediawiki>), found <html>",
            id="another XML file",
        ),
        pytest.param(
            "d.xml",
            DUMP.replace("<id>12</id>", "").encode(),
            ":4: ",
            "expected a page with id and title",
            id="page without id",
        ),
        pytest.param(
            "d.xml", b"<mediawiki></mediawiki>", ": ", "expected at least one article", id="no article"
        ),
        pytest.param(
            "d.xml",
            DUMP.replace("<mediawiki", '<!DOCTYPE m [<!ENTITY a "tea">]>\n<mediawiki', 1).encode(),
            ":1: ",
            "found a document type of its own",
            id="entities defined",
        ),
        pytest.param(
            "d.xml", DUMP.replace("A cup", "&cup;").encode(), ":6: ", "undefined entity", id="entity"
        ),
        pytest.param(
            "d.xml",
            b'<?xml version="1.0" encoding="no-such"?>\n' + DUMP.encode("utf-16"),
            ":2: ",
            "UTF-8",
            id="utf-16",
        ),
        pytest.param(
            "d.xml", b"<mediawiki>" + b"<a>" * 60_000, ":1: ", "nested more than 20 deep", id="nested deep"
        ),
        pytest.param(
            "d.xml.bz2",
            bz2.compress(DUMP.encode())[:-20],
            ": ",
            "expected a complete archive",
            id="bz2 cut short",
        ),
        pytest.param(
            "d.xml.gz",
            gzip.compress(DUMP.encode())[:-8] + bytes(8),
            ": ",
            "CRC check failed",
            id="checksum of gz",
        ),
        pytest.param("d.xml.bz2", b"", ":1: ", "expected well-formed UTF-8 XML", id="empty bz2"),
    ],
)
def test_broken_dumps(tmp_path, name, broken, where, expectation):
    path = tmp_path / name
    path.write_bytes(broken)
    with pytest.raises(CorpusError) as caught:
        wikipedia.read(path)
    assert str(caught.value).startswith(f"{path}{where}")
    assert expectation in str(caught.value)


def test_what_expands_beyond_all_proportion_is_refused_at_once(tmp_path):
    start = "<mediawiki>" + "".join(PAGES) + "<page><title>"
    for name, pack in (("d.xml.bz2", bz2.compress), ("d.xml.gz", gzip.compress)):
        (tmp_path / name).write_bytes(pack(start.encode() + b"a" * 30_000_000))
        began = time.perf_counter()
        with pytest.raises(CorpusError, match=r"d\.xml\.\w+:.* (more than 250 times|pages of one rev)"):
            wikipedia.read(tmp_path / name)
        assert time.perf_counter() - began < 5


def test_a_page_beyond_any_real_one(tmp_path, monkeypatch):
    monkeypatch.setattr(wikipedia, "MAX_PAGE", 100_000)
    (tmp_path / "d.xml").write_text(DUMP.replace("A cup", "A cup " * 30_000))
    with pytest.raises(
        CorpusError, match=r"d\.xml:\d+: expected pages of one revision, at most 100,000 bytes"
    ):
        wikipedia.read(tmp_path / "d.xml")


@pytest.mark.slow
def test_wikipedia_sample(real_data):
    (path,) = real_data("wikipedia-sample").glob("*.bz2")
    assert sum(1 for _ in wikipedia.articles(path)) == 106
    passages = wikipedia.read(path)
    assert len(passages) > 17_000
    assert len({p.id for p in passages}) == len(passages)
    assert len({p.document for p in passages}) == 103  # the other three are lists of links
    leftovers = re.compile(r"\[\[|\]\]|\{|\}|\||<|>|''|==|\d+px|https?:|\(\)|\( |&\w+;|[\ufffc\ufffb]")
    assert [p.text for p in passages if leftovers.search(p.text)] == []
    assert [p.text for p in passages if re.search(r"\s[,;]|\s{2}|^\s|\s$", p.text)] == []
    assert passages[0].text.startswith(
        "Anarchism is a political philosophy that advocates self-governed societies"
    )
