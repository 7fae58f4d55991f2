"""Control tasks can be solved by memory alone, and only by memory."""

import collections
import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from helpers.corpora.records import LabelledSpans, Target
from helpers.probing import selectivity, spans
from helpers.profiles import StructuralRecipe
from helpers.store import Store

RECIPE = StructuralRecipe(learning_rate=1e-2, batch_size=8, epochs=15)
SPLITS = ("train", "dev", "test")


@pytest.fixture(autouse=True)
def single_precision(monkeypatch):
    monkeypatch.setattr(spans, "precision", lambda: torch.float32)


@pytest.fixture(scope="module")
def tagged():
    """Sentences of 60 word types; a tag says whether the word before has a letter from a to m first."""
    rng = np.random.default_rng(0)
    types = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 5)) for _ in range(60)]

    def sentence(i):
        # Words 50 to 59 do not occur in training.
        words = [types[k] for k in rng.integers(60 if i >= 300 else 50, size=rng.integers(5, 9))]
        tags = ["AFTER_A" if w and w[0] < "n" else "OTHER" for w in ["", *words[:-1]]]
        targets = (Target((k, k + 1), None, (tag,)) for k, tag in enumerate(tags))
        return LabelledSpans(str(i), tuple(words), tuple(targets))

    made = [sentence(i) for i in range(450)]
    return {"train": made[:300], "dev": made[300:350], "test": made[350:]}


@pytest.fixture(scope="module")
def trees():
    """Sentences whose words hang on the one to the left, the first one being the root."""
    rng = np.random.default_rng(1)

    def sentence(i):
        words = tuple(rng.choice("cats dogs chase see the a river in on Worcestershire".split(), 7).tolist())
        arcs = (Target((k, k + 1), (max(k - 1, 0), max(k - 1, 0) + 1), ("x",)) for k in range(7))
        return LabelledSpans(str(i), words, tuple(arcs))

    made = [sentence(i) for i in range(260)]
    return {"train": made[:160], "dev": made[160:200], "test": made[200:]}


def labels_by_word(splits) -> dict[str, set]:
    found = collections.defaultdict(set)
    for r in (r for own in splits.values() for r in own):
        for t in r.targets:
            found[r.words[t.span1[0]]].add(t.labels)
    return found


def test_each_type_has_one_tag_throughout_also_where_training_lacks_it(tagged, tiny):
    control = selectivity.label_control(tagged, tiny.tokenizer, seed=0)
    by_word = labels_by_word(control)
    assert len(by_word) == 60 and all(len(tags) == 1 for tags in by_word.values())
    assert any(len(tags) > 1 for tags in labels_by_word(tagged).values())
    new = {w for r in tagged["test"] for w in r.words} - {w for r in tagged["train"] for w in r.words}
    assert len(new) == 10 and new <= set(by_word)
    assert [r.words for r in control["dev"]] == [r.words for r in tagged["dev"]]
    again = selectivity.label_control(tagged, tiny.tokenizer, seed=0)
    assert again == control != selectivity.label_control(tagged, tiny.tokenizer, seed=1)


def test_tags_are_drawn_from_the_distribution_in_training(tagged, tiny):
    share = np.mean([t.labels == ("OTHER",) for r in tagged["train"] for t in r.targets])
    drawn = [
        labels == {("OTHER",)}
        for seed in range(12)
        for labels in labels_by_word(selectivity.label_control(tagged, tiny.tokenizer, seed)).values()
    ]
    assert np.mean(drawn) == pytest.approx(share, abs=3 * (share * (1 - share) / len(drawn)) ** 0.5)


def test_words_that_look_alike_to_the_encoder_are_one_type(tiny):
    """MiniBERT's vocabulary has no capitals."""
    words = ("The", "the", "THE", "river", "River")
    record = LabelledSpans("a", words, tuple(Target((k, k + 1), None, ("XYZPQ"[k],)) for k in range(5)))
    splits = dict.fromkeys(SPLITS, [record])
    for seed in range(8):
        (found,) = selectivity.label_control(splits, tiny.tokenizer, seed)["test"]
        tags = [t.labels[0] for t in found.targets]
        assert len(set(tags[:3])) == len(set(tags[3:])) == 1


