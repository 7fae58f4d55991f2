"""Texts that are equal in all but one respect: what is held equal is equal."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from helpers import corpora, encoders
from helpers.analyses import texts
from helpers.corpora.records import Pair, Passage, Question, Sentence


@pytest.fixture(scope="module")
def tiny():
    return encoders.load("tiny", device="cpu")


def test_equal_types_draws_the_same_types_equally_often():
    rng = np.random.default_rng(0)
    a, b = rng.zipf(1.5, 3000) % 500, rng.zipf(1.8, 2000) % 700
    for n in (100, 10**6):
        rows_a, rows_b = texts.equal_types(a, b, n, rng)
        np.testing.assert_array_equal(np.sort(a[rows_a]), np.sort(b[rows_b]))
        assert (np.diff(rows_a) > 0).all() and (np.diff(rows_b) > 0).all()
    shared = sum(min(np.sum(a == t), np.sum(b == t)) for t in range(700))
    assert len(rows_a) == shared
    drawn = [texts.equal_types(np.zeros(10, int), np.zeros(40, int), 5, rng)[1] for _ in range(400)]
    assert np.abs(np.bincount(np.concatenate(drawn), minlength=40) - 50).max() < 30  # any row as often
    with pytest.raises(ValueError, match="share 1 wordpieces"):
        texts.equal_types(np.array([1, 2, 3]), np.array([3, 4, 5]), 5, rng)


def test_one_record_of_each_premise_or_context():
    rng = np.random.default_rng(0)
    pairs = [Pair(str(i), f"premise {i // 3}", str(i), "x") for i in range(30)]
    found = texts.one_per_source(pairs, 8, rng)
    assert len(found) == len({p.premise for p in found}) == 8
    assert [int(p.id) for p in found] == sorted(int(p.id) for p in found)
    questions = [Question(str(i), f"q{i}", f"context {i % 4}", ()) for i in range(9)]
    assert len(texts.one_per_source(questions, 8, rng)) == 4
    sentences = [Sentence(str(i), ("same", "words")) for i in range(9)]
    assert len(texts.one_per_source(sentences, 8, rng)) == 8


def test_matched_records_have_the_lengths_and_use_no_sentence_twice(tiny, real_data):
    sentences = corpora.load("ud-ewt", "dev", path=real_data("ud-english-ewt"))
    passages = [Passage(s.id, " ".join(s.words), s.document) for s in sentences]
    rng = np.random.default_rng(0)
    wanted = [
        (int(a), int(b)) for a, b in zip(rng.integers(4, 15, 60), rng.integers(10, 90, 60), strict=True)
    ]
    records = texts.matched_records(wanted, passages, tiny, np.random.default_rng(1))
    found = [record for record in records if record is not None]
    assert len(found) >= 55 and all(isinstance(record, Pair) for record in found)
    lengths = texts.segment_lengths(tiny, found)
    off = np.array([w for w, r in zip(wanted, records, strict=True) if r is not None]) - np.array(lengths)
    assert (off >= 0).all() and off.mean() < 0.2  # cut after the last whole word within the length
    documents = {}
    for passage in passages:
        documents[passage.document] = f"{documents.get(passage.document, '')} {passage.text}"
    for record in found:
        for segment in (record.premise, record.hypothesis):
            assert any(f" {segment}" in document for document in documents.values())  # running text
    # Every sentence is long enough to tell where it is from; none may begin two segments or be in two.
    pieces = [segment for record in found for segment in (record.premise, record.hypothesis)]
    long = [p.text for p in passages if len(p.text.split()) > 8]
    assert all(sum(sentence in piece for piece in pieces) <= 1 for sentence in set(long))
    again = texts.matched_records(wanted, passages, tiny, np.random.default_rng(1))
    assert again == records
    single = texts.matched_records([(12,)], passages, tiny, np.random.default_rng(1))
    assert isinstance(single[0], Passage)
    assert texts.matched_records([(10**6,)], passages, tiny, np.random.default_rng(1)) == [None]


def test_divergence_is_that_of_jensen_and_shannon():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 20, 500), rng.integers(5, 40, 300)
    p, q = (np.bincount(x, minlength=40) / len(x) for x in (a, b))
    assert texts.divergence(a, b) == pytest.approx(jensenshannon(p, q, base=2) ** 2)
    assert texts.divergence(a, a) == 0
    assert texts.divergence(np.array([1, 2]), np.array([3, 4, 4])) == pytest.approx(1)
