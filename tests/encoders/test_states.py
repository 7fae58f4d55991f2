"""Hidden states against plain Hugging Face calls, one input at a time."""

import numpy as np
import pytest
import torch

from helpers import encoders, store
from helpers.corpora.records import Pair, Passage, Question

WORDS = ("The", "unbelievably", "overfitted", "transformer", "sat", ".")


def reference(encoder, *inputs, **options):
    """hidden_states of one input by the library alone, (n_layers, length, d), and its encoding."""
    encoded = encoder.tokenizer(*inputs, return_tensors="pt", **options)
    with torch.no_grad():
        states = encoder.model(**encoded, output_hidden_states=True).hidden_states
    return torch.stack(states)[:, 0].numpy(), encoded


def test_words_are_means_of_their_pieces(tiny):
    states, encoded = reference(tiny, list(WORDS), is_split_into_words=True)
    ids = encoded.word_ids(0)
    [ours] = encoders.hidden_states(tiny, [WORDS])
    assert ours.shape == (len(WORDS), 5, 32)
    assert len(ids) > len(WORDS) + 2  # some word has several pieces, or the test shows nothing
    for word in range(len(WORDS)):
        expected = states[:, [i for i, w in enumerate(ids) if w == word]].mean(axis=1)
        np.testing.assert_allclose(ours[word], expected, atol=2e-3)


def test_pairs_are_read_with_segments_and_separator(tiny):
    pair = Pair("p", "The cat sat.", "A dog barked loudly.", "neutral")
    states, encoded = reference(tiny, pair.premise, pair.hypothesis)
    plain = [i for i, w in enumerate(encoded.word_ids(0)) if w is not None]
    [ours] = encoders.hidden_states(tiny, [pair], pool="pieces")
    np.testing.assert_allclose(ours, states[:, plain].transpose(1, 0, 2), atol=2e-3)


def test_batching_and_order_do_not_matter(tiny):
    records = [Passage(str(n), "word " * n + "end") for n in (40, 3, 17, 1, 90, 5)]
    together = list(encoders.hidden_states(tiny, records))
    alone = [next(encoders.hidden_states(tiny, [r])) for r in records]
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-3)


def test_layers_are_numbered_as_in_the_paper(tiny):
    [everything] = encoders.hidden_states(tiny, [WORDS])
    [some] = encoders.hidden_states(tiny, [WORDS], layers=[3, -1])
    np.testing.assert_array_equal(some, everything[:, [4, 0]])
    with pytest.raises(ValueError, match="unknown layer 4; valid: -1 to 3"):
        next(encoders.hidden_states(tiny, [WORDS], layers=[4]))


def test_long_input_is_windowed_with_most_context(tiny):
    rng = np.random.default_rng(0)
    words = tuple(rng.choice(["cat", "dog", "sun", "sea", "the"], 1300))
    [ours] = encoders.hidden_states(tiny, [words])
    assert ours.shape[0] == 1300 and np.isfinite(ours).all()
    # 510 pieces fit; windows begin every 255. Word 400 lies 400 into the first window and 145 into the
    # second: poorer sides 109 and 145, so it is the second window's.
    for word, begin in ((0, 0), (100, 0), (400, 255), (1299, 790)):
        states, _ = reference(tiny, list(words[begin : begin + 510]), is_split_into_words=True)
        np.testing.assert_allclose(ours[word], states[:, 1 + word - begin], atol=2e-3)


def test_word_cut_by_a_window_edge_is_still_a_mean(tiny):
    word = "overfittednessish"
    n = len(tiny.tokenizer.tokenize(word))
    assert n > 2
    words = ("a",) * 508 + (word,) + ("a",) * 300
    [ours] = encoders.hidden_states(tiny, [words])
    [pieces] = encoders.hidden_states(tiny, [words], pool="pieces")
    np.testing.assert_allclose(ours[508], pieces[508 : 508 + n].astype(np.float32).mean(axis=0), atol=2e-3)


def test_long_context_is_windowed_beside_its_question(tiny):
    question = Question("q", "who sat ?", "the cat sat . " * 300, ())
    [ours] = encoders.hidden_states(tiny, [question])
    assert len(ours) == 3 + 1200
    with pytest.raises(ValueError, match="'q': its first segment has 600 wordpieces"):
        next(encoders.hidden_states(tiny, [Question("q", "who " * 600, "the cat " * 300, ())]))


def test_a_word_the_tokenizer_drops_is_unknown_not_lost(tiny):
    [ours] = encoders.hidden_states(tiny, [("the", "\u200b\x00", "cat")])
    [unknown] = encoders.hidden_states(tiny, [("the", "[UNK]", "cat")])
    np.testing.assert_array_equal(ours, unknown)


def test_extract_streams_all_layers_to_disk(tiny, tmp_path, monkeypatch):
    records = [Passage(str(n), "the cat sat on mats " * (1 + n % 7)) for n in range(60)]
    expected = list(encoders.hidden_states(tiny, records, pool="pieces"))
    monkeypatch.setattr(encoders.states, "CHUNK_BYTES", 2 * 512 * 5 * 32)  # several chunks
    cache = store.Store(tmp_path)
    got = encoders.extract(tiny, records, cache)
    assert got.layers == (-1, 0, 1, 2, 3)
    flat = np.concatenate(expected)
    for i, layer in enumerate(got.layers):
        np.testing.assert_allclose(got.layer(layer), flat[:, i], atol=2e-3)
    np.testing.assert_array_equal(got.record, np.repeat(np.arange(60), [len(e) for e in expected]))
    counts = encoders.row_counts(tiny, records)
    np.testing.assert_array_equal(counts, [len(e) for e in expected])
    rows = np.array([0, 5, 77, 600, 700])
    some = encoders.extract(tiny, records, cache, rows=rows)
    np.testing.assert_array_equal(some.layer(2), got.layer(2)[rows])
    np.testing.assert_array_equal(some.record, got.record[rows])
    with pytest.raises(ValueError, match="unknown layer 4; stored: -1 to 3"):
        got.layer(4)
    with pytest.raises(ValueError, match="row 999999 asked for"):
        encoders.extract(tiny, records, cache, rows=[999999])


def test_truncated_activations_are_refused_by_name(tiny, tmp_path):
    got = encoders.extract(tiny, [WORDS], store.Store(tmp_path))
    path = got.folder / "layer_02.f16"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(store.DamagedArtifact, match=r"layer_02\.f16: \d+ bytes, \d+ expected"):
        encoders.extract(tiny, [WORDS], store.Store(tmp_path))


def test_bf16_states_are_near_fp32(tiny):
    half = encoders.load("tiny", device="cpu", precision="bf16")
    [a] = encoders.hidden_states(tiny, [WORDS])
    [b] = encoders.hidden_states(half, [WORDS])
    np.testing.assert_allclose(a, b, atol=0.1)
