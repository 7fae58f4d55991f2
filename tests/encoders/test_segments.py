"""What of a record becomes an input, and which wordpieces make up its words."""

import pytest

from helpers import encoders
from helpers.corpora.records import Pair, Passage, Question, Sentence


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (Sentence("s", ("a", "b")), (("a", "b"),)),
        (Pair("p", "a b", "", "x"), ("a b", "")),
        (Question("q", "who ?", "a cat", ()), ("who ?", "a cat")),
        (Passage("p", "a cat"), ("a cat",)),
        (["a", "b"], (("a", "b"),)),
        ("a b", ("a b",)),
    ],
)
def test_segments(record, expected):
    assert encoders.segments_of(record) == expected


def test_what_is_no_record_is_refused():
    with pytest.raises(TypeError, match="expected a corpus record, words or text, got int"):
        encoders.segments_of(7)


def test_records_are_aligned_in_order_whatever_their_kind(tiny, monkeypatch):
    monkeypatch.setattr(encoders.segments, "ALIGNED_AT_ONCE", 2)
    records = [Passage("1", "the cats"), Pair("2", "a dog", "it barked", "x"), ("overfitted", "cats"), "dogs"]
    aligned = list(encoders.align_records(tiny.tokenizer, iter(records)))
    assert [record for record, _ in aligned] == records
    for record, parts in aligned:
        alone = [encoders.align(tiny.tokenizer, [segment])[0] for segment in encoders.segments_of(record)]
        assert parts == alone
    assert encoders.row_counts(tiny, records, pool="mean").tolist() == [2, 4, 2, 1]


def test_each_piece_is_taken_from_the_window_with_most_context():
    # Three windows of 6 of 10 pieces. Nothing is missing beyond the text's ends; the earlier of equals.
    owners = encoders.segments._owners([(0, 6), (3, 9), (4, 10)], 10)
    assert owners.tolist() == [0, 0, 0, 0, 0, 1, 1, 2, 2, 2]
    assert encoders.segments._owners([(0, 4)], 4).tolist() == [0, 0, 0, 0]