def test_heads_are_positions_and_the_root_is_its_own(trees):
    choices = selectivity.heads(trees)["test"][0].targets
    assert [t.labels for t in choices] == [(str(max(k - 1, 0)),) for k in range(7)]
    assert [t.span1 for t in choices] == [(k, k + 1) for k in range(7)] and choices[0].span2 is None
    lost = LabelledSpans("s3", ("a", "b"), (Target((0, 1), (1, 2), ("x",)),))
    with pytest.raises(ValueError, match=r"record 's3': \(1, 2\), the head of \(0, 1\), has no head itself"):
        selectivity.heads({"train": [lost]})


def test_the_control_of_heads_is_self_first_or_last_by_type(trees, tiny):
    control = selectivity.head_control(selectivity.heads(trees), tiny.tokenizer, seed=3)
    kinds = collections.defaultdict(lambda: {"self", "first", "last"})
    for r in (r for own in control.values() for r in own):
        for k, t in enumerate(r.targets):
            said = int(t.labels[0])
            fits = {name for name, at in (("self", k), ("first", 0), ("last", 6)) if at == said}
            kinds[r.words[k]] &= fits  # at a sentence's ends two coincide
    assert len(kinds) == 10 and all(len(kind) == 1 for kind in kinds.values())
    assert len(set.union(*kinds.values())) > 1


def states_of(splits, tiny, make_states, layers):
    """Activations whose rows hold, by layer, what ``layers`` (name -> function of a word list) gives."""
    reading = spans.read(tiny.tokenizer, splits.values())
    sizes = np.diff(reading.word_start)
    arrays = {}
    for layer, of in layers.items():
        words = np.concatenate([of(words) for words in reading.sentences])
        arrays[layer] = np.repeat(words, sizes, axis=0)
    return reading, make_states(arrays)


def run(task, states, tmp_path, **options):
    store = Store(tmp_path / "store")
    return selectivity.ChoiceProbes.trained(
        task, "encoder", lambda: states, RECIPE, seed=0, cache=store, **options
    )


def accuracy(result, probe):
    correct, total = result.correct(probe)
    return correct.sum() / total.sum()


def test_memory_solves_the_control_and_context_the_task(tagged, tiny, make_states, tmp_path):
    types = sorted({w for own in tagged.values() for r in own for w in r.words})
    rng = np.random.default_rng(0)
    vectors = dict(zip(types, rng.standard_normal((len(types), 80)), strict=True))

    def identity(words):
        return np.array([vectors[w] for w in words])

    def context(words):
        known = [[4.0 * bool(w and w[0] < "n")] * 3 for w in ["", *words[:-1]]]
        return np.hstack([np.array(known), rng.standard_normal((len(words), 77))])

    reading, states = states_of(tagged, tiny, make_states, {0: identity, 1: context})
    real = run(selectivity.prepare(tagged, reading, "label"), states, tmp_path)
    drawn = selectivity.label_control(tagged, tiny.tokenizer, seed=0)
    control = run(selectivity.prepare(drawn, reading, "label"), states, tmp_path)
    labels = [t.labels[0] for r in tagged["test"] for t in r.targets]
    chance = max(np.mean(np.array(labels) == name) for name in set(labels))
    assert accuracy(real, 1) > 0.97 and accuracy(real, 0) < chance + 0.12
    assert accuracy(control, 0) > 0.85  # not 1: a sixth of the words did not occur in training
    assert accuracy(control, 0) - accuracy(control, 1) > 0.2
    correct, total = real.correct(0)
    assert total.tolist() == [len(r.targets) for r in tagged["test"]]
    assert (correct <= total).all() and real.report["layers"] == [0, 1]


