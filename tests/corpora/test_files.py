"""What several formats are checked with: cycles of heads against networkx, brackets against a plain stack."""

import json
import time

import networkx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.corpora.files import Brackets, blank, cycle, decode, lone_surrogate, parse_json, read_text
from helpers.corpora.records import CorpusError

HEADS = st.integers(1, 8).flatmap(lambda n: st.lists(st.integers(0, n), min_size=n, max_size=n))


@given(HEADS)
def test_a_cycle_is_one_of_the_graphs_and_none_is_missed(heads):
    graph = networkx.DiGraph((i, head) for i, head in enumerate(heads, 1) if head)
    cycles = [frozenset(nodes) for nodes in networkx.simple_cycles(graph)]
    circle = cycle(heads)
    assert (frozenset(circle) in cycles) if circle else not cycles
    for at, following in zip(circle, [*circle[1:], *circle[:1]], strict=True):
        assert heads[at - 1] == following


@given(st.lists(st.sampled_from("ab") | st.just(")"), max_size=12))
def test_brackets_of_one_key_nest(text):
    brackets, stack, expected = Brackets(), [], {}
    for word, sign in enumerate(text):
        if sign == ")":
            assert brackets.close(word) == bool(stack)
            if stack:
                expected[stack.pop()] = word + 1
        else:
            brackets.open(word, sign)
            stack.append(word)
    assert brackets.unclosed() == [(word, text[word]) for word in stack]
    assert [span for span in brackets.spans() if span[1]] == [
        (first, end, text[first]) for first, end in sorted(expected.items())
    ]


def test_brackets_of_two_keys_may_cross():
    brackets = Brackets()
    brackets.open(0, "x", key="1")
    brackets.open(1, "y", key="2")
    assert brackets.close(2, key="1") and brackets.close(3, key="2") and not brackets.close(4, key="2")
    assert brackets.spans() == ((0, 3, "x"), (1, 4, "y"))


def test_a_long_chain_of_heads_takes_no_time():
    start = time.perf_counter()
    assert cycle([*range(2, 60_001), 0]) == []
    assert cycle([*range(2, 60_001), 60_000]) == [60_000]
    assert time.perf_counter() - start < 1


def test_what_is_no_text(tmp_path):
    assert decode("x", b"\xef\xbb\xbfa\r\n\xc3\xa9") == "a\né"
    for data, expectation in (
        (b"\xef\xbb\xbf \n", "x:1: expected data, found an empty file"),
        (b"a\n\xff", "x:2: expected UTF-8 text, found the byte 0xff"),
        (b"a\n\nb\0c", "x:3: expected UTF-8 text, found the byte 0x00"),
        ("tea\n".encode("utf-16-le"), "x:1: expected UTF-8 text, found the byte 0x00"),
    ):
        with pytest.raises(CorpusError) as caught:
            decode("x", data)
        assert str(caught.value).startswith(expectation)


def test_files_beyond_any_real_corpus(tmp_path, monkeypatch):
    monkeypatch.setitem(read_text.__globals__, "MAX_BYTES", 3)
    (tmp_path / "a.txt").write_text("four")
    with pytest.raises(CorpusError, match=r"a\.txt: expected at most 3 bytes; divide the file"):
        read_text(tmp_path / "a.txt")


@pytest.mark.parametrize(
    "line", ["", " \t", "\u200b", "\ufeff", "\u00a0\u2060", "\u00ad\u200e\u3164", "\ufe0f"]
)
def test_lines_that_show_nothing(line):
    assert blank(line)
    assert not blank(f"{line}.{line}") and not blank(f"{line}\u0301")


@given(st.text(st.characters() | st.sampled_from("\ud83d\ude00\\u😀"), max_size=8))
def test_half_a_character_is_what_utf_8_cannot_write(text):
    try:
        text.encode()
        whole = True
    except UnicodeEncodeError:
        whole = False
    escaped = json.dumps(text)
    assert (lone_surrogate(escaped) is None) == (json.loads(escaped) == text and whole)
    if whole:
        assert parse_json("x", escaped) == text
    else:
        with pytest.raises(CorpusError, match=r"x:1: expected whole characters"):
            parse_json("x", escaped)
