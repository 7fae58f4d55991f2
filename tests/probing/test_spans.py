"""Spans of words become exactly the wordpieces of those words, whatever else is read beside them."""

import numpy as np
import pytest
import torch

from helpers import encoders
from helpers.corpora.records import LabelledSpans, Target
from helpers.probing import spans
from helpers.store import Store


def record(id, words, *targets):
    return LabelledSpans(id, tuple(words.split()), tuple(Target(*t) for t in targets))


SENTENCES = [
    record("a", "cats unbelievably chase dogs", ((1, 2), (3, 4), ("x",)), ((1, 3), (3, 4), ("y", "x"))),
    record("b", "the Worcestershire river", ((0, 1), (0, 1), ())),
    record("c", "cats unbelievably chase dogs", ((0, 1), (2, 3), ("z",))),  # the words of a again
]


def test_only_covered_wordpieces_of_distinct_sentences_are_kept(tiny):
    reading = spans.read(tiny.tokenizer, [SENTENCES])
    assert reading.sentences == [SENTENCES[0].words, SENTENCES[1].words]
    pieces = [encoders.align(tiny.tokenizer, [words])[0][1] for words in reading.sentences]
    assert len(pieces[0]) > 4 and len(pieces[1]) > 3  # some words have several
    # All of a's words are in some span, of b's only the first.
    np.testing.assert_array_equal(reading.rows, range(len(pieces[0]) + 1))
    np.testing.assert_array_equal(reading.sentence, [0] * len(pieces[0]) + [1])


def test_spans_are_the_wordpieces_of_their_words(tiny, make_records, tmp_path):
    records = [*SENTENCES, *make_records(30, 0, pairs=True)]
    other = make_records(20, 1)  # another task on other sentences, read at the same time
    reading = spans.read(tiny.tokenizer, [other, records])
    states = reading.extract(tiny, Store(tmp_path))
    data = spans.encode(records, reading, ("A", "B", "C", "D", "x", "y", "z"))
    assert len(data) == len(records)
    aligned = encoders.align(tiny.tokenizer, reading.sentences)
    word_of = np.concatenate([of for _, of in aligned])[reading.rows]
    for i, own in enumerate(records):
        batch = spans.batch(data, np.array([i]), 7, torch.device("cpu"))
        assert all(reading.sentences[r] == own.words for r in states.record[batch.rows[0]])
        for slot, ends in enumerate(("span1", "span2")):
            inside = batch.inside[slot][0][batch.chosen[slot]]
            for target, mask in zip(own.targets, inside, strict=True):
                first, end = getattr(target, ends)
                words = word_of[batch.rows[0][mask.numpy()]]
                assert sorted(set(words)) == list(range(first, end))
                # No wordpiece of these words is missing: as many as the tokenizer makes of them.
                of = encoders.align(tiny.tokenizer, [own.words])[0][1]
                assert len(words) == sum(first <= w < end for w in of)


def test_a_padded_batch_says_the_same_as_its_sentences_alone(tiny, make_records, make_states):
    records = make_records(12, 2, pairs=True)
    reading = spans.read(tiny.tokenizer, [records])
    rng = np.random.default_rng(0)
    states = make_states({0: rng.standard_normal((len(reading.rows), 5))})
    data = spans.encode(records, reading, ("A", "B", "C", "D"))
    like = torch.empty(0)

    def means(batch):  # of the rows of each target's spans
        x = spans.gather(states, [0], batch.rows, like)[0]
        found = []
        for inside, chosen in zip(batch.inside, batch.chosen, strict=True):
            weight = inside / inside.sum(-1, keepdim=True)
            found.append((weight @ x).flatten(0, 1)[chosen])
        return torch.cat(found, 1)

    chosen = np.array([7, 2, 9, 0])
    together = spans.batch(data, chosen, 4, torch.device("cpu"))
    alone = [spans.batch(data, np.array([i]), 4, torch.device("cpu")) for i in chosen]
    torch.testing.assert_close(means(together), torch.cat([means(b) for b in alone]))
    torch.testing.assert_close(together.gold, torch.cat([b.gold for b in alone]))
    assert (
        together.sentence.tolist() == np.repeat(range(4), [len(records[i].targets) for i in chosen]).tolist()
    )
    assert [t.labels[0] for i in chosen for t in records[i].targets] == [
        "ABCD"[i] for i in together.gold.argmax(1).tolist()
    ]


def test_labels_that_training_lacks_are_counted(tiny):
    reading = spans.read(tiny.tokenizer, [SENTENCES])
    data = spans.encode(SENTENCES, reading, ("x",), is_clean=lambda label: label == "z")
    np.testing.assert_array_equal(data.unknown, [0, 1, 0, 1])
    np.testing.assert_array_equal(data.unknown_clean, [0, 0, 0, 1])
    np.testing.assert_array_equal(np.diff(data.label), [1, 1, 0, 0])


def test_the_rows_that_a_task_reads_are_its_own(tiny):
    everything = record("all", "cats unbelievably chase dogs", ((0, 4), None, ("x",)))
    one = record("one", "cats unbelievably chase dogs", ((2, 3), None, ("x",)))
    reading = spans.read(tiny.tokenizer, [[everything], [one]])
    assert len(spans.encode([one], reading, ("x",)).rows) == 1
    assert len(spans.encode([everything], reading, ("x",)).rows) == len(reading.rows)


@pytest.mark.parametrize("span", [(2, 2), (3, 5), (-1, 1)])
def test_a_span_outside_its_sentence_is_refused(tiny, span):
    bad = record("s7", "cats chase the dogs", (span, None, ("x",)))
    with pytest.raises(ValueError, match=r"record 's7': span .* in a sentence of 4 words; valid: 0 <= first"):
        spans.read(tiny.tokenizer, [[bad]])


def test_targets_with_one_span_and_with_two_do_not_mix(tiny):
    mixed = [record("s1", "a b c", ((0, 1), (1, 2), ("x",))), record("s2", "a b c", ((0, 1), None, ("x",)))]
    reading = spans.read(tiny.tokenizer, [mixed])
    with pytest.raises(ValueError, match="record 's2': the task's targets have two spans, this one has one"):
        spans.encode(mixed, reading, ("x",))
    with pytest.raises(ValueError, match="no record has a target"):
        spans.read(tiny.tokenizer, [[record("s", "a b")]])
