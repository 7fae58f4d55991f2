"""Codes of labels: closed forms, a loop from scratch over one layer, and runs that are killed."""

import dataclasses
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from helpers.corpora.records import LabelledSpans, Target
from helpers.finetuning.batches import Order
from helpers.probing import description_length, layerwise, selectivity, spans
from helpers.probing.description_length import OnlineCodes, block_ends
from helpers.profiles import StructuralRecipe
from helpers.store import Store

RECIPE = StructuralRecipe(learning_rate=2e-2, batch_size=4, epochs=4)
SEED = 5


@pytest.fixture(autouse=True)
def single_precision(monkeypatch):
    monkeypatch.setattr(spans, "precision", lambda: torch.float32)


def drawn(n, seed, labels="ABCD"):
    """Sentences of words that occur once, each with a random label."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        words = tuple(f"{seed}-{i}-{w}" for w in range(rng.integers(2, 7)))
        targets = [Target((w, w + 1), None, (str(rng.choice(list(labels))),)) for w in range(len(words))]
        made.append(LabelledSpans(f"{seed}-{i}", words, tuple(targets)))
    return made


@pytest.fixture(scope="module")
def splits():
    return {"train": drawn(60, 0), "dev": drawn(20, 1), "test": drawn(3, 2)}


@pytest.fixture
def task(splits):
    return description_length.prepare(splits, description_length.read(splits))


@pytest.fixture
def states(splits, make_states):
    """Of three layers: noise, the label beside noise, and the label."""
    rng = np.random.default_rng(3)
    label = np.array([t.labels[0] for own in splits.values() for r in own for t in r.targets])
    told = np.eye(4)[np.searchsorted(list("ABCD"), label)]
    noise = rng.standard_normal((len(label), 6))
    layers = {-1: noise, 0: np.hstack([told, noise[:, :2]]), 1: np.hstack([4 * told, 0 * noise[:, :2]])}
    return make_states(layers)


def coded(task, states, store, recipe=RECIPE, **options):
    return OnlineCodes.trained(task, "encoder", lambda: states, recipe, seed=SEED, cache=store, **options)


def test_blocks_end_where_the_paper_has_them():
    assert block_ends(100_000) == [100, 200, 400, 800, 1600, 3200, 6250, 12500, 25000, 50000, 100_000]
    assert block_ends(300) == [1, 2, 5, 10, 19, 38, 75, 150, 300]
    assert block_ends(1) == [1]
    with pytest.raises(ValueError, match="no sentence"):
        block_ends(0)


def test_labels_are_those_of_their_words(splits, task):
    made = task.splits["dev"]
    words = [w for own in splits.values() for r in own for w in r.words]
    expected = [(w, t.labels[0]) for r in splits["dev"] for w, t in zip(r.words, r.targets, strict=True)]
    found = [(words[row], task.labels[k]) for row, k in zip(made.words, made.labels, strict=True)]
    assert found == expected and len(made) == 20
    assert np.diff(made.row).tolist() == [len(r.words) for r in splits["dev"]]


def test_a_predictor_that_never_changes_costs_its_cross_entropy(task, states):
    codes = OnlineCodes(task, states, RECIPE, SEED)
    everything, data = np.arange(60), task.splits["train"]
    p = {name: torch.zeros_like(x) for name, x in codes.initial().items()}
    uniform = codes.bits(p, [0, 1, 2], "train", everything)
    np.testing.assert_allclose(uniform, np.tile(2.0 * np.diff(data.row), (3, 1)), rtol=1e-6)  # log2 of 4
    shares = np.array([0.5, 0.25, 0.125, 0.125])
    p["bias"] += torch.log(torch.tensor(shares)).float()
    chosen = np.array([7, 3, 41])
    costs = np.array([1, 2, 3, 3])[data.labels]
    expected = [costs[data.row[i] : data.row[i + 1]].sum() for i in chosen]
    one = {name: x[1:2] for name, x in p.items()}
    np.testing.assert_allclose(codes.bits(one, [1], "train", chosen)[0], expected, rtol=1e-6)


def test_labels_that_are_there_cost_little_and_random_ones_do_not_compress(task, states, tmp_path):
    result = coded(task, states, Store(tmp_path / "store"))
    bits, total = zip(*(result.bits(k) for k in range(3)), strict=True)
    compression = [result.uniform * t.sum() / b.sum() for b, t in zip(bits, total, strict=True)]
    assert result.uniform == 2 and result.report["layers"] == [-1, 0, 1]
    assert compression[0] <= 1.0 < 2 < compression[1] < compression[2]
    first = np.random.default_rng(SEED).permutation(60)[0]
    for own, n in zip(bits, total, strict=True):  # the first block costs the same whatever is read
        assert own[first] == 2 * n[first]


def from_scratch(x, y, xd, yd, sentences, lengths, n_labels, initial):
    """Bits per sentence by a plain loop over one layer's vectors; ``x`` and ``y`` by sentence."""
    sent = np.random.default_rng(SEED).permutation(len(x))
    bits = np.zeros(len(x))
    ends = block_ends(len(x))
    bits[sent[: ends[0]]] = [len(y[i]) * math.log2(n_labels) for i in sent[: ends[0]]]
    most = RECIPE.epochs * math.ceil(len(x) / RECIPE.batch_size)
    for begin, end in zip(ends, ends[1:], strict=False):
        known = sent[:begin]
        order = Order(lengths[known], RECIPE.batch_size, SEED)
        model = torch.nn.Linear(x[0].shape[1], n_labels)
        with torch.no_grad():
            model.weight.copy_(initial.T)
            model.bias.zero_()
        adam = torch.optim.Adam(model.parameters(), lr=RECIPE.learning_rate)
        every = max(15, math.ceil(begin / RECIPE.batch_size))
        best, kept, stale = math.inf, None, 0
        for step in range(1, most + 1):
            chosen = known[order.at(step - 1)]
            adam.zero_grad()
            batch = torch.cat([x[i] for i in chosen]), torch.cat([y[i] for i in chosen])
            F.cross_entropy(model(batch[0]), batch[1]).backward()
            adam.step()
            if step % every == 0 or step == most:
                held_out = F.cross_entropy(model(xd), yd).item()
                if held_out < best:
                    best, kept, stale = held_out, {k: v.clone() for k, v in model.state_dict().items()}, 0
                else:
                    stale += 1
                    adam.param_groups[0]["lr"] *= RECIPE.decay
                if stale == RECIPE.stop_after:
                    break
        model.load_state_dict(kept)
        with torch.no_grad():
            for i in sent[begin:end]:
                p = torch.softmax(model(x[i]), -1)[torch.arange(len(y[i])), y[i]]
                bits[i] = -torch.log2(p).sum()
    return bits


