"""Heads against their formulas written out."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from helpers.finetuning import heads

WIDTH = 16


@pytest.fixture
def states():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 7, WIDTH, generator=generator)


@pytest.fixture
def mask():
    return torch.tensor([[True] * 7, [True] * 5 + [False] * 2])


def _seeded(make, *arguments, **options):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return make(*arguments, **options).eval()


# -- classification and spans ----------------------------------------------------------------------


def test_classification_reads_the_pooled_vector_or_else_the_first_state(states, mask):
    head = _seeded(heads.ClassificationHead, WIDTH, 3, 0.1)
    pooled = torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(2))
    weight, bias = head.output.weight, head.output.bias
    assert torch.allclose(head(states, pooled, mask=mask)["logits"], pooled @ weight.T + bias, atol=1e-6)
    assert torch.allclose(head(states, None, mask=mask)["logits"], states[:, 0] @ weight.T + bias, atol=1e-6)
    labels = torch.tensor([2, 0])
    found = head(states, pooled, mask=mask, labels=labels)
    by_hand = -found["logits"].log_softmax(-1)[[0, 1], labels].mean()
    assert found["loss"].item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_output_layers_start_from_the_truncated_normal():
    weight = _seeded(heads.ClassificationHead, 1000, 50, 0.0).output.weight
    assert weight.abs().max() <= 0.04
    # Deviation of a normal of deviation 0.02 cut off at twice that: 0.02 * 0.8796.
    assert weight.std().item() == pytest.approx(0.0176, rel=0.02)


def test_span_loss_is_the_mean_over_both_ends_and_padding_is_impossible(states, mask):
    head = _seeded(heads.SpanHead, WIDTH)
    starts, ends = torch.tensor([3, 0]), torch.tensor([6, 4])
    found = head(states, None, mask=mask, starts=starts, ends=ends)
    assert torch.isinf(found["start_logits"][1, 5:]).all() and torch.isinf(found["end_logits"][1, 5:]).all()
    by_hand = 0.0
    for logits, target in ((found["start_logits"], starts), (found["end_logits"], ends)):
        for row, n in ((0, 7), (1, 5)):
            kept = logits[row, :n].detach().double().numpy()
            by_hand += np.log(np.exp(kept).sum()) - kept[target[row]]
    assert found["loss"].item() == pytest.approx(by_hand / 4, rel=1e-5)


# -- parser ----------------------------------------------------------------------------------------

# [CLS] a a b c [SEP]: three words, the first of two pieces; then [CLS] d e e e [SEP] and padding.
WORD_OF = torch.tensor([[0, 1, 1, 2, 3, -1, -1], [0, 1, 2, 2, -1, -1, -1]])
WORDS = torch.tensor([[True, True, True], [True, True, False]])
HEADS = torch.tensor([[2, 0, 2], [0, 1, heads.IGNORED]])
RELATIONS = torch.tensor([[1, 3, 0], [3, 2, heads.IGNORED]])


@pytest.fixture
def parser():
    return _seeded(heads.ParserHead, WIDTH, 4, arc=6, relation=5)


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
    assert found["loss"].item() == pytest.approx(heads_loss + relations_loss, rel=1e-5)
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


# -- model -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Dep", "NLI", "QA"])
def test_scores_and_losses_are_float32_under_autocast(encoder, kind):
    model = _seeded(lambda: heads.TaskModel(encoder.model, heads.build(kind, encoder.model, ("a", "b"))))
    ids = torch.tensor([[2, 9, 10, 3]])
    batch = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "token_type_ids": torch.zeros_like(ids),
    } | {
        "Dep": {
            "word_of": torch.tensor([[0, 1, 2, -1]]),
            "words": torch.ones(1, 2, dtype=torch.bool),
            "heads": torch.tensor([[2, 0]]),
            "relations": torch.tensor([[0, 1]]),
        },
        "NLI": {"labels": torch.tensor([1])},
        "QA": {"starts": torch.tensor([1]), "ends": torch.tensor([2])},
    }[kind]
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        found = model(**batch)
    for name in ("loss", "logits", "start_logits", "end_logits", "arcs"):
        assert name not in found or found[name].dtype == torch.float32
    assert torch.isfinite(found["loss"])


def test_unknown_model(encoder):
    with pytest.raises(ValueError, match="'NER'; valid: Dep, NLI, QA"):
        heads.build("NER", encoder.model, ())
