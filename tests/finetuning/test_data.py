"""What the model reads, against the tokenizer's own encoding and rules written out naively."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.corpora.records import Answer, Pair, Question, Sentence
from helpers.finetuning import data
from helpers.profiles import TuningRecipe

RECIPE = TuningRecipe(max_length=64)


def _encode(kind, records, encoder, *, targets=True, **recipe):
    settings = TuningRecipe(**({"max_length": 64} | recipe))
    return data.encode(kind, records, encoder, settings, data.labels(kind, records), targets=targets)


# -- dependency trees --------------------------------------------------------------------------------


def test_sentences_are_encoded_as_the_tokenizer_does(encoder, sentences):
    inputs = _encode("Dep", sentences, encoder)
    for feature, sentence in zip(inputs.features, sentences, strict=True):
        expected = encoder.tokenizer(list(sentence.words), is_split_into_words=True)
        assert feature["ids"].tolist() == expected["input_ids"]
        words = [-1 if w is None else w + 1 for w in expected.word_ids()]
        words[0] = 0  # [CLS] is the root
        assert feature["word_of"].tolist() == words
        assert feature["heads"].tolist() == list(sentence.heads)
    relations = data.labels("Dep", sentences)
    assert relations == tuple(sorted(relations)) and "nsubj:outer" in relations
    assert [relations[x] for x in inputs[0]["relations"]] == list(sentences[0].deprels)


def _long_sentence(words) -> Sentence:
    n = len(words)
    relations = ("root", *["dep"] * (n - 1))
    return Sentence("long", words, upos=("X",) * n, heads=tuple(range(n)), deprels=relations)


def test_long_sentences_are_skipped_in_training_and_cut_between_words_in_evaluation(encoder):
    pieces = encoder.tokenizer.tokenize("catsee")
    assert len(pieces) > 1, "the test needs a word of several pieces"
    words = ("cats", "catsee", "dogs")
    limit = 3 + len(pieces) - 1  # [CLS], cats, all of the long word's pieces but the last, [SEP]
    for max_length, kept in ((limit, 1), (limit + 1, 2), (limit + 2, 3)):
        inputs = _encode("Dep", [_long_sentence(words)], encoder, targets=False, max_length=max_length)
        assert inputs[0]["words"].sum() == kept
        assert set(inputs[0]["word_of"]) == {-1, *range(kept + 1)}
        assert len(inputs[0]["ids"]) <= max_length
        assert inputs.counts == {"sentences": 1, "cut": int(kept < 3)}
    records = [_long_sentence(("cats", "see")), _long_sentence(words)]
    inputs = _encode("Dep", records, encoder, max_length=limit + 1)
    assert inputs.record == [0] and inputs.counts == {"sentences": 2, "skipped_long": 1}


def test_a_word_that_the_tokenizer_drops_keeps_its_place(encoder):
    record = _long_sentence(("cats", "\u200b", "see", "dogs"))
    inputs = _encode("Dep", [record], encoder)
    assert inputs[0]["word_of"].tolist() == [0, 1, 2, 3, 4, -1]
    assert inputs[0]["ids"][2] == encoder.tokenizer.unk_token_id


# -- pairs -------------------------------------------------------------------------------------------


def test_pairs_are_encoded_as_the_tokenizer_does(encoder, pairs):
    inputs = _encode("NLI", pairs, encoder)
    batch = data.collate(inputs.features, encoder.tokenizer.pad_token_id)
    expected = encoder.tokenizer(
        [p.premise for p in pairs], [p.hypothesis for p in pairs], padding=True, return_tensors="pt"
    )
    for name in ("input_ids", "attention_mask", "token_type_ids"):
        assert torch.equal(batch[name], expected[name]), name
    labels = data.labels("NLI", pairs)
    assert labels == ("contradiction", "entailment", "neutral")
    assert [labels[x] for x in batch["labels"]] == [p.label for p in pairs]
    assert inputs.counts == {"pairs": 24, "cut": 0, "wordpieces_cut": 0}


@pytest.mark.parametrize(
    ("n_a", "n_b", "room", "left"),
    [
        (5, 3, 8, (5, 3)),
        (9, 3, 8, (5, 3)),
        (3, 9, 8, (3, 5)),
        (9, 9, 8, (4, 4)),
        (9, 9, 7, (4, 3)),
        (1, 9, 4, (1, 3)),
    ],
)
def test_the_longer_segment_is_shortened(n_a, n_b, room, left):
    assert data.shorten(n_a, n_b, room) == left


def test_what_pairs_lose_is_counted(encoder):
    pair = Pair("long", " ".join(["cats"] * 30), " ".join(["dogs"] * 10), "x")
    inputs = _encode("NLI", [pair], encoder, max_length=25)
    assert len(inputs[0]["ids"]) == 25
    words = encoder.tokenizer.convert_ids_to_tokens(inputs[0]["ids"].tolist())
    assert Counter(words)["cats"] == 12 and Counter(words)["dogs"] == 10
    assert inputs.counts == {"pairs": 1, "cut": 1, "wordpieces_cut": 18}


def test_unknown_label_is_an_error(encoder, pairs):
    with pytest.raises(ValueError, match="'p0' has label 'neutral', unknown in training: yes"):
        data.encode("NLI", pairs, encoder, RECIPE, ("yes",), targets=True)


# -- questions ---------------------------------------------------------------------------------------


def test_questions_point_at_their_answers(encoder, questions):
    inputs = _encode("QA", questions, encoder)
    plain = _encode("QA", questions, encoder, targets=False)
    assert inputs.counts["windows"] == inputs.counts["questions"] == 24
    for i, question in enumerate(questions):
        expected = encoder.tokenizer(question.question, question.context)
        assert inputs[i]["ids"].tolist() == expected["input_ids"]
        window = plain.windows[i]
        start = window.spans[inputs[i]["starts"] - window.first, 0]
        end = window.spans[inputs[i]["ends"] - window.first, 1]
        assert question.context[start:end] == question.answers[0].text


def test_long_contexts_are_windowed(encoder):
    words = [f"{'cats' if i % 2 else 'dogs'}" for i in range(40)]
    words[30] = "wolves"
    context = " ".join(words)
    question = Question("q", "who ?", context, (Answer("wolves", context.index("wolves")),))
    options = {"max_length": 25, "doc_stride": 8}  # 20 pieces of context fit: 25 - 3 special - 2
    inputs = _encode("QA", [question], encoder, **options)
    plain = _encode("QA", [question], encoder, targets=False, **options)
    begins = [round(w.spans[0, 0] / 5) for w in plain.windows]
    assert begins == [0, 8, 16, 24] and inputs.counts["questions_windowed"] == 1
    assert all(len(f["ids"]) <= 25 for f in inputs.features)
    targets = [(f["starts"], f["ends"]) for f in inputs.features]
    first = plain.windows[0].first
    assert first == 4  # [CLS] who ? [SEP]
    assert targets == [(0, 0), (0, 0), (first + 14,) * 2, (first + 6,) * 2]
    best = [(w.spans[w.best, 0] / 5).round().astype(int) for w in plain.windows]
    assert sorted(np.concatenate(best).tolist()) == list(range(40)), "each piece has one best window"


def test_windows_by_hand():
    assert data.windows(10, 20, 8) == [(0, 10)]
    assert data.windows(20, 20, 8) == [(0, 20)]
    assert data.windows(21, 20, 8) == [(0, 20), (8, 21)]
    assert data.windows(9, 3, 128) == [(0, 3), (3, 6), (6, 9)]  # never further than what fits
    assert data.windows(0, 3, 2) == [(0, 0)]


@given(st.integers(1, 200), st.integers(1, 60), st.integers(1, 80))
def test_windows_cover_and_owners_follow_run_squad(n, capacity, stride):
    spans = data.windows(n, capacity, stride)
    assert set().union(*(range(a, b) for a, b in spans)) == set(range(n))
    assert all(b - a <= capacity for a, b in spans)
    owner = data.owners(spans, n)
    for piece in range(n):
        scores = {}
        for number, (begin, end) in enumerate(spans):
            if begin <= piece < end:
                scores[number] = min(piece - begin, end - 1 - piece) + 0.01 * (end - begin)
        assert owner[piece] == max(scores, key=lambda k: (scores[k], -k))


def test_answer_in_no_window_is_counted(encoder):
    context = " ".join(["cats"] * 40)
    question = Question("q", "who ?", context, (Answer(" ".join(["cats"] * 30), 0),))
    inputs = _encode("QA", [question], encoder, max_length=25, doc_stride=8)
    assert inputs.counts["answers_in_no_window"] == 1
    assert all(f["starts"] == f["ends"] == 0 for f in inputs.features)


# -- checks ------------------------------------------------------------------------------------------


def test_records_that_do_not_fit(sentences, pairs):
    with pytest.raises(ValueError, match="Dep needs Sentence records, got Pair"):
        data.check("Dep", pairs)
    with pytest.raises(ValueError, match="no records for NLI"):
        data.check("NLI", [])
    with pytest.raises(ValueError, match="'s' has no dependency tree"):
        data.check("Dep", [Sentence("s", ("Hi",))])
    with pytest.raises(ValueError, match="'q' has no answers"):
        data.check("QA", [Question("q", "?", "x", ())])
    with pytest.raises(ValueError, match="'NER'; valid: Dep, NLI, QA"):
        data.check("NER", sentences)


def test_lengths_that_do_not_fit(encoder, pairs, questions):
    with pytest.raises(ValueError, match="max_length 65 is more than .*'s 64 positions"):
        _encode("NLI", pairs, encoder, max_length=65)
    with pytest.raises(ValueError, match="no room for text"):
        _encode("NLI", pairs, encoder, max_length=4)
    with pytest.raises(ValueError, match="'q0'.*no room for its context"):
        _encode("QA", questions, encoder, max_length=6)


# -- batches -----------------------------------------------------------------------------------------


def test_collate_pads_each_input_with_what_does_not_count(encoder, sentences):
    records = [sentences[0], _long_sentence(("cats",) * 9)]
    batch = data.collate(_encode("Dep", records, encoder).features, 7)
    assert batch["input_ids"].shape == (2, 11) and (batch["input_ids"][0, 7:] == 7).all()
    assert batch["attention_mask"].sum(1).tolist() == [7, 11]
    assert (batch["word_of"][0, 7:] == -1).all()
    assert batch["words"].dtype == torch.bool and batch["words"].sum(1).tolist() == [5, 9]
    assert (batch["heads"][0, 5:] == -100).all() and (batch["relations"][0, 5:] == -100).all()


def test_length_grouping():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 100, 1003)
    sampler = data.LengthGrouped(lengths, 8, seed=0)

    def drawn(epoch, seed=0):
        other = data.LengthGrouped(lengths, 8, seed)
        other.epoch = epoch
        return list(other)

    order = list(sampler)
    assert sorted(order) == list(range(1003)) == sorted(drawn(1))
    assert order == drawn(0) and order != drawn(1) and order != drawn(0, seed=1)
    batches = [lengths[order[i : i + 8]] for i in range(0, 1003, 8)]
    waste = 1 - lengths.sum() / sum(len(b) * b.max() for b in batches)
    assert waste < 0.05
    longest = [b.max() for b in batches]
    assert longest != sorted(longest) and longest != sorted(longest, reverse=True)
