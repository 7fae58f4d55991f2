"""What the batches hold."""

import dataclasses
import random

import numpy as np
import pytest
import torch

from helpers.pretraining import text
from helpers.pretraining.batches import IGNORED, Batches


@pytest.fixture(scope="module")
def make(prepared, tiny):
    """Batches of 16 inputs of 32 wordpieces, with other settings replaced."""
    tokenizer, corpus, _ = prepared

    def made(whole_words: bool = True, **settings) -> Batches:
        recipe = dataclasses.replace(tiny, batch_tokens=512, tokens=10**7, **settings)
        return Batches(corpus, tokenizer, recipe, whole_words=whole_words)

    return made


@pytest.fixture(scope="module")
def single(make):
    return make(long_share=0.0, next_sentence=0.0)


@pytest.fixture(scope="module")
def pairs(make):
    return make(long_share=0.0, next_sentence=1.0)


def restored(batch) -> torch.Tensor:
    """The inputs with the masked pieces put back, (sequences, length)."""
    ids = batch["input_ids"].clone()
    rows, columns = torch.nonzero(batch["labels"] != IGNORED, as_tuple=True)
    ids[rows, batch["masked"][rows, columns]] = batch["labels"][rows, columns]
    return ids


def rows_of(batches, batch):
    """(A, B, is_random) of each row, with the masked pieces put back."""
    for row, types, attended, random_ in zip(
        restored(batch).numpy(),
        batch["token_type_ids"].numpy(),
        batch["attention_mask"].numpy(),
        batch["is_random"].tolist(),
        strict=True,
    ):
        n = attended.sum()
        n_a = n - types.sum()
        assert attended[:n].all() and types[n_a:n].all() and not types[:n_a].any()
        assert row[0] == batches.cls and row[n_a - 1] == row[n - 1] == batches.sep
        assert (row[n:] == batches.pad).all()
        yield row[1 : n_a - 1], row[n_a : n - 1], random_


def test_single_segments_are_stretches_of_documents(single):
    everything = single.corpus.tokens.tobytes()
    for step in range(5):
        batch = single[step]
        assert "is_random" not in batch and not batch["token_type_ids"].any()
        for row, attended in zip(restored(batch).numpy(), batch["attention_mask"].numpy(), strict=True):
            n = attended.sum()
            assert row[0] == single.cls and row[n - 1] == single.sep and (row[n:] == single.pad).all()
            assert row[1 : n - 1].astype(np.uint16).tobytes() in everything


