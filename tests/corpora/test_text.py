"""Running text: plain text, WikiText's conventions, and broken files."""

import re
import time

import pytest

from helpers.corpora import text
from helpers.corpora.records import CorpusError, Passage

HOLE = "\ufffc"


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


def test_lines_of_invisible_characters_divide_documents(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text(
        "\ufeff\nOnly the mark above.\n\u200b\nA third line.\n\u00a0\u2060\n\ufeff\nThe last.",
        encoding="utf-8",
    )
    assert [(p.document, p.text) for p in text.read(path)] == [
        ("notes-1", "Only the mark above."),
        ("notes-2", "A third line."),
        ("notes-3", "The last."),
    ]
    path.write_text("\ufeff\n\u200b\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"notes\.txt:1: expected sentences, found only blank lines"):
        text.read(path)


def test_joiners_are_part_of_the_spelling(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("می\u200cخواهم چای.\n", encoding="utf-8")
    assert [p.text for p in text.read(path)] == ["می\u200cخواهم چای."]


@pytest.mark.parametrize(
    "line, expectation",
    [
        pytest.param("word " * 60_000, "at most 5,000 words", id="sentence"),
        pytest.param("Tea. " * 300_000, "at most 1,000,000 characters, found 1,500,000", id="paragraph"),
    ],
)
def test_what_is_longer_than_any_text_is_refused_at_once(tmp_path, line, expectation):
    (tmp_path / "notes.txt").write_text(f"Tea is hot.\n{line}\n")
    start = time.perf_counter()
    with pytest.raises(CorpusError, match=rf"notes\.txt:2: expected .*{expectation}"):
        text.read(tmp_path / "notes.txt")
    assert time.perf_counter() - start < 10


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