def test_heads_are_found_where_a_bilinear_form_tells_them(trees, tiny, make_states, tmp_path):
    splits = selectivity.heads(trees)

    def positions(words):
        return np.eye(16)[: len(words)] * 3

    def noise(words):
        return np.random.default_rng(len(words)).standard_normal((len(words), 16))

    reading, states = states_of(trees, tiny, make_states, {0: positions})
    found = run(selectivity.prepare(splits, reading, "head"), states, tmp_path)
    assert accuracy(found, 0) > 0.97
    shuffled = {
        split: [
            dataclasses.replace(
                r,
                targets=tuple(
                    dataclasses.replace(t, labels=(str(x),))
                    for t, x in zip(r.targets, np.random.default_rng(i).integers(7, size=7), strict=True)
                ),
            )
            for i, r in enumerate(own, start=1000 * n)
        ]
        for n, (split, own) in enumerate(splits.items())
    }
    lost = run(selectivity.prepare(shuffled, reading, "head"), states, tmp_path)
    assert accuracy(lost, 0) < 1 / 7 + 0.08


def test_logits_of_heads_are_bilinear_forms_of_the_words_means(tiny, trees, make_states):
    """Sentences of different lengths beside one another: absent words cannot be chosen."""
    short = dataclasses.replace(
        trees["train"][0], words=trees["train"][0].words[:3], targets=trees["train"][0].targets[:3]
    )
    records = selectivity.heads({"train": [short, trees["train"][1]]})["train"]
    reading = spans.read(tiny.tokenizer, [records])
    rng = np.random.default_rng(0)
    states = make_states({0: rng.standard_normal((len(reading.rows), 6))})
    data = spans.encode(records, reading, tuple(map(str, range(7))))
    batch = spans.batch(data, np.array([0, 1]), 7, torch.device("cpu"))
    x = spans.gather(states, [0], batch.rows, torch.empty(0))
    a = torch.randn(1, 6, 6)
    found = selectivity.logits({"weight": a}, x, batch.inside[0], batch.chosen[0])
    rows = np.asarray(states.layer(0), dtype=np.float32)
    means = [
        rows[reading.word_start[w] : reading.word_start[w + 1]].mean(0)
        for w in range(len(reading.word_start) - 1)
    ]
    first = np.array(means[reading.first_word[0] : reading.first_word[1]])
    expected = first @ a[0].numpy() @ first.T
    np.testing.assert_allclose(found[0, :3, :3], expected, rtol=1e-4, atol=1e-4)
    assert torch.isneginf(found[0, :3, 3:]).all() and torch.isfinite(found[0, 3:]).all()


def test_label_accuracy_counts_unknown_labels_as_wrong(tagged, tiny, make_states, tmp_path):
    test = [
        dataclasses.replace(r, targets=tuple(dataclasses.replace(t, labels=("NEW",)) for t in r.targets))
        for r in tagged["test"][:20]
    ]
    splits = tagged | {"test": test + tagged["test"][20:40]}
    reading, states = states_of(splits, tiny, make_states, {0: lambda words: np.ones((len(words), 4))})
    found = run(selectivity.prepare(splits, reading, "label"), states, tmp_path)
    correct, total = found.correct(0)
    assert correct[:20].sum() == 0 < correct[20:].sum() and (total > 0).all()


def test_the_loss_is_cross_entropy_and_what_does_not_fit_is_refused(tagged, trees, tiny, make_states):
    reading, states = states_of(tagged, tiny, make_states, {0: lambda words: np.ones((len(words), 4))})
    task = selectivity.prepare(tagged, reading, "label")
    probes = selectivity.ChoiceProbes(task, states, RECIPE, seed=0)
    p = selectivity.initial(task, 4, 1, seed=0)
    batch, scores, right = probes.answers(p, [0], task.splits["train"], probes.order.at(0))
    expected = F.nll_loss(F.log_softmax(scores[0], -1), right)
    torch.testing.assert_close(probes.loss(p, [0], 0)[0], expected)
    assert right.tolist() == batch.gold.argmax(1).tolist()
    with pytest.raises(ValueError, match="unknown kind 'tag'; valid: label, head"):
        selectivity.prepare(tagged, reading, "tag")
    with pytest.raises(ValueError, match="record '0': expected one span with one label"):
        selectivity.prepare(trees, reading, "label")
    with pytest.raises(ValueError, match="no target in split 'dev'"):
        selectivity.prepare(tagged | {"dev": []}, reading, "label")
