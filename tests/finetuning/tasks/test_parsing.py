"""Dependency parsing: encoding and head against their formulas written out, trees and scores by hand."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from helpers.corpora.records import Sentence
from helpers.finetuning import prediction
from helpers.finetuning.batches import IGNORED
from helpers.finetuning.tasks import TASKS
from helpers.finetuning.tasks.parsing import ParserHead
from helpers.profiles import Task, TuningRecipe

PARSING = TASKS["Dep"]
WIDTH = 16


# -- encoding --------------------------------------------------------------------------------------


def test_sentences_are_encoded_as_the_tokenizer_does(encode, encoder, sentences):
    inputs = encode("Dep", sentences)
    for feature, sentence in zip(inputs.features, sentences, strict=True):
        expected = encoder.tokenizer(list(sentence.words), is_split_into_words=True)
        assert feature["ids"].tolist() == expected["input_ids"]
        words = [IGNORED if w is None else w + 1 for w in expected.word_ids()]
        words[0] = 0  # [CLS] is the root
        assert feature["word_of"].tolist() == words
        assert feature["heads"].tolist() == list(sentence.heads)
    relations = PARSING.labels(sentences)
    assert relations == tuple(sorted(relations)) and "nsubj:outer" in relations
    assert [relations[x] for x in inputs[0]["relations"]] == list(sentences[0].deprels)


def _long_sentence(words) -> Sentence:
    n = len(words)
    relations = ("root", *["dep"] * (n - 1))
    return Sentence("long", words, upos=("X",) * n, heads=tuple(range(n)), deprels=relations)


def test_long_sentences_are_skipped_in_training_and_cut_between_words_in_evaluation(encode, encoder):
    pieces = encoder.tokenizer.tokenize("catsee")
    assert len(pieces) > 1, "the test needs a word of several pieces"
    words = ("cats", "catsee", "dogs")
    limit = 3 + len(pieces) - 1  # [CLS], cats, all of the long word's pieces but the last, [SEP]
    for max_length, kept in ((limit, 1), (limit + 1, 2), (limit + 2, 3)):
        inputs = encode("Dep", [_long_sentence(words)], targets=False, max_length=max_length)
        assert inputs[0]["words"].sum() == kept
        assert set(inputs[0]["word_of"]) == {IGNORED, *range(kept + 1)}
        assert len(inputs[0]["ids"]) <= max_length
        assert inputs.counts == {"sentences": 1, "cut": int(kept < 3)}
    records = [_long_sentence(("cats", "see")), _long_sentence(words)]
    inputs = encode("Dep", records, max_length=limit + 1)
    assert inputs.record == [0] and inputs.counts == {"sentences": 2, "skipped_long": 1}


def test_a_word_that_the_tokenizer_drops_keeps_its_place(encode, encoder):
    record = _long_sentence(("cats", "\u200b", "see", "dogs"))
    inputs = encode("Dep", [record])
    assert inputs[0]["word_of"].tolist() == [0, 1, 2, 3, 4, IGNORED]
    assert inputs[0]["ids"][2] == encoder.tokenizer.unk_token_id


def test_sentences_without_a_tree_are_refused():
    with pytest.raises(ValueError, match="'s' has no dependency tree"):
        PARSING.check([Sentence("s", ("Hi",))])


# -- head ------------------------------------------------------------------------------------------


@pytest.fixture
def states():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 7, WIDTH, generator=generator)


# [CLS] a a b c [SEP]: three words, the first of two pieces; then [CLS] d e e e [SEP] and padding.
WORD_OF = torch.tensor([[0, 1, 1, 2, 3, -100, -100], [0, 1, 2, 2, -100, -100, -100]])
WORDS = torch.tensor([[True, True, True], [True, True, False]])
HEADS = torch.tensor([[2, 0, 2], [0, 1, IGNORED]])
RELATIONS = torch.tensor([[1, 3, 0], [3, 2, IGNORED]])


@pytest.fixture
def parser(seeded):
    return seeded(lambda: ParserHead(WIDTH, 4, arc=6, relation=5))


def _vectors(states):
    """Root and word vectors, looped over."""
    rows = []
    for row in range(2):
        vectors = [states[row][WORD_OF[row] == w].mean(0) for w in range(int(WORDS[row].sum()) + 1)]
        rows.append(torch.stack(vectors))
    return rows


def _projected(projection, vectors):
    return F.leaky_relu(vectors @ projection.linear.weight.T + projection.linear.bias, 0.1)


def test_arcs_are_biaffine_with_a_bias_on_the_dependents_side(parser, states):
    with torch.no_grad():
        parser.arc.bias.normal_(generator=torch.Generator().manual_seed(3))
        arcs = parser(states, None, mask=None, word_of=WORD_OF, words=WORDS)["arcs"]
        for row, vectors in enumerate(_vectors(states)):
            dependents = _projected(parser.arc_dependent, vectors[1:])
            governors = _projected(parser.arc_governor, vectors)
            # [d; 1] U h with U's last row the bias.
            form = torch.cat([parser.arc.weight.T, parser.arc.bias[None]])
            for i, d in enumerate(dependents):
                for j, h in enumerate(governors):
                    if j == i + 1:
                        assert arcs[row, i, j] == -torch.inf
                    else:
                        expected = torch.cat([d, torch.ones(1)]) @ form @ h
                        assert arcs[row, i, j].item() == pytest.approx(expected.item(), abs=1e-5)
    assert (arcs[1, :, 3] == -torch.inf).all(), "padding cannot be a head"


def test_relations_are_biaffine_with_biases_on_both_sides_at_the_given_heads(parser, states):
    with torch.no_grad():
        parser.relation.bias.normal_(generator=torch.Generator().manual_seed(3))
        found = parser(states, None, mask=None, word_of=WORD_OF, words=WORDS)
        scores = parser.relation_scores(found["dependents"], found["governors"], HEADS.clamp(min=0))
        assert scores.shape == (2, 3, 4)
        # (relation, governor's side with its 1, dependent's side)
        weight = parser.relation.weight.unflatten(0, (4, 6))
        bias = parser.relation.bias.unflatten(0, (4, 6))
        for row, vectors in enumerate(_vectors(states)):
            for i in range(len(vectors) - 1):
                d = _projected(parser.relation_dependent, vectors[i + 1])
                h = _projected(parser.relation_governor, vectors[HEADS[row, i]])
                h1, d1 = torch.cat([h, torch.ones(1)]), torch.cat([d, torch.ones(1)])
                for relation in range(4):
                    form = torch.cat([weight[relation].T, bias[relation][None]])
                    expected = d1 @ form @ h1
                    assert scores[row, i, relation].item() == pytest.approx(expected.item(), abs=1e-5)


def test_parser_loss_adds_heads_and_relations_at_gold_heads(parser, states):
    found = parser(states, None, mask=None, word_of=WORD_OF, words=WORDS, heads=HEADS, relations=RELATIONS)
    relations = parser.relation_scores(found["dependents"], found["governors"], HEADS.clamp(min=0))
    heads_loss = relations_loss = 0.0
    words = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    for row, i in words:
        heads_loss -= found["arcs"][row, i].log_softmax(-1)[HEADS[row, i]].item() / len(words)
        relations_loss -= relations[row, i].log_softmax(-1)[RELATIONS[row, i]].item() / len(words)
    mean = (found["loss"] / found["count"]).item()
    assert mean == pytest.approx(heads_loss + relations_loss, rel=1e-5)
    found["loss"].backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in parser.parameters())


def test_a_sentence_scores_the_same_alone_and_beside_a_longer_one(parser, states):
    with torch.no_grad():
        together = parser(states, None, mask=None, word_of=WORD_OF, words=WORDS)["arcs"]
        alone = parser(states[1:, :5], None, mask=None, word_of=WORD_OF[1:, :5], words=WORDS[1:, :2])["arcs"]
    assert torch.allclose(together[1:, :2, :3], alone, atol=1e-6)


def test_parser_dropout_treats_all_words_of_a_sentence_alike(parser):
    projection = parser.arc_governor.train()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        out = projection(torch.ones(50, 4, WIDTH))
    dropped = out == 0
    assert (dropped == dropped[:, :1]).all()
    assert dropped[:, 0].float().mean().item() == pytest.approx(0.33, abs=0.08)
    assert (dropped[0] != dropped[1]).any(), "but sentences differ"


# -- predictions and scores ------------------------------------------------------------------------


def test_parses_are_single_root_trees_with_one_root_relation(encoder, sentences):
    task = Task("Dep", "test", TuningRecipe(max_length=64))
    labels = PARSING.labels(sentences)
    predictor = prediction.untrained(task, encoder, labels, seed=0)
    rows = prediction.predict(predictor, sentences)
    for sentence, row in zip(sentences, rows, strict=True):
        assert row["id"] == sentence.id and len(row["heads"]) == len(sentence.words)
        assert row["heads"].count(0) == 1
        assert [h == 0 for h in row["heads"]] == [r == "root" for r in row["deprels"]]
    assert rows == prediction.predict(predictor, sentences)
    # Batched together or one by one, up to what half precision rounds away.
    alone = [prediction.predict(predictor, [sentence])[0] for sentence in sentences[:6]]
    assert sum(a["heads"] == b["heads"] for a, b in zip(alone, rows, strict=False)) >= 5


def test_words_beyond_the_limit_have_no_head_and_count_as_wrong(encoder):
    n = 12
    relations = ("root", *["dep"] * (n - 1))
    long = Sentence("long", ("cats",) * n, upos=("NOUN",) * n, heads=tuple(range(n)), deprels=relations)
    task = Task("Dep", "test", TuningRecipe(max_length=10))
    predictor = prediction.untrained(task, encoder, ("dep", "root"), seed=0)
    counts = {}
    row = prediction.predict(predictor, [long], counts)[0]
    assert row["heads"][8:] == [-1] * 4 and row["deprels"][8:] == ["_"] * 4 and max(row["heads"][:8]) <= 8
    assert counts == {"sentences": 1, "cut": 1}
    scores = PARSING.score([long], [row])
    assert row["total"] == n and scores["uas"] <= 8 / 12


def test_scores_and_what_the_bootstrap_needs():
    upos, relations = ("X", "X", "PUNCT"), ("x:y", "root", "punct")
    tree = Sentence("1", ("a", "b", "."), upos=upos, heads=(2, 0, 2), deprels=relations)
    rows = [{"heads": [2, 0, 1], "deprels": ["x", "root", "punct"]}]
    scores = PARSING.score([tree], rows)
    assert scores == {
        "las": pytest.approx(2 / 3),
        "uas": pytest.approx(2 / 3),
        "las_no_punctuation": 1,
        "uas_no_punctuation": 1,
        "las_subtypes": pytest.approx(1 / 3),
    }
    assert next(iter(scores)) == PARSING.metric
    assert (rows[0]["correct_heads"], rows[0]["correct"], rows[0]["total"]) == (2, 2, 3)


def test_baselines_by_hand(sentences):
    scores = PARSING.baselines(sentences, sentences)
    # "the N V N ." has the <- N <- V and V -> N: two words under the next one and one under the previous
    # one; in "N do not V ." not and the full stop hang on their neighbours.
    assert scores["next_word"]["uas"] == pytest.approx((12 * 2 + 12 * 1) / 120)
    assert scores["previous_word"]["uas"] == pytest.approx((12 * 1 + 12 * 1) / 120)
    single = [Sentence("1", ("Yes",), heads=(0,), deprels=("root",))]
    assert PARSING.baselines(single, single)["next_word"]["las"] == 1.0


# -- shuffled labels -------------------------------------------------------------------------------


def test_shuffled_trees_keep_their_shape_and_relations_and_lose_their_words():
    generator = np.random.default_rng(0)
    made = []
    for i in range(300):
        n = int(generator.integers(1, 9))
        heads = [0] + [int(generator.integers(1, k + 1)) for k in range(1, n)]  # of an earlier word
        words = tuple(f"w{k}" for k in range(n))
        relations = tuple("root" if h == 0 else f"to {h}" for h in heads)
        made.append(Sentence(str(i), words, heads=tuple(heads), deprels=relations))
    shuffled = PARSING.shuffled(made, 1)
    PARSING.check(shuffled)
    first = Counter()
    for old, new in zip(made, shuffled, strict=True):
        assert new.words == old.words and Counter(new.deprels) == Counter(old.deprels)
        assert [r == "root" for r in new.deprels] == [h == 0 for h in new.heads]
        # The same tree but for the names of its nodes: pairs of relations along its edges.
        edges = [
            Counter((t.deprels[k], t.deprels[h - 1]) for k, h in enumerate(t.heads) if h) for t in (old, new)
        ]
        assert edges[0] == edges[1]
        seen, node = set(), len(new.words)
        while node:  # up to the root
            assert node not in seen
            seen.add(node)
            node = new.heads[node - 1]
        if len(new.words) == 8:
            first[new.heads.index(0)] += 1
    assert len(first) == 8  # the root may be anywhere
    assert PARSING.shuffled(made, 1) == shuffled != PARSING.shuffled(made, 2)
