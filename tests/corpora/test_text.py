"""Running text: the cleaning of wiki markup case by case, WikiText's conventions, and broken files."""

import bz2
import re

import pytest

from helpers.corpora import text
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
            "It is {{convert|5|km|mi}} long, {{convert|3|to|4|m|ft}} wide.",
            "It is 5 km long, 3 to 4 m wide.",
            id="measures",
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
    assert text.paragraphs(markup) == [shown]


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
    assert text.paragraphs(markup) == [
        "Tea is hot.",
        "Tea is old and was broken over three lines.",
        "Then it is not.",
        "Tea is good.",
        "Tea is drunk.",
    ]


@pytest.mark.parametrize(
    "sentence, kept",
    [
        ("Tea is a hot drink.", True),
        ('"Tea is a hot drink," he said (in 1990).', True),
        ("1990 was a good year for tea!", True),
        ("Émile drank tea every day?", True),
        ("Tea is hot, it is:", False),
        ("tea is a hot drink.", False),
        ("Tea is hot.", False),
        (f"Tea is a hot {HOLE} drink.", False),
        ("Tea is a hot | drink.", False),
        ("Tea is a hot [[drink.", False),
        ("Tea is ''a hot drink.", False),
        ("Tea is at http://x.org, a hot drink.", False),
        ("Tea is a hot drink (from China.", False),
        ("Lee, Kim. Oxford University Press.", False),
        ("In 1990 1991 1992 1993 1994 1995 1996 it was so.", False),
    ],
)
def test_is_prose(sentence, kept):
    assert text.is_prose(sentence) is kept


def test_sentences_keep_every_character():
    paragraph = (
        'Dr. Lee can\'t drink tea.  She (who is from Washington, D.C.) drinks 1.5 l of coffee! "Why?" No.'
    )
    split = text.sentences(paragraph)
    assert split[0] == "Dr. Lee can't drink tea."
    assert "".join("".join(split).split()) == "".join(paragraph.split())


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


@pytest.mark.parametrize("name, pack", [("dump.xml", bytes), ("dump.xml.bz2", bz2.compress)])
def test_dump(tmp_path, name, pack):
    (tmp_path / name).write_bytes(pack(DUMP.encode()))
    assert text.read_wikipedia(tmp_path / name) == PASSAGES


def test_dump_is_read_as_a_stream(tmp_path):
    """The first article comes before a fault further down is met."""
    (tmp_path / "dump.xml").write_text(DUMP + "<oops>")
    pages = text.articles(tmp_path / "dump.xml")
    assert next(pages)[:2] == ("12", "Tea")
    with pytest.raises(CorpusError):
        list(pages)


def test_reading_stops_at_the_cap(tmp_path, monkeypatch):
    (tmp_path / "dump.xml").write_text(DUMP)
    monkeypatch.setattr(text, "MAX_PASSAGES", 1)
    assert text.read_wikipedia(tmp_path / "dump.xml") == PASSAGES[:1]


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
            ": ",
            "expected a page with id and title",
            id="page without id",
        ),
        pytest.param(
            "d.xml", b"<mediawiki></mediawiki>", ": ", "expected at least one article", id="no article"
        ),
        pytest.param(
            "d.xml.bz2",
            bz2.compress(DUMP.encode())[:-20],
            ": ",
            "expected a complete bz2 file",
            id="bz2 cut short",
        ),
        pytest.param("d.xml.bz2", DUMP.encode(), ": ", "expected a complete bz2 file", id="not compressed"),
        pytest.param("d.xml.bz2", b"", ": ", "expected a complete bz2 file", id="empty bz2"),
    ],
)
def test_broken_dumps(tmp_path, name, broken, where, expectation):
    path = tmp_path / name
    path.write_bytes(broken)
    with pytest.raises(CorpusError) as caught:
        text.read_wikipedia(path)
    assert str(caught.value).startswith(f"{path}{where}")
    assert expectation in str(caught.value)


@pytest.mark.slow
def test_wikipedia_sample(real_data):
    (path,) = real_data("wikipedia-sample").glob("*.bz2")
    assert sum(1 for _ in text.articles(path)) == 106
    passages = text.read_wikipedia(path)
    assert len(passages) > 17_000
    assert len({p.id for p in passages}) == len(passages)
    assert len({p.document for p in passages}) == 103  # the other three are lists of links
    leftovers = re.compile(r"\[\[|\]\]|\{|\}|\||<|>|''|==|\d+px|https?:|\(\)|\( |&\w+;|[\ufffc\ufffb]")
    assert [p.text for p in passages if leftovers.search(p.text)] == []
    assert [p.text for p in passages if re.search(r"\s[,;]|\s{2}|^\s|\s$", p.text)] == []
    assert passages[0].text.startswith(
        "Anarchism is a political philosophy that advocates self-governed societies"
    )


# -- WikiText and plain text ---------------------------------------------------------------------

WIKITEXT = """ \n = Tea ( drink ) = \n
 Tea is a well @-@ known drink , made at 99 @.@ 5 degrees ( hot ) . It is Lee 's drink .
 = 2 k = \n
 = <unk> = \n
 = = History = = \n
 The <unk> drank tea a long time ago . They didn 't drink 1 @,@ 000 cups of it .
"""


def test_wikitext_conventions(tmp_path):
    path = tmp_path / "valid.txt"
    path.write_text(WIKITEXT)
    assert text.read_wikitext(path) == [
        Passage("valid-1.1", "Tea is a well-known drink, made at 99.5 degrees (hot).", "Tea (drink)"),
        Passage("valid-1.2", "It is Lee's drink.", "Tea (drink)"),
        Passage("valid-2.1", "They didn't drink 1,000 cups of it.", "<unk>"),
    ]


@pytest.mark.parametrize("file", ["valid", "test"])
def test_wikitext_2(real_data, file):
    path = real_data("wikitext-2") / f"{file}.txt"
    passages = text.read_wikitext(path)
    assert len(passages) > 2_000
    assert max(int(p.id.split(".")[0].split("-")[1]) for p in passages) == 60  # articles, as published
    assert not any(re.search(r"<unk>|@|^ ?=| [.,]", p.text) for p in passages)


def test_plain_text(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("Tea is hot. Is it?\nyes\n\n\n \nCoffee   too.", encoding="utf-8")
    assert text.read(path) == [
        Passage("notes-1.1", "Tea is hot.", "notes-1"),
        Passage("notes-1.2", "Is it?", "notes-1"),
        Passage("notes-1.3", "yes", "notes-1"),
        Passage("notes-2.1", "Coffee too.", "notes-2"),
    ]


@pytest.mark.parametrize("read", [text.read, text.read_wikitext])
@pytest.mark.parametrize(
    "broken, line, expectation",
    [
        pytest.param(b" \n\n", 1, "found an empty file", id="empty"),
        pytest.param(" = Thé = \n \n Thé .\n".encode("latin-1"), 1, "expected UTF-8 text", id="latin-1"),
        pytest.param("\n = Tea = \n".encode("utf-16"), 1, "found the byte 0xff", id="utf-16"),
    ],
)
def test_broken_text(tmp_path, read, broken, line, expectation):
    path = tmp_path / "notes.txt"
    path.write_bytes(broken)
    with pytest.raises(CorpusError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert expectation in str(caught.value)


def test_wikitext_without_a_title(tmp_path):
    path = tmp_path / "valid.txt"
    path.write_text(" \n Tea is hot .\n")
    with pytest.raises(
        CorpusError, match=r"valid\.txt:2: expected an article's title .* found 'Tea is hot \.'"
    ):
        text.read_wikitext(path)