def test_bits_are_those_of_a_loop_over_one_layer(splits, task, states, tmp_path):
    result = coded(task, states, Store(tmp_path / "store"))
    initial = OnlineCodes(task, states, RECIPE, SEED).initial()["weight"]
    sizes = np.array([len(r.words) for r in splits["train"]])
    for number, layer in enumerate((-1, 0, 1)):
        vectors = torch.tensor(np.array(states.layer(layer), dtype=np.float32))
        label = torch.tensor(
            ["ABCD".index(t.labels[0]) for s in splits for r in splits[s] for t in r.targets]
        )
        n, m = sizes.sum(), sum(len(r.words) for r in splits["dev"])
        x, y = torch.split(vectors[:n], sizes.tolist()), torch.split(label[:n], sizes.tolist())
        held_out = vectors[n : n + m], label[n : n + m]
        expected = from_scratch(x, y, *held_out, splits, sizes, 4, initial[number])
        bits, total = result.bits(number)
        np.testing.assert_allclose(bits, expected, rtol=2e-3, atol=2e-3)
        assert total.tolist() == sizes.tolist()


def test_a_killed_run_goes_on_with_the_next_block(task, states, tmp_path, monkeypatch):
    recipe = dataclasses.replace(RECIPE, epochs=1)
    expected = coded(task, states, Store(tmp_path / "whole"), recipe)
    train, calls = layerwise.train, []

    def killed(*arguments, **options):
        calls.append(options["what"])
        if len(calls) == 4:
            raise KeyboardInterrupt
        return train(*arguments, **options)

    monkeypatch.setattr(layerwise, "train", killed)
    store = Store(tmp_path / "killed")
    with pytest.raises(KeyboardInterrupt):
        coded(task, states, store, recipe)
    result = coded(task, states, store, recipe)
    assert len(calls) == len(block_ends(60)) and calls[3] == calls[4]  # none but the killed one was repeated
    np.testing.assert_array_equal(result.arrays["bits"], expected.arrays["bits"])
    assert sorted(p.name for p in result.folder.glob("*.np*")) == ["counts.npz"]


def test_the_codes_of_a_control_task_cost_more(splits, states, tiny, tmp_path):
    """Every word occurs once, so its type tells nothing."""
    control = selectivity.label_control(splits, tiny.tokenizer, seed=0)
    reading = description_length.read(splits)
    store = Store(tmp_path / "store")
    real, random = (
        coded(description_length.prepare(own, reading), states, store) for own in (splits, control)
    )
    assert random.arrays["bits"][2].sum() > 2 * real.arrays["bits"][2].sum()


def test_labels_that_training_lacks_are_left_out_of_the_stopping(splits, states):
    new = [dataclasses.replace(r, targets=tuple(dataclasses.replace(t, labels=("X",)) for t in r.targets))
           for r in splits["dev"][:5]]  # fmt: skip
    changed = splits | {"dev": new + splits["dev"][5:]}
    task = description_length.prepare(changed, description_length.read(changed))
    assert (
        task.labels == tuple("ABCD") and (task.splits["dev"].labels[: task.splits["dev"].row[5]] == -1).all()
    )
    codes = OnlineCodes(task, states, RECIPE, SEED)
    bits = codes.count(codes.initial(), [0, 1, 2], "dev")["bits"]
    assert (bits[:, :5] == 0).all() and (bits[:, 5:] > 0).all()


def test_what_is_no_label_of_a_word_is_refused(splits):
    wrong = {
        "pair": Target((0, 1), (1, 2), ("A",)),
        "phrase": Target((0, 2), None, ("A",)),
        "several": Target((0, 1), None, ("A", "B")),
    }
    for name, target in wrong.items():
        record = LabelledSpans(name, ("a", "b"), (target,))
        changed = splits | {"train": [record]}
        with pytest.raises(ValueError, match=f"record '{name}': expected one word with one label"):
            description_length.prepare(changed, description_length.read(changed))
    with pytest.raises(ValueError, match="no target in split 'dev'"):
        description_length.prepare(splits | {"dev": []}, description_length.read(splits))