def test_long_inputs_and_pairs_come_at_the_end(make, tiny):
    batches = make(long_share=0.2, next_sentence=0.3)
    steps = batches.recipe.steps
    shapes = {step: tuple(batches[step]["input_ids"].shape) for step in (0, steps // 2, steps - 1)}
    assert list(shapes.values()) == [(16, 32), (16, 32), (8, 64)]
    first_pair = steps - round(0.3 * steps)
    assert "is_random" in batches[first_pair] and "is_random" not in batches[first_pair - 1]


def test_pairs_follow_or_come_from_another_document(pairs):
    corpus = pairs.corpus
    everything = corpus.tokens.tobytes()
    document = np.repeat(np.arange(corpus.n_documents), np.diff(corpus.starts))
    drawn = [row for step in range(40) for row in rows_of(pairs, pairs[step])]
    assert len(drawn) == 40 * 16
    kinds = [random_ for *_, random_ in drawn]
    assert 0.4 < np.mean(kinds) < 0.6
    others = []
    for a, b, random_ in drawn:
        both = np.concatenate([a, b]).astype(np.uint16).tobytes()
        assert (both in everything) == (not random_)
        places = [everything.find(x.astype(np.uint16).tobytes()) // 2 for x in (a, b)]
        assert min(places) >= 0
        if random_:
            assert document[places[0]] != document[places[1]]
            assert places[1] in corpus.units
            others.append(document[places[1]])
    assert len(set(others)) > 30


def test_replacements_are_drawn_by_length_not_by_document(prepared, tiny, make_sentences, tmp_path):
    """A document nine times as long as the others together supplies most replacements for theirs."""
    tokenizer = prepared[0]
    rng = random.Random(1)
    long, short = make_sentences(rng, "ba", 900), [make_sentences(rng, "ce", 10) for _ in range(10)]
    (tmp_path / "text.txt").write_text("\n\n".join([long, *short]))
    text.encode([tmp_path / "text.txt"], tokenizer, tmp_path)
    corpus = text.EncodedCorpus(tmp_path)
    batches = Batches(corpus, tokenizer, tiny)
    rng, from_long = np.random.default_rng(0), []
    for start in corpus.units[corpus.units >= corpus.starts[1]][:40]:
        for _ in range(20):
            _, b, random_ = batches._pair(rng, start, start + 20)
            if random_:
                place = corpus.tokens.tobytes().find(b.tobytes()) // 2
                from_long.append(place < corpus.starts[1])
    assert np.mean(from_long) > 0.8  # 1 in 11 if documents were drawn


@pytest.mark.parametrize("whole_words", [True, False])
def test_masking_shares(make, whole_words):
    batches = make(whole_words, long_share=0.0, next_sentence=0.0, masked=0.15)
    how, labels, rates, replaced = [], [], [], []
    for step in range(150):
        batch = batches[step]
        chosen = batch["labels"] != IGNORED
        now = batch["input_ids"].gather(1, batch["masked"])[chosen]
        gold = batch["labels"][chosen]
        how.append(np.where(now == batches.mask, 0, np.where(now == gold, 1, 2)))
        replaced.append(now[how[-1] == 2])
        labels.append(gold)
        plain = batch["attention_mask"].sum() - 2 * len(batch["input_ids"])
        rates.append(len(gold) / int(plain))
    how, labels, replaced = np.concatenate(how), torch.cat(labels), torch.cat(replaced)
    shares = np.bincount(how) / len(how)
    assert len(how) > 9000
    # A random piece is the right one by chance now and then, so a little of the last share shows as kept.
    np.testing.assert_allclose(shares, [0.8, 0.1, 0.1], atol=0.015)
    special = torch.tensor([batches.cls, batches.sep, batches.pad, batches.mask])
    assert not torch.isin(labels, special).any() and not torch.isin(replaced, special).any()
    assert abs(np.mean(rates) - 0.15) < 0.02


def test_whole_words_are_masked(make, prepared):
    """All pieces of a word or none, but for one word of each sequence, where the share is used up."""
    tokenizer = prepared[0]

    def split_words(batches) -> list[int]:
        """Of each sequence, how many words of several pieces are masked in part."""
        found = []
        for step in range(20):
            batch = batches[step]
            for row, masked, labels in zip(
                *(batch[k] for k in ("input_ids", "masked", "labels")), strict=True
            ):
                ids = restored({"input_ids": row[None], "masked": masked[None], "labels": labels[None]})[0]
                pieces = tokenizer.convert_ids_to_tokens(ids.tolist())
                chosen = set(masked[labels != IGNORED].tolist())
                words: list[list[int]] = []
                for place, piece in enumerate(pieces):
                    if piece.startswith("##") and words:
                        words[-1].append(place)
                    else:
                        words.append([place])
                parts = [len(chosen & set(word)) for word in words]
                found.append(sum(0 < n < len(word) for n, word in zip(parts, words, strict=True)))
        return found

    settings = dict(long_share=0.0, next_sentence=0.0, masked=0.3)
    assert max(split_words(make(True, **settings))) == 1
    assert max(split_words(make(False, **settings))) > 2


def test_short_rows_are_masked_at_the_same_rate(make):
    batches = make(masked=0.15)
    ids = np.full((2, 103), batches.pad)
    ids[0, :103], ids[1, :23] = 50, 50
    ids[:, 0] = batches.cls
    ids[0, [50, 102]] = ids[1, [10, 22]] = batches.sep
    before = ids.copy()
    positions, labels = batches._mask(np.random.default_rng(0), ids)
    assert (labels != IGNORED).sum(1).tolist() == [15, 3] and positions.shape == labels.shape == (2, 15)
    chosen = labels != IGNORED
    assert (labels[chosen] == 50).all() and (np.take_along_axis(before, positions, 1)[chosen] == 50).all()
    untouched = np.ones_like(ids, bool)
    np.put_along_axis(untouched, positions, ~chosen, 1)
    assert (ids[untouched] == before[untouched]).all()


def test_a_batch_depends_on_its_number_alone(make):
    batches, other = make(), make()
    for step in (7, 300, batches.recipe.steps - 1, 3):
        ours, theirs = batches[step], other[step]
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert not torch.equal(batches[3]["input_ids"], batches[4]["input_ids"])


def test_an_epoch_shows_every_window_once(prepared, tiny):
    tokenizer, corpus, _ = prepared
    batches = Batches(corpus, tokenizer, tiny)
    n = len(corpus.windows(29))
    for epoch in (0, 1):
        drawn = [tuple(batches._window(29, epoch * n + i)) for i in range(n)]
        shift_free = sorted(map(tuple, corpus.windows(29)))
        assert (sorted(drawn) == shift_free) == (epoch == 0)  # later epochs cut elsewhere
